"""``lienthong directory``: on the national node, admit members and their nodes, systems and purposes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from lienthong.cli import ceremony, changes
from lienthong.cli.terminal import run, say, show_json
from lienthong.cli.where import settings_for
from lienthong.directory import register
from lienthong.directory.models import Contact, Member, MemberId, MemberKey, Node, NodeId, Purpose, System, SystemId
from lienthong.i18n import T
from lienthong.node.local import KeptDirectory
from lienthong.node.supervise import read_dsns
from lienthong.storage.pool import Connection, connect
from lienthong.trust.keys import key_id

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Admit members, nodes, systems and purposes.")
app.add_typer(ceremony.app, name="ceremony")
app.add_typer(changes.app, name="change")
ConfigOption = Annotated[Path | None, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")]
KEY_LIFE = timedelta(days=365)


@app.callback()
def directory() -> None:
    """Admit members, nodes, systems and purposes (national node)."""


@app.command()
def show(config: ConfigOption = None) -> None:
    """Print the directory as this node last verified it.

    lienthong directory show
    """
    show_json(KeptDirectory(settings_for(None, config)).snapshot().as_dict())


@app.command()
def member(
    identifier: Annotated[str, typer.Argument(help="VN/GOV/H24")],
    name_vi: Annotated[str, typer.Option("--name-vi")],
    name_en: Annotated[str, typer.Option("--name-en")],
    kind: Annotated[str, typer.Option("--kind", help="ministry, province, commune, enterprise ...")],
    contact: Annotated[str, typer.Option("--contact", help="Name; position; telephone; e-mail")],
    block: Annotated[str, typer.Option("--block")] = "government",
    parent: Annotated[str | None, typer.Option("--parent")] = None,
    level: Annotated[int, typer.Option("--level", min=1, max=5, help="Security level.")] = 3,
    verified: Annotated[bool, typer.Option("--verified", help="The code was checked against the list.")] = False,
    config: ConfigOption = None,
) -> None:
    """Admit a member.

    lienthong directory member VN/GOV/H24 --name-vi "..." --name-en "..." --kind province --contact "A; B; C; D"
    """
    parts = [part.strip() for part in contact.split(";")]
    if len(parts) != 4:
        raise typer.BadParameter("--contact: Name; position; telephone; e-mail")
    admitted = Member(
        id=MemberId(identifier),
        name_vi=name_vi,
        name_en=name_en,
        kind=kind,  # type: ignore[arg-type] - add_member checks it
        block=block,  # type: ignore[arg-type] - as above
        parent=MemberId(parent) if parent else None,
        state="active",
        successor=None,
        verified=verified,
        security_level=level,  # type: ignore[arg-type] - checked by the option
        contact=Contact(*parts),
        keys=(),
    )
    _change(config, lambda db: register.add_member(db, admitted))


@app.command()
def node(
    identity: Annotated[Path, typer.Argument(help="The file that `lienthong node identity` printed.")],
    operator: Annotated[str, typer.Option("--operator", help="Member that runs the node.")],
    config: ConfigOption = None,
) -> None:
    """Admit a node with its certificate, its log and the keys it signs with.

    lienthong directory node nut.json --operator VN/GOV/H24
    """
    told: dict[str, Any] = json.loads(identity.read_text("utf-8"))
    now = datetime.now(UTC).replace(microsecond=0)

    async def admit(db: Connection) -> None:
        await register.add_node(
            db,
            Node(
                id=NodeId(told["node"]),
                operator=MemberId(operator),
                members=tuple(MemberId(each) for each in told["members"]),
                peer_url=told["peer_url"],
                public_url=told["public_url"],
                tls_sha256=(told["tls_sha256"],),
                log_origin=told["log_origin"],
                log_key=told["log_key"],
                witness_key=told.get("witness_key", ""),
            ),
        )
        await register.add_authority(db, told["certificate_pem"])
        for owner, jwk in told["members"].items():
            key = MemberKey(key_id(jwk), jwk, NodeId(told["node"]), now, now + KEY_LIFE)
            await register.add_key(db, MemberId(owner), key)

    _change(config, admit)


@app.command()
def system(
    identifier: Annotated[str, typer.Argument(help="VN/GOV/H24/motcua")],
    name_vi: Annotated[str, typer.Option("--name-vi")],
    name_en: Annotated[str, typer.Option("--name-en")],
    config: ConfigOption = None,
) -> None:
    """Register a member's system.

    lienthong directory system VN/GOV/H24/motcua --name-vi "Một cửa" --name-en "One-stop shop"
    """
    _change(config, lambda db: register.add_system(db, System(SystemId(identifier), name_vi, name_en)))


@app.command()
def purpose(
    code: Annotated[str, typer.Argument(help="HP-MOTCUA-01")],
    owner: Annotated[str, typer.Option("--member", help="Member whose task it is.")],
    title_vi: Annotated[str, typer.Option("--title-vi")],
    title_en: Annotated[str, typer.Option("--title-en")],
    basis: Annotated[str, typer.Option("--basis", help="Legal basis.")],
    since: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD.")],
    config: ConfigOption = None,
) -> None:
    """Register a member's task as a purpose.

    lienthong directory purpose HP-MOTCUA-01 --member VN/GOV/H24 --title-vi ... --title-en ... --basis ... --from ...
    """
    registered = Purpose(code, MemberId(owner), title_vi, title_en, basis, date.fromisoformat(since), None)
    _change(config, lambda db: register.add_purpose(db, registered))


@app.command()
def revoke(
    kind: Annotated[str, typer.Argument(help="key, certificate, member or agreement")],
    subject: Annotated[str, typer.Argument(help="Key id, SHA-256 of the certificate, member's or agreement's id.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; published.")],
    config: ConfigOption = None,
) -> None:
    """Revoke at once, ahead of the directory's next version: every node acts on it within five seconds.

    lienthong directory revoke key 41t8M0vhg0k_vDB7p6jzzd6ICHKXoWZ0ULJwIr4Pdmg --reason "Khóa bị lộ"
    """
    _change(config, lambda db: register.revoke(db, kind, subject, reason, datetime.now(UTC)))


def _change(config: Path | None, deed: Callable[[Connection], Awaitable[None]]) -> None:
    settings = settings_for(None, config)

    async def change() -> None:
        async with await connect(read_dsns(settings).app) as db:
            await deed(db)

    run(change())
    say(T("Noted; the next version of the directory says so."))
