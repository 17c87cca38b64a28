"""Step one of publishing: where the data lies, in the words of its form, looked at before anything else is asked.

Three kinds: a PostgreSQL table, a service by HTTP, a file.  Whatever is wrong is said at its field; a password is never
shown again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import quote

from lienthong.catalog.models import Endpoint
from lienthong.catalog.publish import Found
from lienthong.errors import Problem
from lienthong.exchange.paths import path_matches
from lienthong.i18n import T
from lienthong.portal.drafts import Sample
from lienthong.portal.forms import Form, Upload

KINDS: Final = ("postgresql", "http", "file")
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
MOST_ENDPOINTS: Final = 30
_PLACE: Final = re.compile(
    r"[A-Za-z0-9_.:\-\[\]]{0,250}/[^\s/?#]{1,63}(?:\?(?:(?:host|port|sslmode)=[A-Za-z0-9_./%-]{1,200}&?)+)?"
)
"""Server and database; of libpq's options only those that say where (a socket's folder) and whether by TLS."""
_TABLE: Final = re.compile(r"(?:[^\s.#?]{1,63}\.)?[^\s.#?]{1,63}")
_ADDRESS: Final = re.compile(r"https?://[^\s/?#@\\]{1,255}(?:/[^\s?#\\]*)?")
_TARGET: Final = re.compile(r"/[^\s#\\]*")
_ENDPOINT: Final = re.compile(r"(?:([A-Za-z]{3,7})\s+)?(/[^\s?#\\]{0,200})")


class SourceDesk(Protocol):
    """What the node does for step one."""

    async def checked(self, source: str) -> str:
        """The typed ``source`` at the address that was checked, from now on.  Raises AddressNotAllowed."""
        ...

    async def look(self, source: str) -> Found:
        """What lies at ``source`` (``catalog.publish.find``).  Raises SourceNotFound, FileNotReadable."""
        ...

    async def look_by_http(self, address: str, sample: Sample) -> Found:
        """What one call of a back end answers.  Raises AddressNotAllowed, SourceNotFound and what a call may."""
        ...

    async def keep_file(self, upload: Upload) -> str:
        """Put an uploaded file where the node reads it from; its path."""
        ...


@dataclass(frozen=True, slots=True)
class Looked:
    """A source that was looked at."""

    source: str
    """In the words of ``catalog.publish.PublishRequest.source``."""
    found: Found
    sample: Sample | None = None


async def read_source(form: Form, desk: SourceDesk) -> Looked | None:
    """What the form names; None when something is wrong, which the form says then."""
    kind = form.choice("kind", KINDS)
    if kind == "http":
        return await _by_http(form, desk)
    source = await _file(form, desk) if kind == "file" else _table(form)
    if not form.good:
        return None
    try:
        source = source if kind == "file" else await desk.checked(source)
        found = await desk.look(source)
    except Problem as problem:
        _say(form, problem, "file" if kind == "file" else "place")
        return None
    if not found.fields:
        form.fault("", T("Nothing that can be published was found."))
        return None
    return Looked(source, found)


async def _by_http(form: Form, desk: SourceDesk) -> Looked | None:
    address = form.text("address", most=500, shape=_ADDRESS)
    target = quote(form.text("target", most=500, shape=_TARGET), safe="/?&=%:;,+@!$'()*~-._[]")
    endpoints = _endpoints(form)
    try:
        if form.good and not _is_offered(endpoints, target):
            form.fault("target", T("Give an example of one of the calls by GET that are listed above."))
        if not form.good:
            return None
        sample = Sample(endpoints, target)
        return Looked(address, await desk.look_by_http(address, sample), sample)
    except Problem as problem:
        _say(form, problem, "target" if problem.kind in ("path-refused", "source-not-found") else "address")
        return None


def _is_offered(endpoints: Sequence[Endpoint], target: str) -> bool:
    path = target.partition("?")[0].encode("ascii")
    return any(each.method == "GET" and path_matches(each.path, path) for each in endpoints)


def _endpoints(form: Form) -> tuple[Endpoint, ...]:
    read: dict[Endpoint, None] = {}
    for line in filter(None, (line.strip() for line in form.lines("endpoints", most=4_000).splitlines())):
        shape = _ENDPOINT.fullmatch(line)
        method = (shape[1] or "GET").upper() if shape else ""
        if shape is None or method not in METHODS:
            form.fault("endpoints", T("{line} is not a method and a path such as GET /truong/*."), line=line[:80])
            return ()
        read[Endpoint(method, shape[2])] = None
    if len(read) > MOST_ENDPOINTS:
        form.fault("endpoints", T("At most {most} lines."), most=MOST_ENDPOINTS)
    return tuple(read)


async def _file(form: Form, desk: SourceDesk) -> str:
    files = form.files("file")
    if not files:
        form.fault("file", T("Please choose a file."))
        return ""
    try:
        return await desk.keep_file(files[0]) if form.good else ""
    except Problem as problem:
        form.fault("file", problem.message, **problem.facts)
        return ""


def _table(form: Form) -> str:
    place = form.text("place", most=320, shape=_PLACE)
    account = form.text("account", most=63)
    table = form.text("table", most=130, shape=_TABLE)
    password = form.said("password")
    entry = quote(account, safe="") + (f":{quote(password, safe='')}" if password else "")
    return f"postgresql://{entry}@{place}#{table}"


def _say(form: Form, problem: Problem, name: str) -> None:
    form.fault("", problem.message, **problem.facts)
    if problem.mend:
        form.fault(name, problem.mend, **problem.facts)
