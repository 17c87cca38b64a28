"""The door of the deeds for programs: ``POST /v1/<name>`` with JSON, by token or by session.

Promises: a session's cookie alone does nothing (``Lienthong-Form`` must carry the session's form token, so no other
site can act, see ``forms.believed``); with an ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header) a deed
that was done is not done again, its answer comes again for a day, sealed so that the database alone tells nothing of
it; every answer says how many deeds are left (draft-ietf-httpapi-ratelimit-headers); what is refused is problem
details (RFC 9457) and frees its key, for nothing was done.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, cast

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor
from lienthong.identity.rights import LoginNeeded, require
from lienthong.portal.deeds import VERSION, BadInput, Deed, read_wish
from lienthong.portal.queries import claim_deed, free_deed, keep_deed_answer
from lienthong.portal.shell import Shell
from lienthong.storage.pool import Pool, reading
from lienthong.trust.seal import Seal
from lienthong.web import problem_response

MOST_BODY: Final = 256 * 1024
WINDOW_S: Final = 60
_KEY: Final = re.compile(r"[!-~]{8,128}")
_TAG: Final = re.compile(r'"([0-9]{1,9})"')


class NotByToken(Problem):
    """The deed takes a person in front of a screen; a token is not enough, whatever its scopes."""

    kind: ClassVar[str] = "not-by-token"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("This is not done by a token")


class NotJson(Problem):
    """The body is not one JSON object sent as ``application/json``."""

    kind: ClassVar[str] = "not-json"
    status: ClassVar[int] = 415
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The body is not JSON")


class TooManyDeeds(Problem):
    """One person, or one place without a sign-in, did more in a minute than anybody does by hand."""

    kind: ClassVar[str] = "too-many-deeds"
    status: ClassVar[int] = 429
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Too many calls in a minute")


class IdempotencyKeyReused(Problem):
    """The Idempotency-Key came before with another body."""

    kind: ClassVar[str] = "idempotency-key-reused"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The Idempotency-Key belongs to another call")


class DeedUnderWay(Problem):
    """The first call with this Idempotency-Key has not been answered: it is under way, or the node stopped in it."""

    kind: ClassVar[str] = "deed-under-way"
    status: ClassVar[int] = 409
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The first call is still under way")


class VersionNeeded(Problem):
    """The thing may be edited by several people: the version that was read must be told (RFC 6585, section 3)."""

    kind: ClassVar[str] = "version-needed"
    status: ClassVar[int] = 428
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Say which version you read")


class ChangedMeanwhile(Problem):
    """The version in ``If-Match`` stands no more (RFC 9110, section 13.1.1)."""

    kind: ClassVar[str] = "changed-meanwhile"
    status: ClassVar[int] = 412
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("It was changed meanwhile")


DOOR: Final[tuple[type[Problem], ...]] = (
    LoginNeeded, BadInput, NotJson, TooManyDeeds, IdempotencyKeyReused, DeedUnderWay,
)  # fmt: skip
"""What the door itself may answer to any deed."""


@dataclass(slots=True)
class Pace:
    """How many deeds one person may do in a minute; counted in memory, in windows of a minute."""

    most: int = 120
    clock: Callable[[], float] = time.monotonic
    _window: int = -1
    _done: dict[str, int] = field(default_factory=dict[str, int])

    def take(self, who: str) -> dict[str, str]:
        """Count one; the header fields that say what is left.  Raises TooManyDeeds, which has them too."""
        now = self.clock()
        window = int(now // WINDOW_S)
        if window != self._window:
            self._window, self._done = window, {}
        done = self._done[who] = self._done.get(who, 0) + 1
        seconds = max(1, int((window + 1) * WINDOW_S - now))
        if done > self.most:
            raise TooManyDeeds(
                T("More than {most} calls came within a minute."), mend=T("Wait, then go on more slowly."),
                most=self.most, retry_after_s=seconds,
            )  # fmt: skip
        return self.headers(self.most - done, seconds)

    def headers(self, left: int, seconds: int) -> dict[str, str]:
        """The fields of draft-ietf-httpapi-ratelimit-headers."""
        return {
            "RateLimit-Policy": f'"deeds";q={self.most};w={WINDOW_S}',
            "RateLimit": f'"deeds";r={left};t={seconds}',
        }


@dataclass(frozen=True, slots=True)
class Door:
    """The route of one deed."""

    deed: Deed[Any]
    doing: Doing

    async def answer(self, request: Request) -> Response:
        """``POST /v1/<name>``."""
        return await self.doing.answer(self.deed, request)


def deed_at(route: Route) -> Deed[Any] | None:
    """The deed that ``route`` is the door of."""
    door = getattr(route.endpoint, "__self__", None)
    return door.deed if isinstance(door, Door) else None


class Doing:
    """The routes of all deeds of a node."""

    def __init__(
        self, deeds: Sequence[Deed[Any]], pool: Pool, secret: bytes, shell: Shell, pace: Pace | None = None
    ) -> None:
        """``secret`` (32 bytes) seals the kept answers."""
        self.deeds = tuple(deeds)
        self._pool = pool
        self._secret = secret
        self._shell = shell
        self._pace = pace or Pace()
        names = [deed.name for deed in self.deeds]
        if len(set(names)) != len(names):
            raise ValueError("two deeds of one name")

    def routes(self) -> list[BaseRoute]:
        """``POST /v1/<name>`` of each deed, and ``GET /v1/session``."""
        return [
            *(Route(f"/v1/{deed.name}", Door(deed, self).answer, methods=["POST"]) for deed in self.deeds),
            Route("/v1/session", self._session, methods=["GET"]),
        ]

    async def _session(self, request: Request) -> Response:
        """The token that a session's own programs send with every deed."""
        if actor_of(request).session is None:
            raise LoginNeeded(T("This needs somebody who is signed in."), mend=T("Sign in and try again."))
        return JSONResponse({"form_token": self._shell.token(request)}, headers={"Cache-Control": "no-store"})

    async def answer(self, deed: Deed[Any], request: Request) -> Response:
        """Do ``deed`` as ``request`` asks; what is refused is told as problem details."""
        headers: dict[str, str] = {"Cache-Control": "no-store"}
        try:
            return await self._answer(deed, request, headers)
        except Problem as problem:
            refused = problem_response(problem, request)
            if isinstance(problem, LoginNeeded):
                headers["WWW-Authenticate"] = 'Bearer realm="lienthong"'
            if isinstance(problem, TooManyDeeds):
                headers |= self._pace.headers(0, int(cast("int", problem.facts["retry_after_s"])))
            refused.headers.update(headers)
            return refused

    async def _answer(self, deed: Deed[Any], request: Request, headers: dict[str, str]) -> Response:
        actor = actor_of(request)
        place = request.client.host if request.client else ""
        headers |= self._pace.take(actor.person or f"@{place}")
        _may(deed, actor)
        body = await _body(request)
        match = _version(deed, request, body)
        wish = read_wish(deed.wants, body)
        once = self._once(deed, actor, request, body)
        if once is not None:
            kept = await self._claimed(once)
            if kept is not None:
                return _told(kept, headers | {"Idempotency-Replayed": "true"})
        try:
            if deed.place:
                deed.place(place)
            facts = await deed.do(actor, wish)
        except Exception as failed:  # whatever it was: the key is free again, then it is somebody else's to answer
            await self._free(once)
            if match and deed.changed and isinstance(failed, deed.changed):
                raise ChangedMeanwhile(failed.message, mend=failed.mend, **failed.facts) from failed
            raise
        answer = orjson.dumps(facts, option=orjson.OPT_UTC_Z)
        if once is not None:
            async with reading(self._pool) as db:
                await keep_deed_answer(db, once.id, once.seal.encrypt(answer, once.id))
        return _told(answer, headers)

    def _once(self, deed: Deed[Any], actor: Actor, request: Request, body: Mapping[str, object]) -> _Once | None:
        given = request.headers.get("idempotency-key", "").strip().removeprefix('"').removesuffix('"')
        if not given:
            return None
        if not _KEY.fullmatch(given):
            raise BadInput({"Idempotency-Key": (T("This is not written as it must be."), {})})
        scope = f"{deed.name}\x00{actor.person or ''}\x00{given}".encode()
        return _Once(
            hmac.digest(self._secret, b"id\x00" + scope, "sha256"),
            Seal(hmac.digest(self._secret, b"answer\x00" + scope, "sha256")),
            hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest(),
        )

    async def _claimed(self, once: _Once) -> bytes | None:
        """None: the key is ours now and the deed is to be done; else the first answer."""
        async with reading(self._pool) as db:
            found = await claim_deed(db, once.id, once.body)
        if found is None:
            return None
        body, answer = found
        if body != once.body:
            raise IdempotencyKeyReused(
                T("This Idempotency-Key was sent with another body."), mend=T("Take a new key for each new call.")
            )
        if answer is None:
            raise DeedUnderWay(
                T("The first call with this Idempotency-Key has no answer yet."),
                mend=T("Wait and send it again. If this stays, look whether it was done, then take a new key."),
            )
        return once.seal.decrypt(answer, once.id)

    async def _free(self, once: _Once | None) -> None:
        if once is not None:
            async with reading(self._pool) as db:
                await free_deed(db, once.id)


