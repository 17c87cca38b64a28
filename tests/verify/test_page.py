"""The browser page: opened from the disk with no network, it says of every receipt what the Python verifier says.

The two were written separately, so where they agree on a forgery they agree for the same reason, check by check.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from lienthong import portal, verify
from tests.verify.receipts import Country
from tests.verify.tampering import edit, rewritten_by_the_log, tampered
from tests.verify.test_witnesses import FORGERIES, POLICIES, WORLD

pytestmark = pytest.mark.e2e

PAGE = Path(portal.__file__).parent / "static" / "verify.html"
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
COUNTRY = Country()
RECEIPTS = dict(zip(("consumer", "provider"), COUNTRY.use(), strict=True))
TRUST = {"directory": COUNTRY.directory().decode(), "anchor": COUNTRY.anchor}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "Chromium is needed to test the browser page: apt-get install -y chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """The page as opened from the disk.  It fails the test if it asks for anything but its two files, or errs."""
    context = browser.new_context(offline=True)
    opened = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text))
    opened.goto(PAGE.as_uri())
    yield opened
    context.close()
    assert asked == [PAGE.as_uri(), PAGE.with_suffix(".js").as_uri()]
    assert errors == []


def give(page: Page, folder: Path, *contents: object) -> dict[str, str]:
    """Choose files as a reader does; which check stands how, once the verdict is there."""
    files = []
    for number, content in enumerate(contents):
        file = folder / f"file-{number}.json"
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        files.append(str(file))
    page.evaluate("document.getElementById('verdict').removeAttribute('data-verdict')")
    page.set_input_files("#receipt", files)
    page.wait_for_selector("#verdict[data-verdict]")
    rows = page.query_selector_all("[data-check]")
    return {str(row.get_attribute("data-check")): str(row.get_attribute("data-ok")) for row in rows}


def verdict(page: Page) -> str:
    return str(page.get_attribute("#verdict", "data-verdict"))


def in_the_browser(page: Page, receipts: list[dict[str, Any]], trust: dict[str, Any]) -> list[list[list[Any]]]:
    """Names and outcomes of all checks, for each receipt."""
    return page.evaluate(
        """async ([receipts, trust]) => {
            const found = [];
            for (const receipt of receipts) {
                const { checks } = await lienthongVerifier.verifyReceipt(receipt, trust);
                found.push(checks.map(({ name, ok }) => [name, ok]));
            }
            return found;
        }""",
        [receipts, trust],
    )


def in_python(receipt: dict[str, Any], trust: dict[str, Any]) -> list[list[Any]]:
    report = verify.verify_receipt(
        receipt,
        directory=trust["directory"].encode() if "directory" in trust else None,
        anchor=trust.get("anchor"),
        log_key=trust.get("logKey"),
        policy=trust.get("policy"),
    )
    return [[check.name, check.ok] for check in report.checks]


def test_a_good_receipt_with_directory_and_anchor_holds(page, tmp_path):
    states = give(page, tmp_path, RECEIPTS["consumer"], COUNTRY.directory(), COUNTRY.anchor)

    assert verdict(page) == "good"
    assert set(states.values()) == {"true"}
    assert len(states) == 15
    assert "Biên nhận đúng" in page.inner_text("#verdict")
    assert "VN/GOV/H31/motcua" in page.inner_text("#facts")


def test_a_good_receipt_alone_fits_itself_and_says_what_is_open(page, tmp_path):
    states = give(page, tmp_path, RECEIPTS["provider"])

    assert verdict(page) == "open"
    assert {name for name, state in states.items() if state == "null"} == {"log-key", "consumer-key", "provider-key"}
    assert "Khóa do chính biên nhận tự nêu" in page.inner_text("#checks")
    assert page.is_visible("#synthetic")


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        ("record purpose", "record-hash"),
        ("record purpose, hash recomputed", "request-fits"),
        ("record peer_record, hash recomputed", "response-fits"),
        ("record response_signature_digest, hash recomputed", "response-digest"),
        ("record request_signature_digest, hash recomputed", "request-digest"),
        ("record with spaces", "record-form"),
        ("request base lienthong-service", "request-signature"),
        ("response signature byte 31", "response-signature"),
        ("request signed by a stranger", "request-signature"),
        ("proof index", "inclusion"),
        ("proof line 2", "checkpoint"),
        ("checkpoint size", "checkpoint"),
        ("log key of another log", "checkpoint"),
    ],
)
def test_a_changed_receipt_fails_at_the_check_it_concerns(page, tmp_path, change, fails):
    country = Country()
    country.consumer.append(b"an earlier entry")
    receipt, _ = country.use()
    if change == "proof line 2":
        fails = "inclusion"

    states = give(page, tmp_path, dict(tampered(receipt))[change])

    assert verdict(page) == "bad"
    assert states[fails] == "false"
    assert page.is_visible(f'[data-check="{fails}"] .why')


def test_keys_of_another_country_are_refused_with_the_directory(page, tmp_path):
    impostor, _ = Country().use()

    states = give(page, tmp_path, impostor, COUNTRY.directory(), COUNTRY.anchor)

    assert verdict(page) == "bad"
    assert {name for name, state in states.items() if state == "false"} == {"log-key", "consumer-key", "provider-key"}


@pytest.mark.parametrize("side", RECEIPTS)
@pytest.mark.parametrize("trust", [{}, TRUST, {"directory": TRUST["directory"]}], ids=["alone", "anchored", "listed"])
def test_the_page_and_the_command_agree_on_every_forgery_check_by_check(page, side, trust):
    cases = {"good": RECEIPTS[side]} | dict(tampered(RECEIPTS[side]))
    cases |= {f"{name}, log rewritten": forged for name, forged in rewritten_by_the_log(COUNTRY, RECEIPTS[side])}
    found = in_the_browser(page, list(cases.values()), trust)

    differing = {
        name: (theirs, ours)
        for (name, receipt), theirs in zip(cases.items(), found, strict=True)
        if theirs != (ours := in_python(receipt, trust))
    }
    assert differing == {}
    assert len(cases) > 200


def test_they_agree_on_what_can_not_be_shown(page):
    receipt = RECEIPTS["consumer"]
    refused, _ = Country().use(outcome="refused", reason="no-agreement", agreement=None)
    opened, _ = Country().use(open_purpose=True)
    plain, _ = Country().use(optional=False, purpose="VIEC/1", way="query")
    cases = [
        {**receipt, "proof": None},
        {**receipt, "messages": None, "withheld": "messages"},
        edit(receipt, lambda r: r["messages"].update(response=None)),
        edit(RECEIPTS["provider"], lambda r: r["messages"].update(response=None)),
        refused,
        opened,
        plain,
    ]
    for trust in ({}, {"logKey": COUNTRY.consumer.verifier_key}, {"logKey": "other"}):
        assert in_the_browser(page, cases, trust) == [in_python(case, trust) for case in cases]


@pytest.mark.parametrize("content", [b"no receipt", b"[1,2]", b"null", b"\xff\xfe", b"", b"7", b"{}"])
def test_a_file_that_is_no_receipt_is_said_to_be_none(page, tmp_path, content):
    give(page, tmp_path, content)

    assert verdict(page) in ("unreadable", "bad")


def test_a_receipt_dropped_onto_the_page_is_checked(page):
    page.evaluate(
        """(text) => {
            const carried = new DataTransfer();
            carried.items.add(new File([text], "receipt.json", { type: "application/json" }));
            document.querySelector(".drop").dispatchEvent(
                new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
        }""",
        json.dumps(RECEIPTS["consumer"]),
    )
    page.wait_for_selector("#verdict[data-verdict]")

    assert verdict(page) == "open"


def test_vietnamese_comes_first_and_english_is_complete(page, tmp_path):
    give(page, tmp_path, RECEIPTS["consumer"])
    assert page.get_attribute("html", "lang") == "vi"
    assert "Kiểm tra một biên nhận" in page.inner_text("main")
    assert "Check a receipt" not in page.inner_text("main")

    page.click("[data-language=en]")

    text = page.inner_text("body").replace("Tiếng Việt", "").replace("Liên Thông", "")
    assert "Check a receipt" in text
    assert not set(text.lower()) & set("ăđơưạảấầẩẫậắằẳẵặẹẻẽếềểễệịỉĩọỏốồổỗộớờởỡợụủũứừửữựỳỵỷỹ")


def test_every_check_and_reason_has_both_languages(page):
    tables = page.evaluate("({ ...lienthongVerifier.CLAIMS, ...lienthongVerifier.REASONS })")

    assert all(len(texts) == 2 and all(texts) and texts[0] != texts[1] for texts in tables.values())
    assert set(page.evaluate("Object.keys(lienthongVerifier.CLAIMS)")) <= set(verify.CLAIMS)


def test_what_a_receipt_says_is_shown_as_text_only(page, tmp_path):
    record = json.loads(RECEIPTS["consumer"]["record"])
    record["consumer"] = "<img src=x onerror=alert(1)>\u202e"
    receipt = {**RECEIPTS["consumer"], "record": json.dumps(record, ensure_ascii=False, separators=(",", ":"))}

    give(page, tmp_path, receipt)

    assert page.query_selector("main img") is None
    assert "<img src=x onerror=alert(1)>\ufffd" in page.inner_text("#facts")


def test_the_page_fits_a_phone(browser, tmp_path):
    context = browser.new_context(viewport={"width": 360, "height": 740}, offline=True)
    page = context.new_page()
    page.goto(PAGE.as_uri())
    give(page, tmp_path, RECEIPTS["consumer"])

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()


def test_both_verifiers_judge_witnesses_alike_whoever_states_the_policy(page):
    country = WORLD.country
    receipts = [WORLD.receipt(*by) for by in ((0, 1, 2), (1, 2), (0, 1), (2,), ())] + [*FORGERIES.values()]
    listed = {"directory": country.directory(WORLD.directory()).decode(), "anchor": country.anchor}
    trusts = [listed, {}, *({"policy": WORLD.policy(group=group)} for group in ("2 A B C", "all A B", "any C"))]
    trusts += [{"policy": policy} for policy in POLICIES.values()]

    for trust in trusts:
        assert in_the_browser(page, receipts, trust) == [in_python(receipt, trust) for receipt in receipts]


def test_a_policy_file_is_taken_from_the_reader(page, tmp_path):
    states = give(page, tmp_path, WORLD.receipt(0, 1), WORLD.policy().encode())

    assert states["witnesses"] == "true"
