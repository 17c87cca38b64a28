"""Taking a table: admission, one recorded reading for each table version, files, and the reading's end.

Promises: the record of a reading is durable before any address leaves; an address stops working within seconds of the
agreement's end; a reading is closed with the bytes that were taken, also after a crash.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from lienthong.catalog.models import Field, Service
from lienthong.i18n import T
from lienthong.storage.pool import Pool
from lienthong.tables.materialise import Materialiser
from lienthong.tables.models import Profile, Reading, TableFile, TableVersion, View, shown_fields, view_digest
from lienthong.tables.queries import (
    add_taken,
    forget_reading,
    keep_reading,
    mark_closed,
    open_reading,
    readings_to_close,
    version_of_reading,
)
from lienthong.tables.share import AddressNotValid, AddressSigner, NoSuchTable, TableName, profile_of_token, table_name

READING = timedelta(minutes=20)
"""How long the addresses of one reading work."""
STILL_USEFUL = timedelta(minutes=10)
"""A reading with less time left is not offered again; a new one is opened."""
RECHECK = timedelta(seconds=5)
"""How long an admission is believed while files are fetched."""
CLOSE_AFTER = timedelta(seconds=30)
"""A transfer that began before its address expired may end this much later without being missed in the record."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The access gate's yes."""

    view: View
    note: str
    """Whatever the gate wants back with ``opened`` and ``closed``, at most 4 kB; kept with the reading."""


class Gate(Protocol):
    """What decides and records: given by the composition root."""

    async def offered(self, profile: Profile) -> Sequence[Service]:
        """The table services that the profile's agreement is about, with their sources."""
        ...

    async def admit(self, profile: Profile, service: Service, *, opens: bool) -> Admitted:
        """Decide this use now; raises the refusal, which the gate has recorded.

        ``opens`` is true when a new reading would begin (a quota counts those only).
        """
        ...

    async def opened(self, reading: Reading) -> None:
        """Record a new reading; durable when this returns.  What it raises goes to the caller and nothing leaves."""
        ...

    async def closed(self, reading: Reading) -> None:
        """Record a reading's end with ``bytes_taken``; durable when this returns.  May come twice after a crash."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """The files of one answer."""

    service: Service
    version: TableVersion
    files: tuple[TableFile, ...]
    reading: Reading


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that may be sent now."""

    reading: Reading
    path: Path
    size_bytes: int
    tag: str
    """Changes whenever the content does."""


