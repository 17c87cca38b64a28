"""A gate whose mind a test can change: it grants or refuses, and remembers what it was told to record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lienthong.catalog.models import Service
from lienthong.errors import Problem
from lienthong.tables.models import Profile, Reading, View
from lienthong.tables.take import Admitted


class NoAgreement(Problem):
    """The gate's refusal."""

    kind = "no-agreement-in-test"
    status = 403
    side = "consumer"


@dataclass
class TestGate:
    """Grants ``view`` on ``services`` until told otherwise."""

    __test__ = False

    services: Sequence[Service]
    view: View = field(default_factory=View)
    refuses: bool = False
    disk_full: bool = False
    opened_readings: list[Reading] = field(default_factory=list)
    closed_readings: list[Reading] = field(default_factory=list)
    admissions: list[bool] = field(default_factory=list)

    async def offered(self, profile: Profile) -> Sequence[Service]:
        return self.services

    async def admit(self, profile: Profile, service: Service, *, opens: bool) -> Admitted:
        self.admissions.append(opens)
        if self.refuses:
            raise NoAgreement("The agreement has ended.")
        return Admitted(self.view, f"decided for {profile.agreement}")

    async def opened(self, reading: Reading) -> None:
        if self.disk_full:
            raise Problem("The record could not be made durable.")
        self.opened_readings.append(reading)

    async def closed(self, reading: Reading) -> None:
        if self.disk_full:
            raise Problem("The record could not be made durable.")
        self.closed_readings.append(reading)
