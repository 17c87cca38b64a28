"""The pages in a real browser without script: they fit every width, in both schemes, and talk to this node alone."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.applications import Starlette

from lienthong.portal.app import create_portal, error_page
from lienthong.web import install
from tests.portal import sample

pytestmark = pytest.mark.e2e

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PAGES = ("/", f"/agreements/{sample.AGREEMENT.line.digest}", f"/records/{sample.RECORD.link.record_hash}", "/nowhere")
EVERY_PAGE = [prefix + path for path in PAGES for prefix in ("", "/en")]
WIDTHS = (320, 390, 768, 1060, 1280, 1920)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    app = Starlette(routes=create_portal(sample.SampleData()))
    install(app, error_page=error_page)
    with socket.create_server(("127.0.0.1", 0)) as door:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=program, args=list(FLAGS))
        yield opened
        opened.close()


def visit(browser: Browser, address: str, width: int, *, dark: bool = False) -> tuple[Page, list[str], list[str]]:
    """The page, the hosts it talked to, and what it complained about."""
    page = browser.new_page(
        viewport={"width": width, "height": 900},
        java_script_enabled=False,
        color_scheme="dark" if dark else "light",
    )
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(address)
    return page, asked, complaints


@pytest.mark.parametrize("address", EVERY_PAGE)
def test_a_page_talks_to_its_own_node_only_and_the_policy_stops_nothing_it_needs(
    browser: Browser, site: str, address: str
):
    page, asked, complaints = visit(browser, site + address, 1280)

    assert asked
    assert all(url.startswith(site + "/") for url in asked)
    assert [said for said in complaints if "404" not in said] == []
    page.close()


@pytest.mark.parametrize("address", EVERY_PAGE)
def test_a_page_is_never_wider_than_its_window(browser: Browser, site: str, address: str):
    page, _, _ = visit(browser, site + address, WIDTHS[0])

    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        inner, outer = page.locator("html").evaluate("e => [e.scrollWidth, innerWidth]")
        assert (outer, inner <= width) == (width, True)
    page.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_follows_the_readers_scheme(browser: Browser, site: str, dark: bool):
    page, _, _ = visit(browser, site + "/", 1280, dark=dark)

    ground = page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
    assert ground == ("rgb(16, 21, 19)" if dark else "rgb(250, 249, 246)")
    page.close()


def test_the_keyboard_reaches_the_content_first_then_the_sign_in_and_the_languages(browser: Browser, site: str):
    page, _, _ = visit(browser, site + "/", 1280)

    reached: list[str] = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.locator(":focus").get_attribute("href") or "")

    assert reached == ["#content", "/", "/login", "/en/"]
    page.close()