class Taking:
    """The verbs behind the Delta Sharing door.  One event loop only."""

    def __init__(
        self,
        pool: Pool,
        gate: Gate,
        materialiser: Materialiser,
        signer: AddressSigner,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._gate = gate
        self._materialiser = materialiser
        self._signer = signer
        self._now = now
        self._believed: dict[str, datetime] = {}

    async def profile(self, token: str) -> Profile:
        """Who asks.  Raises ProfileUnknown, ProfileExpired."""
        async with self._pool.connection() as db:
            return await profile_of_token(db, token, self._now())

    async def tables(self, profile: Profile) -> list[Service]:
        """The tables this profile may see the names of, in order."""
        return sorted(await self._gate.offered(profile), key=lambda service: service.id)

    async def describe(self, profile: Profile, place: TableName) -> tuple[Service, tuple[Field, ...], TableVersion]:
        """A table's fields and version as the agreement shows them; decided like a call, opens no reading."""
        service = await self._service(profile, place)
        view = (await self._gate.admit(profile, service, opens=False)).view
        return service, shown_fields(service, view), await self._materialiser.current(service, view, self._now())

    async def offer(
        self, profile: Profile, place: TableName, choose: Callable[[TableVersion], Sequence[TableFile]]
    ) -> Offer:
        """The files of a table, chosen by ``choose``, under a recorded reading.

        Raises NoSuchTable, the gate's refusal, problems of the source and whatever ``choose`` raises.
        """
        service = await self._service(profile, place)
        admitted = await self._gate.admit(profile, service, opens=False)
        now = self._now()
        version = await self._materialiser.current(service, admitted.view, now)
        chosen = tuple(choose(version))
        async with self._pool.connection() as db:
            reading = await open_reading(db, profile.id, version, now + STILL_USEFUL)
        if reading is None:
            reading = await self._open(profile, service, version, now)
        return Offer(service, version, chosen, reading)

    async def file(self, reading: str, name: str, expires: str, signature: str) -> OpenFile:
        """The file behind a signed address.  Raises AddressNotValid or, once the agreement has ended, the refusal."""
        now = self._now()
        self._signer.check(reading, name, expires, signature, now)
        async with self._pool.connection() as db:
            found = await version_of_reading(db, reading)
        file = next((file for file in found[1].files if file.name == name), None) if found else None
        if found is None or file is None:
            raise AddressNotValid(
                T("The address has expired."),
                mend=T("Ask for the table's files again; addresses come with the answer."),
            )
        await self._still_admitted(found[0], now)
        path = self._materialiser.storage.path(found[1], name)
        return OpenFile(found[0], path, file.size_bytes, f"{found[1].view_digest[:16]}-{found[1].version}-{name}")

    async def taken(self, reading: str, size_bytes: int) -> None:
        """Count what was sent."""
        async with self._pool.connection() as db:
            await add_taken(db, reading, size_bytes)

    async def close_ended(self) -> int:
        """Record the end of readings whose addresses no longer work, and remove files nobody reads; how many ended.

        To be called every few seconds by one process.
        """
        closed = 0
        while await self._close_one():
            closed += 1
        if closed:
            await self._materialiser.remove_old()
        return closed

    async def _close_one(self) -> bool:
        """In a transaction of its own: what was recorded is remembered whatever happens to the next."""
        async with self._pool.connection() as db:
            now = self._now()
            ended = await readings_to_close(db, now - CLOSE_AFTER, limit=1)
            for reading in ended:
                await self._gate.closed(reading)
                await mark_closed(db, reading.id, now)
                self._believed.pop(reading.id, None)
        return bool(ended)

    async def _open(self, profile: Profile, service: Service, version: TableVersion, now: datetime) -> Reading:
        admitted = await self._gate.admit(profile, service, opens=True)
        if view_digest(admitted.view) != version.view_digest:
            raise _changed()
        reading = Reading(
            id=f"rdg-{secrets.token_hex(12)}",
            profile=profile,
            service=service.id,
            view_digest=version.view_digest,
            version=version.version,
            opened_at=now,
            expires=min(now + READING, profile.expires),
            rows=version.rows,
            note=admitted.note,
        )
        async with self._pool.connection() as db:
            await keep_reading(db, reading)
        # The row first: a reading that is recorded but not remembered would never be closed.
        try:
            await self._gate.opened(reading)
        except BaseException:
            async with self._pool.connection() as db:
                await forget_reading(db, reading.id)
            raise
        return reading

    async def _still_admitted(self, reading: Reading, now: datetime) -> None:
        if self._believed.get(reading.id, now) > now:
            return
        services = await self._gate.offered(reading.profile)
        service = next((service for service in services if service.id == reading.service), None)
        if service is None:
            raise no_table()
        admitted = await self._gate.admit(reading.profile, service, opens=False)
        if view_digest(admitted.view) != reading.view_digest:
            raise _changed()
        self._believed[reading.id] = now + RECHECK

    async def _service(self, profile: Profile, place: TableName) -> Service:
        wanted = TableName(place.share.lower(), place.schema.lower(), place.table.lower())
        for service in await self._gate.offered(profile):
            if table_name(service) == wanted:
                return service
        raise no_table()


def _changed() -> AddressNotValid:
    return AddressNotValid(
        T("The agreement shows the table differently now."),
        mend=T("Ask for the table's files again; addresses come with the answer."),
    )


def no_table() -> NoSuchTable:
    """The answer to a name the profile does not offer, whether or not such a table exists."""
    return NoSuchTable(
        T("The profile's agreement offers no table of this name."),
        mend=T("List what it offers: GET shares, then shares/NAME/all-tables."),
    )
