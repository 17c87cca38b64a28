"""``/components``: every part that pages are made of, in all its states, for whoever makes a page and for the tests."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from lienthong.i18n import T, translate
from lienthong.portal.forms import Form
from lienthong.portal.models import Name
from lienthong.portal.sheet import Mark, Row, Sheet, columns_of, part_of
from lienthong.portal.shell import Pages, Shell, both
from lienthong.web import page_language

TITLE: Final = T("Parts of these pages")
_NAMES: Final = (
    Name("Nguyễn Thị Quỳnh Nga", "Nguyễn Thị Quỳnh Nga"),
    Name("Đặng Thuỳ Dương", "Đặng Thuỳ Dương"),
    Name("Ủy ban nhân dân xã Đắk Ơ", "People's Committee of Đắk Ơ commune"),
)
_MARKS: Final = (
    Mark("good", T("Done"), "done"),
    Mark("warn", T("Waiting"), "waiting"),
    Mark("bad", T("Refused"), "refused"),
)


def component_pages(shell: Shell) -> Pages:
    """The page, as a module of the portal."""

    async def components(request: Request) -> Response:
        form = Form({"name": ("",), "day": ("31/2/2026",), "why": ("Ô nhiễm nguồn nước\nở thôn Đoài",)})
        form.text("name")
        form.day("day")
        language = page_language(request)
        sheet = Sheet("mau", T("A table"), COLUMNS, ROWS, datetime(2026, 7, 1, 2, 30, tzinfo=UTC))
        return shell.page(
            request, "components.html", title=translate(TITLE, language), form=form, sheet=sheet, part=part_of(sheet, 1)
        )

    return Pages(both("/components", components))


COLUMNS: Final = columns_of(
    ("name", T("Full name")),
    ("code", T("Code"), "code"),
    ("state", T("State")),
    ("uses", T("Uses"), "figure"),
    ("from", T("From")),
)
ROWS: Final = tuple(
    Row((name, f"H24.{place}", mark, 1_234_567 * place, date(2026, place, 9)), "/components")
    for place, (name, mark) in enumerate(zip(_NAMES, _MARKS, strict=True), start=1)
)
