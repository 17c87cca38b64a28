"""Profiles and signed addresses: what a reader of shared tables holds, and how this node knows it again.

Promises: tokens are kept as hashes only; a profile works for one agreement, system and purpose until its day; an
address opens one file of one reading until its moment and not a byte of it can be altered.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime

from lienthong.catalog.models import Service
from lienthong.directory.models import SystemId
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.storage.pool import Connection
from lienthong.tables.models import Profile
from lienthong.tables.queries import keep_profile, profile_by_token_hash

TOKEN_BYTES = 32
OPEN = "open:"
"""In the place of an agreement's id, before a service's: a profile for open data, which needs no agreement."""


class ProfileUnknown(Problem):
    """The bearer token is missing, altered, or was revoked."""

    kind = "profile-unknown"
    status = 401
    side = "caller"
    title = T("This share profile is not known")


class ProfileExpired(Problem):
    """The profile's last day has passed."""

    kind = "profile-expired"
    status = 401
    side = "caller"
    title = T("This share profile has expired")


class AddressNotValid(Problem):
    """The signed address of a file was altered, has expired, or its reading is closed."""

    kind = "address-not-valid"
    status = 403
    side = "caller"
    title = T("This address does not open a file")


class NoSuchTable(Problem):
    """The profile offers no such share, schema or table."""

    kind = "no-such-table"
    status = 404
    side = "caller"
    title = T("There is no such shared table")


@dataclass(frozen=True, slots=True)
class TableName:
    """A table's place in Delta Sharing: member code, system, service."""

    share: str
    schema: str
    table: str


def table_name(service: Service) -> TableName:
    """``VN/GOV/G01/dancu/citizen`` is table ``citizen`` of schema ``dancu`` of share ``g01``: as in SQL."""
    member, system = service.member, service.system
    return TableName(member.rsplit("/", 1)[1].lower(), system.rsplit("/", 1)[1].lower(), service.name.lower())


async def make_profile(
    db: Connection, *, agreement: str, system: SystemId, purpose: str | None, expires: datetime, endpoint: str
) -> dict[str, object]:
    """Make a profile and give its file's content as JSON values; the token is shown here and never again.

    ``endpoint`` is this node's address of Delta Sharing, e.g. ``https://node.example/delta/``.  The caller has checked
    that the agreement grants the system the purpose, and commits.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    profile = Profile(
        id=f"prf-{secrets.token_hex(8)}", agreement=agreement, system=system, purpose=purpose, expires=expires
    )
    await keep_profile(db, profile, _hash(token))
    return {
        "shareCredentialsVersion": 1,
        "endpoint": endpoint if endpoint.endswith("/") else endpoint + "/",
        "bearerToken": token,
        "expirationTime": expires.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


async def profile_of_token(db: Connection, token: str, now: datetime) -> Profile:
    """The profile whose token this is.  Raises ProfileUnknown, ProfileExpired."""
    profile = await profile_by_token_hash(db, _hash(token)) if token else None
    if profile is None:
        raise ProfileUnknown(
            T("No profile of this node has the token that was sent."),
            mend=T("Ask the provider's node for a new profile: lienthong share profile --agreement ID --out FILE."),
        )
    if profile.expires <= now:
        raise ProfileExpired(
            T("The profile expired on {day}."),
            mend=T("Make a new one under the same agreement: lienthong share profile --agreement ID --out FILE."),
            day=profile.expires.date().isoformat(),
        )
    return profile


class AddressSigner:
    """Signs and checks the addresses of files: HMAC-SHA-256 over reading, file and expiry."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def address(self, base: str, reading: str, file: str, expires: datetime) -> str:
        """The address under ``base`` that opens ``file`` of ``reading`` until ``expires``, for GET, HEAD and ranges."""
        until = int(expires.timestamp())
        return f"{base}/files/{reading}/{file}?expires={until}&signature={self._signature(reading, file, str(until))}"

    def check(self, reading: str, file: str, expires: str, signature: str, now: datetime) -> None:
        """Raises AddressNotValid unless this very address was signed here and has not expired."""
        expected = self._signature(reading, file, expires)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise AddressNotValid(
                T("The address was altered or was not made by this node."),
                mend=T("Ask for the table's files again; addresses come with the answer."),
            )
        if int(expires) <= now.timestamp():
            raise AddressNotValid(
                T("The address has expired."),
                mend=T("Ask for the table's files again; addresses come with the answer."),
            )

    def _signature(self, reading: str, file: str, expires: str) -> str:
        text = f"lienthong-file-1\n{reading}\n{file}\n{expires}".encode()
        return urlsafe_b64encode(hmac.digest(self._secret, text, "sha256")).rstrip(b"=").decode()


def _hash(token: str) -> bytes:
    # A token has 256 random bits: a plain hash can not be searched, and every request needs one.
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
