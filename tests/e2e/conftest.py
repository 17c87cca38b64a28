"""One country for all tests that use it: started by ``demo --once``, then again on the same folder and left running."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.country import LAST_WORDS, Country, Ran, a_folder, free_port, started_demo

PERSONS = 600
DELTA_CLIENT = Path(__file__).parents[2] / ".venv-clients" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Once:
    """What ``lienthong demo --once`` left behind."""

    ran: Ran
    described: dict[str, Any]
    processes: int
    left: list[str]


@pytest.fixture(scope="session")
def demo_folder() -> Iterator[Path]:
    """The country's folder."""
    with a_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def once(demo_folder: Path, port: int) -> Once:
    """The first start: uses, a summary, the end."""
    with started_demo(demo_folder, port, PERSONS, "--once") as demo:
        ran = demo.to_its_end()
        assert ran.status == 0, (ran, demo.logs())
        return Once(ran, json.loads((demo_folder / "demo.json").read_text()), demo.seen, demo.left())


@pytest.fixture(scope="session")
def country(once: Once, demo_folder: Path, port: int) -> Iterator[Country]:
    """The second start, on the same folder; told to end after the last test, and then nothing of it may live."""
    with started_demo(demo_folder, port, PERSONS, LIENTHONG_LOG="DEBUG") as demo:
        demo.wait_until_it_says(LAST_WORDS)
        with httpx.Client(trust_env=False, timeout=60) as http:
            yield Country(demo, json.loads((demo_folder / "demo.json").read_text()), http)
        status = demo.end(signal.SIGTERM)
        assert (status, demo.left()) == (0, []), demo.errors
        assert demo.seen > 20, "five nodes of four processes and a database were expected"


@pytest.fixture(scope="session")
def delta_client() -> Path:
    """The Python that has the official Delta Sharing client."""
    if not DELTA_CLIENT.exists():
        pytest.skip("no .venv-clients: make clients")
    return DELTA_CLIENT
