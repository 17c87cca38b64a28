"""Word of news makes a node look; a member that sends it without end makes nobody look."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lienthong.node.nudging import WINDOW_S, NewsDesk, Nudges, TooManyNudges, nudged


async def test_a_member_that_nudges_without_end_is_refused_and_the_others_are_not(tmp_path: Path) -> None:
    local = cast(Any, SimpleNamespace(settings=SimpleNamespace(data=tmp_path)))
    now = [100.0]
    desk = NewsDesk(local, Nudges(most=3, clock=lambda: now[0]))

    def from_(member: str) -> Any:
        return SimpleNamespace(consumer=f"{member}/nut")

    assert nudged(local) == 0
    for _ in range(3):
        assert await desk.receive("", from_("VN/GOV/H24")) == {"looks": True}
    looked = nudged(local)
    with pytest.raises(TooManyNudges) as refused:
        await desk.receive("", from_("VN/GOV/H24"))

    assert (refused.value.kind, refused.value.status) == ("too-many-nudges", 429)
    assert refused.value.facts["retry_after_s"] == WINDOW_S
    assert nudged(local) == looked > 0
    await desk.receive("", from_("VN/GOV/G01"))
    now[0] += WINDOW_S
    await desk.receive("", from_("VN/GOV/H24"))
