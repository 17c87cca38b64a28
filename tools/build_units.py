"""Build the reference data of administrative units that the program ships, from a published package and typed facts.

    python tools/build_units.py            write src/lienthong/law/data/
    python tools/build_units.py --check    compare with what is there; status 1 when anything differs

Sources: the PyPI package ``vietnamadminunits`` (MIT) and ``unit_facts.toml`` beside this file, which puts the package
right and carries the changes since.  The result is sorted text, the same bytes each time; totals that the law
states are checked before anything is written.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sqlite3
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from lienthong.law.text import fold, placed_tones

HERE = Path(__file__).parent
OUTPUT = HERE.parent / "src" / "lienthong" / "law" / "data"
REFORM = date(2025, 7, 1)
LAST_OLD_DAY = REFORM - timedelta(days=1)
PROVINCE_KINDS = ("thành phố", "tỉnh")
DISTRICT_KINDS = ("quận", "huyện", "thị xã", "thành phố")
COMMUNE_KINDS = ("phường", "xã", "thị trấn", "đặc khu")


class Mismatch(Exception):
    """The package or the typed facts do not say what the build relies on."""


@dataclass(frozen=True, slots=True)
class Row:
    """One reading of one code: a line of a units file."""

    code: str
    kind: str
    name: str
    parent: str
    valid_from: date | None
    valid_to: date | None
    basis: str
    end_basis: str
    continues: bool = False

    def line(self) -> str:
        first = self.valid_from.isoformat() if self.valid_from else ""
        last = self.valid_to.isoformat() if self.valid_to else ""
        parts = (self.code, self.kind, self.name, self.parent, first, last, self.basis, self.end_basis)
        return "\t".join((*parts, "1" if self.continues else ""))


UNIT_HEADER = "code\tkind\tname\tparent\tvalid_from\tvalid_to\tbasis\tend_basis\tcontinues"


class Package:
    """What the package says, in official codes."""

    def __init__(self, folder: Path) -> None:
        database = sqlite3.connect(f"file:{folder / 'dataset.db'}?mode=ro", uri=True)
        database.row_factory = sqlite3.Row
        self.old = [dict(row) for row in database.execute("SELECT * FROM admin_units_legacy")]
        self.new = [dict(row) for row in database.execute("SELECT * FROM admin_units")]
        database.close()
        self._converter: dict[str, dict[str, Any]] = json.loads((folder / "converter_2025.json").read_bytes())

    def edges(self) -> dict[tuple[str, str], bool]:
        """(old code, new code) -> whether the package calls it the default target."""
        old = {"_".join(row[k] or "" for k in ("provinceKey", "districtKey", "wardKey")): row for row in self.old}
        new = {(row["provinceKey"], row["wardKey"]): row["wardCode"] for row in self.new}
        codes = {key: row["wardCode"] or row["districtCode"] for key, row in old.items()}
        found: dict[tuple[str, str], bool] = {}
        for province, communes in self._converter["DICT_PROVINCE_WARD_NO_DIVIDED"].items():
            for commune, sources in communes.items():
                for source in sources:
                    found[codes[source], new[province, commune]] = True
        for province, sources in self._converter["DICT_PROVINCE_WARD_DIVIDED"].items():
            for source, targets in sources.items():
                for target in targets:
                    found[codes[source], new[province, target["newWardKey"]]] = bool(target["isDefaultNewWard"])
        return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--check", action="store_true", help="compare instead of writing")
    only_check = arguments.parse_args().check
    built = build(package_data(), HERE / "unit_facts.toml")
    different = [name for name, text in built.items() if _present(name) != text.encode()]
    if only_check:
        print(f"differs: {', '.join(different)}" if different else f"{len(built)} files are as built")
        return 1 if different else 0
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for name, text in built.items():
        (OUTPUT / name).write_bytes(text.encode())
        print(f"{name}: {text.count(chr(10)) - 1} rows, {len(text.encode())} bytes")
    return 0


def package_data() -> Path:
    """The data folder of the installed package, found without importing it (its import pulls in a geocoder)."""
    spec = importlib.util.find_spec("vietnamadminunits")
    if spec is None or spec.origin is None:
        raise Mismatch("the package vietnamadminunits is not installed")
    return Path(spec.origin).parent / "data"


def build(package_folder: Path, facts_file: Path) -> dict[str, str]:
    """File name -> text.  Raises Mismatch when the sources contradict the totals or each other."""
    package, facts = Package(package_folder), tomllib.loads(facts_file.read_text("utf-8"))
    resolutions = dict[str, str](facts["commune_resolutions"])
    new_communes = _changed(list(_new_communes(package, resolutions)), facts)
    provinces = _changed(list(_provinces(package, facts)), facts)
    districts = list(_districts(package))
    old_communes = [*_old_communes(package, resolutions), *_earlier_communes(facts)]
    edges = _edges(package, facts)
    _check_codes(new_communes, facts)
    _check_totals(provinces, new_communes, facts)
    _check_old(provinces, districts, old_communes, edges, new_communes, facts)
    return {
        "legal_bases.tsv": _table("id\tcitation\tissued", _legal_bases(facts)),
        "provinces.tsv": _table(UNIT_HEADER, (row.line() for row in provinces)),
        "districts.tsv": _table(UNIT_HEADER, (row.line() for row in districts)),
        "communes.tsv": _table(UNIT_HEADER, (row.line() for row in new_communes)),
        "communes_until_2025.tsv": _table(UNIT_HEADER, (row.line() for row in old_communes)),
        "successions.tsv": _table("old\tnew\tdefault", (f"{a}\t{b}\t{int(d)}" for (a, b), d in edges.items())),
        "province_successions.tsv": _table(
            "old\tnew",
            (
                *(f"{old}\t{new}" for old, new in _province_successions(package).items()),
                *(f"{code}\t{since}" for code, *_, since in facts["ended_provinces"]),
            ),
        ),
        "earlier_names.tsv": _table("level\tcode\tkeys", _earlier_names(package)),
        "commune_places.tsv": _table("code\tarea_km2\tlat\tlon", _places(package)),
        "province_figures.tsv": _table(
            "code\tarea_km2\tregistered_population\tsource",
            (f"{code}\t{area}\t{people}\t{facts['figures_source']}" for code, area, people in facts["figures"]),
        ),
    }


def _provinces(package: Package, facts: dict[str, Any]) -> Iterable[Row]:
    renamed = {code: change for code, *change in facts["renamed_provinces"]}
    for code, full in {row["provinceCode"]: row["province"] for row in package.old}.items():
        kind, name = _kind_and_name(full, PROVINCE_KINDS)
        old = Row(code, kind, name, "", None, LAST_OLD_DAY, "124", "202")
        if code in renamed:
            before_kind, before_name, text, basis = renamed[code]
            day = date.fromisoformat(text)
            last = day - timedelta(days=1)
            yield replace(old, kind=before_kind, name=before_name, valid_to=last, end_basis=basis)
            old = replace(old, valid_from=day, basis=basis, continues=True)
        yield old
    for code, kind, name, last_day, basis, _ in facts["ended_provinces"]:
        yield Row(code, kind, name, "", None, date.fromisoformat(last_day), "124", basis)
    for code, full in {row["provinceCode"]: row["province"] for row in package.new}.items():
        kind, name = _kind_and_name(full, PROVINCE_KINDS)
        yield Row(code, kind, name, "", REFORM, None, "202", "")


def _districts(package: Package) -> Iterable[Row]:
    seen = {row["districtCode"]: (row["district"], row["provinceCode"]) for row in package.old}
    for code, (full, province) in seen.items():
        kind, name = _kind_and_name(full, DISTRICT_KINDS)
        yield Row(code, kind, name, province, None, LAST_OLD_DAY, "124", "203")


def _old_communes(package: Package, resolutions: dict[str, str]) -> Iterable[Row]:
    new_province = _province_successions(package)
    for row in package.old:
        if row["wardCode"] is None:  # the five island districts had no communes
            continue
        kind, name = _kind_and_name(row["ward"], COMMUNE_KINDS)
        basis = resolutions[new_province[row["provinceCode"]]]
        yield Row(row["wardCode"], kind, name, row["districtCode"], None, LAST_OLD_DAY, "124", basis)


def _earlier_communes(facts: dict[str, Any]) -> Iterable[Row]:
    last = date.fromisoformat(facts["earlier_communes_last_day"])
    for code, kind, name, province, _ in facts["earlier_communes"]:
        yield Row(code, kind, name, province, None, last, "124", "")


def _earlier_names(package: Package) -> Iterable[str]:
    """Folded names, without spaces, under which a district or commune of 30 Jun 2025 was known before 2025.

    Most are units that were merged into it between 2019 and 2024.  Names it bears itself are left out, as are ``ward1``
    and other words that are no Vietnamese name.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for row in package.old:
        for level, alias, code, own in (
            ("district", row["districtAlias"], row["districtCode"], row["district"]),
            ("commune", row["wardAlias"], row["wardCode"], row["ward"]),
        ):
            if alias and code:
                keys = {key for key in json.loads(alias) if not key.startswith("ward")}
                bare = {*keys, _kind_and_name(own, (*DISTRICT_KINDS, *COMMUNE_KINDS))[1]}
                bare = {fold(key).replace(" ", "") for key in bare}
                known = found.setdefault((level, code), set())
                known.update(key for key in keys if not any(_kind_before(key, name) for name in bare))
    return (f"{level}\t{code}\t{' '.join(sorted(keys))}" for (level, code), keys in sorted(found.items()) if keys)


