"""The pages' routes: each asks ``PortalData`` one question and renders one template, under ``/`` and ``/en/``.

``create_portal`` returns plain Starlette routes for the public listener's application; ``error_page`` renders a problem
for ``lienthong.web.install``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from lienthong.errors import Problem
from lienthong.i18n import Language, T, translate
from lienthong.portal.components import component_pages
from lienthong.portal.figures import Figure
from lienthong.portal.models import PortalData
from lienthong.portal.shell import THEME_COOKIE, Page, Pages, Shell, both
from lienthong.portal.words import safe_link, short
from lienthong.web import page_language

STATIC_FOLDER: Final = Path(__file__).parent / "static"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

HOME_USES: Final = 8
"""How many uses the front page shows; the others stand under ``/live``."""
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


PageModule = Callable[[Shell], Pages]
"""How a page module joins: given the shell it makes its routes and its entries in the navigation."""


def create_portal(
    read: PortalData,
    shell: Shell | None = None,
    modules: Sequence[PageModule] = (),
    *,
    figures: Callable[[], Awaitable[tuple[Figure, ...]]] | None = None,
) -> list[BaseRoute]:
    """The routes of all pages and their static files, to be added to the application of the public listener.

    ``modules`` come after the front page, the agreements and the records; their order is that of the navigation.
    """
    shell = shell or Shell()
    joined = [
        _own_pages(shell, read, figures or _no_figures),
        *(module(shell) for module in (*modules, component_pages)),
    ]
    shell.sections = tuple(section for pages in joined for section in pages.sections)
    return [
        *(route for pages in joined for route in pages.routes),
        Route("/en", _to_english, methods=["GET"]),
        *both("/theme", _theme, ["POST"]),
        Route("/favicon.ico", _emblem(shell), methods=["GET"]),
        Route("/emblem", _emblem(shell), methods=["GET"]),
        Route("/static/verify.html", _verifier, methods=["GET"]),
        Mount("/static", StaticFiles(directory=STATIC_FOLDER), name="static"),
    ]


def error_page(request: Request, problem: Mapping[str, object], language: Language) -> str:
    """Problem details as a page of a portal without a face of its own."""
    return Shell().error_page(request, problem, language)


async def _no_figures() -> tuple[Figure, ...]:
    return ()


def _own_pages(shell: Shell, read: PortalData, figures: Callable[[], Awaitable[tuple[Figure, ...]]]) -> Pages:
    return Pages(
        (
            *both("/", _home(shell, read, figures)),
            *both("/agreements/{digest}", _agreement(shell, read)),
            *both("/records/{record_hash}", _record(shell, read)),
        )
    )


def _home(shell: Shell, read: PortalData, figures: Callable[[], Awaitable[tuple[Figure, ...]]]) -> Page:
    async def home(request: Request) -> Response:
        shown = await read.home()
        title = shown.node.say(page_language(request))
        if shown.progress is not None:
            return shell.page(request, "starting.html", title=title, home=shown)
        return shell.page(request, "home.html", title=title, home=shown, figures=await figures(), most=HOME_USES)

    return home


def _agreement(shell: Shell, read: PortalData) -> Page:
    async def agreement(request: Request) -> Response:
        digest = request.path_params["digest"]
        shown = await read.agreement(digest) if _SHA256.fullmatch(digest) else None
        if shown is None:
            raise AgreementNotHere(
                T("This node knows no agreement with that digest."),
                mend=T("Follow the link from a record, or ask the provider's node."),
            )
        title = f"{translate('Agreement', language := page_language(request))}: {shown.line.title.say(language)}"
        return shell.page(request, "agreement.html", title=title, agreement=shown)

    return agreement


def _record(shell: Shell, read: PortalData) -> Page:
    async def record(request: Request) -> Response:
        record_hash = request.path_params["record_hash"]
        shown = await read.record(record_hash) if _SHA256.fullmatch(record_hash) else None
        if shown is None:
            raise RecordNotHere(
                T("This node's log holds no record with that hash."),
                mend=T("A record is held by the two nodes that took part; ask the node that wrote it."),
            )
        title = f"{translate('Record', page_language(request))} {short(shown.link.record_hash)}"
        return shell.page(request, "record.html", title=title, page=shown)

    return record


async def _to_english(request: Request) -> Response:
    return RedirectResponse("/en/", 308)


async def _theme(request: Request) -> Response:
    """Keep whether pages are light or dark, and go back to the page that asked."""
    async with request.form(max_files=0, max_fields=4, max_part_size=4096) as sent:
        to, back = str(sent.get("to", "")), safe_link(str(sent.get("back", "")))
    answer = RedirectResponse(back if back.startswith("/") else "/", 303)
    if to in ("light", "dark"):
        secure = request.url.scheme == "https"
        answer.set_cookie(THEME_COOKIE, to, max_age=365 * 86_400, secure=secure, httponly=True, samesite="lax")
    else:
        answer.delete_cookie(THEME_COOKIE)
    return answer


def _emblem(shell: Shell) -> Page:
    async def emblem(request: Request) -> Response:
        del request
        file = shell.look.emblem_file or STATIC_FOLDER / "mark.svg"
        return FileResponse(file, media_type="image/png" if file.suffix == ".png" else "image/svg+xml")

    return emblem


async def _verifier(request: Request) -> Response:
    headers = {"Content-Security-Policy": VERIFIER_POLICY}
    return FileResponse(STATIC_FOLDER / "verify.html", media_type="text/html; charset=utf-8", headers=headers)
