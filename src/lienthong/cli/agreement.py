"""``lienthong agreement``: ask for agreements, approve or refuse them, list them, end them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from lienthong.agreements import queries
from lienthong.agreements.models import Permission, Terms
from lienthong.agreements.records import CurrentAgreement, Negotiation
from lienthong.cli.terminal import run, say, show_json
from lienthong.cli.where import settings_for
from lienthong.config import Settings
from lienthong.directory.models import MemberId, member_of
from lienthong.i18n import T
from lienthong.node.desk import Desk, open_desk
from lienthong.node.supervise import read_dsns
from lienthong.node.takeover import TakenIn, request_all, take_in

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Request, approve, refuse, list and end agreements.")
MemberOption = Annotated[str | None, typer.Option("--member", help="Code or id of the member you act for.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
A_DAY = timedelta(days=1)


@app.callback()
def agreement() -> None:
    """Request, approve, refuse, list and end agreements."""


@app.command("list")
def list_agreements(member: MemberOption = None, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List the agreements that count at this node and the requests that wait.

    lienthong agreement list
    """
    settings = settings_for(member, config)

    async def listed(desk: Desk) -> tuple[list[CurrentAgreement], list[Negotiation]]:
        async with desk.pool.connection() as db:
            waiting = [
                n for side in ("provider", "consumer") for n in await queries.negotiations_in(db, side, ("REQUESTED",))
            ]
            return await queries.current_agreements(db), waiting

    current, waiting = run(_at_desk(settings, listed))
    if as_json:
        show_json(
            {
                "agreements": [{name: getattr(a, name) for name in a.__slots__} for a in current],
                "requests": [
                    {"id": n.pid, "side": n.side, "consumer": n.consumer, "target": n.target} for n in waiting
                ],
            }
        )
        return
    for each in current:
        end = each.ended_at or each.ends
        print(f"{each.id}  v{each.version}  {each.consumer} → {each.target}  {end.date() if end else '—'}  {each.mode}")
    for each in waiting:
        say(T("waiting: {id}  {consumer} → {target}"), id=each.pid, consumer=each.consumer, target=each.target)


@app.command()
def request(
    target: Annotated[str, typer.Option("--target", help="Service or dataset id.")],
    purpose: Annotated[list[str], typer.Option("--purpose", help="Registered purpose; may be given several times.")],
    ground: Annotated[str, typer.Option("--ground", help="Legal ground, for example law:NĐ 278/2025/NĐ-CP.")],
    basis: Annotated[str, typer.Option("--basis", help="Legal basis of the agreement in words.")],
    member: MemberOption = None,
    fields: Annotated[str | None, typer.Option("--fields", help="Fields wanted, by commas; all when absent.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, help="How long.")] = 365,
    note: Annotated[str, typer.Option("--note", help="Why, in words.")] = "",
    config: ConfigOption = None,
) -> None:
    """Ask the provider for an agreement.

    lienthong agreement request --target VN/GOV/G01/dancu/citizen --purpose HP-MOTCUA-01 --ground "law:..." --basis ...
    """
    settings = settings_for(member, config)
    now = datetime.now(UTC).replace(microsecond=0)
    terms = Terms(
        provider=member_of(target),
        consumer=MemberId(_full(settings, member)),
        target=target,
        mode="request",
        legal_basis=basis,
        permissions=(
            Permission(
                purposes=tuple(purpose),
                ground=ground,
                starts=now,
                ends=now + days * A_DAY,
                fields=tuple(name.strip() for name in fields.split(",")) if fields else None,
            ),
        ),
    )
    pid = run(_at_desk(settings, lambda desk: desk.request(terms, note)))
    say(T("Asked; the request's id is {id}. The provider answers within its legal time."), id=pid)


@app.command()
def approve(
    pid: Annotated[str, typer.Argument(help="The request's id, as list shows it.")],
    member: MemberOption = None,
    config: ConfigOption = None,
) -> None:
    """Sign a request of another member; its node countersigns.

    lienthong agreement approve urn:uuid:... --member G01
    """
    settings = settings_for(member, config)
    run(_at_desk(settings, lambda desk: desk.approve(pid, _full(settings, member))))
    say(T("Signed by both sides; it counts from now on."))


@app.command()
def refuse(
    pid: Annotated[str, typer.Argument(help="The request's id, as list shows it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, in words.")],
    provision: Annotated[str, typer.Option("--provision", help="The legal provision that restricts sharing.")],
    member: MemberOption = None,
    config: ConfigOption = None,
) -> None:
    """Refuse a request, with the reason and the legal provision.

    lienthong agreement refuse urn:uuid:... --reason "..." --provision "Luật ..., Điều ..."
    """
    run(_at_desk(settings_for(member, config), lambda desk: desk.refuse(pid, reason, provision)))
    say(T("Refused; the reason was sent."))


@app.command()
def end(
    agreement_id: Annotated[str, typer.Argument(help="The agreement's id, as list shows it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, in words.")],
    provision: Annotated[str | None, typer.Option("--provision", help="A provider names the legal provision.")] = None,
    member: MemberOption = None,
    config: ConfigOption = None,
) -> None:
    """End an agreement now; the other side is told.

    lienthong agreement end urn:uuid:... --reason "..." --provision "..."
    """
    settings = settings_for(member, config)
    now = datetime.now(UTC).replace(microsecond=0)
    run(
        _at_desk(
            settings,
            lambda desk: desk.end(
                agreement_id, _full(settings, member), reason=reason, provision=provision, ends_at=now
            ),
        )
    )
    say(T("Ended; both nodes refuse its uses from now on."))


@app.command("take-over")
def take_over(member: MemberOption = None, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Take over the agreements of closed members that you succeed, or whose providers were succeeded.

    Fetches what the closed members had, then asks the present providers for the same; they approve as always.

    lienthong agreement take-over --member H31
    """
    settings = settings_for(member, config)
    members = (_full(settings, member),) if member else settings.members

    async def taken(desk: Desk) -> tuple[TakenIn, dict[str, str]]:
        return await take_in(desk, members), await request_all(desk, members)

    found, asked = run(_at_desk(settings, taken))
    if as_json:
        show_json({"fetched": found.agreements, "silent": list(found.silent), "requests": asked})
        return
    say(T("Fetched {count} agreements of closed members."), count=found.agreements)
    for pid, waits in asked.items():
        if waits:
            say(T("Waits ({reason}) and is sent again by itself: {id}"), id=pid, reason=waits)
        else:
            say(T("Asked; the request's id is {id}. The provider answers within its legal time."), id=pid)
    if found.silent:
        say(T("These nodes did not answer; run this again when they do: {nodes}"), nodes=", ".join(found.silent))


async def _at_desk(settings: Settings, deed: Any) -> Any:  # Any: a deed of the desk, whatever it gives back
    async with open_desk(settings, read_dsns(settings).app) as desk:
        return await deed(desk)


def _full(settings: Settings, member: str | None) -> str:
    """The id of the member acted for: the one named, or the node's only one."""
    return next((m for m in settings.members if member in (m, m.rsplit("/", 1)[1])), settings.members[0])
