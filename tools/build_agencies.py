"""Build the reference data of agency codes from typed facts and the shipped list of provinces.

    python tools/build_agencies.py            write src/lienthong/law/data/agencies.tsv and legacy_codes.tsv
    python tools/build_agencies.py --check    compare with what is there; status 1 when anything differs

The name rule of QĐ 09/2025 is applied here: a province of 2025 keeps the code of the old province of its name, every
other code of a merged province is closed and points to it.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from lienthong.law.successions import successors
from lienthong.law.text import latin
from lienthong.law.units import LAST_OLD_DAY, REFORM, Unit, readings, units_on

HERE = Path(__file__).parent
OUTPUT = HERE.parent / "src" / "lienthong" / "law" / "data"
HEADER = "code\tname_vi\tname_en\tkind\tparent\tvalid_from\tvalid_to\tsuccessor\tstatistics_code\tverified\tlegal_basis"


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--check", action="store_true", help="compare instead of writing")
    only_check = arguments.parse_args().check
    built = build(tomllib.loads((HERE / "agency_facts.toml").read_text("utf-8")))
    different = [name for name, text in built.items() if _present(name) != text.encode()]
    if only_check:
        print(f"differs: {', '.join(different)}" if different else f"{len(built)} files are as built")
        return 1 if different else 0
    for name, text in built.items():
        (OUTPUT / name).write_bytes(text.encode())
        print(f"{name}: {text.count(chr(10)) - 1} rows, {len(text.encode())} bytes")
    return 0


def build(facts: dict[str, Any]) -> dict[str, str]:
    """File name -> text."""
    agencies = [*_provinces(facts), *_bodies(facts)]
    top = sorted({line.split("\t", 1)[0] for line in agencies if "." not in line.split("\t", 1)[0]})
    legacy = [*facts["legacy"], *([f"000.00.00.{code}", code] for code in top)]
    seen = facts["verified_legacy"]
    return {
        "agencies.tsv": _table(HEADER, agencies),
        "legacy_codes.tsv": _table(
            "legacy\tcode\tverified", (f"{old}\t{code}\t{int(old in seen)}" for old, code in legacy)
        ),
    }


def _provinces(facts: dict[str, Any]) -> Iterator[str]:
    code_of = {name: code for code, name in facts["provinces"]}
    old = {unit.name: unit for unit in units_on("province", LAST_OLD_DAY)}
    new = {unit.name: unit for unit in units_on("province", REFORM)}
    if code_of.keys() != old.keys():
        raise SystemExit(f"provinces without a code or codes without a province: {code_of.keys() ^ old.keys()}")
    since = date.fromisoformat(facts["codes_since"])
    for name, code in code_of.items():
        verified = code in facts["verified_provinces"]
        (target,) = successors(old[name].code, REFORM)
        stays = name in new
        for reading in readings(old[name].code, "province"):
            if reading.stood_on(LAST_OLD_DAY) or (reading.valid_to or LAST_OLD_DAY) < LAST_OLD_DAY:
                successor = "" if stays or reading.valid_to != LAST_OLD_DAY else code_of[target.unit.name]
                basis = facts["codes_basis"] if stays else facts["closing_basis"]
                first = reading.valid_from or since
                yield _line(code, reading, first, reading.valid_to, successor, verified=verified, basis=basis)
        if stays:
            for reading in readings(new[name].code, "province"):
                if reading.valid_from is not None and reading.valid_from >= REFORM:
                    basis = facts["closing_basis"]
                    yield _line(code, reading, reading.valid_from, reading.valid_to, "", verified=verified, basis=basis)


def _line(code: str, unit: Unit, first: date, last: date | None, successor: str, *, verified: bool, basis: str) -> str:
    name_vi = f"Ủy ban nhân dân {unit.kind} {unit.name}"
    name_en = f"People's Committee of {latin(unit.name)} {'City' if unit.kind == 'thành phố' else 'Province'}"
    days = (first.isoformat(), last.isoformat() if last else "")
    return "\t".join((code, name_vi, name_en, "province", "", *days, successor, unit.code, str(int(verified)), basis))


def _bodies(facts: dict[str, Any]) -> Iterator[str]:
    for code, name_vi, name_en, kind, first, last, successor, verified in facts["bodies"]:
        parent = code.rpartition(".")[0]
        bases = [facts["codes_basis"]] + ([facts["reform_basis"]] if first or last else [])
        days = (first or facts["codes_since"], last)
        yield "\t".join(
            (code, name_vi, name_en, kind, parent, *days, successor, "", str(int(verified)), "; ".join(bases))
        )


def _table(header: str, lines: Iterable[str]) -> str:
    return "\n".join((header, *sorted(lines))) + "\n"


def _present(name: str) -> bytes | None:
    path = OUTPUT / name
    return path.read_bytes() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
