"""Takes rights away from a sandbox child: memory, time, new files, network, new programs.

Promises: what can be taken is taken for good, for every thread, and ``Held`` says what this kernel did not allow.
Linux only; the system call filter is for x86-64 (elsewhere the other walls stand).  Sources: seccomp(2), unshare(2),
prctl(2), setrlimit(2), linux/filter.h.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000
_CLONE_THREAD = 0x00010000
_SYS_SECCOMP = 317
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_TSYNC = 1
_AUDIT_ARCH_X86_64 = 0xC000003E
_RET_ALLOW = 0x7FFF0000
_RET_EPERM = 0x00050001
_RET_ENOSYS = 0x00050026
_LOAD = 0x20
"""BPF_LD | BPF_W | BPF_ABS"""
_JUMP_EQUAL = 0x15
_JUMP_AT_LEAST = 0x35
_JUMP_BITS = 0x45
_RETURN = 0x06
_NOBODY = 65534

_CLONE = 56
_CLONE3 = 435
_DENIED = {
    "socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50, "socketpair": 53, "accept4": 288,
    "execve": 59, "execveat": 322, "fork": 57, "vfork": 58, "kill": 62, "tkill": 200, "pidfd_open": 434,
    "pidfd_send_signal": 424, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311,
    "chroot": 161, "pivot_root": 155, "mount": 165, "umount2": 166, "setns": 308, "unshare": 272, "bpf": 321,
    "keyctl": 250, "add_key": 248, "request_key": 249, "perf_event_open": 298, "userfaultfd": 323,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "init_module": 175, "finit_module": 313,
    "kexec_load": 246, "reboot": 169, "swapon": 167, "shmget": 29, "msgget": 68, "setrlimit": 160,
}  # fmt: skip
"""What no job needs once its connections are open.  ``prlimit64`` stays: the C library asks it for stack sizes."""
_DENIED_WRITING = {
    "creat": 85, "open_by_handle_at": 304,
    "truncate": 76, "rename": 82, "mkdir": 83, "rmdir": 84, "link": 86, "unlink": 87, "symlink": 88, "chmod": 90,
    "chown": 92, "lchown": 94, "mknod": 133, "mkdirat": 258, "mknodat": 259, "fchownat": 260, "unlinkat": 263,
    "renameat": 264, "linkat": 265, "symlinkat": 266, "fchmodat": 268, "renameat2": 316, "setxattr": 188,
}  # fmt: skip
"""What only a job that writes files needs."""
_DENIED_WHEN_LOADED = {"open": 2, "openat": 257, "openat2": 437, "memfd_create": 319}


@dataclass(frozen=True, slots=True)
class Held:
    """Which walls this kernel let us build."""

    network_namespace: bool
    system_calls: bool
    unprivileged: bool


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when ``parent`` ends, and forbid others to trace or dump it."""
    _libc().prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    _libc().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel knew of our wish
        os._exit(1)


def limit_process(*, memory_bytes: int, cpu_s: int, file_bytes: int) -> None:
    """Bound what this process may add from now on: private memory, processor time, the size of a file it writes."""
    data_bytes = _data_pages() * resource.getpagesize() + memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def fence(*, may_write: bool) -> Held:
    """From here on no new connection, program or process, nor, unless ``may_write``, a change to any file.

    Files can still be read and connections already open keep working.  Call it from the main thread.
    """
    denied = _DENIED if may_write else _DENIED | _DENIED_WRITING
    libc = _libc()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    network = libc.unshare(_CLONE_NEWNET) == 0
    if not network and len(os.listdir("/proc/self/task")) == 1:
        # Without privilege a user namespace brings the right to a network namespace; only before threads exist.
        network = libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0
    return Held(network, _filter_system_calls(denied), unprivileged=os.geteuid() != 0)


def shut() -> Held:
    """After ``fence``: no file can be opened any more, and what was root is nobody."""
    unprivileged = _become_nobody()
    return Held(True, _filter_system_calls(_DENIED_WHEN_LOADED), unprivileged)


def _become_nobody() -> bool:
    if os.geteuid() != 0:
        return True
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:
        return False
    return True


def _filter_system_calls(denied: Mapping[str, int]) -> bool:
    if platform.machine() != "x86_64":
        return False
    program = _program(sorted(denied.values()))
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    header_buffer = ctypes.create_string_buffer(header, len(header))
    outcome = _libc().syscall(
        _SYS_SECCOMP, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, ctypes.byref(header_buffer)
    )
    return outcome == 0


def _program(denied: Sequence[int]) -> bytes:
    """Classic BPF over ``struct seccomp_data``: number at 0, architecture at 4, first argument's low half at 16."""
    # Each jump leads to one of the returns at the end: EPERM first, then ENOSYS, then ALLOW.
    head = [
        (_LOAD, 0, 0, 4),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH_X86_64),
        (_RETURN, 0, 0, _RET_EPERM),
        (_LOAD, 0, 0, 0),
        (_JUMP_AT_LEAST, 0, 1, 0x40000000),  # the x32 numbers
        (_RETURN, 0, 0, _RET_EPERM),
        (_JUMP_EQUAL, 0, 1, _CLONE3),  # its flags lie in memory where a filter can not look: the library uses clone
        (_RETURN, 0, 0, _RET_ENOSYS),
        (_JUMP_EQUAL, 0, 4, _CLONE),
        (_LOAD, 0, 0, 16),
        (_JUMP_BITS, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _RET_EPERM),
        (_RETURN, 0, 0, _RET_ALLOW),
    ]
    body = [(_JUMP_EQUAL, len(denied) - place, 0, number) for place, number in enumerate(denied)]
    tail = [(_RETURN, 0, 0, _RET_ALLOW), (_RETURN, 0, 0, _RET_EPERM)]
    return b"".join(struct.pack("=HBBI", *step) for step in [*head, *body, *tail])


def _data_pages() -> int:
    """Private memory and stack of this process (proc(5), statm, sixth number); cheaper than parsing ``status``."""
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[5])


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
