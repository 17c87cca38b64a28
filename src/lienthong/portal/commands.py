"""Commands that an integrator copies: one use of a service under an agreement, as curl, Python and X-Road headers.

Pure.  Promise: each does the same use, from a machine that reaches the node's client listener, and holds no secret:
the system's token is read from the variable ``LIENTHONG_CLIENT_TOKEN``.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from lienthong.i18n import T

TOKEN: Final = "LIENTHONG_CLIENT_TOKEN"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class Use:
    """What is called, by whom and why."""

    listener: str
    """Address of the own node's client listener."""
    system: str
    service: str
    purpose: str
    body: str = "{}"
    """JSON: identifiers travel in the body, so that no log on the way holds them."""
    with_token: bool = False
    """Whether the system shows a token."""


@dataclass(frozen=True, slots=True)
class Command:
    """Something to copy."""

    title: str
    """A message marked with ``T``."""
    text: str


def commands(use: Use) -> tuple[Command, ...]:
    """The same use in three spellings."""
    return (
        Command(T("With curl"), _curl(use)),
        Command(T("With Python, its own library alone"), _python(use)),
        Command(T("As X-Road clients send it"), _plain(use)),
    )


def _fields(use: Use) -> dict[str, str]:
    fields = {
        "X-Road-Client": use.system,
        "Lienthong-Purpose": use.purpose,
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    return fields


def _curl(use: Use) -> str:
    lines = [f"curl --fail-with-body -X POST {shlex.quote(_address(use))}"]
    lines += [f"  -H {shlex.quote(f'{name}: {value}')}" for name, value in _fields(use).items()]
    lines += [f'  -H "Lienthong-Token: ${TOKEN}"'] if use.with_token else []
    return " \\\n".join([*lines, f"  -d {shlex.quote(use.body)}"]) + "\n"


def _python(use: Use) -> str:
    fields = "".join(f"    {name!r}: {value!r},\n" for name, value in _fields(use).items())
    fields += f'    "Lienthong-Token": os.environ["{TOKEN}"],\n' if use.with_token else ""
    return (
        f"import json{', os' if use.with_token else ''}\nimport urllib.request\n\n"
        f"headers = {{\n{fields}}}\n"
        f"body = json.dumps({_value(use)!r}).encode()\n"
        f"request = urllib.request.Request({_address(use)!r}, body, headers)\n"
        "with urllib.request.urlopen(request) as answer:\n"
        '    print("record:", answer.headers["Lienthong-Record"])\n'
        "    print(answer.read().decode())\n"
    )


def _plain(use: Use) -> str:
    told = [f"POST {urlsplit(_address(use)).path} HTTP/1.1", f"Host: {urlsplit(use.listener).netloc}"]
    told += [f"{name}: {value}" for name, value in _fields(use).items()]
    told += [f"Lienthong-Token: <{TOKEN}>"] if use.with_token else []
    return "\n".join([*told, "X-Road-Id: 1", f"Content-Length: {len(use.body.encode())}", "", use.body]) + "\n"


def _address(use: Use) -> str:
    return f"{use.listener.rstrip('/')}/r1/{use.service}"


def _value(use: Use) -> object:
    try:
        value: object = json.loads(use.body)
    except ValueError:
        return {}
    return value
