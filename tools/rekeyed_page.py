"""Write ``docs/rekeyed.md``, a real table carried from 63 provinces to 34, and its two maps: ``--write``.

The table is counted from the packaged register of units: communes, wards and towns of each province on the last day of
the three-level model.  So nothing is copied, and the page can be made again on any machine.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

from lienthong.law.figures import commune_place
from lienthong.law.successions import successors
from lienthong.law.units import LAST_OLD_DAY, REFORM, units_on
from lienthong.linkage.rekey import Figures, Rekeyed, rekey
from lienthong.portal.maps import BORDER, COLOURS, INK, map_specification

PAGE: Final = Path("docs/rekeyed.md")
PICTURES: Final = Path("docs/pictures")
DAY: Final = date(2026, 11, 23)
STEPS_BEFORE: Final = (120, 160, 200, 300)
STEPS_AFTER: Final = (200, 300, 400, 500)
FIGURES: Final = Figures("ma", sums=("cap_xa", "phuong"), means=(("ty_le_phuong", "cap_xa"),))
SCALE: Final = 1.4


@cache
def table() -> tuple[dict[str, str], ...]:
    """By old province: its communes of all kinds, how many of them are wards, and their share in percent."""
    districts = {unit.code: unit for unit in units_on("district", LAST_OLD_DAY)}
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for commune in units_on("commune", LAST_OLD_DAY):
        province = districts[commune.parent or ""].parent if commune.parent in districts else commune.parent
        kinds[province or ""][commune.kind] += 1
    return tuple(
        {
            "ma": province.code,
            "ten": province.name,
            "cap_xa": str(counted.total()),
            "phuong": str(counted["phường"]),
            "ty_le_phuong": f"{100 * counted['phường'] / counted.total():.4f}",
        }
        for province in units_on("province", LAST_OLD_DAY)
        if (counted := kinds[province.code])
    )


@cache
def carried() -> Rekeyed:
    """The same by the provinces of today."""
    return rekey(table(), FIGURES, LAST_OLD_DAY, REFORM, "whole")


def page() -> str:
    """The page's text."""
    total = {each.column: each for each in carried().totals}
    names = {row["ma"]: row["ten"] for row in table()}
    lines = [
        "# One table, 63 provinces and 34",
        "",
        "Written by `python tools/rekeyed_page.py --write`. The table is real: communes, wards and towns (*đơn vị",
        "hành chính cấp xã*) that each province had on 30 June 2025, the last day of three levels, counted from the",
        "packaged register. It is carried to the 34 provinces of 1 July 2025 as any table of figures is:",
        "",
        "```sh",
        "lienthong rekey cap-xa.csv --code-column ma --from 2025-06-30 --to 2025-07-01 \\",
        "  --sum cap_xa,phuong --mean ty_le_phuong:cap_xa",
        "```",
        "",
        "| | before | after | left out | by assumption |",
        "|---|--:|--:|--:|--:|",
        *(
            f"| {column} | {total[column].before:,} | {total[column].after:,} | {total[column].lost:,} |"
            f" {total[column].assumed:,} |"
            for column in FIGURES.sums
        ),
        f"| rows | {len(table())} | {len(carried().rows)} | {len(carried().lost)} | 0 |",
        "",
        "Every province of the 63 lies whole in one of the 34, so nothing rests on an assumption; the share of wards",
        "is the mean of the old shares weighted by the number of communes, which is the same as counting anew.",
        "",
        "| before: 63 provinces, a circle each | after: 34 provinces |",
        "|---|---|",
        "| ![Communes of each of 63 provinces](pictures/rekeyed-before.png)"
        " | ![Carried to 34 provinces](pictures/rekeyed-after.png) |",
        "",
        "Only the shapes of the 34 are packaged, so the 63 are circles where their communes lie; the land behind",
        "them is today's. Hoàng Sa (thành phố Đà Nẵng) and Trường Sa (tỉnh Khánh Hòa) are on every map.",
        "",
        "## After",
        "",
        "| code | province | communes before the reform | of them wards | share of wards | made of |",
        "|---|---|--:|--:|--:|---|",
    ]
    for row in carried().rows:
        made_of = ", ".join(f"{code} {names[code]}" for code in row["sources"].split())
        share = f"{float(row['ty_le_phuong']):.1f} %"
        lines.append(f"| {row['ma']} | {row['unit_name']} | {row['cap_xa']} | {row['phuong']} | {share} | {made_of} |")
    lines += [
        "",
        "## Before",
        "",
        "| code | province | communes | of them wards | share of wards |",
        "|---|---|--:|--:|--:|",
    ]
    for row in table():
        share = f"{float(row['ty_le_phuong']):.1f} %"
        lines.append(f"| {row['ma']} | {row['ten']} | {row['cap_xa']} | {row['phuong']} | {share} |")
    return "\n".join(lines) + "\n"


