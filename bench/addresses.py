"""How well and how fast addresses become communes: ``python bench/addresses.py [seed] [addresses a spelling]``.

Old and new addresses are drawn from the packaged units in seventeen spellings.  *Right* is the legal target, or all
of them for a divided unit; *asked back* an answer that names them beside others; *none* no answer; *wrong* the rest.
Beside it, on the same old addresses and with the network shut, four packages (``address_packages.py``), for which any
legal target is right.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from lienthong.law.reference import rows
from lienthong.law.successions import successors
from lienthong.law.text import latin
from lienthong.law.units import LAST_OLD_DAY, Unit, units_on
from lienthong.linkage.address import resolve
from lienthong.linkage.gazetteer import gazetteer

DAY = date(2026, 11, 23)
BESIDE = Path(__file__).parent / "address_packages.py"
CLIENTS = Path(__file__).parents[1] / ".venv-clients" / "bin" / "python"
PACKAGES = ("vietnamadminunits", "onflow_location_platform", "vietnam_address_converter", "vn_address_converter")
STREETS = ("12 Lê Lợi", "Số 5 ngõ 10 Trần Phú", "Tổ 3, thôn Đông", "45/2 Nguyễn Văn Cừ", "Ấp 3", "")
SHORT = {
    "phường": "P.", "xã": "X.", "thị trấn": "TT.", "quận": "Q.", "huyện": "H.", "thị xã": "TX.", "thành phố": "TP.",
    "tỉnh": "T.", "đặc khu": "ĐK.",
}  # fmt: skip
NICKNAMES = {"01": ("HN", "Hanoi"), "79": ("HCM", "TP.HCM", "TPHCM", "Sài Gòn", "TP HCM"), "77": ("BRVT", "BR-VT")}
LETTERS = "abcdeghiklmnopqrstuvxy"


@dataclass(frozen=True, slots=True)
class Drawn:
    """An address, its spelling, and the codes of the communes it may lie in."""

    spelling: str
    text: str
    targets: frozenset[str]


def drawn(seed: int, number: int) -> Iterator[Drawn]:
    """``number`` addresses of each spelling, always the same for a seed."""
    chance = random.Random(seed)
    districts = {unit.code: unit for unit in units_on("district", LAST_OLD_DAY)}
    provinces = {unit.code: unit for unit in units_on("province", LAST_OLD_DAY)}
    old = [unit for unit in units_on("commune", LAST_OLD_DAY) if unit.parent in districts]
    for spelling, written in OLD_SPELLINGS.items():
        made = 0
        while made < number:
            commune = chance.choice(old)
            district = districts[commune.parent or ""]
            text = written((commune, district, provinces[district.parent or ""]), chance)
            if text is not None:
                made += 1
                yield Drawn(spelling, text, frozenset(each.unit.code for each in successors(commune.code, DAY)))
    now = {unit.code: unit for unit in units_on("province", DAY)}
    new = units_on("commune", DAY)
    for spelling, rewritten in NEW_SPELLINGS.items():
        for commune in (chance.choice(new) for _ in range(number)):
            text = rewritten((commune, now[commune.parent or ""]), chance)
            yield Drawn(spelling, text, frozenset((commune.code,)))


def joined(chance: random.Random, *parts: str, between: str = ", ") -> str:
    """A street, perhaps, and ``parts``."""
    return between.join(filter(None, (chance.choice(STREETS), *parts)))


def mistyped(word: str, chance: random.Random) -> str:
    """``word`` with one letter wrong, missing, added, or two swapped."""
    at, letter = chance.randrange(len(word)), chance.choice(LETTERS)
    slips = (
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at:],
        word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :],
    )
    return chance.choice(slips)


def with_a_slip(units: tuple[Unit, ...], chance: random.Random) -> str | None:
    """The units with their kinds, one of the longer names mistyped."""
    long = [number for number, unit in enumerate(units) if len(unit.name) >= 5 and not unit.name.isdigit()]
    if not long:
        return None
    slipped = chance.choice(long)
    names = [mistyped(unit.name, chance) if at == slipped else unit.name for at, unit in enumerate(units)]
    return joined(chance, *(f"{unit.kind} {name}" for unit, name in zip(units, names, strict=True)))


def by_nickname(units: tuple[Unit, ...], chance: random.Random) -> str | None:
    names = NICKNAMES.get(units[2].code)
    return None if names is None else joined(chance, units[0].full_name, units[1].full_name, chance.choice(names))


def by_earlier_name(units: tuple[Unit, ...], chance: random.Random) -> str | None:
    keys = EARLIER.get(units[0].code)
    if keys is None:
        return None
    kind = "phường" if units[0].kind == "phường" else "xã"
    return joined(chance, f"{kind} {chance.choice(keys)}", units[1].full_name, units[2].full_name)


def full(units: tuple[Unit, ...]) -> list[str]:
    return [unit.full_name for unit in units]


def short(units: tuple[Unit, ...], gap: str = "") -> list[str]:
    return [f"{SHORT[unit.kind]}{gap}{unit.name}" for unit in units]


EARLIER = {code: keys.split() for level, code, keys in rows("earlier_names") if level == "commune"}
Written = Callable[[tuple[Unit, ...], random.Random], str | None]
OLD_SPELLINGS: dict[str, Written] = {
    "official": lambda units, chance: joined(chance, *full(units)),
    "no diacritics": lambda units, chance: latin(joined(chance, *full(units))),
    "abbreviated": lambda units, chance: joined(chance, *short(units)),
    "names alone": lambda units, chance: joined(chance, *(unit.name for unit in units)),
    "one slip": with_a_slip,
    "no district": lambda units, chance: joined(chance, units[0].full_name, units[2].full_name),
    "no province": lambda units, chance: joined(chance, *full(units[:2])),
    "nickname of the province": by_nickname,
    "no commas": lambda units, chance: joined(chance, *full(units), between=" ").replace(",", ""),
    "capitals": lambda units, chance: joined(chance, *full(units)).upper(),
    "NFD": lambda units, chance: unicodedata.normalize("NFD", joined(chance, *full(units))),
    "dashes": lambda units, chance: joined(chance, *short(units, " "), "Việt Nam", between=" - "),
    "province of today": lambda units, chance: joined(
        chance, *full(units[:2]), successors(units[2].code, DAY)[0].unit.full_name
    ),
    "name from before 2025": by_earlier_name,
}
NEW_SPELLINGS: dict[str, Callable[[tuple[Unit, ...], random.Random], str]] = {
    "new, official": lambda units, chance: joined(chance, *full(units)),
    "new, names alone": lambda units, chance: joined(chance, *(unit.name for unit in units)),
    "new, one slip": lambda units, chance: with_a_slip(units, chance) or joined(chance, *full(units)),
}


def verdict(address: Drawn) -> str:
    """What our answer to one address is worth."""
    found = resolve(address.text, DAY)
    beside = {unit.code for unit in found.alternatives}
    if found.status == "none":
        return "none"
    if (found.unit is not None and {found.unit.code} == address.targets) or (
        found.status == "split" and beside == address.targets
    ):
        return "right"
    return "asked back" if found.status != "split" and address.targets <= beside else "wrong"


@contextmanager
def no_network() -> Iterator[Counter[str]]:
    """Whoever opens a socket inside fails, and is counted."""
    asked: Counter[str] = Counter()

    def refuse(*_: object, **__: object) -> None:
        asked["calls"] += 1
        raise OSError("the network is shut")

    kept = (socket.socket, socket.create_connection, socket.getaddrinfo)
    socket.socket = refuse
    socket.create_connection = socket.getaddrinfo = refuse
    try:
        yield asked
    finally:
        socket.socket, socket.create_connection, socket.getaddrinfo = kept


def show_packages(addresses: list[Drawn]) -> None:
    """The packages on the old addresses, each in a process of its own: any legal target's name is right."""
    communes = {unit.code: unit for unit in units_on("commune", date(2025, 7, 1))}
    texts = json.dumps([each.text for each in addresses])
    speeds: list[str] = []
    show("ours, the same old addresses", Counter(verdict(each) for each in addresses))
    for package in PACKAGES:
        python = CLIENTS if CLIENTS.exists() else Path(sys.executable)
        made = subprocess.run(
            [str(python), str(BESIDE), package], input=texts, capture_output=True, text=True, check=False
        )  # fmt: skip
        if made.returncode:
            print(f"{package} is not installed: not measured")
            continue
        told = json.loads(made.stdout.splitlines()[-1])
        tally: Counter[str] = Counter()
        for address, name in zip(addresses, told["answers"], strict=True):
            legal = {communes[code].name.casefold() for code in address.targets if code in communes}
            tally["none" if not name else "right" if name.casefold() in legal else "wrong"] += 1
        show(f"`{package}`, old addresses", tally)
        speeds.append(
            f"{package}: {len(addresses) / told['cpu_s']:,.0f} addresses/s of CPU, import {told['import_s']:.1f} s,"
            f" {told['sockets']} sockets asked for"
        )
    print("\n" + "\n".join(speeds))