def _kind_before(key: str, name: str) -> bool:
    """Whether ``key`` is ``name`` itself as the unit bears it now, or with a word of kind written before it."""
    kind = key.removesuffix(name)
    return kind != key and kind in {fold(word).replace(" ", "") for word in (*DISTRICT_KINDS, *COMMUNE_KINDS)} | {
        "tp",
        "tx",
    }


def _new_communes(package: Package, resolutions: dict[str, str]) -> Iterable[Row]:
    for row in package.new:
        # The package's own kind column is wrong for four communes; the kind is read from the full name.
        kind, name = _kind_and_name(row["ward"], COMMUNE_KINDS)
        yield Row(row["wardCode"], kind, name, row["provinceCode"], REFORM, None, resolutions[row["provinceCode"]], "")


def _province_successions(package: Package) -> dict[str, str]:
    """Old province code -> new province code; every old province went whole into one new one."""
    province_of = {row["wardCode"]: row["provinceCode"] for row in package.new}
    old_province = {row["wardCode"] or row["districtCode"]: row["provinceCode"] for row in package.old}
    votes: dict[str, Counter[str]] = {}
    for old, new in package.edges():
        votes.setdefault(old_province[old], Counter())[province_of[new]] += 1
    split = [code for code, found in votes.items() if len(found) > 1]
    if split:
        raise Mismatch(f"provinces with communes in several new provinces: {split}")
    return {code: found.most_common(1)[0][0] for code, found in votes.items()}


