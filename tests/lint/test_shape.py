"""Ratchets rather than opinions: size, names, late imports, silenced checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.lint.source import (
    Source,
    empty_names,
    late_imports,
    long_file,
    long_functions,
    package_sources,
    silent_suppressions,
    sources,
)

Check = Callable[[Source], Iterator[str]]


@pytest.mark.parametrize("check", [long_file, long_functions, empty_names])
def test_all_our_code_keeps_to_the_law(check: Check):
    faults = [fault for source in sources() for fault in check(source)]

    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize("check", [late_imports, silent_suppressions])
def test_an_exception_has_its_reason_on_the_line(check: Check):
    faults = [fault for source in package_sources() for fault in check(source)]

    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize(
    ("check", "path", "text"),
    [
        (long_file, "src/a.py", "x = 1\n" * 501),
        (long_functions, "src/a.py", "def f():\n" + "    x = 1\n" * 80),
        (long_functions, "src/a.py", "async def f():\n" + "    x = 1\n" * 80),
        (empty_names, "src/lienthong/access/utils.py", ""),
        (empty_names, "src/lienthong/common/rows.py", ""),
        (late_imports, "src/a.py", "def f():\n    import duckdb\n"),
        (late_imports, "src/a.py", "def f():\n    from a import b  # noqa: PLC0415\n"),
        (silent_suppressions, "src/a.py", "x = 1  # noqa\n"),
        (silent_suppressions, "src/a.py", "x = 1  # noqa: S108\n"),
        (silent_suppressions, "src/a.py", "x = 1  # type: ignore[arg-type]\n"),
    ],
)
def test_a_fault_is_found(check: Check, path: str, text: str):
    assert list(check(Source(path, text)))


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (late_imports, "def f():\n    import duckdb  # heavy, only the sandbox needs it\n"),
        (late_imports, "import duckdb\n"),
        (silent_suppressions, "x = 1  # noqa: S108 - owner and mode are checked below\n"),
        (silent_suppressions, "x = 1  # type: ignore[arg-type, b] - checked key by key above\n"),
        (silent_suppressions, "x = '# noqa'\n"),
    ],
)
def test_what_is_right_is_let_through(check: Check, text: str):
    assert list(check(Source("src/a.py", text))) == []
