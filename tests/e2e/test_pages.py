"""The national portal in a real browser: the uses, links that open, both languages, a receipt the page accepts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from tests.e2e.country import CITIZEN, ONE_STOP_SYSTEM, Country, until

pytestmark = pytest.mark.e2e

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MEMBERS = {
    "vi": ("Trung tâm Dữ liệu quốc gia", "Bộ Công an", "Bộ Tài chính", "thành phố Hải Phòng"),
    "en": ("National Data Centre", "Ministry of Public Security", "Ministry of Finance", "Hai Phong City"),
}
SYNTHETIC = {"vi": "giả lập", "en": "ynthetic"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=program, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    yield opened
    opened.close()


@pytest.mark.parametrize(("language", "path"), [("vi", "/"), ("en", "/en/")])
def test_the_front_page_shows_who_takes_part_and_what_happened(country: Country, page: Page, language: str, path: str):
    called = country.http.post(
        f"{country.client_url}/r1/{CITIZEN}",
        json={"personal_number": "031099990001"},
        headers={"X-Road-Client": ONE_STOP_SYSTEM},
    )
    record = called.headers["lienthong-record"]
    use = page.locator(f"table.uses tr:has(a[href*='/records/{record}'])")

    def both_sides_are_shown() -> bool:
        page.goto(country.portal + path)
        return use.count() == 1 and use.locator(".evidence a").count() == 6

    until(both_sides_are_shown, 20, "record, receipt and proof of both sides stand in one row of the portal")
    assert page.get_attribute("html", "lang") == language
    text = page.inner_text("body")
    for name in MEMBERS[language]:
        assert name in text
    assert SYNTHETIC[language] in text
    assert page.locator("table.uses tbody tr").count() == 8  # the newest; all of them are at /live


def test_every_link_of_the_front_page_opens(country: Country, page: Page):
    page.goto(country.portal + "/")
    found = {urljoin(country.portal, str(a.get_attribute("href"))) for a in page.locator("a[href]").all()}
    links = {link.partition("#")[0] for link in found}

    assert len(links) >= 30
    answers = {link: country.http.get(link).status_code for link in links}
    assert {link: status for link, status in answers.items() if status != 200} == {}


def test_a_reader_goes_from_a_use_to_its_record_and_its_agreement_in_the_other_language(country: Country, page: Page):
    page.goto(country.portal + "/")
    page.click("nav.languages a[hreflang=en]")
    page.locator("table.uses .purpose a").first.click()
    assert "/agreements/" in page.url
    page.go_back()
    page.locator("table.uses .evidence a[href*='/records/']").first.click()
    assert "/records/" in page.url
    assert page.locator("h1").inner_text() != ""


def test_the_verifier_accepts_a_receipt_of_the_demo_and_refuses_it_once_changed(
    country: Country, page: Page, tmp_path: Path
):
    receipt = Path(country.described["uses"][0]["receipts"][0]["file"])
    asked: list[str] = []
    page.goto(f"{country.portal}/static/verify.html")
    page.on("request", lambda request: asked.append(request.url))

    page.set_input_files("#receipt", str(receipt))
    page.wait_for_selector("#verdict[data-verdict]")
    alone = page.get_attribute("#verdict", "data-verdict")
    (tmp_path / "directory.json").write_bytes(country.http.get(f"{country.portal}/directory/current").content)
    page.locator("details summary").click()
    page.set_input_files("#directory", str(tmp_path / "directory.json"))
    page.set_input_files("#anchor", str(country.folder / "anchor.json"))
    page.wait_for_selector("#verdict[data-verdict=good]")
    facts = page.inner_text("#facts")
    changed = json.loads(receipt.read_text())
    changed["record"] = changed["record"].replace('"permitted"', '"refused"')
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    page.set_input_files("#receipt", str(tmp_path / "changed.json"))
    page.wait_for_selector("#verdict[data-verdict=bad]")

    assert alone == "open"
    assert CITIZEN in facts
    assert asked == [], "the verifier sends nothing anywhere"


@pytest.mark.parametrize(("language", "path", "verdict"), [
    ("vi", "", "Biên nhận khớp với chính nó"), ("en", "/en", "The receipt fits itself"),
])  # fmt: skip
def test_a_records_page_recomputes_its_receipt_in_the_browser_and_tells_a_changed_one(
    country: Country, page: Page, language: str, path: str, verdict: str
):
    page.goto(country.portal + "/")
    shown = str(page.locator("table.uses .evidence a[href*='/records/']").first.get_attribute("href"))
    node, record = urljoin(country.portal, shown).split("/records/")
    receipt = f"{node}/log/receipt/{record}"
    until(lambda: country.http.get(receipt).json()["proof"], 20, "a checkpoint covers the record")
    page.goto(f"{node}{path}/records/{record}")

    page.click("[data-proof] button")
    page.wait_for_selector("#verdict[data-verdict]")

    assert page.get_attribute("#verdict", "data-verdict") == "open"  # whose keys they are the receipt alone can not say
    assert page.inner_text("#verdict h2") == verdict
    states = {
        str(row.get_attribute("data-check")): row.get_attribute("data-ok") for row in page.locator("[data-check]").all()
    }
    assert "false" not in states.values()
    assert {states[name] for name in ("record-form", "record-hash", "checkpoint", "inclusion")} == {"true"}

    def changed(route: Route) -> None:
        told = country.http.get(receipt).json()
        told["record"] = told["record"].replace('"outcome":"permitted"', '"outcome":"refused"')
        route.fulfill(json=told)

    page.route("**/log/receipt/*", changed)
    page.click("[data-proof] button")
    page.wait_for_selector("#verdict[data-verdict=bad]")
    assert page.locator("[data-check=record-hash][data-ok=false]").count() == 1
