"""A picture of every page, as its reader sees it: ``tools/pictures.py docs/pictures`` writes them, and docs/pages.md.

Starts the demo country in a folder of its own, signs in as each made-up person and follows links from page to page; of
pages that differ only in an identifier the first one is taken.  Needs Chromium and takes some minutes.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from lienthong.demo.country import HAI_PHONG, POPULATION
from lienthong.demo.run import Demo
from lienthong.demo.staff import demo_password
from lienthong.verify import verify_receipt

WIDTH, MOST_HEIGHT = 1100, 1700
MOST_PAGES: Final = 60
"""Of one person: links may lead on and on."""
ARGS: Final = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
READERS: Final = (
    ("", "", "Whoever comes"),
    ("", "dieuphoi", "Coordinator of the national node"),
    (POPULATION, "canbo", "Data officer of the ministry"),
    (HAI_PHONG, "canbo", "Data officer of the city"),
    (HAI_PHONG, "tracuu", "Case officer of the city"),
    (HAI_PHONG, "tichhop", "Integrator of the city"),
    (HAI_PHONG, "vanhanh1", "Operator of the city's node"),
    (HAI_PHONG, "kiemtra", "Auditor of the city"),
)
"""Member whose node is read (none: the national one), login, and who that is."""
NO_PAGES: Final = (
    r"^/(en|v1|static|log/|logout|livez|readyz|directory/current|openapi)|\.(xlsx|csv|json|svg|png|geojson|txt)$"
)
_SHOW_IMAGES: Final = """Promise.race([
  Promise.all([...document.images].map(image => { image.loading = "eager"; return image.decode().catch(() => null) })),
  new Promise(done => setTimeout(done, 5000)),
])"""
"""Images below the fold are fetched when they come into sight: fetched here before the picture is taken."""
_HEAD: Final = """# Every page, as its reader sees it

Made by `python tools/pictures.py docs/pictures` from the demo country, whose data is synthetic. Each page also exists
in English (`/en/…`), in dark colours and for a phone; the tests look at all of them, this list shows the first.
"""


@dataclass(slots=True)
class Album:
    """What was taken so far."""

    folder: Path
    taken: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Pattern of the address -> picture, and its caption."""

    def wants(self, address: str) -> bool:
        """Whether no page of this kind has been taken."""
        return pattern(address) not in self.taken

    def take(self, page: Page, reader: str) -> None:
        """Take the page that is open."""
        kind = pattern(page.url)
        name = re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-") or "home"
        height = min(MOST_HEIGHT, int(page.evaluate("document.documentElement.scrollHeight")))
        page.set_viewport_size({"width": WIDTH, "height": max(600, height)})
        page.evaluate(_SHOW_IMAGES)
        page.screenshot(path=self.folder / f"{name}.jpg", type="jpeg", quality=55)
        self.taken[kind] = f"{name}.jpg", f"{page.title()} · {reader}"

    def write(self, listing: Path) -> None:
        """The list of all pages."""
        lines = [_HEAD]
        for kind, (picture, caption) in sorted(self.taken.items()):
            lines += [f"## `{kind}`", "", caption, "", f"![{caption}]({self.folder.name}/{picture})", ""]
        listing.write_text("\n".join(lines), encoding="utf-8")


def pattern(address: str) -> str:
    """The address with what names one thing among many left out."""
    parts = [part for part in urlsplit(address).path.split("/") if part]
    plain = [part if re.fullmatch(r"[a-z][a-z_.-]*", part) else "…" for part in parts]
    return "/" + "/".join(
        part for number, part in enumerate(plain) if part != "…" or plain[number - 1 : number] != ["…"]
    )


def signed_in(browser: Browser, base: str, login: str, password: str) -> BrowserContext:
    """A browser of its own, signed in unless ``login`` is empty."""
    context = browser.new_context(viewport={"width": WIDTH, "height": 800}, locale="vi-VN")
    if login:
        page = context.new_page()
        page.goto(f"{base}/login/staff")
        page.fill("#f-login", login)
        page.fill("#f-password", password)
        page.click("form[action$='/login/staff'] button")
        page.wait_for_load_state()
        page.close()
    return context


def walk(context: BrowserContext, base: str, reader: str, album: Album) -> None:
    """Follow the links of one reader from the front page."""
    page = context.new_page()
    ahead, seen = deque([f"{base}/"]), {"/"}
    looked = 0
    while ahead and looked < MOST_PAGES:
        address = ahead.popleft()
        answer = page.goto(address)
        if answer is None or answer.status != 200 or "html" not in str(answer.headers.get("content-type")):
            continue
        looked += 1
        if album.wants(page.url):
            album.take(page, reader)
        for link in page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))"):
            to = urljoin(page.url, str(link)).partition("#")[0]
            kind = pattern(to)
            if to.startswith(base + "/") and not re.search(NO_PAGES, urlsplit(to).path):
                if kind not in seen:
                    ahead.append(to)
                seen.add(kind)
    page.close()


def main() -> int:
    """Take all pictures; exit status 1 when Chromium is missing."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("Chromium is needed: apt-get install chromium", file=sys.stderr)
        return 1
    album = Album(Path(sys.argv[1]))
    data = Path(tempfile.mkdtemp(prefix="lt-pictures-"))
    country = Demo(data, 2_000, 0, "vi", lambda receipt: verify_receipt(receipt).ok, quiet=True)
    try:
        country.start()
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=list(ARGS))
            for member, login, reader in READERS:
                site = next(
                    s for s in country.sites if (s.actor.member.id == member if member else s.settings.national)
                )
                base = f"http://127.0.0.1:{site.settings.public_port}"
                context = signed_in(browser, base, login, demo_password(data))
                walk(context, base, reader, album)
                context.close()
            browser.close()
    finally:
        country.stop()
        shutil.rmtree(data, ignore_errors=True)
    album.write(album.folder.parent / "pages.md")
    print(f"{len(album.taken)} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
