"""The pages' routes: each asks ``PortalData`` one question and renders one template, under ``/`` and ``/en/``.

``create_portal`` returns plain Starlette routes for the public listener's application; ``error_page`` renders a problem
for ``lienthong.web.install``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from lienthong.errors import Problem
from lienthong.i18n import Language, T
from lienthong.portal.models import PortalData
from lienthong.portal.render import render
from lienthong.web import page_language

STATIC_FOLDER: Final = Path(__file__).parent / "static"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

VERIFIER_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The verifier is the one page with a script: its own file, which may ask nobody but this node."""

Page = Callable[[Request], Awaitable[Response]]


class AgreementNotHere(Problem):
    """No agreement of this node has the digest asked for."""

    kind = "agreement-not-here"
    status = 404
    side = "caller"
    title = T("No such agreement here")


class RecordNotHere(Problem):
    """This node's log holds no record with the hash asked for."""

    kind = "record-not-here"
    status = 404
    side = "caller"
    title = T("No such record here")


def create_portal(read: PortalData) -> list[BaseRoute]:
    """The routes of all pages and their static files, to be added to the application of the public listener."""
    pages: tuple[tuple[str, Page], ...] = (
        ("/", _home(read)),
        ("/agreements/{digest}", _agreement(read)),
        ("/records/{record_hash}", _record(read)),
    )
    routes: list[BaseRoute] = []
    for prefix in ("", "/en"):
        routes += [Route(prefix + path, page, methods=["GET"]) for path, page in pages]
    return [
        *routes,
        Route("/en", _to_english, methods=["GET"]),
        Route("/favicon.ico", _icon, methods=["GET"]),
        Route("/static/verify.html", _verifier, methods=["GET"]),
        Mount("/static", StaticFiles(directory=STATIC_FOLDER), name="static"),
    ]


def error_page(problem: Mapping[str, object], language: Language) -> str:
    """Problem details as a page that says what happened, on whose side, and what to do."""
    return render("error.html", language, path="", problem=problem)


def _home(read: PortalData) -> Page:
    async def home(request: Request) -> Response:
        shown = await read.home()
        return _page(request, "home.html" if shown.progress is None else "starting.html", home=shown)

    return home


def _agreement(read: PortalData) -> Page:
    async def agreement(request: Request) -> Response:
        digest = request.path_params["digest"]
        shown = await read.agreement(digest) if _SHA256.fullmatch(digest) else None
        if shown is None:
            raise AgreementNotHere(
                T("This node knows no agreement with that digest."),
                mend=T("Follow the link from a record, or ask the provider's node."),
            )
        return _page(request, "agreement.html", agreement=shown)

    return agreement


def _record(read: PortalData) -> Page:
    async def record(request: Request) -> Response:
        record_hash = request.path_params["record_hash"]
        shown = await read.record(record_hash) if _SHA256.fullmatch(record_hash) else None
        if shown is None:
            raise RecordNotHere(
                T("This node's log holds no record with that hash."),
                mend=T("A record is held by the two nodes that took part; ask the node that wrote it."),
            )
        return _page(request, "record.html", page=shown)

    return record


def _page(request: Request, template: str, **values: object) -> Response:
    path = request.url.path.removeprefix("/en")
    return HTMLResponse(
        render(template, page_language(request), path=path, **values), headers={"Cache-Control": "no-store"}
    )


async def _to_english(request: Request) -> Response:
    return RedirectResponse("/en/", 308)


async def _icon(request: Request) -> Response:
    return FileResponse(STATIC_FOLDER / "mark.svg", media_type="image/svg+xml")


async def _verifier(request: Request) -> Response:
    headers = {"Content-Security-Policy": VERIFIER_POLICY}
    return FileResponse(STATIC_FOLDER / "verify.html", media_type="text/html; charset=utf-8", headers=headers)
