"""The page with a real table carried from 63 provinces to 34 says what the packaged register and ``rekey`` say."""

from __future__ import annotations

import re
from decimal import Decimal

from lienthong.law.units import REFORM, units_on
from tools import rekeyed_page


def test_the_page_is_what_the_register_counts():
    assert rekeyed_page.PAGE.read_text("utf-8") == rekeyed_page.page(), "python tools/rekeyed_page.py --write"


def test_sixty_three_rows_become_thirty_four_with_their_totals():
    made = rekeyed_page.carried()

    assert (len(rekeyed_page.table()), len(made.rows), made.lost) == (63, 34, ())
    assert {row["ma"] for row in made.rows} == {unit.code for unit in units_on("province", REFORM)}
    for total in made.totals:
        assert total.before == total.after
        assert total.lost == total.assumed == 0


def test_a_weighted_share_is_what_counting_anew_gives():
    for row in rekeyed_page.carried().rows:
        anew = 100 * Decimal(row["phuong"]) / Decimal(row["cap_xa"])
        assert abs(Decimal(row["ty_le_phuong"]) - anew) < Decimal("0.0001")


def test_both_maps_are_there_and_hold_both_archipelagos():
    for name in re.findall(r"\(pictures/([a-z-]+\.png)\)", rekeyed_page.page()):
        assert (rekeyed_page.PICTURES / name).stat().st_size > 10_000
    for drawn in (rekeyed_page.before_map(), rekeyed_page.after_map()):
        titles = [inset["title"]["text"] for inset in drawn["hconcat"][1]["vconcat"]]
        assert titles == ["Quần đảo Hoàng Sa", "Quần đảo Trường Sa"]
    assert len(rekeyed_page.before_map()["hconcat"][0]["layer"][1]["data"]["values"]) == 63
