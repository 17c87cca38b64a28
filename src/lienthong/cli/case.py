"""``lienthong case``: open, read and move cases of this node, with the rights of the machine it runs on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from lienthong.cases import moving, queries
from lienthong.cases.kinds import shipped_kinds
from lienthong.cases.models import Case
from lienthong.cases.moving import Deed
from lienthong.cases.notices import queries as notice_queries
from lienthong.cases.opening import Wish, open_case
from lienthong.cases.reading import case_for
from lienthong.cli.terminal import run, show_json
from lienthong.cli.where import settings_for
from lienthong.law.calendar import last_day
from lienthong.node.supervise import read_dsns
from lienthong.storage.pool import connect

TOLD = timedelta(days=30)
"""How long a notice that was given up is shown."""
app = typer.Typer(add_completion=False, no_args_is_help=True, help="Cases: requests, disputes, errors, breaches.")
ConfigOption = Annotated[Path | None, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")]
MemberOption = Annotated[str | None, typer.Option("--member", help="Whose cases; else the node's first member.")]
CaseId = Annotated[str, typer.Argument(help="The case's id.")]
Reason = Annotated[str, typer.Option("--reason", help="Why.")]


@app.command()
def kinds() -> None:
    """Show the kinds of case with their legal basis.

    lienthong case kinds
    """
    show_json(
        [
            {
                "kind": each.name,
                "title": each.title_vi,
                "matters": sorted(each.matters),
                "legal_basis": each.legal_basis,
                "verified": each.verified,
            }
            for each in shipped_kinds()
        ]
    )


@app.command(name="open")
def open_one(
    kind: Annotated[str, typer.Argument(help="See: lienthong case kinds")],
    title: Annotated[str, typer.Argument(help="What it is, in a line; no names of persons.")],
    text: Annotated[str, typer.Option("--text", help="What there is to say.")] = "",
    matter: Annotated[str, typer.Option("--matter", help="What is asked, for a data subject's request.")] = "",
    about: Annotated[str | None, typer.Option("--about", help="The refused case a dispute is about.")] = None,
    once: Annotated[str | None, typer.Option("--once", help="One-time key: run twice, opened once.")] = None,
    member: MemberOption = None,
    config: ConfigOption = None,
) -> None:
    """Open a case that a member of this node must act on.

    lienthong case open quality-ticket "Mã xã thiếu số 0" --text "Bảng dân số, cột 3"
    """
    settings = settings_for(None, config)
    wish = Wish(kind, member or settings.members[0], title, text, matter, about)

    async def deed(db: Any, now: datetime) -> None:  # Any: passed on
        show_json(_told(await open_case(db, wish, by=None, now=now, once=once), now))

    _do(config, deed)


@app.command(name="list")
def show_all(
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended.")] = False,
    most: Annotated[int, typer.Option("--most", min=1, max=1000)] = 50,
    member: MemberOption = None,
    config: ConfigOption = None,
) -> None:
    """Show the cases a member must act on, newest first.

    lienthong case list
    """
    settings = settings_for(None, config)

    async def deed(db: Any, now: datetime) -> None:  # Any: passed on
        owner = member or settings.members[0]
        found = await queries.cases_of_owner(db, owner, ended=ended, before=None, most=most)
        show_json([_told(each, now) for each in found])

    _do(config, deed)


@app.command()
def show(case: CaseId, config: ConfigOption = None) -> None:
    """Show a case with its history.

    lienthong case show 3f2a9c0d1e4b5a67
    """

    async def deed(db: Any, now: datetime) -> None:  # Any: passed on
        found = await case_for(db, case, None)
        events = [asdict(each) for each in await queries.events_of(db, case)]
        show_json(_told(found, now) | {"text": found.text, "history": events})

    _do(config, deed)


@app.command()
def move(
    case: CaseId,
    state: Annotated[str, typer.Argument(help="The state it goes to.")],
    reason: Reason = "",
    provision: Annotated[str, typer.Option("--provision", help="Text and article a refusal rests on.")] = "",
    text: Annotated[str, typer.Option("--text", help="What to say with it.")] = "",
    config: ConfigOption = None,
) -> None:
    """Move a case to another state; a refusal needs its reason and provision.

    lienthong case move 3f2a9c0d1e4b5a67 refused --reason "Dữ liệu mật" --provision "Luật BVBMNN, Đ7"
    """
    said = Deed(case, None, None, text, reason, provision)
    _change(config, lambda db, now: moving.move(db, said, state, now))


@app.command()
def answer(case: CaseId, text: str, config: ConfigOption = None) -> None:
    """Write to the thread of a case.

    lienthong case answer 3f2a9c0d1e4b5a67 "Đã nhận, đang kiểm tra"
    """
    _change(config, lambda db, now: moving.answer(db, Deed(case, None, None, text), now))


@app.command()
def extend(case: CaseId, reason: Reason, config: ConfigOption = None) -> None:
    """Extend the time of a case, once.

    lienthong case extend 3f2a9c0d1e4b5a67 --reason "Chờ đơn vị xử lý dữ liệu"
    """
    _change(config, lambda db, now: moving.extend(db, Deed(case, None, None, reason=reason), now))


@app.command()
def pause(case: CaseId, reason: Reason, config: ConfigOption = None) -> None:
    """Let the clock of a case stand still.

    lienthong case pause 3f2a9c0d1e4b5a67 --reason "Chờ người gửi bổ sung"
    """
    _change(config, lambda db, now: moving.pause(db, Deed(case, None, None, reason=reason), now))


@app.command()
def resume(case: CaseId, config: ConfigOption = None) -> None:
    """Let the clock of a paused case go on.

    lienthong case resume 3f2a9c0d1e4b5a67
    """
    _change(config, lambda db, now: moving.resume(db, Deed(case, None, None), now))


@app.command()
def counts(config: ConfigOption = None) -> None:
    """Count running, overdue and ended cases by kind and member.

    lienthong case counts
    """

    async def deed(db: Any, now: datetime) -> None:  # Any: passed on
        show_json([asdict(each) for each in await queries.counts(db)])

    _do(config, deed)


@app.command()
def notices(
    again: Annotated[bool, typer.Option("--again", help="Try all of them at once, also those given up.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show which notices could not be delivered, by way and cause; --again tries them at once.

    lienthong case notices
    """

    async def deed(db: Any, now: datetime) -> None:  # Any: passed on
        if again:
            show_json({"tried_again": await notice_queries.try_again(db, now)})
        else:
            show_json([asdict(each) for each in await notice_queries.failing_notices(db, now - TOLD)])

    _do(config, deed)


def _told(case: Case, now: datetime) -> dict[str, object]:
    return {
        "id": case.id,
        "kind": case.kind,
        "matter": case.matter,
        "owner": case.owner,
        "title": case.title,
        "state": case.state,
        "version": case.version,
        "opened_at": case.opened_at,
        "answer_by": last_day(case.answer_due) if case.answer_due else None,
        "settle_by": last_day(case.due) if case.due else None,
        "due": case.due,
        "extended": case.extended,
        "paused": case.paused_at is not None,
        "overdue": case.overdue(now),
    }


def _change(config: Path | None, change: Callable[[Any, datetime], Awaitable[Case]]) -> None:  # Any: passed on
    async def deed(db: Any, now: datetime) -> None:  # Any: passed on
        show_json(_told(await change(db, now), now))

    _do(config, deed)


def _do(config: Path | None, deed: Callable[[Any, datetime], Awaitable[None]]) -> None:  # Any: passed on
    async def work() -> None:
        async with await connect(read_dsns(settings_for(None, config)).app) as db:
            await deed(db, datetime.now(UTC))

    run(work())
