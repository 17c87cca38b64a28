"""``lienthong directory change``: ask for a change to the directory, approve it with another operator, see what waits.

A request is a signed file: made on the applicant's node, carried to the national node by whatever way is at hand.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lienthong.cli.ceremony import PasswordOption, password_of
from lienthong.cli.terminal import run, say, show_json
from lienthong.cli.where import settings_for
from lienthong.config import Settings
from lienthong.directory import queries
from lienthong.directory.changes import approve_change, refuse_change, submit
from lienthong.directory.document import Snapshot
from lienthong.directory.lifecycle import ChangeKind, approve, refuse
from lienthong.i18n import T
from lienthong.identity.queries import person_by_login
from lienthong.node.asking import next_certificate_wanted, next_key_wanted, signed_request
from lienthong.node.local import KeptDirectory, NoDirectory
from lienthong.node.prepare import identity_of
from lienthong.node.supervise import read_dsns
from lienthong.storage.keyring import open_keyring
from lienthong.storage.pool import connect
from lienthong.trust.keys import key_id, private_from_pem

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Ask for and approve changes to the directory.")
ConfigOption = Annotated[Path | None, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")]
MemberOption = Annotated[str, typer.Option("--member", help="The member concerned.")]


@app.command()
def join(out: Path, member: MemberOption, config: ConfigOption = None) -> None:
    """On a new node: write the signed request to be admitted.

    lienthong directory change join join.json --member VN/GOV/H24
    """
    settings = settings_for(None, config)
    identity = identity_of(settings, open_keyring(settings))
    told: dict[str, Any] = {name: getattr(identity, name) for name in identity.__slots__}
    _write(out, "join", member, {"identity": told}, config)


@app.command()
def close(
    out: Path,
    member: MemberOption,
    day: Annotated[str, typer.Option("--day", help="First day on which it is closed, YYYY-MM-DD.")],
    successor: Annotated[str | None, typer.Option("--successor", help="Who takes over.")] = None,
    config: ConfigOption = None,
) -> None:
    """On a member's node: write the signed request to be closed, with its successor.

    lienthong directory change close close.json --member VN/GOV/H24 --day 2027-01-01 --successor VN/GOV/H31
    """
    _write(out, "close", member, {"day": day, "successor": successor}, config)


@app.command()
def key(out: Path, member: MemberOption, config: ConfigOption = None) -> None:
    """On a member's node: make its next key and write the signed request to have it listed.

    The node signs with it by itself as soon as it counts; the old one goes on counting to its end or revocation.

    lienthong directory change key key.json --member VN/GOV/H24
    """
    settings = settings_for(None, config)
    wanted = next_key_wanted(settings, open_keyring(settings), member, KeptDirectory(settings).snapshot())
    _write(out, "key", member, wanted, config)


@app.command()
def certificate(out: Path, member: MemberOption, config: ConfigOption = None) -> None:
    """On a member's node: make its next TLS certificate and write the signed request to have it listed.

    The node shows it by itself two minutes after it is listed; until then, and for links that are open, the old one.

    lienthong directory change certificate certificate.json --member VN/GOV/H24
    """
    settings = settings_for(None, config)
    wanted = next_certificate_wanted(settings, open_keyring(settings), KeptDirectory(settings).snapshot())
    _write(out, "certificate", member, wanted, config)


@app.command()
def operator(
    public: Annotated[Path, typer.Argument(help="The operator's public key.")],
    name: Annotated[str, typer.Option("--name", help="Who it is.")],
    login: Annotated[str, typer.Option("--login", help="Their account at this node: one person approves once.")] = "",
    config: ConfigOption = None,
) -> None:
    """On the national node: let an operator approve.  The key pair is made with: directory ceremony key.

    lienthong directory change operator hoa.json --name "Trần Thị Hoa" --login hoa
    """
    jwk: dict[str, str] = json.loads(public.read_text("utf-8"))

    async def add() -> None:
        async with await connect(read_dsns(settings_for(None, config)).app) as db:
            person = await person_by_login(db, login) if login else None
            if login and person is None:
                raise typer.BadParameter("--login")
            await queries.insert_operator(
                db, key_id(jwk), name, jwk, datetime.now(UTC), person=person.id if person else ""
            )

    run(add())


@app.command(name="submit")
def take_in(request: Path, config: ConfigOption = None) -> None:
    """On the national node: take a request in, to wait for two operators.

    lienthong directory change submit join.json
    """

    envelope = request.read_bytes()

    async def keep() -> None:
        async with await connect(read_dsns(settings_for(None, config)).app) as db:
            show_json((await submit(db, envelope, datetime.now(UTC))).public())

    run(keep())


@app.command(name="approve")
def give_approval(
    change: Annotated[str, typer.Argument(help="The request's id.")],
    private: Annotated[Path, typer.Argument(help="The operator's encrypted key.")],
    password_file: PasswordOption = None,
    config: ConfigOption = None,
) -> None:
    """On the national node: approve; the second, different operator's approval carries the change out.

    lienthong directory change approve 4f0c... hoa.pem
    """
    key = private_from_pem(private.read_bytes(), password_of(password_file))

    async def approve_it() -> None:
        now = datetime.now(UTC)
        async with await connect(read_dsns(settings_for(None, config)).app) as db:
            show_json((await approve_change(db, change, approve(change, key, now), now)).public())

    run(approve_it())


@app.command(name="refuse")
def give_refusal(
    change: Annotated[str, typer.Argument(help="The request's id.")],
    private: Annotated[Path, typer.Argument(help="The operator's encrypted key.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; the member sees it.")],
    password_file: PasswordOption = None,
    config: ConfigOption = None,
) -> None:
    """On the national node: refuse a request; one operator suffices.

    lienthong directory change refuse 4f0c... hoa.pem --reason "..."
    """
    key = private_from_pem(private.read_bytes(), password_of(password_file))

    async def refuse_it() -> None:
        now = datetime.now(UTC)
        async with await connect(read_dsns(settings_for(None, config)).app) as db:
            show_json((await refuse_change(db, change, refuse(change, reason, key, now), now)).public())

    run(refuse_it())


@app.command()
def pending(member: Annotated[str | None, typer.Option("--member")] = None, config: ConfigOption = None) -> None:
    """On the national node: what waits for approval, or was refused within a month.

    lienthong directory change pending --member VN/GOV/H24
    """

    async def look() -> None:
        async with await connect(read_dsns(settings_for(None, config)).app) as db:
            show_json([each.public() for each in await queries.pending_changes(db, member)])

    run(look())


def _snapshot(settings: Settings) -> Snapshot | None:
    """The directory as last verified; none on a node that has yet to join."""
    try:
        return KeptDirectory(settings).snapshot()
    except NoDirectory:
        return None


def _write(out: Path, kind: ChangeKind, member: str, wanted: dict[str, object], config: Path | None) -> None:
    settings = settings_for(None, config)
    out.write_bytes(signed_request(settings, open_keyring(settings), _snapshot(settings), kind, member, wanted))
    say(T("Written: {file}. Send it to the national node's operators."), file=str(out))
