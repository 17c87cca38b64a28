"""OpenID Connect, as the relying party: code flow with PKCE, state and nonce, the issuer checked in every answer.

Sources: OpenID Connect Core 1.0 (3.1), RFC 7636 (PKCE), RFC 9207 (issuer in the answer), RFC 9700 (security best
practice), OpenID Connect Back-Channel Logout 1.0.  Authlib builds and checks the messages, joserfc the signatures,
aiohttp carries them.  Nothing of a provider's token is kept; what went wrong is logged without claims.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Any, ClassVar, Final, Literal, cast
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import structlog

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity.models import Assurance

log = structlog.get_logger("lienthong.identity")

ALGORITHMS: Final = ("ES256", "PS256", "RS256", "EdDSA")
"""What a provider may sign with: never HMAC, never none."""
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
LEEWAY_S: Final = 60
FRESH_S: Final = 3600.0
"""How long a provider's description and keys are believed."""
KEYS_AGAIN_S: Final = 30.0
"""An unknown key makes us ask again, this often at most."""
TIMEOUT_S: Final = 10.0
MOST_BYTES: Final = 256 * 1024

Audience = Literal["citizens", "staff"]


class ProviderRefused(Problem):
    """The identity provider's answer is missing, late, for somebody else, or not signed by its keys."""

    kind: ClassVar[str] = "provider-refused"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The sign-in with the provider did not come about")


class ProviderSilent(Problem):
    """The identity provider does not answer, or describes itself otherwise than the configuration."""

    kind: ClassVar[str] = "provider-silent"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The identity provider can not be used at the moment")


@dataclass(frozen=True, slots=True)
class Request:
    """A sign-in to be begun: where the browser goes, and what must be remembered until it is back."""

    address: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Identified:
    """Whom the provider vouches for."""

    subject: str
    name: str
    assurance: Assurance
    sid: str | None
    number: str = field(default="", repr=False)
    """The personal number as told, "" for none; never kept as it is."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a provider's logout concerns."""

    sid: str | None
    subject: str | None


