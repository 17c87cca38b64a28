"""Which of the world's packages which of ours may know.  (Who of ours may know whom: the layers in pyproject.toml.)"""

from __future__ import annotations

import re
import sys

import pytest

from tests.lint.source import Source, imported, package_sources

DATABASE = ("psycopg", "psycopg_pool", "asyncpg")
WEB = ("fastapi", "starlette")
ALLOWED = {
    **dict.fromkeys(
        DATABASE,
        # The log's writers and the table reader hold connections of their own; everything else asks `queries`.
        r"storage/|[a-z/]+/queries\.py$|access/(write|seen|sequence)\.py$|tables/read\.py$",
    ),
    **dict.fromkeys(WEB, r"web\.py$|[a-z/]+/http\.py$|portal/|node/|exchange/listen\.py$"),
}
PURE = r"trust/|linkage/|[a-z/]+/models\.py$|agreements/policy\.py$"
IMPURE = (*DATABASE, *WEB, "aiohttp", "uvicorn", "duckdb", "lienthong.storage", "lienthong.web")
VERIFIER_MAY = {*sys.stdlib_module_names, "cryptography"}


def misplaced(source: Source) -> list[str]:
    """Imports that ``source`` may not have."""
    place = source.path.removeprefix("src/lienthong/")
    faults: list[str] = []
    for line, name in imported(source):
        top = name.split(".")[0]
        if top in ALLOWED and not re.match(ALLOWED[top], place):
            faults.append(f"{source.path}:{line}: {top} is not for this module")
        if re.match(PURE, place) and any(name == impure or name.startswith(f"{impure}.") for impure in IMPURE):
            faults.append(f"{source.path}:{line}: {name} in a pure module")
        if place == "verify.py" and top not in VERIFIER_MAY:
            faults.append(f"{source.path}:{line}: the verifier knows nothing but the standard library and cryptography")
    return faults


def test_the_database_and_the_web_are_known_only_where_they_belong():
    faults = [fault for source in package_sources() for fault in misplaced(source)]

    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/lienthong/catalog/publish.py", "import psycopg\n"),
        ("src/lienthong/catalog/publish.py", "def f():\n    from psycopg.rows import dict_row\n"),
        ("src/lienthong/exchange/call.py", "from starlette.requests import Request\n"),
        ("src/lienthong/catalog/models.py", "import aiohttp\n"),
        ("src/lienthong/trust/keys.py", "from lienthong.storage.objects import ObjectStore\n"),
        ("src/lienthong/verify.py", "from lienthong.trust import merkle\n"),
        ("src/lienthong/verify.py", "import requests\n"),
    ],
)
def test_a_misplaced_import_is_found(path: str, text: str):
    assert misplaced(Source(path, text))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/lienthong/catalog/queries.py", "import psycopg\n"),
        ("src/lienthong/storage/pool.py", "import psycopg_pool\n"),
        ("src/lienthong/portal/app.py", "from starlette.requests import Request\n"),
        ("src/lienthong/access/gate.py", "if TYPE_CHECKING:\n    from psycopg import AsyncConnection\n"),
        ("src/lienthong/verify.py", "import json\nfrom cryptography import x509\n"),
    ],
)
def test_a_right_import_is_let_through(path: str, text: str):
    assert misplaced(Source(path, text)) == []
