"""An address for every page whose route has parameters; a page without one fails a test, so that none goes unseen."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Route

from tests.node_pages.whole import UNIT

EXAMPLES = {
    "/agreements/{digest}": "/agreements/{agreement}",
    "/records/{record_hash}": "/records/{record}",
    "/members/{id:path}": "/members/VN/GOV/H24",
    "/services/{id:path}": f"/services/{UNIT}?try=1",
    "/cases/{case}": "/cases/0123456789abcdef",
    "/cases/open/{kind}": "/cases/open/feedback",
    "/cases/{case}/files/{evidence}": "/cases/0123456789abcdef/files/0123456789abcdef",
    "/feedback/{code}": "/feedback/0123456789abcdef",
    "/figures/{key}": "/figures/services",
    "/login/first/{secret}": "/login/first/no-such-link",
    "/login/with/{provider}/back": "/login/with/nobody/back",
    "/mine/uses/{record_hash}": "/mine/uses/none",
    "/persons/{person}": "/persons/nobody",
    "/work/agreements/{id}/end": "/work/agreements/none/end",
    "/work/copies/{id:path}": "/work/copies/VN/GOV/G01/none",
    "/work/publish/{draft}": "/work/publish/none",
    "/work/requests/{pid}": "/work/requests/none",
}
"""Route -> an address that shows it; ``{agreement}`` and ``{record}`` stand for what the small country holds."""


def pages_of(app: Starlette) -> list[str]:
    """The templates of every page: routes that exist in both languages."""
    routes = [route for route in app.routes if isinstance(route, Route) and "GET" in (route.methods or ())]
    paths = [route.path for route in routes]
    return [path for path in paths if not path.startswith("/en") and "/en" + path in paths]


def without_example(app: Starlette) -> list[str]:
    """Pages that nobody can look at, because nobody said where."""
    return [path for path in pages_of(app) if "{" in path and path not in EXAMPLES]


def addresses_of(app: Starlette, **held: str) -> list[str]:
    """Where each page that has an address can be seen."""
    listed = [path for path in pages_of(app) if "{" not in path or path in EXAMPLES]
    return [EXAMPLES.get(path, path).format(**held) for path in listed]
