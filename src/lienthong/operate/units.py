"""The files that make a node a service of a Linux machine: systemd units, account, folders, a first configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ACCOUNT: Final = "lienthong"
CONFIG: Final = Path("etc/lienthong/lienthong.toml")
DATA: Final = Path("var/lib/lienthong")
BACKUPS: Final = Path("var/backups/lienthong")


@dataclass(frozen=True, slots=True)
class Placed:
    """A file of the installation: its path below the root, its text, its mode; ``kept`` is never overwritten."""

    path: Path
    text: str
    mode: int = 0o644
    kept: bool = False


HARDENING: Final = """\
User=lienthong
Group=lienthong
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
# The sandbox takes the network away from its children with a name space of their own, then forbids the call.
SystemCallFilter=unshare
SystemCallErrorNumber=EPERM
RestrictNamespaces=user net
"""

SERVICE: Final = """\
[Unit]
Description=Lien Thong, node of the national data space
Wants=network-online.target
After=network-online.target postgresql.service time-sync.target

[Service]
Type=exec
ExecStart={program} serve --config /{config}
# The supervisor drains the gateway for 30 seconds, then ends the rest in order.
KillMode=mixed
TimeoutStopSec=60
Restart=on-failure
RestartSec=2
LimitNOFILE=65536
TasksMax=512
StateDirectory=lienthong
StateDirectoryMode=0700
RuntimeDirectory=lienthong
RuntimeDirectoryMode=0700
ReadWritePaths=/{data}
Environment=LIENTHONG_CONFIG=/{config}
{hardening}
[Install]
WantedBy=multi-user.target
"""

BACKUP_SERVICE: Final = """\
[Unit]
Description=Backup of the Lien Thong node
ConditionPathExists=/etc/lienthong/backup.key

[Service]
Type=oneshot
ExecStart={program} backup --out /{backups} --key-file /etc/lienthong/backup.key --config /{config}
ReadWritePaths=/{data} /{backups}
{hardening}"""

BACKUP_TIMER: Final = """\
[Unit]
Description=Daily backup of the Lien Thong node

[Timer]
OnCalendar=*-*-* 01:30
RandomizedDelaySec=30min
Persistent=true

[Install]
WantedBy=timers.target
"""

SYSUSERS: Final = """\
u lienthong - "Lien Thong node" /var/lib/lienthong /usr/sbin/nologin
"""

TMPFILES: Final = """\
d /etc/lienthong 0750 root lienthong
d /var/lib/lienthong 0700 lienthong lienthong
d /var/backups/lienthong 0700 lienthong lienthong
"""

FIRST_CONFIG: Final = """\
# Cấu hình nút kết nối / Configuration of this node; every key: docs/operating.md
# Sửa các dòng có ba dấu chấm / Fill in the lines with dots, then: systemctl enable --now lienthong
node = "nut-..."
members = ["VN/GOV/..."]
data = "/var/lib/lienthong/data"

# PostgreSQL 15 trở lên / or newer.  Bỏ trống: bản nhúng để dùng thử / Without it: the embedded one, for trial.
# database = "postgresql://lienthong@/postgres?host=/run/postgresql"

public_url = "https://..."      # qua máy chủ ủy quyền / behind a proxy that ends TLS
peer_url = "https://...:5500"   # không qua máy chủ ủy quyền / never behind such a proxy
directory_url = "https://.../directory/current"
directory_anchor = "/etc/lienthong/directory.jwk"
"""


def placed_files(program: str) -> tuple[Placed, ...]:
    """Every file of an installation whose command is ``program`` (an absolute path)."""
    facts = {"program": program, "config": CONFIG, "data": DATA, "backups": BACKUPS, "hardening": HARDENING}
    units = Path("etc/systemd/system")
    return (
        Placed(CONFIG, FIRST_CONFIG, 0o640, kept=True),
        Placed(units / "lienthong.service", SERVICE.format(**facts)),
        Placed(units / "lienthong-backup.service", BACKUP_SERVICE.format(**facts)),
        Placed(units / "lienthong-backup.timer", BACKUP_TIMER),
        Placed(Path("etc/sysusers.d/lienthong.conf"), SYSUSERS),
        Placed(Path("etc/tmpfiles.d/lienthong.conf"), TMPFILES),
    )