@dataclass(slots=True)
class Provider:
    """One identity provider and what was last read of it."""

    name: str
    """Stands in our addresses."""
    title: str
    """What people call it."""
    issuer: str
    client_id: str
    client_secret: str
    callback: str
    """Our address it sends the browser back to."""
    levels: Mapping[str, int] = field(default_factory=dict[str, int])
    """Its levels of assurance (``acr``) to ours (1 to 3); one that is not named counts as 1."""
    ask_levels: str = ""
    """Sent as ``acr_values``; empty: none."""
    least: Assurance = Assurance.ONE_FACTOR
    """Who is vouched for with less is not let in."""
    audience: Audience = "citizens"
    """``citizens``: whoever it vouches for is let in; ``staff``: only persons added before."""
    number_claim: str = ""
    """The claim that holds the personal number; empty: none."""
    _metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    _metadata_until: float = 0.0
    _keys: dict[str, Any] = field(default_factory=dict[str, Any])
    _keys_at: float = float("-inf")

    async def begin(self) -> Request:
        """Where to send the browser; raises ProviderSilent."""
        # Authlib and joserfc cost 0.3 s and are needed by those who sign in with a provider alone.
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # as above: the others need not pay for it
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # as above: the others need not pay for it

        about = await self._about()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        more = {"acr_values": self.ask_levels} if self.ask_levels else {}
        address: str = prepare_grant_uri(
            about["authorization_endpoint"],
            client_id=self.client_id,
            response_type="code",
            redirect_uri=self.callback,
            scope="openid profile",
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
            **more,
        )
        return Request(address, state, nonce, verifier)

    async def finish(
        self, answer: Mapping[str, str], *, state: str, nonce: str, verifier: str, now: datetime
    ) -> Identified:
        """Whom the provider vouches for in the answer that the browser brought; raises ProviderRefused.

        ``state``, ``nonce`` and ``verifier`` are those remembered for this very browser.
        """
        about = await self._about()
        if not hmac.compare_digest(answer.get("state", ""), state):
            raise self._refused("state")
        told_issuer = answer.get("iss")
        if told_issuer is None and about.get("authorization_response_iss_parameter_supported"):
            raise self._refused("no issuer")
        if told_issuer is not None and told_issuer != self.issuer:
            raise self._refused("issuer")
        if "code" not in answer:
            raise self._refused("declined")
        tokens = await self._redeem(str(about["token_endpoint"]), answer["code"], verifier)
        claims = await self._opened(str(tokens.get("id_token", "")), now)
        self._check_id(claims, nonce, str(tokens.get("access_token", "")), now)
        level = self.levels.get(str(claims.get("acr", "")), int(Assurance.ONE_FACTOR))
        if level < self.least:
            raise self._refused("level")
        sid = claims.get("sid")
        number = claims.get(self.number_claim) if self.number_claim and self.audience == "citizens" else None
        return Identified(
            subject=str(claims["sub"]),
            name=str(claims.get("name", "")),
            assurance=Assurance(level),
            sid=str(sid) if sid else None,
            number=number if isinstance(number, str) else "",
        )

    async def read_logout(self, token: str, now: datetime) -> Ended:
        """What a logout token concerns; raises ProviderRefused (Back-Channel Logout 1.0, section 2.6)."""
        claims = await self._opened(token, now)
        events = claims.get("events")
        issued = claims.get("iat")
        sid, subject = claims.get("sid"), claims.get("sub")
        fits = (
            claims.get("iss") == self.issuer
            and self.client_id in _listed(claims.get("aud"))
            and isinstance(issued, int | float)
            and abs(now.timestamp() - issued) <= 5 * LEEWAY_S
            and isinstance(events, dict)
            and LOGOUT_EVENT in events
            and "nonce" not in claims
            and (sid or subject)
        )
        if not fits:
            raise self._refused("logout")
        return Ended(str(sid) if sid else None, str(subject) if subject else None)

    def _check_id(self, claims: dict[str, Any], nonce: str, access_token: str, now: datetime) -> None:
        from authlib.oidc.core import CodeIDToken  # as above: the others need not pay for it

        options = {"iss": {"value": self.issuer}, "aud": {"value": self.client_id}, "nonce": {"essential": True}}
        params = {"nonce": nonce, "client_id": self.client_id, "access_token": access_token}
        checked: Any = CodeIDToken(claims, claims.get("_header", {}), options, params)  # Any: Authlib has no types
        try:
            checked.validate(now=int(now.timestamp()), leeway=LEEWAY_S)
        except Exception as wrong:  # Authlib raises several unrelated kinds; each means that the token does not count
            raise self._refused(type(wrong).__name__) from wrong
        azp = claims.get("azp")
        if azp is not None and azp != self.client_id:
            raise self._refused("azp")

    async def _opened(self, token: str, now: datetime) -> dict[str, Any]:
        """The claims of a token signed by the provider's keys; an unknown key has them fetched again, rarely."""
        from joserfc import jwt  # as above: the others need not pay for it
        from joserfc.errors import JoseError  # as above: the others need not pay for it
        from joserfc.jwk import KeySet  # as above: the others need not pay for it

        for again in (False, True):
            keys = await self._keyset(again)
            try:
                read = jwt.decode(token, KeySet.import_key_set(keys), algorithms=list(ALGORITHMS))  # type: ignore[arg-type] - JSON as fetched
            except (JoseError, ValueError) as wrong:
                if again:
                    raise self._refused(type(wrong).__name__) from wrong
                continue
            return {**read.claims, "_header": read.header}
        raise self._refused("signature")

    async def _keyset(self, again: bool) -> dict[str, Any]:
        age = time.monotonic() - self._keys_at
        if not self._keys or age > FRESH_S or (again and age > KEYS_AGAIN_S):
            self._keys = await self._get(str((await self._about())["jwks_uri"]))
            self._keys_at = time.monotonic()
        return self._keys

    async def _about(self) -> dict[str, Any]:
        """The provider's description; raises ProviderSilent when it names another issuer, or an address in clear."""
        if time.monotonic() < self._metadata_until:
            return self._metadata
        found = await self._get(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        addresses = [str(found.get(name, "")) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        if found.get("issuer") != self.issuer or not all(_safe(each) for each in addresses):
            raise self._silent("description")
        self._metadata, self._metadata_until = found, time.monotonic() + FRESH_S
        return found

    async def _redeem(self, endpoint: str, code: str, verifier: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.callback,
            "code_verifier": verifier,
        }
        login = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}"  # RFC 6749, section 2.3.1
        headers = {
            "Authorization": f"Basic {b64encode(login.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        status, told = await self._ask("POST", endpoint, data=urlencode(form), headers=headers)
        if status != 200:
            raise self._refused("code")
        return told

    async def _get(self, address: str) -> dict[str, Any]:
        if not _safe(address):
            raise self._silent("address")
        status, told = await self._ask("GET", address)
        if status != 200:
            raise self._silent(str(status))
        return told

    async def _ask(self, method: str, address: str, **more: Any) -> tuple[int, dict[str, Any]]:  # Any: aiohttp's own
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
                session.request(method, address, allow_redirects=False, **more) as answer,
            ):
                body = bytearray()
                async for piece in answer.content.iter_chunked(16_384):
                    body += piece
                    if len(body) > MOST_BYTES:
                        raise self._silent("too large")
                told = json.loads(body) if answer.content_type.endswith("json") else {}
                return answer.status, cast("dict[str, Any]", told) if isinstance(told, dict) else {}
        except (TimeoutError, aiohttp.ClientError, ValueError, OSError) as failed:
            raise self._silent(type(failed).__name__) from failed

    def _refused(self, why: str) -> ProviderRefused:
        log.warning("provider.refused", provider=self.name, why=why)
        return ProviderRefused(
            T("{provider} did not vouch for you, or its answer came too late."),
            mend=T("Begin again; if it fails again, tell the operator of this node the correlation id."),
            provider=self.title,
        )

    def _silent(self, why: str) -> ProviderSilent:
        log.warning("provider.silent", provider=self.name, why=why)
        return ProviderSilent(
            T("{provider} does not answer as it should."),
            mend=T("Try again in a moment."),
            provider=self.title,
        )


def _listed(audience: object) -> list[object]:
    return list(audience) if isinstance(audience, list | tuple) else [audience]


def _safe(address: str) -> bool:
    """HTTPS, or this very machine (tests, a provider beside the node)."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme == "https" and host:
        return True
    try:
        return parts.scheme == "http" and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        return False
