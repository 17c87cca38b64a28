"""What makes the portal installable: manifest, icons, a small service worker, and the page of what was not sent yet.

Promises: the worker keeps nothing but the look of the pages and what was typed into a form that could not be sent; that
is sent once (the form's one-time key), and one that the node does not take as it is stays until it is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from lienthong.i18n import T, translate
from lienthong.portal.render import STYLE, render, style_version
from lienthong.portal.shell import PAGE_POLICY, Pages, Shell, both
from lienthong.web import page_language

TITLE: Final = T("Not sent yet")
WORKER: Final = STYLE.with_name("worker.js")
WORKER_POLICY: Final = "default-src 'none'; script-src 'self'; connect-src 'self'"


def installed_pages() -> Callable[[Shell], Pages]:
    """The module of the portal."""

    def join(shell: Shell) -> Pages:
        async def manifest(request: Request) -> Response:
            del request
            headers = {"Cache-Control": "max-age=3600"}
            return JSONResponse(_manifest(shell.look.name.vi), media_type="application/manifest+json", headers=headers)

        return Pages(
            (
                Route("/manifest.webmanifest", manifest, methods=["GET"]),
                Route("/worker.js", _worker, methods=["GET"]),
                *both("/unsent", _unsent),
            )
        )

    return join


def _manifest(name: str) -> dict[str, object]:
    icons = [{"src": f"/static/icon-{size}.png", "sizes": f"{size}x{size}", "type": "image/png"} for size in (192, 512)]
    return {
        "id": "/",
        "name": name,
        "short_name": "Liên Thông",
        "lang": "vi",
        "start_url": "/work",
        "scope": "/",
        "display": "standalone",
        "background_color": "#faf9f6",
        "theme_color": "#0a6a5a",
        "icons": [*icons, {"src": "/static/mark.svg", "sizes": "any", "type": "image/svg+xml"}],
        "shortcuts": [
            {"name": "Việc của tôi", "url": "/work"},
            {"name": "Của tôi", "url": "/mine"},
            {"name": "Mở vụ việc", "url": "/cases/open"},
        ],
    }


async def _worker(request: Request) -> Response:
    """The service worker; at the root, so that it stands before every page."""
    del request
    script = WORKER.read_text("utf-8").replace("VERSION", style_version())
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": WORKER_POLICY}
    return Response(script, media_type="text/javascript", headers=headers)


async def _unsent(request: Request) -> Response:
    """What this browser keeps until the network is back; the same for everybody, so the worker may keep it."""
    language = page_language(request)
    body = render("unsent.html", language, title=translate(TITLE, language))
    return HTMLResponse(body, headers={"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"})
