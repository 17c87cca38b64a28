"""``lienthong account``: the persons of a member, their roles and one-time links, the audit; on the node's machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lienthong.cli.terminal import run, say, show_json
from lienthong.cli.where import settings_for
from lienthong.config import Settings
from lienthong.i18n import T
from lienthong.identity import queries
from lienthong.identity.approvals import Approvals
from lienthong.identity.audit import put_down
from lienthong.identity.linking import LinkTaken
from lienthong.identity.models import Person, Role
from lienthong.identity.passwords import encoded, made_up
from lienthong.identity.persons import (
    NoSuchPerson,
    add_person,
    close_account,
    login_key,
    make_first_link,
    person_of,
    take_role,
)
from lienthong.identity.roles import give_by_command, giving_roles
from lienthong.node.supervise import read_dsns
from lienthong.storage.pool import connect

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Persons who work with this node, and their roles.")
ConfigOption = Annotated[Path | None, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")]
MemberOption = Annotated[str | None, typer.Option("--member", help="Whose person; else the node's first member.")]
Login = Annotated[str, typer.Argument(help="What the person types to sign in.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Full name, as one text.")],
    login: Annotated[str, typer.Option("--login", help="What the person types to sign in.")],
    role: Annotated[list[Role] | None, typer.Option("--role", help="May be given several times.")] = None,
    member: MemberOption = None,
    password: Annotated[bool, typer.Option("--password", help="Print a first password instead of a link.")] = False,
    provider: Annotated[str | None, typer.Option("--provider", help="Signs in there; with --subject.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="Who the person is at the provider.")] = None,
    config: ConfigOption = None,
) -> None:
    """Add a person and print a one-time link for the first password.

    lienthong account add "Trần Thị Hoa" --login hoa --role operator
    """
    settings = settings_for(None, config)
    issuer = _issuer(settings, provider, subject)

    async def deed(db: Any, now: datetime) -> None:  # Any: passed on
        person = await add_person(db, name, login, member or settings.members[0], by=None, now=now)
        for each in role or ():
            await _give(db, settings, await person_of(db, person.id, person.member), each, now)
        if issuer and subject:
            if not await queries.link_provider(db, issuer, subject, person.id):
                raise LinkTaken(
                    T("The provider knows somebody else here under this subject; nobody was added."),
                    mend=T("See: lienthong account list"),
                )
            facts = {"provider": provider or ""}
            await put_down(db, None, "provider.linked", person.id, facts, now=now, member=person.member)
        elif password:
            first = made_up()
            await queries.put_password(db, person.id, await encoded(first), now)
            say(T("First password, shown this once: {password}"), password=first)
        else:
            await _print_link(db, settings, person, now)

    _do(settings, deed)


@app.command(name="list")
def show(member: MemberOption = None, config: ConfigOption = None) -> None:
    """Show the persons of a member with their roles.

    lienthong account list
    """
    settings = settings_for(None, config)

    async def deed(db: Any, now: datetime) -> None:  # Any: passed on
        found = await queries.persons_of(db, member or settings.members[0])
        show_json(
            [
                {
                    "id": each.id,
                    "name": each.name,
                    "login": each.login,
                    "roles": sorted(each.roles),
                    "state": each.state,
                }
                for each in found
            ]
        )

    _do(settings, deed)


@app.command()
def give(login: Login, role: Role, config: ConfigOption = None) -> None:
    """Give a role: at once until the member has two operators, later as a proposal that an operator approves.

    lienthong account give hoa data-officer
    """
    settings = settings_for(None, config)

    async def deed(db: Any, now: datetime) -> None:  # Any: passed on
        await _give(db, settings, await _person(db, login), role, now)

    _do(settings, deed)


@app.command()
def take(login: Login, role: Role, config: ConfigOption = None) -> None:
    """Take a role away.

    lienthong account take hoa data-officer
    """

    async def deed(db: Any, now: datetime) -> None:  # Any: passed on
        await take_role(db, await _person(db, login), role, by=None, now=now)

    _do(settings_for(None, config), deed)


@app.command()
def link(
    login: Login,
    forget_passkeys: Annotated[bool, typer.Option("--forget-passkeys", help="All devices were lost.")] = False,
    config: ConfigOption = None,
) -> None:
    """Print a new one-time link for a forgotten password.

    lienthong account link hoa --forget-passkeys
    """
    settings = settings_for(None, config)

    async def deed(db: Any, now: datetime) -> None:  # Any: passed on
        person = await _person(db, login)
        if forget_passkeys:
            for key in await queries.passkeys_of(db, person.id):
                await queries.remove_passkey(db, person.id, key.id)
                await put_down(
                    db,
                    None,
                    "passkey.removed",
                    person.id,
                    {"passkey": key.id.hex()[:16]},
                    now=now,
                    member=person.member,
                )
        await _print_link(db, settings, person, now)

    _do(settings, deed)


@app.command()
def close(login: Login, config: ConfigOption = None) -> None:
    """Close an account: its sessions, tokens and credentials end at once.

    lienthong account close hoa
    """

    async def deed(db: Any, now: datetime) -> None:  # Any: passed on
        await close_account(db, await _person(db, login), by=None, now=now)

    _do(settings_for(None, config), deed)


@app.command()
def audit(
    member: MemberOption = None,
    most: Annotated[int, typer.Option("--most", min=1, max=1000)] = 50,
    config: ConfigOption = None,
) -> None:
    """Show the administrative acts that concern a member, newest first.

    lienthong account audit --most 20
    """
    settings = settings_for(None, config)

    async def deed(db: Any, now: datetime) -> None:  # Any: passed on
        show_json([asdict(each) for each in await queries.acts_of(db, member or settings.members[0], None, most)])

    _do(settings, deed)


async def _give(db: Any, settings: Settings, person: Person, role: Role, now: datetime) -> None:  # Any: passed on
    approvals = Approvals([giving_roles(national=settings.national)])
    waits = await give_by_command(db, approvals, person, role, national=settings.national, now=now)
    if waits is not None:
        say(T("The role {role} waits for an operator's approval, on the page Approvals."), role=role.value)


async def _print_link(db: Any, settings: Settings, person: Person, now: datetime) -> None:  # Any: passed on
    secret = await make_first_link(db, person, by=None, now=now)
    address = f"{settings.public_url.rstrip('/')}/login/first/{secret}"
    say(T("One-time link, shown this once, good for two days: {address}"), address=address)


def _issuer(settings: Settings, provider: str | None, subject: str | None) -> str | None:
    """The issuer of the provider named; raises BadParameter for an unknown one, or for half of the two words."""
    if provider is None and subject is None:
        return None
    issuer = next((each.issuer for each in settings.identity_providers if each.name == provider), None)
    if issuer is None or not subject:
        raise typer.BadParameter("--provider names one of identity_providers in the settings, and goes with --subject")
    return issuer


async def _person(db: Any, login: str) -> Person:  # Any: passed on
    from_login = await queries.person_by_login(db, login_key(login))
    if from_login is None or from_login.state != "active":
        raise NoSuchPerson(T("Nobody signs in as that here."), mend=T("See: lienthong account list"))
    return from_login


def _do(settings: Settings, deed: Callable[[Any, datetime], Awaitable[None]]) -> None:  # Any: passed on
    async def work() -> None:
        async with await connect(read_dsns(settings).app) as db:
            await deed(db, datetime.now(UTC))

    run(work())
