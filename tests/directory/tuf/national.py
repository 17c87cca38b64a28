"""A national node in memory: real keys, real metadata, files in a dict that a test may spoil."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from lienthong.directory.document import write_directory
from lienthong.directory.follow import DirectoryTooLarge
from lienthong.directory.tuf.follow import TufFollower
from lienthong.directory.tuf.sign import (
    LIFETIME,
    ONLINE_ROLES,
    OnlineKeys,
    draft_root,
    finish_root,
    sign_root,
    write_metadata,
)
from lienthong.storage.objects import ObjectStore
from lienthong.trust.keys import PrivateKey, generate_ed25519, generate_es256, public_jwk
from tests.directory.build import NOW, a_directory


class National:
    """Holds three root keys, two of which suffice, and the online keys."""

    def __init__(self) -> None:
        self.roots: list[PrivateKey] = [generate_ed25519() for _ in range(3)]
        self.new_online_keys()
        self.root = self.make_root(None)
        self.files: dict[str, bytes] = {"1.root.json": self.root}
        self.asked: list[str] = []

    def new_online_keys(self) -> None:
        one, two, three = (generate_es256() for _ in range(3))
        self.online = OnlineKeys(one, two, three, public_jwk(generate_es256()))

    def make_root(self, previous: bytes | None, signers: int = 2, now: datetime = NOW) -> bytes:
        online = {role: getattr(self.online, role).public_key() for role in ONLINE_ROLES}
        draft = draft_root([key.public_key() for key in self.roots], 2, online, now, previous)
        copies = [sign_root(draft, key, f"keeper {n}", now) for n, key in enumerate(self.roots[:signers])]
        return finish_root(copies, previous)

    def rotate(self, now: datetime = NOW) -> None:
        """A new root with new online keys, signed by the same keepers."""
        self.new_online_keys()
        self.root = self.make_root(self.root, now=now)
        self.files[f"{1 + sum(name.endswith('.root.json') for name in self.files)}.root.json"] = self.root

    def publish(self, version: int, now: datetime = NOW, **changes: Any) -> None:
        document = write_directory(a_directory(**changes), version=version, issued=now, expires=now + LIFETIME)
        self.files |= write_metadata(document, version, self.online, now)

    async def fetch(self, name: str, limit: int) -> bytes | None:
        self.asked.append(name)
        found = self.files.get(name)
        if found is not None and len(found) > limit:
            raise DirectoryTooLarge("too large", limit=limit)
        return found

    def follower(self, folder: Path) -> TufFollower:
        return TufFollower(self.fetch, self.files["1.root.json"], ObjectStore(folder))