def show(name: str, tally: Counter[str]) -> None:
    whole = sum(tally.values())
    shares = (f"{100 * tally[key] / whole:.2f}" for key in ("right", "asked back", "none", "wrong"))
    print(f"| {name} | {' | '.join(shares)} |")


def timed(addresses: list[Drawn]) -> tuple[float, float]:
    """Addresses a second of CPU, and the time under which 99 of 100 were answered, in milliseconds."""
    times: list[float] = []
    started = time.process_time()
    for each in addresses:
        begun = time.perf_counter()
        resolve(each.text, DAY)
        times.append(time.perf_counter() - begun)
    spent = time.process_time() - started
    return len(times) / spent, sorted(times)[len(times) * 99 // 100] * 1e3


def main() -> int:
    """Print the table of spellings, the speed, and the package beside it."""
    given = [int(text) for text in sys.argv[1:3]]
    seed, number = (*given, *(1, 400)[len(given) :])
    started = time.process_time()
    gazetteer()
    print(f"names read in {time.process_time() - started:.2f} s of CPU; seed {seed}, {number} of each spelling\n")
    addresses = list(drawn(seed, number))
    print("| spelling | right % | asked back % | none % | wrong % |\n|---|---|---|---|---|")
    whole: Counter[str] = Counter()
    for spelling in (*OLD_SPELLINGS, *NEW_SPELLINGS):
        tally = Counter(verdict(each) for each in addresses if each.spelling == spelling)
        show(spelling, tally)
        whole += tally
    show("all", whole)
    random.Random(seed).shuffle(addresses)
    with no_network() as asked:
        passes = [timed(addresses) for _ in range(5)]
    print("\n" + ", ".join(f"{speed:,.0f} addresses a second of CPU (p99 {p99:.2f} ms)" for speed, p99 in passes))
    print(f"sockets asked for: {asked['calls']}\n")
    show_packages([each for each in addresses if each.spelling in OLD_SPELLINGS][:1_500])
    return 0


if __name__ == "__main__":
    sys.exit(main())
