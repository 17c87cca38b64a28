"""Every kind of problem is one thing: declared once, documented, said in Vietnamese, and shown by a test."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator

import lienthong
from lienthong.errors import Problem
from lienthong.i18n import translate
from tests.lint.source import ROOT, sources

DOCUMENT = ROOT / "docs" / "problems.md"
ENTRY_POINT = "__main__"


def kinds() -> list[type[Problem]]:
    """Every subclass of Problem in the product."""
    for module in pkgutil.walk_packages(lienthong.__path__, "lienthong."):
        if (
            not module.name.endswith(ENTRY_POINT)
            and ".migrations.versions" not in module.name
            and not module.name.endswith(".migrations.env")
        ):
            importlib.import_module(module.name)
    ours = [each for each in _below(Problem) if each.__module__.startswith("lienthong.")]
    return sorted(ours, key=lambda each: (each.__module__, each.__name__))


def _below(parent: type[Problem]) -> Iterator[type[Problem]]:
    for child in parent.__subclasses__():
        yield child
        yield from _below(child)


def test_every_problem_has_a_kind_of_its_own():
    bearers: dict[str, list[str]] = defaultdict(list)
    for problem in (Problem, *kinds()):
        bearers[problem.kind].append(f"{problem.__module__}.{problem.__name__}")

    shared = {kind: names for kind, names in bearers.items() if len(names) > 1}
    assert not shared, "\n" + "\n".join(f"{kind}: {', '.join(names)}" for kind, names in sorted(shared.items()))


def test_every_kind_is_a_short_word_and_has_a_title():
    faults = [
        f"{problem.__module__}.{problem.__name__}: {problem.kind!r} {problem.title!r}"
        for problem in kinds()
        if not re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", problem.kind) or not problem.title
    ]

    assert not faults, "\n" + "\n".join(faults)


def test_every_kind_is_documented_and_no_other():
    text = DOCUMENT.read_text("utf-8") if DOCUMENT.exists() else ""
    documented = set(re.findall(r"^\| *`([a-z0-9-]+)`", text, flags=re.MULTILINE))
    declared = {problem.kind for problem in (Problem, *kinds())}

    difference = sorted(documented ^ declared)
    assert not difference, f"python tools/problems.py --write; they differ in {difference}"


def test_every_title_is_said_in_vietnamese():
    untold = [
        f"{problem.kind}: {problem.title}" for problem in kinds() if translate(problem.title, "vi") == problem.title
    ]

    assert not untold, "\n" + "\n".join(untold)


def test_every_kind_is_named_in_a_test():
    tests = "\n".join(
        source.text for source in sources() if source.path.startswith("tests/") and "/lint/" not in source.path
    )
    unnamed = [
        f"{problem.kind} ({problem.__module__}.{problem.__name__})"
        for problem in kinds()
        if not re.search(rf"[\"']{problem.kind}[\"']|\b{problem.__name__}\b", tests)
    ]

    assert not unnamed, "\n" + "\n".join(unnamed)