def _changed(rows: list[Row], facts: dict[str, Any]) -> list[Row]:
    """``rows`` with the typed changes of kind applied: the open reading is closed, a new one follows it."""
    for text, basis, kind, codes in facts["changes_of_kind"]:
        day = date.fromisoformat(text)
        for index, row in [(i, r) for i, r in enumerate(rows) if r.code in codes and r.valid_to is None]:
            rows[index] = replace(row, valid_to=day - timedelta(days=1), end_basis=basis)
            rows.append(replace(row, kind=kind, valid_from=day, basis=basis, continues=True))
    return rows


def _edges(package: Package, facts: dict[str, Any]) -> dict[tuple[str, str], bool]:
    edges = package.edges()
    for old, new, _ in facts["dropped_edges"]:
        if edges.pop((old, new), None) is None:
            raise Mismatch(f"the package no longer holds {old} -> {new}: take it out of dropped_edges")
    for old, new, _ in facts["added_edges"]:
        if (old, new) in edges:
            raise Mismatch(f"the package now holds {old} -> {new}: take it out of added_edges")
        edges[old, new] = False
    for code, _, _, _, new in facts["earlier_communes"]:
        edges[code, new] = True
    return edges


def _check_codes(communes: list[Row], facts: dict[str, Any]) -> None:
    names = {row.code: row.name for row in communes}
    for code, name, other_code, reason in facts["settled_codes"]:
        if names.get(code) != name or other_code in names:
            raise Mismatch(f"{name} is {code}: {reason}")


