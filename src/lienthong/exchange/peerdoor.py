"""The peer listener's door: bytes in, the provider's signed answer out; a stranger gets a problem and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import structlog

from lienthong.errors import Problem
from lienthong.exchange.answer import Headers
from lienthong.exchange.budget import Budget, Share
from lienthong.exchange.listen import read_body
from lienthong.exchange.pour import Pour, sender
from lienthong.exchange.provide import PeerAnswer, PeerRequest, Provider, problem_done, retry_after

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

log = structlog.get_logger("lienthong.peer")


class PeerDoor:
    """An ASGI application over one Provider."""

    def __init__(self, provider: Provider, max_body: int, budget: Budget | None = None) -> None:
        """``max_body``: bytes of one request; ``budget``: of all that the process holds."""
        self._provider = provider
        self._max_body = max_body
        self._budget = budget or Budget()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        with self._budget.share() as held:
            await self._serve(scope, receive, send, held)

    async def _serve(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable, held: Share) -> None:
        http = cast("HTTPScope", scope)
        state = cast("dict[str, object]", http.get("state", {}))
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in http["headers"]}
        try:
            request = PeerRequest(
                target=cast("bytes", state["target"]),
                headers=headers,
                body=await read_body(receive, self._max_body, held.grow),
                certificate=cast("str | None", state["peer"]),
            )
            answer = await self._provider.answer(request)
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
