"""``lienthong directory ceremony``: the root of the directory, made by several keepers on machines without a network.

Each command works on files alone.  A password is asked for, or read from a file; never taken from the command line.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lienthong.cli.terminal import run, say
from lienthong.cli.where import settings_for
from lienthong.i18n import T
from lienthong.node.prepare import ONLINE_ROLE_KEYS
from lienthong.node.supervise import read_dsns
from lienthong.storage.keyring import Keyring, write_private
from lienthong.storage.pool import connect
from lienthong.trust.keys import (
    PublicKey,
    generate_ed25519,
    key_id,
    private_from_pem,
    private_to_pem,
    public_from_jwk,
    public_jwk,
)

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Make and renew the directory's root.")
ConfigOption = Annotated[Path | None, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")]
PasswordOption = Annotated[
    Path | None, typer.Option("--password-file", help="File with the key's password; asked for when absent.")
]


@app.command()
def key(
    private: Annotated[Path, typer.Argument(help="Where the encrypted key goes.")],
    public: Annotated[Path, typer.Argument(help="Where its public half goes.")],
    password_file: PasswordOption = None,
) -> None:
    """Make one keeper's root key, encrypted, and its public half.

    lienthong directory ceremony key hoa.pem hoa.json
    """
    made = generate_ed25519()
    write_private(private, private_to_pem(made, password_of(password_file, confirm=True)))
    public.write_text(json.dumps(public_jwk(made)), "utf-8")
    say(T("Key {keyid} made."), keyid=key_id(public_jwk(made)))


@app.command()
def online(
    out: Annotated[Path, typer.Argument(help="Where the three public keys go.")], config: ConfigOption = None
) -> None:
    """On the national node: write the public halves of its online keys, for the keepers.

    lienthong directory ceremony online online.json
    """
    ring = Keyring(settings_for(None, config).data)
    keys = {role: public_jwk(ring.es256(name)) for role, name in ONLINE_ROLE_KEYS.items()}
    out.write_text(json.dumps(keys, indent=1), "utf-8")


@app.command()
def start(
    draft: Annotated[Path, typer.Argument(help="Where the unsigned root goes.")],
    keepers: Annotated[list[Path], typer.Option("--key", help="A keeper's public key; once for each.")],
    online_keys: Annotated[Path, typer.Option("--online", help="The national node's public online keys.")],
    threshold: Annotated[int, typer.Option("--threshold", min=1, help="How many keepers must sign.")] = 2,
    previous: Annotated[Path | None, typer.Option("--from", help="The root that this one follows.")] = None,
) -> None:
    """Draft a root: the first, or the next one.

    lienthong directory ceremony start draft.json --key hoa.json --key nam.json --key lan.json --online online.json
    """
    from lienthong.directory.tuf.sign import (
        draft_root,  # reading metadata costs 0.15 s that other commands need not pay
    )

    told: dict[str, Any] = json.loads(online_keys.read_text("utf-8"))
    listed = {role: public_from_jwk(jwk) for role, jwk in told.items()}
    before = previous.read_bytes() if previous else None
    draft.write_bytes(draft_root([_public(path) for path in keepers], threshold, listed, datetime.now(UTC), before))
    _print_protocol(draft.read_bytes())


@app.command()
def sign(
    draft: Annotated[Path, typer.Argument(help="The draft, or a copy that others signed.")],
    private: Annotated[Path, typer.Argument(help="The keeper's encrypted key.")],
    signer: Annotated[str, typer.Option("--signer", help="The keeper's name, for the protocol.")],
    out: Annotated[Path, typer.Option("--out", help="Where the signed copy goes.")],
    password_file: PasswordOption = None,
) -> None:
    """Add one keeper's signature to a copy of the draft.

    lienthong directory ceremony sign draft.json hoa.pem --signer "Trần Thị Hoa" --out signed-hoa.json
    """
    from lienthong.directory.tuf.sign import sign_root  # as in start

    opened = private_from_pem(private.read_bytes(), password_of(password_file))
    out.write_bytes(sign_root(draft.read_bytes(), opened, signer, datetime.now(UTC)))
    _print_protocol(out.read_bytes())


@app.command()
def finish(
    copies: Annotated[list[Path], typer.Argument(help="The signed copies.")],
    out: Annotated[Path, typer.Option("--out", help="Where the finished root goes.")],
    previous: Annotated[Path | None, typer.Option("--from", help="The root that this one follows.")] = None,
) -> None:
    """Put the signatures together, check them as every node will, and print the protocol to be signed on paper.

    lienthong directory ceremony finish signed-hoa.json signed-nam.json --out 1.root.json
    """
    from lienthong.directory.tuf.sign import finish_root  # as in start

    before = previous.read_bytes() if previous else None
    out.write_bytes(finish_root([path.read_bytes() for path in copies], before))
    _print_protocol(out.read_bytes())


@app.command()
def publish(root: Annotated[Path, typer.Argument(help="The finished root.")], config: ConfigOption = None) -> None:
    """On the national node: publish a finished root; nodes follow it at their next refresh.

    lienthong directory ceremony publish 1.root.json
    """
    from lienthong.directory.tuf.publish import take_over_root  # as in start

    settings = settings_for(None, config)

    async def take_over() -> int:
        async with await connect(read_dsns(settings).app) as db:
            return await take_over_root(db, root.read_bytes(), datetime.now(UTC))

    say(T("Root {version} is published."), version=run(take_over()))


def _print_protocol(root: bytes) -> None:
    """Who signed what, when, with which key: one line each, for signing on paper."""
    from lienthong.directory.tuf.sign import root_facts, signings  # as in start

    version, expires, threshold, keyids = root_facts(root)
    say(
        T("Root {version}, valid until {day}: {threshold} of {keys} keepers must sign."),
        version=version,
        day=expires.date().isoformat(),
        threshold=threshold,
        keys=len(keyids),
    )
    signed = {one.keyid: one for one in signings(root)}
    for keyid in keyids:
        one = signed.get(keyid)
        if one is None:
            say(T("  key {keyid}: not signed yet"), keyid=keyid)
        else:
            say(T("  key {keyid}: {signer}, {at}"), keyid=keyid, signer=one.signer, at=one.signed_at)
    say(T("Signatures on paper: ______________________   Witness: ______________________   Place: ______________"))


def password_of(path: Path | None, *, confirm: bool = False) -> bytes:
    """A key's password: from a file, or asked for without echo."""
    if path is not None:
        return path.read_bytes().strip()
    asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=confirm)
    return asked.encode()


def _public(path: Path) -> PublicKey:
    return public_from_jwk(json.loads(path.read_text("utf-8")))
