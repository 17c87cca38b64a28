"""Accessibility rules (axe-core) on a page in Chromium, as sentences."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
AXE = Axe().axe_script
"""To be given to ``page.add_init_script`` before the first page."""


@asynccontextmanager
async def open_chromium() -> AsyncIterator[Browser]:
    """The system's Chromium, headless."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


async def breaches(page: Page) -> list[str]:
    """What axe-core finds wrong by the rules of WCAG 2.2 AA and its best practice; ``AXE`` was given to the page."""
    options: dict[str, Any] = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
    found: dict[str, Any] = await page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{each['id']}: {node['html'][:150]} ({node['failureSummary'].splitlines()[-1].strip()[:150]})"
        for each in found["violations"]
        for node in each["nodes"][:3]
    ]