def after_map() -> dict[str, Any]:
    """The figures of the 34 provinces."""
    figures = {row["ma"]: float(row["cap_xa"]) for row in carried().rows}
    return map_specification(
        figures, DAY, title="34 tỉnh, thành phố (từ 1/7/2025)", legend="Số đơn vị cấp xã cũ", language="vi",
        steps=STEPS_AFTER,
    )  # fmt: skip


def before_map() -> dict[str, Any]:
    """The figures of the 63 provinces, circles over the land."""
    made = map_specification(
        {}, DAY, title="63 tỉnh, thành phố (đến 30/6/2025)", legend="", language="vi", none="không có ranh giới cũ"
    )
    country = made["hconcat"][0]
    country["layer"][0]["encoding"]["fill"]["legend"] = None
    labels = [f"đến {STEPS_BEFORE[0] - 1}", *(f"từ {step}" for step in STEPS_BEFORE)]
    points = [
        {
            "lon": lon, "lat": lat, "n": float(row["cap_xa"]),
            "class": labels[sum(float(row["cap_xa"]) >= step for step in STEPS_BEFORE)],
        }
        for row in table()
        for lat, lon in (place_of(row["ma"]),)
    ]  # fmt: skip
    country["layer"].append(
        {
            "data": {"values": points},
            "mark": {"type": "circle", "stroke": BORDER, "strokeWidth": 0.8, "opacity": 0.95},
            "encoding": {
                "longitude": {"field": "lon", "type": "quantitative"},
                "latitude": {"field": "lat", "type": "quantitative"},
                "size": {"field": "n", "type": "quantitative", "legend": None, "scale": {"range": [40, 420]}},
                "color": {
                    "field": "class", "type": "nominal", "scale": {"domain": labels, "range": list(COLOURS)},
                    "legend": {
                        "title": "Số đơn vị cấp xã", "orient": "none", "legendX": 0, "legendY": 310,
                        "labelColor": INK, "titleColor": INK,
                    },
                },
            },
        }
    )  # fmt: skip
    return made


def place_of(province: str) -> tuple[float, float]:
    """The middle of the places of today's communes that hold the old province's."""
    places = [commune_place(code) for code in sorted(_communes_of()[province])]
    return sum(each.lat for each in places) / len(places), sum(each.lon for each in places) / len(places)


@cache
def _communes_of() -> dict[str, set[str]]:
    """Old province -> codes of today's communes that hold its own."""
    districts = {unit.code: unit for unit in units_on("district", LAST_OLD_DAY)}
    found: dict[str, set[str]] = defaultdict(set)
    for commune in units_on("commune", LAST_OLD_DAY):
        district = districts.get(commune.parent or "")
        province = district.parent if district else commune.parent
        found[province or ""].update(each.unit.code for each in successors(commune.code, REFORM))
    return found


def main() -> None:
    """Write, or say whether the page is as it should be."""
    if "--write" not in sys.argv:
        sys.exit(0 if PAGE.read_text("utf-8") == page() else f"{PAGE} is out of date: --write")
    import vl_convert

    PAGE.write_text(page(), "utf-8")
    for name, specification in (("rekeyed-before", before_map()), ("rekeyed-after", after_map())):
        drawn = vl_convert.vegalite_to_png(specification, scale=SCALE)
        (PICTURES / f"{name}.png").write_bytes(drawn)


if __name__ == "__main__":
    main()
