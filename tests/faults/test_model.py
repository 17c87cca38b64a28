"""Whatever members, operators, clocks and witnesses do in whatever order, the node does what a small model says.

``LIENTHONG_RULES=<runs>`` plays more of it; a run that fails is shortened by hypothesis and printed as its steps.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from lienthong.agreements import index
from lienthong.directory import changes
from lienthong.storage.server import PostgresServer
from tests.faults import model
from tests.faults.model import Rooms
from tests.use.databases import databases

pytestmark = [pytest.mark.integration, pytest.mark.faults]

RUNS = int(os.environ.get("LIENTHONG_RULES", "6"))


@pytest.fixture
def rooms(pg_server: PostgresServer) -> type[Rooms]:
    class WithDatabase(Rooms):
        database = staticmethod(lambda: databases(pg_server, 1))

    return WithDatabase


def play(machine: type[Rooms], runs: int, *phases: Phase) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=runs, stateful_step_count=30, deadline=None, database=None, derandomize=runs <= 100,
            suppress_health_check=list(HealthCheck), phases=phases or (Phase.generate, Phase.shrink),
            print_blob=False, report_multiple_bugs=False,
        ),
    )  # fmt: skip


def test_no_order_of_steps_breaks_what_the_model_says(rooms: type[Rooms]) -> None:
    play(rooms, RUNS)


def one_approval_is_enough(patch: pytest.MonkeyPatch) -> None:
    take = changes.take_approval

    def hasty(*given: Any) -> Any:
        return replace(take(*given), state="active")

    patch.setattr(changes, "take_approval", hasty)


def notices_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """An agreement counts on after notice was given."""
    compile_row = index.compile_row
    patch.setattr(index, "compile_row", lambda row, document: compile_row(replace(row, ended_at=None), document))


def revocations_are_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    """A revoked key signs on."""
    patch.setattr(model, "revoked", lambda snapshot, _: snapshot)
    patch.setattr("lienthong.directory.queries.shorten_key", _nothing)


async def _nothing(*_: object) -> bool:
    return True


def closed_members_go_on(patch: pytest.MonkeyPatch) -> None:
    """The gate looks neither at purposes nor at whether the member is still open."""
    patch.setattr("lienthong.access.gate.Gate._check_purpose", lambda *_: None)


def a_record_is_dropped(patch: pytest.MonkeyPatch) -> None:
    """A third of the records is acknowledged and not written."""
    append = model.RecordWriter.append_leaf

    async def forgetful(self: Any, leaf: bytes, named: bytes, detail: Any) -> None:
        if named[0] % 3:
            await append(self, leaf, named, detail)

    patch.setattr(model.RecordWriter, "append_leaf", forgetful)


@pytest.mark.parametrize(
    "mistake",
    [one_approval_is_enough, notices_are_forgotten, revocations_are_not_looked_at, closed_members_go_on,
     a_record_is_dropped],
    ids=lambda mistake: mistake.__name__,
)  # fmt: skip
def test_a_planted_mistake_is_found(
    rooms: type[Rooms], mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch)

    with pytest.raises(AssertionError):
        play(rooms, 40, Phase.generate)
