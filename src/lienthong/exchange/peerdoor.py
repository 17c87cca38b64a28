"""The peer listener's door: bytes in, the provider's signed answer out; a stranger gets a problem and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import structlog

from lienthong.errors import Problem
from lienthong.exchange.answer import Headers
from lienthong.exchange.budget import Budget, Share
from lienthong.exchange.listen import read_body
from lienthong.exchange.pour import Pour, sender
from lienthong.exchange.provide import PeerAnswer, PeerRequest, Provider, problem_done, retry_after
from lienthong.exchange.spool import Spools, announced_bytes

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

log = structlog.get_logger("lienthong.peer")


class PeerDoor:
    """An ASGI application over one Provider."""

    def __init__(
        self,
        provider: Provider,
        max_body: int,
        budget: Budget | None = None,
        spools: Spools | None = None,
        max_large: int = 0,
    ) -> None:
        """``max_body``: bytes of one request that is held; ``budget``: of all that the process holds.

        ``spools``: where larger ones of up to ``max_large`` bytes are written down; without, none are taken.
        """
        self._provider = provider
        self._max_body = max_body
        self._budget = budget or Budget()
        self._spools = spools
        self._max_large = max_large

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        with self._budget.share() as held, contextlib.ExitStack() as kept:
            await self._serve(scope, receive, send, held, kept)

    async def _serve(
        self,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        held: Share,
        kept: contextlib.ExitStack,
    ) -> None:
        http = cast("HTTPScope", scope)
        state = cast("dict[str, object]", http.get("state", {}))
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in http["headers"]}
        try:
            arriving = PeerRequest(
                target=cast("bytes", state["target"]),
                headers=headers,
                body=None,
                certificate=cast("str | None", state["peer"]),
            )
            answer = await self._provider.answer(await self._whole(arriving, receive, held, kept))
        except Problem as problem:
            log.warning(
                "peer.refused", kind=problem.kind, status=problem.status, exchange=headers.get("lienthong-exchange")
            )
            answer = plain_problem(problem)
        except Exception as failed:
            log.error("peer.failed", error=type(failed).__name__, exc_info=failed)
            answer = plain_problem(Problem("The node met an error that it does not know."))
        if answer.pour is None:
            await send_answer(send, answer.status, answer.headers, answer.body)
        else:
            gone = cast("Callable[[], bool]", state["gone"])
            await stream_answer(send, answer.status, answer.headers, answer.pour, gone)

    async def _whole(
        self, arriving: PeerRequest, receive: ASGIReceiveCallable, held: Share, kept: contextlib.ExitStack
    ) -> PeerRequest:
        """``arriving`` with its body; a stranger's large one is refused before it is written down."""
        if self._spools is None or not self._provider.passes_on(arriving):
            return replace(arriving, body=await read_body(receive, self._max_body, held.grow))
        room = kept.enter_context(self._spools.room())
        body = await room.take(
            receive,
            announced=announced_bytes(arriving.headers.get("content-length")),
            most_bytes=self._max_large,
            hold=held.grow,
            expect=lambda: self._provider.sender(arriving),
        )
        return replace(arriving, body=body, large=room.large)


def plain_problem(problem: Problem) -> PeerAnswer:
    """``problem`` without a signature: what strangers get."""
    done = problem_done(problem)
    headers = [(b"content-type", done.content_type.encode("ascii")), *retry_after(problem)]
    if problem.record:
        headers.append((b"lienthong-record", problem.record.encode("ascii")))
    return PeerAnswer(done.status, headers, done.body)


async def send_answer(send: ASGISendCallable, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer with its length."""
    fields = [*headers, (b"content-length", str(len(body)).encode("ascii"))]
    await send({"type": "http.response.start", "status": status, "headers": fields, "trailers": False})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def stream_answer(
    send: ASGISendCallable, status: int, headers: Headers, pour: Pour, gone: Callable[[], bool]
) -> None:
    """Send a body in pieces; when it can not be brought to its end, the connection is cut: it must not look whole."""

    async def send_body(piece: bytes) -> None:
        await send({"type": "http.response.body", "body": piece, "more_body": True})

    await send({"type": "http.response.start", "status": status, "headers": headers, "trailers": False})
    try:
        await pour(sender(send_body, gone))
    except Problem as problem:
        log.warning("stream.broken", kind=problem.kind)
        return  # an answer left unfinished is cut by the listener
    await send({"type": "http.response.body", "body": b"", "more_body": False})