@dataclass(frozen=True, slots=True)
class _Once:
    id: bytes
    seal: Seal
    body: bytes
    """SHA-256 of the body."""


def _may(deed: Deed[Any], actor: Actor) -> None:
    if deed.anybody:
        return
    if not actor.known:
        raise LoginNeeded(
            T("This needs somebody who is signed in."),
            mend=T("Send a token as Authorization: Bearer, or the session's cookie with its Lienthong-Form token."),
        )
    if deed.by_screen_alone and actor.session is None:
        raise NotByToken(
            T("This is done by persons who are signed in, not by tokens."), mend=T("Sign in and do it there.")
        )
    if deed.right is not None:
        require(actor, deed.right)


async def _body(request: Request) -> dict[str, object]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise NotJson(T("Send one JSON object as application/json."))
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MOST_BODY:
            raise BadInput({"": (T("At most {most} bytes."), {"most": MOST_BODY})})
    try:
        told: object = orjson.loads(bytes(content))
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict):
        raise NotJson(T("Send one JSON object as application/json."))
    return cast("dict[str, object]", told)


def _version(deed: Deed[Any], request: Request, body: dict[str, object]) -> bool:
    """Whether ``If-Match`` told the version, which then stands in ``body``."""
    told = request.headers.get("if-match", "").strip()
    if not deed.versioned:
        return False
    if not told:
        if body.get(VERSION) is None:
            raise VersionNeeded(
                T("Somebody else may be editing the same."), mend=T("Send the ETag you read as If-Match, or version.")
            )
        return False
    tag = _TAG.fullmatch(told)
    if tag is None or body.setdefault(VERSION, int(tag[1])) != int(tag[1]):
        raise BadInput({"If-Match": (T("This is not written as it must be."), {})})
    return True


def _told(answer: bytes, headers: Mapping[str, str]) -> Response:
    version = cast("dict[str, object]", orjson.loads(answer)).get(VERSION)
    tag = {"ETag": f'"{version}"'} if isinstance(version, int) else {}
    return Response(answer, 200, {**headers, **tag}, "application/json")
