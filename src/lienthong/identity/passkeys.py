"""Passkeys (WebAuthn Level 3): registered by a person who is signed in, used alone or after the password.

A challenge is random, proves by a keyed hash that this node made it for this deed within the last minutes, and counts
once: nothing has to be stored for everybody who merely looks at the sign-in page.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import datetime
from typing import Any, ClassVar, Final

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity import queries
from lienthong.identity.audit import put_down
from lienthong.identity.entrance import Entrance
from lienthong.identity.models import Actor, Passkey, Person
from lienthong.identity.passwords import digest
from lienthong.identity.sessions.keep import ATTEMPT
from lienthong.identity.sessions.queries import put_once

_RANDOM: Final = 16
_STAMP: Final = 8
LONGEST_LABEL: Final = 60

Connection = Any
"""A connection of any row factory, passed on."""


class PasskeyRefused(Problem):
    """The passkey is not known here, answered another challenge, or its answer is not signed rightly."""

    kind: ClassVar[str] = "passkey-refused"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The passkey was not accepted")


def challenge(entrance: Entrance, deed: str, now: datetime) -> bytes:
    """A challenge for ``deed``: random bytes, the time in seconds, and the proof that they are ours."""
    head = secrets.token_bytes(_RANDOM) + int(now.timestamp()).to_bytes(_STAMP, "big")
    return head + _proof(entrance, deed, head)


def options_to_sign_in(entrance: Entrance, now: datetime, allowed: list[Passkey] | None = None) -> str:
    """What the page's script hands to ``navigator.credentials.get``, as JSON; ``allowed`` None: any passkey of ours."""
    import webauthn  # costs 0.2 s, for those who use passkeys alone
    from webauthn.helpers.structs import (
        PublicKeyCredentialDescriptor,
        UserVerificationRequirement,
    )  # as above: the others need not pay for it

    alone = allowed is None
    made = webauthn.generate_authentication_options(
        rp_id=entrance.relying_party,
        challenge=challenge(entrance, "sign-in", now),
        allow_credentials=[PublicKeyCredentialDescriptor(id=each.id) for each in allowed or ()],
        user_verification=UserVerificationRequirement.REQUIRED if alone else UserVerificationRequirement.PREFERRED,
    )
    return webauthn.options_to_json(made)


def options_to_register(entrance: Entrance, person: Person, has: list[Passkey], now: datetime) -> str:
    """What the page's script hands to ``navigator.credentials.create``, as JSON."""
    import webauthn  # as above: the others need not pay for it
    from webauthn.helpers.structs import (  # as above: the others need not pay for it
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    made = webauthn.generate_registration_options(
        rp_id=entrance.relying_party,
        rp_name="Liên Thông",
        user_id=person.id.encode(),
        user_name=person.login or person.name,
        user_display_name=person.name,
        challenge=challenge(entrance, "register " + person.id, now),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=each.id) for each in has],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
    )
    return webauthn.options_to_json(made)


async def register(
    db: Connection, entrance: Entrance, person: Person, answer: str, label: str, *, by: Actor, now: datetime
) -> Passkey:
    """Keep the passkey that a browser made; raises PasskeyRefused."""
    import webauthn  # as above: the others need not pay for it
    from webauthn.helpers.exceptions import WebAuthnException  # as above: the others need not pay for it

    expected = await _challenge_in(db, entrance, answer, "register " + person.id, now)
    try:
        made = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=expected,
            expected_rp_id=entrance.relying_party,
            expected_origin=entrance.origin,
        )
    except (WebAuthnException, ValueError) as wrong:
        raise refused() from wrong
    key = Passkey(
        made.credential_id, person.id, made.credential_public_key, made.sign_count, label[:LONGEST_LABEL] or "1", now
    )
    if not await queries.insert_passkey(db, key):
        raise refused()
    await put_down(db, by, "passkey.added", person.id, {"passkey": key.id.hex()[:16]}, now=now)
    return key


async def check(
    db: Connection, entrance: Entrance, answer: str, *, after_password: str | None, now: datetime
) -> Person:
    """Whose passkey answered; ``after_password``: the person whose password was right before.  Raises PasskeyRefused.

    Alone, the authenticator must have checked its holder (finger, face, PIN): that makes the two factors.
    """
    import webauthn  # as above: the others need not pay for it
    from webauthn.helpers import base64url_to_bytes  # as above: the others need not pay for it
    from webauthn.helpers.exceptions import WebAuthnException  # as above: the others need not pay for it

    expected = await _challenge_in(db, entrance, answer, "sign-in", now)
    try:
        key = await queries.passkey_by_id(db, base64url_to_bytes(str(json.loads(answer)["id"])))
    except (ValueError, KeyError, TypeError) as wrong:
        raise refused() from wrong
    if key is None or (after_password is not None and key.person != after_password):
        raise refused()
    try:
        done = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=expected,
            expected_rp_id=entrance.relying_party,
            expected_origin=entrance.origin,
            credential_public_key=key.public_key,
            credential_current_sign_count=key.sign_count,
            require_user_verification=after_password is None,
        )
    except (WebAuthnException, ValueError) as wrong:
        raise refused() from wrong
    person = await queries.person_by_id(db, key.person)
    if person is None or person.state != "active":
        raise refused()
    await queries.note_passkey_used(db, key.id, done.new_sign_count, now)
    return person


async def _challenge_in(db: Connection, entrance: Entrance, answer: str, deed: str, now: datetime) -> bytes:
    """The challenge that was answered, if it is ours, for this deed, fresh, and answered for the first time."""
    from webauthn.helpers import base64url_to_bytes  # as above: the others need not pay for it

    try:
        client = json.loads(base64url_to_bytes(json.loads(answer)["response"]["clientDataJSON"]))
        answered = base64url_to_bytes(client["challenge"])
    except (ValueError, KeyError, TypeError) as wrong:
        raise refused() from wrong
    head, proof = answered[: _RANDOM + _STAMP], answered[_RANDOM + _STAMP :]
    age_s = now.timestamp() - int.from_bytes(head[_RANDOM:], "big")
    ours = hmac.compare_digest(proof, _proof(entrance, deed, head))
    if not ours or not -5 <= age_s <= ATTEMPT.total_seconds():
        raise refused()
    if not await put_once(db, digest("challenge" + answered.hex()), now + ATTEMPT):
        raise refused()
    return answered


def _proof(entrance: Entrance, deed: str, head: bytes) -> bytes:
    return hmac.new(entrance.key, b"passkey\x00" + deed.encode() + b"\x00" + head, hashlib.sha256).digest()


def refused() -> PasskeyRefused:
    """The one answer to whatever did not fit."""
    return PasskeyRefused(
        T("This passkey did not open the account."),
        mend=T("Load the page again and try once more, or use another one."),
    )