def _check_totals(provinces: list[Row], communes: list[Row], facts: dict[str, Any]) -> None:
    for text, *expected in facts["totals"]:
        day = date.fromisoformat(text)
        standing = [row for row in provinces if _stands(row, day)]
        kinds = Counter(row.kind for row in communes if _stands(row, day))
        cities = sum(row.kind == "thành phố" for row in standing)
        found = [len(standing), cities, kinds["xã"], kinds["phường"], kinds["đặc khu"]]
        if found != expected:
            raise Mismatch(f"on {text}: {found}, expected {expected}")


def _check_old(
    provinces: list[Row],
    districts: list[Row],
    old_communes: list[Row],
    edges: dict[tuple[str, str], bool],
    new_communes: list[Row],
    facts: dict[str, Any],
) -> None:
    expected = facts["old_totals"]
    parents = {row.parent for row in old_communes}
    islands = {row.code for row in districts if row.code not in parents}
    found = {
        "provinces": sum(_stands(row, LAST_OLD_DAY) for row in provinces),
        "districts": len(districts),
        "communes": sum(_stands(row, LAST_OLD_DAY) for row in old_communes),
        "island_districts": len(islands),
        "edges": len(edges),
        "mapped": len({old for old, _ in edges}),
    }
    if found != expected:
        raise Mismatch(f"old units: {found}, expected {expected}")
    defaults = Counter(old for (old, _), default in edges.items() if default)
    if {old for old, _ in edges} != {row.code for row in old_communes} | islands or set(defaults.values()) != {1}:
        raise Mismatch("every old unit needs its targets, one of them the default")
    if {new for _, new in edges} != {row.code for row in new_communes}:
        raise Mismatch("every new commune needs an old one")


def _legal_bases(facts: dict[str, Any]) -> Iterable[str]:
    for row in facts["legal_bases"]:
        yield "\t".join(row)
    for _, number in facts["commune_resolutions"]:
        citation = facts["commune_resolutions_citation"].format(number=number)
        yield f"{number}\t{citation}\t{facts['commune_resolutions_issued']}"


def _places(package: Package) -> Iterable[str]:
    for row in package.new:
        area = "" if row["wardAreaKm2"] is None else f"{row['wardAreaKm2']:.2f}"
        yield f"{row['wardCode']}\t{area}\t{row['wardLat']:.4f}\t{row['wardLon']:.4f}"


def _kind_and_name(full: str, kinds: tuple[str, ...]) -> tuple[str, str]:
    """("phường", "Ba Đình") from "Phường Ba Đình"; tone marks in the place of the official lists."""
    clean = placed_tones(full.strip())
    for kind in kinds:
        if clean.lower().startswith(kind + " "):
            name = clean[len(kind) + 1 :].strip()
            return kind, name[0].upper() + name[1:]
    raise Mismatch(f"no known kind of unit in {full!r}")


def _stands(row: Row, day: date) -> bool:
    return (row.valid_from is None or row.valid_from <= day) and (row.valid_to is None or day <= row.valid_to)


def _table(header: str, lines: Iterable[str]) -> str:
    return "\n".join((header, *sorted(lines))) + "\n"


def _present(name: str) -> bytes | None:
    path = OUTPUT / name
    return path.read_bytes() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
