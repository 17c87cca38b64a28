"""``lienthong demo``: start the small country, let Hải Phòng use its data in three ways, show the receipts.

Five nodes run as separate processes with own databases and keys over real TLS; a second start reuses what is there.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

from lienthong.agreements.rules import make_rule
from lienthong.demo.authority import MODULE as AUTHORITY
from lienthong.demo.authority import ROOT_FILE, make_authority
from lienthong.demo.country import (
    ANALYSIS_SYSTEM,
    CITIZEN,
    HAI_PHONG,
    ONE_STOP_SYSTEM,
    actors,
    agreements,
)
from lienthong.demo.found import (
    Site,
    admit_everybody,
    country_sites,
    hold_ceremony,
    load_registers,
    publish_everything,
    write_anchor,
    write_config,
)
from lienthong.demo.nodes import Nodes
from lienthong.demo.progress import Progress
from lienthong.demo.queries import database_of, let_reader_in
from lienthong.demo.staff import STAFF, add_staff, demo_password
from lienthong.demo.uses import CheckReceipt, UseMade, make_uses
from lienthong.directory.register import add_rule
from lienthong.errors import Problem, Side
from lienthong.i18n import Language, T
from lienthong.node.copies import Copies, client_url
from lienthong.node.desk import open_desk
from lienthong.node.supervise import lock_folder
from lienthong.storage.keyring import Keyring
from lienthong.storage.pool import open_pool
from lienthong.storage.server import PostgresServer

PATIENCE_S: Final = 90.0
STAMP_EVERY_S: Final = 5.0
DEMO_FILE: Final = "demo.json"


class DemoFailed(Problem):
    """A node of the demo did not come up."""

    kind: ClassVar[str] = "demo-failed"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The demo could not be started")


@dataclass(slots=True)
class Demo:
    """The running country."""

    folder: Path
    persons: int
    port: int
    language: Language
    check: CheckReceipt
    quiet: bool = False
    stamps: bool = False
    """Whether the country has a time-stamping authority; it takes the program openssl."""
    sites: tuple[Site, ...] = ()
    uses: list[UseMade] = field(default_factory=list["UseMade"])
    _nodes: Nodes | None = None
    _postgres: PostgresServer | None = None
    _lock: int | None = None
    _authority: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Bring everything up and make the demo's uses; raises a Problem when a part does not come up."""
        if self.port and not _is_free(self.port):
            raise DemoFailed(
                T("Another program listens on port {port}."),
                mend=T("Stop it, or choose another port: lienthong demo --port P"),
                port=self.port,
            )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = lock_folder(self.folder)
        self._nodes = Nodes(self.folder / "postgres")
        progress = Progress(self.folder / "nodes" / "progress.json", self.language, self.quiet)
        progress.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with progress.step("database"):
            self._postgres = PostgresServer(self.folder / "postgres")
            self._postgres.start()
        superuser = self._postgres.dsn("postgres")
        self.sites = country_sites(self.folder, self._ports(), superuser, datetime.now(UTC).date())
        if self.stamps:
            self._start_authority()
        with progress.step("admit"):
            for site in self.sites:
                write_config(site, superuser)
            write_anchor(self.sites[0].settings, self.folder / "anchor.json")
            root = hold_ceremony(self.folder, self.sites[0].settings)
            asyncio.run(admit_everybody(self.sites, superuser, root))
        with progress.step("nodes"), ThreadPoolExecutor(1) as aside:
            # Before any node starts: a later start's nodes know their sources and read them at once.
            secret = Keyring(self.folder).secret("reader").hex()
            let_reader_in(superuser, secret)
            # The national node first: its portal shows how far the start has come.
            self._start_node(self.sites[0])
            self._write_description()
            loading = aside.submit(lambda: asyncio.run(load_registers(self.sites, superuser, self.persons)))
            self._wait([f"{self.sites[0].settings.public_url}/livez"])
            for site in self.sites[1:]:
                self._start_node(site)
            self._wait([f"{site.settings.public_url}/livez" for site in self.sites])
            with progress.step("registers"):
                loading.result()
        with progress.step("publish"):
            asyncio.run(publish_everything(self.sites, superuser, secret))
            self._wait([f"{s.settings.public_url}/readyz" for s in self.sites])
            self._wait([f"http://127.0.0.1:{s.settings.client_port}/readyz" for s in self.sites])
        with progress.step("agree"):
            asyncio.run(self._agree(superuser))
            asyncio.run(add_staff(self.sites, superuser, self.folder))
        with progress.step("uses"):
            self.uses = asyncio.run(make_uses(self.sites, self.folder, self.check))
            asyncio.run(self._compare_copies(superuser))
        self._write_description()

    def postgres_pid(self) -> int | None:
        """The database server's process, for those who measure."""
        return self._postgres.pid if self._postgres else None

    def stop(self) -> None:
        """End every process that was started, the database last."""
        if self._nodes:
            self._nodes.end()
            self._nodes = None
        if self._authority:
            self._authority.kill()
            self._authority.wait()
            self._authority = None
        if self._postgres:
            self._postgres.stop()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def wait(self) -> None:
        """Until Ctrl-C, SIGTERM, or the end of a node."""
        ended = False

        def end(_number: int, _frame: object) -> None:
            nonlocal ended
            ended = True

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        while not ended:
            time.sleep(0.3)
            self._expect_nodes()

    def summary(self) -> dict[str, object]:
        """What ``--once`` prints: counts by way and outcome, and whether every receipt verified."""
        counts: dict[str, dict[str, int]] = {}
        for use in self.uses:
            by_outcome = counts.setdefault(use.way, {})
            by_outcome[use.outcome] = by_outcome.get(use.outcome, 0) + 1
        return {
            "synthetic": True,
            "persons": self.persons,
            "counts": counts,
            "uses": [use.as_dict() for use in self.uses],
            "receipts": sum(len(use.receipts) for use in self.uses),
            "receipts_verified": sum(receipt.verified for use in self.uses for receipt in use.receipts),
            "ok": self.succeeded(),
        }

    def succeeded(self) -> bool:
        """Whether every use came out as meant and every receipt verifies."""
        return bool(self.uses) and all(use.as_meant and all(r.verified for r in use.receipts) for use in self.uses)

    def _ports(self) -> dict[str, tuple[int, int, int]]:
        """Public, client and peer port of each node: those of the last start where they are still free."""
        known = self._known_ports()
        taken: set[int] = {self.port}
        ports: dict[str, tuple[int, int, int]] = {}
        for n, actor in enumerate(actors(datetime.now(UTC).date())):
            before = known.get(actor.node, (0, 0, 0))
            chosen = [_free(port, taken) for port in before]
            if n == 0 and self.port:
                chosen[0] = self.port
            ports[actor.node] = (chosen[0], chosen[1], chosen[2])
        return ports

    def _known_ports(self) -> dict[str, tuple[int, int, int]]:
        path = self.folder / DEMO_FILE
        if not path.exists():
            return {}
        nodes = json.loads(path.read_text("utf-8"))["nodes"]
        return {node["node"]: tuple(node["ports"]) for node in nodes}

    def _start_authority(self) -> None:
        """Let every node have its checkpoints stamped by an authority of this folder's own."""
        folder, port = self.folder / "tsa", _free(0, set())
        make_authority(folder)
        self._authority = subprocess.Popen([sys.executable, "-m", AUTHORITY, str(folder), str(port)])
        stamped = {
            "tsa_url": f"http://127.0.0.1:{port}/",
            "tsa_roots": folder / ROOT_FILE,
            "tsa_every_s": STAMP_EVERY_S,
        }
        self.sites = tuple(replace(site, settings=replace(site.settings, **stamped)) for site in self.sites)

    def _start_node(self, site: Site) -> None:
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True, mode=0o700)
        if self._nodes:
            self._nodes.start(site.config, logs / f"{site.settings.node}.log")

    def _expect_nodes(self) -> None:
        """Raise DemoFailed when a node has ended."""
        ended = self._nodes.ended() if self._nodes else None
        if ended is not None:
            raise DemoFailed(
                T("The node {node} ended."),
                mend=T("Read its log in {folder}."),
                node=Path(ended).stem,
                folder=str(self.folder / "logs"),
            )

    def _wait(self, urls: Sequence[str]) -> None:
        """Until every address answers 200; raises DemoFailed naming the one that does not."""
        until = time.monotonic() + PATIENCE_S
        for url in urls:
            while not _answers(url):
                self._expect_nodes()
                if time.monotonic() > until:
                    raise DemoFailed(T("{url} does not answer."), mend=T("Read the logs in {folder}."), url=url,
                                     folder=str(self.folder / "logs"))  # fmt: skip
                time.sleep(0.1)

    async def _agree(self, superuser: str) -> None:
        """Make the country's agreements, those that are missing."""
        home = next(site for site in self.sites if site.actor.member.id == HAI_PHONG)
        by_member = {site.actor.member.id: site for site in self.sites}
        for terms in agreements(datetime.now(UTC).date()):
            provider = by_member[terms.provider]
            async with open_desk(provider.settings, database_of(superuser, provider.database)) as desk:
                if await desk.has_agreement(terms.target, terms.consumer):
                    continue
                if terms.mode == "rule":
                    async with desk.pool.connection() as db:
                        rule = await make_rule(
                            db, desk.directory.snapshot(), desk.signer(terms.provider), terms, now=_now()
                        )
                    top = database_of(superuser, self.sites[0].database)
                    async with open_desk(self.sites[0].settings, top) as office, office.pool.connection() as db:
                        await add_rule(db, rule)
                    continue
                async with open_desk(home.settings, database_of(superuser, home.database)) as asking:
                    await asking.request(terms, "Liên thông phục vụ thủ tục hành chính và thống kê (dữ liệu giả lập)")
                for pid in await desk.requests():
                    await desk.approve(pid, terms.provider)
        for site in self.sites:
            await self._wait_for_rules(site, superuser)

    async def _compare_copies(self, superuser: str) -> None:
        """The first comparison of the city's copy with its source; later ones are the node's own job."""
        for site in self.sites:
            if site.settings.copies:
                pool = await open_pool(database_of(superuser, site.database), min_size=1, max_size=1)
                try:
                    copies = Copies(pool, site.settings.copies, client_url(site.settings))
                    await copies.compare_due(datetime.now(UTC))
                finally:
                    await pool.close()

    async def _wait_for_rules(self, site: Site, superuser: str) -> None:
        """Until the rules that the directory lists count at ``site``: the provider follows its own as the others do."""
        rules = [terms for terms in agreements(datetime.now(UTC).date()) if terms.mode == "rule"]
        until = time.monotonic() + PATIENCE_S
        async with open_desk(site.settings, database_of(superuser, site.database)) as desk:
            while not all([await desk.has_agreement(terms.target, terms.consumer) for terms in rules]):
                if time.monotonic() > until:
                    raise DemoFailed(T("The agreements by rule did not reach {node}."), node=site.settings.node)
                await asyncio.sleep(0.1)

    def _write_description(self) -> None:
        """``demo.json``: every node with its addresses, for people and commands."""
        home = next(site for site in self.sites if site.actor.member.id == HAI_PHONG)
        client_url = f"http://127.0.0.1:{home.settings.client_port}"
        described = {
            "synthetic": True,
            "portal": self.sites[0].settings.public_url,
            "data": str(self.folder),
            "pid": os.getpid(),
            "persons": self.persons,
            "sign_in": {
                "logins": {login: role.value for login, _, role in STAFF},
                "password": demo_password(self.folder),
            },
            "analyst": {"client_url": client_url, "client": ANALYSIS_SYSTEM},
            "one_stop": {"client_url": client_url, "client": ONE_STOP_SYSTEM, "service": CITIZEN.service},
            "nodes": [
                {
                    "node": site.settings.node,
                    "name_vi": site.actor.member.name_vi,
                    "name_en": site.actor.member.name_en,
                    "members": list(site.settings.members),
                    "systems": [system.id for system in site.actor.systems],
                    "public_url": site.settings.public_url,
                    "client_url": f"http://127.0.0.1:{site.settings.client_port}",
                    "peer_url": site.settings.peer_url,
                    "config": str(site.config),
                    "ports": [site.settings.public_port, site.settings.client_port, site.settings.peer_port],
                }
                for site in self.sites
            ],
            "uses": [use.as_dict() for use in self.uses],
        }
        path = self.folder / DEMO_FILE
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(described, ensure_ascii=False, indent=2), "utf-8")
        temporary.replace(path)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own loopback address
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free(preferred: int, taken: set[int]) -> int:
    """``preferred`` if it is free, else a port the system gives; never one of ``taken``."""
    for port in (preferred, 0, 0, 0, 0):
        if port == 0 or port not in taken:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                found = probe.getsockname()[1]
                if found not in taken:
                    taken.add(found)
                    return found
    raise DemoFailed(T("No free port was found."), mend=T("Stop other programs and try again."))


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
