"""The portal is installable, and what is typed while the network is away is kept and sent once when it is back."""

from __future__ import annotations

import json
import struct
from typing import Any

from lienthong.cases import queries
from lienthong.portal.app import STATIC_FOLDER
from lienthong.portal.feedback import feedback_pages
from lienthong.portal.installed import installed_pages
from lienthong.storage.pool import reading
from lienthong.storage.provision import DatabaseDsns
from tests.cases.build import OWNER
from tests.identity.portal import Small, small_portal
from tests.portal.axe import AXE, breaches, open_chromium

SENT_S = 120_000
CONTROLLED = "() => navigator.serviceWorker.ready.then(() => !!navigator.serviceWorker.controller)"
WORDS = "Trang này thiếu bảng theo xã"


def modules(small: Small) -> list[Any]:
    return [feedback_pages(small.pool, OWNER), installed_pages()]


async def kept(small: Small) -> list[str]:
    async with reading(small.pool) as db:
        return [each.text for each in await queries.cases_of_owner(db, OWNER, ended=False, before=None, most=9)]


async def test_the_manifest_names_icons_that_are_there_and_the_worker_may_load_our_own_files_alone(
    emptied: DatabaseDsns,
):
    async with small_portal(emptied.app, more=modules) as small:
        browser = small.browser()
        told = json.loads((await browser.get("/manifest.webmanifest")).text)
        for icon in told["icons"][:2]:
            drawn = (await browser.get(icon["src"])).content
            assert "x".join(map(str, struct.unpack(">II", drawn[16:24]))) == icon["sizes"]
        worker = await browser.get("/worker.js")
        assert "VERSION" not in worker.text
        assert worker.headers["content-security-policy"] == "default-src 'none'; script-src 'self'; connect-src 'self'"
        page = (await browser.get("/feedback")).text
        assert '<link rel="manifest" href="/manifest.webmanifest">' in page
        assert "draftstore.js" not in page, "only where drafts are"
    assert sum((STATIC_FOLDER / name).stat().st_size for name in ("install.js", "worker.js", "draftstore.js")) < 10_000


async def test_what_is_typed_while_the_network_is_away_is_kept_shown_and_sent_once(emptied: DatabaseDsns):
    async with open_chromium() as chromium:
        context = await chromium.new_context(viewport={"width": 360, "height": 740}, locale="vi-VN")
        await context.add_init_script(AXE)
        page = await context.new_page()
        async with small_portal(emptied.app, more=modules) as small:
            await page.goto(f"{small.url}/unsent")
            await page.wait_for_function(CONTROLLED, timeout=SENT_S)
            await page.goto(f"{small.url}/feedback?page=/members")
            await page.fill("textarea[name=text]", WORDS)
            port = int(small.url.rsplit(":", 1)[1])
        # The node is away: the form leads to the page of what was not sent, with what was typed.
        await page.click("main button.main")
        await page.wait_for_selector("li[data-state=waiting]", timeout=SENT_S)
        assert WORDS in await page.inner_text("[data-drafts]")
        assert await breaches(page) == []
        await page.goto(f"http://127.0.0.1:{port}/members")
        assert page.url.endswith("/members"), "any page leads there while the node is away"
        await page.wait_for_selector("li[data-state=waiting]", timeout=SENT_S)

        async with small_portal(emptied.app, more=modules, port=port) as small:
            assert await kept(small) == []
            await page.goto(f"{small.url}/unsent")
            await page.wait_for_selector("li[data-state=sent]", timeout=SENT_S)
            for _ in range(3):
                await page.reload()
                await page.wait_for_selector("li[data-state=sent]", timeout=SENT_S)
            assert await kept(small) == [WORDS]
            assert WORDS not in await page.inner_text("[data-drafts]"), "what was sent is kept no more"

            # One that was filled in under another session is looked at by its writer, who loses nothing.
            await page.goto(f"{small.url}/feedback")
            await page.fill("textarea[name=text]", "Lần hai")
            await page.eval_on_selector("main input[name=token]", "field => { field.value = '0'.repeat(64) }")
        await page.click("main button.main")
        await page.wait_for_selector("li[data-state=waiting]", timeout=SENT_S)
        async with small_portal(emptied.app, more=modules, port=port) as small:
            await page.goto(f"{small.url}/unsent")
            await page.click("li[data-state=look] button", timeout=SENT_S)
            await page.wait_for_selector("textarea[name=text]", timeout=SENT_S)
            assert await page.input_value("textarea[name=text]") == "Lần hai"
            await page.click("main button.main")
            await page.wait_for_url("**/feedback/*", timeout=SENT_S)
            assert sorted(await kept(small)) == sorted([WORDS, "Lần hai"])
        await context.close()
