"""What every command prints with: answers as JSON or words, problems with their side and mend, exit statuses.

Status 0 good, 1 a check failed or a use was refused, 2 wrong usage or environment.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import sys
from collections.abc import Coroutine, Mapping
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from lienthong.errors import Problem, Side
from lienthong.i18n import DEFAULT_LANGUAGE, Language, T, translate

Answer = TypeVar("Answer")
SIDES: Mapping[str, str] = {
    "caller": T("the calling system"),
    "consumer": T("the consumer's node"),
    "provider": T("the provider"),
    "node": T("this node"),
}


class NodeUnreachable(Problem):
    """The command can not reach the node it should talk to."""

    kind: ClassVar[str] = "node-unreachable"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The node does not answer")


def language() -> Language:
    """English when the environment's language is English, else Vietnamese."""
    chosen = os.environ.get("LIENTHONG_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    return "en" if chosen.startswith("en") else DEFAULT_LANGUAGE


def run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run one asynchronous deed."""
    return asyncio.run(work)


def say(message: str, **facts: object) -> None:
    """Print a line of words in the reader's language."""
    print(translate(message, language(), **facts), flush=True)


def note(message: str, **facts: object) -> None:
    """Say something beside the answer: on standard error, so that the answer alone can be piped on."""
    print(translate(message, language(), **facts), file=sys.stderr)


def show_json(value: object) -> None:
    """Print ``value`` as indented JSON with Vietnamese letters as they are."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def show_problem(problem: Problem) -> int:
    """Print a problem to standard error; returns the exit status it means."""
    return show_problem_body(problem.as_dict(language()))


def show_problem_body(body: Mapping[str, object]) -> int:
    """Print problem details (ours or a node's) or an X-Road error; returns the exit status they mean."""
    spoken = language()
    # An X-Road error says what is wrong in `message`; its `detail` is a reference for the operator.
    lines = [f"✗ {body.get('title') or body.get('type') or ''}: {body.get('message') or body.get('detail') or ''}"]
    side = str(body.get("side", ""))
    if side in SIDES:
        lines.append(translate(T("  whose side: {side}"), spoken, side=translate(SIDES[side], spoken)))
    if body.get("mend"):
        lines.append(translate(T("  what to do: {mend}"), spoken, mend=body["mend"]))
    if body.get("type"):
        lines.append(f"  {body['type']}")
    print("\n".join(lines), file=sys.stderr)
    return 2 if side == "node" and int(str(body.get("status", 500))) >= 500 else 1


def ask(
    url: str,
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 90,
) -> tuple[int, Mapping[str, str], bytes]:
    """One plain HTTP request to a node: status, lower-case header fields, body.  Raises NodeUnreachable."""
    parts = urlsplit(url)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)
    try:
        fields = {"Accept-Language": language(), **(headers or {})}
        connection.request(method, parts.path.rstrip("/") + path, body=body or None, headers=fields)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as failed:
        raise NodeUnreachable(
            T("{url} does not answer: {why}"),
            mend=T("Check the address, and that the node runs: lienthong serve, or lienthong demo."),
            url=url,
            why=str(failed),
        ) from failed
    finally:
        connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content
