"""The pages: complete in both languages, safe against what others wrote, small, and asking nothing of other hosts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from lienthong.portal import app
from lienthong.portal.app import STATIC_FOLDER, create_portal, error_page
from lienthong.web import install
from tests.portal import sample

Browser = httpx.AsyncClient
PAGES = ("/", f"/agreements/{sample.AGREEMENT.line.digest}", f"/records/{sample.RECORD.link.record_hash}")
EVERY_PAGE = [prefix + path for path in PAGES for prefix in ("", "/en")]


def browser(data: sample.SampleData | None = None) -> Browser:
    site = Starlette(routes=create_portal(data or sample.SampleData()))
    install(site, error_page=error_page)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(site, raise_app_exceptions=False),
        base_url="http://portal.example",
        headers={"accept": "text/html"},
        follow_redirects=True,
    )


@pytest.fixture
async def visitor() -> AsyncIterator[Browser]:
    async with browser() as client:
        yield client


class Seen(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("address", EVERY_PAGE)
async def test_every_page_is_small_has_one_heading_and_asks_no_other_host(visitor: Browser, address: str):
    page = await visitor.get(address)

    seen = Seen(page.text)
    assert page.status_code == 200
    scripts = [str(found.get("src")).partition("?")[0] for tag, found in seen.tags if tag == "script"]
    assert all(script.startswith("/static/") for script in scripts)
    files = ["portal.css", "mark.svg", *(script.removeprefix("/static/") for script in scripts)]
    weight = len(page.content) + sum((STATIC_FOLDER / name).stat().st_size for name in files)
    assert weight < 200_000
    assert [tag for tag, _ in seen.tags].count("h1") == 1
    assert not {"iframe", "object", "embed"} & {tag for tag, _ in seen.tags}
    loaded = [found.get("href") or "" for tag, found in seen.tags if tag == "link" and found.get("rel") != "alternate"]
    loaded += [found.get("src") or "" for tag, found in seen.tags if tag == "img"]
    assert loaded
    assert all(address.startswith("/static/") or address == "/manifest.webmanifest" for address in loaded)
    assert not [found for _, found in seen.tags if "style" in found or any(name.startswith("on") for name in found)]


@pytest.mark.parametrize("address", EVERY_PAGE)
async def test_every_page_names_its_language_and_leads_to_the_same_page_in_the_other(visitor: Browser, address: str):
    page = await visitor.get(address)

    english = address.startswith("/en")
    other = address.removeprefix("/en") if english else "/en" + address
    seen = Seen(page.text)
    assert ("html", {"lang": "en" if english else "vi"}) in seen.tags
    assert other in [found.get("href") for tag, found in seen.tags if tag == "a"]
    assert (await visitor.get(other)).status_code == 200


@pytest.mark.parametrize("address", EVERY_PAGE)
async def test_every_page_about_invented_people_says_so(visitor: Browser, address: str):
    label = "Synthetic data" if address.startswith("/en") else "Dữ liệu giả lập"

    assert label in Seen((await visitor.get(address)).text).text


async def test_a_node_of_real_data_still_labels_the_synthetic_uses_it_shows():
    async with browser(sample.SampleData(replace(sample.HOME, synthetic=False, agreements=()))) as client:
        labelled = (await client.get("/en/")).text
    real = [use for use in sample.USES if not use.synthetic]
    home = replace(sample.HOME, synthetic=False, agreements=(), uses=tuple(real))
    async with browser(sample.SampleData(home)) as client:
        unlabelled = (await client.get("/en/")).text

    assert real
    assert "Synthetic data" in labelled
    assert "Synthetic data" not in unlabelled


async def test_the_front_page_links_each_use_to_its_record_receipt_proof_and_agreement(visitor: Browser):
    links = {found.get("href") for tag, found in Seen((await visitor.get("/")).text).tags if tag == "a"}

    for use in sample.USES:
        assert use.agreement_url is None or use.agreement_url in links
        for record in use.records:
            assert {record.page_url, record.receipt_url} <= links
            assert record.proof_url is None or record.proof_url in links
    assert {"/static/verify.html", sample.CHECKPOINT.url} <= links


async def test_in_english_the_pages_of_other_nodes_are_linked_in_english_and_files_as_they_are(visitor: Browser):
    links = {found.get("href") for tag, found in Seen((await visitor.get("/en/")).text).tags if tag == "a"}

    assert "http://127.0.0.1:40101/en/" in links
    assert "/en" + sample.USES[1].records[0].page_url in links
    assert sample.USES[1].records[0].receipt_url in links


async def test_a_refused_use_shows_its_reason_and_a_missing_purpose_its_code(visitor: Browser):
    text = Seen((await visitor.get("/en/")).text).text

    assert "purpose-not-covered" in text
    assert "HP-KHAC-09" in text


async def test_an_unverified_agency_code_is_marked_where_it_is_shown(visitor: Browser):
    page = (await visitor.get("/")).text

    marked = page.count("mã chưa xác minh")
    assert marked == sum(not member.code_verified for member in sample.MEMBERS)


async def test_the_agreement_page_says_which_fields_are_given_masked_or_withheld(visitor: Browser):
    page = (await visitor.get("/en" + PAGES[1])).text

    rows = {
        code: re.sub(r"<[^>]+>|\s+", " ", row).strip()
        for row, code in re.findall(r"(<tr[^>]*>\s*<td[^>]*><code>(\w+)</code>.*?</tr>)", page, re.DOTALL)
    }
    assert rows["personal_number"].endswith("yes")
    assert rows["birth_date"].endswith("only the year")
    assert rows["household_id"].endswith("no")
    assert "province_code is 31" in page


async def test_the_agreement_page_shows_whose_signature_is_missing(visitor: Browser):
    text = Seen((await visitor.get("/en" + PAGES[1])).text).text

    assert "Not signed yet" in text
    assert sample.AGREEMENT.signatures[0].jws in text


async def test_an_agreement_accepted_by_rule_does_not_look_unsigned():
    class ByRule(sample.SampleData):
        async def agreement(self, digest: str) -> sample.m.AgreementPage:
            accepted = replace(sample.AGREEMENT.signatures[1], by_rule=True)
            return replace(sample.AGREEMENT, signatures=(sample.AGREEMENT.signatures[0], accepted))

    async with browser(ByRule()) as client:
        text = Seen((await client.get("/en" + PAGES[1])).text).text

    assert "Accepted by its first use" in text
    assert "Not signed yet" not in text


async def test_the_record_page_shows_the_exact_text_every_key_and_where_it_stands_in_the_log(visitor: Browser):
    text = Seen((await visitor.get("/en" + PAGES[2])).text).text

    assert sample.RECORD.leaf in text
    assert all(value in text for _, value in sample.RECORD.record if value)
    assert "record 18,042 of 18,044" in text


async def test_a_record_without_checkpoint_says_that_its_proof_is_still_to_come():
    class Fresh(sample.SampleData):
        async def record(self, record_hash: str) -> sample.m.RecordPage:
            return replace(sample.RECORD, checkpoint=None, log_index=None)

    async with browser(Fresh()) as client:
        text = Seen((await client.get("/en" + PAGES[2])).text).text

    assert "Not yet" in text


async def test_while_starting_the_front_page_shows_its_steps_and_renews_itself():
    async with browser(sample.SampleData(sample.STARTING)) as client:
        page = await client.get("/")

    seen = Seen(page.text)
    assert ("meta", {"http-equiv": "refresh", "content": "2"}) in seen.tags
    assert ("progress", {"aria-labelledby": "progress", "max": "5", "value": "2"}) in seen.tags
    assert "Bước 2 trên 5" in seen.text


async def test_a_failed_start_stops_renewing_itself():
    steps = sample.STARTING.progress
    assert steps is not None
    failed = replace(steps, steps=(*steps.steps[:-1], replace(steps.steps[-1], state="failed")))

    async with browser(sample.SampleData(replace(sample.STARTING, progress=failed))) as client:
        page = (await client.get("/en/")).text

    assert "http-equiv" not in page
    assert "The start has stopped." in page


async def test_an_empty_node_says_what_will_appear_instead_of_showing_empty_tables():
    async with browser(sample.SampleData(sample.m.Home(sample.NOW, sample.CENTRE, synthetic=False))) as client:
        page = (await client.get("/en/")).text

    assert "Nobody has used anything yet." in page
    assert "<table" not in page
    assert "Synthetic data" not in page


async def test_what_others_wrote_is_text_and_never_markup_or_a_script_link():
    hostile = sample.m.Name('<script>alert("x")</script>', "<b>")
    member = replace(sample.MEMBERS[0], name=hostile, node_url="javascript:alert(1)", node="<i>nut</i>")
    line = replace(sample.AGREEMENTS[0], title=hostile, url="//elsewhere.example/")
    use = replace(sample.USES[1], title=hostile, agreement_url="data:text/html,x")

    home = replace(sample.HOME, members=(member,), agreements=(line,), uses=(use,))
    async with browser(sample.SampleData(home)) as client:
        page = (await client.get("/")).text

    seen = Seen(page)
    assert all(str(found.get("src")).startswith("/static/") for tag, found in seen.tags if tag == "script")
    assert '<script>alert("x")</script>' in seen.text
    assert "<i>nut</i>" in seen.text
    links = [found.get("href") or "" for tag, found in seen.tags if tag == "a"]
    assert not [link for link in links if link.startswith(("javascript:", "data:", "//"))]


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("/agreements/zz", "agreement-not-here"),
        ("/en/agreements/" + "0" * 64, "agreement-not-here"),
        ("/records/" + "0" * 64, "record-not-here"),
        ("/nowhere", "no-such-page"),
    ],
)
async def test_an_address_with_nothing_behind_it_is_a_page_that_says_so(visitor: Browser, address: str, kind: str):
    page = await visitor.get(address)

    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert f"urn:lienthong:problem:{kind}" in page.text


async def test_the_short_english_address_leads_to_the_english_front_page(visitor: Browser):
    assert (await visitor.get("/en")).url.path == "/en/"


async def test_the_stylesheet_is_served_and_loads_nothing_itself(visitor: Browser):
    style = await visitor.get("/static/portal.css")

    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text
    assert "@import" not in style.text


async def test_static_files_do_not_reach_outside_their_folder(visitor: Browser):
    neighbour = Path(app.__file__)

    assert neighbour.parent == STATIC_FOLDER.parent
    assert (await visitor.get(f"/static/..%2f{neighbour.name}")).status_code == 404


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _schemes() -> dict[str, dict[str, str]]:
    style = (STATIC_FOLDER / "portal.css").read_text()
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    )
    return {"light": light, "dark": light | dark}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_every_ground_it_stands_on(scheme: str):
    """WCAG 2.2 AA: 4.5 to 1 for text."""
    tokens = _schemes()[scheme]
    pairs = [(ink, ground) for ink in ("ink", "soft", "accent-ink") for ground in ("paper", "surface", "accent-wash")]
    pairs += [(ink, ground) for ink in ("good", "warn", "bad") for ground in ("paper", "surface")]
    pairs += [("warn", "warn-wash"), ("paper", "accent")]

    for ink, ground in pairs:
        darker, lighter = sorted((_luminance(tokens[ink]), _luminance(tokens[ground])))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (scheme, ink, ground)
