"""Writes ``law/holidays.toml``: Vietnamese public holidays, exchanged days off and the Saturdays worked for them.

    python tools/holidays_vn.py src/lienthong/law/holidays.toml

The days come from PyPI's ``holidays``: announced ones up to ``ANNOUNCED``, later ones computed from the Labour Code and
the lunar calendar, to be written again each year when the Government has announced its exchange of days (R-38).
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import holidays

FIRST, ANNOUNCED, LAST = 2025, 2026, 2031
HEAD = """\
# Days off and exchanged working days of bodies of the State, written by tools/holidays_vn.py.
#
#   off          days off that are no Saturday and no Sunday, and those that are
#   worked       Saturdays and Sundays worked in exchange
#   announced    true: the source holds the exchange of days announced for the year; false: computed
"""
BASIS = "BLLĐ 45/2019/QH14, Đ112; các ngày theo gói holidays 0.109"


def main(target: Path) -> None:
    """Write the file."""
    parts = [HEAD]
    for year in range(FIRST, LAST + 1):
        known = holidays.country_holidays("VN", years=year)
        off = sorted(day for day in known if day.year == year)
        worked = sorted(day for day in known.weekend_workdays if day.year == year)
        parts.append(
            f"""
[[year]]
year = {year}
off = [{_days(off)}]
worked = [{_days(worked)}]
legal_basis = "{BASIS}"
announced = {str(year <= ANNOUNCED).lower()}
"""
        )
    target.write_text("".join(parts), "utf-8")


def _days(days: list[date]) -> str:
    return ", ".join(day.isoformat() for day in days)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
