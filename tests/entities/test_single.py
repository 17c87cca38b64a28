"""One record is normalised and compared as the engine does it with a million, hostile text included."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest

from bench import people, people_again
from lienthong.entities.link import match
from lienthong.entities.look import find
from lienthong.entities.store import Store
from lienthong.linkage.matching.columns import FIELDS, Matching
from lienthong.linkage.matching.normal import normalised
from lienthong.linkage.matching.pairs import KEY_PARTS, keys_of_one
from lienthong.linkage.matching.single import Normal, compared, normal

KEYS = [name for name in Normal.__dataclass_fields__ if name not in ("accents", "marked")]
LETTERS = (
    "aăâbđeêoôơuưyýỷhqgivkVÕ ĐÀỲ.,'’- \t\n\u00a0\u2003\u0301\u0323İıΣςßﬁĿŉǅǰΐẞªº²①Ａａ０９\u200b\u1e9e😀中한\0\u0345ΌK"
    "\u212a\u212bǆ\u0903ัٱ٣"
)
WORDS = (
    "Ông",
    "Bà",
    "BS.",
    "Huỳnh",
    "Vo",
    "Võ",
    "Thuỷ",
    "Hoà",
    "mỹ",
    "Y",
    "H'",
    "Nguyễn",
    "ông",
    "Cô",
    "dr.",
    ".",
    "Lý",
)
BIRTHS = (
    "1984-3-1", "1984-03-12 10:00", "1984-03-12T1\n2", "01/02/1990", "1.2.1990", "1990", "1990\n", "1-2-1990", "1990-",
    "99-1-1990", "1984-03-12x", "0000-00-00", "٣", "1984–03–12", "19840312", "32-13-1990", " 1990 ", "",
)  # fmt: skip
NUMBERS = (
    "", "031184123456", "0311 8412 3456", "931984123456", "012345678", "١٢٣", "0" * 12, "039999999999", "038884123456",
)  # fmt: skip
PHONES = (
    "", "+84 912 345 678", "0084912345678", "01621234567", "01991234567", "01001234567", "84", "0" * 20, "0284123456",
)  # fmt: skip


def hostile(number: int) -> list[tuple[str, ...]]:
    """Records of text that normalisers trip over."""
    draw = random.Random(1)

    def odd(length: int) -> str:
        return "".join(draw.choice(LETTERS) for _ in range(draw.randint(0, length)))

    return [
        (
            f"h{at}", "h", " ".join(draw.choice((draw.choice(WORDS), odd(5))) for _ in range(draw.randint(0, 5))),
            draw.choice(BIRTHS), draw.choice(("nữ", "Nam ", "F", "", "x", "NỮ", "０", "2")), draw.choice(NUMBERS),
            draw.choice(PHONES), odd(3), odd(8), "",
        )
        for at in range(number)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, ...]]:
    """Records of both generators, each with an identifier of its own, and hostile ones."""
    made = [*people.records(3, 1_500), *people_again.records(3, 1_500)]
    return [(f"m{at}", *row[1:]) for at, row in enumerate(made)] + hostile(2_000)


def table(store: Store, rows: list[tuple[str, ...]]) -> None:
    columns = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
    store.db.register("given", pa.table(columns, list(people.COLUMNS)))
    store.table("source", "SELECT * FROM given")


def test_one_record_gets_the_keys_that_the_engine_gives_a_million(rows: list[tuple[str, ...]], tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        table(store, rows)
        store.table("folded", normalised({name: name for name in FIELDS}, "source"))
        told = {
            record: (keys, accents)
            for record, accents, *keys in store.all(f"SELECT record, accents, {', '.join(KEYS)} FROM folded")
        }
        mine = {row[0]: normal(dict(zip(people.COLUMNS, row, strict=True))) for row in rows}
        marked = [(record, one.marked and list(one.marked)) for record, one in mine.items()]
        store.keep("marks", {"record": pa.string(), "marked": pa.list_(pa.string())}, marked)
        marks = dict(store.all("SELECT record, hash(marked) FROM marks WHERE marked IS NOT NULL"))

    assert len(told) == len(rows)
    for row in rows:
        keys, accents = told[row[0]]
        assert [getattr(mine[row[0]], name) for name in KEYS] == keys, row
        assert marks.get(row[0]) == accents, row


def test_one_pair_is_compared_as_the_engine_compares_millions(rows: list[tuple[str, ...]], tmp_path: Path) -> None:
    names = ", ".join(name for name in Normal.__dataclass_fields__ if name != "marked")
    with Store(tmp_path) as store:
        file = tmp_path / "people.parquet"
        people.write(file, iter([row for row in rows if row[2]]))
        match(store, Matching(), [file])
        held = {r: Normal(*row) for r, *row in store.all(f"SELECT r, {names} FROM norm")}
        bearers = dict(store.all("SELECT bag, bearers FROM norm JOIN bearer ON k = hash(bag)"))
        counted = dict(store.all("SELECT bag, count(*) FROM norm WHERE bag IS NOT NULL GROUP BY bag"))
        seen = store.all("SELECT a, b, code FROM seen")
        keyed = set(store.all("SELECT r, k FROM keyed"))
        asked = [getattr(held[7], name, None) for name in KEY_PARTS]
        ((*keys, _, _),) = store.all(keys_of_one(), *asked)

    assert bearers == counted
    assert len(seen) > 1_000
    assert {r for r, _ in keyed} >= {7}
    assert {k for r, k in keyed if r == 7} == {k for k in keys if k is not None}
    unlike = [
        (held[a], held[b]) for a, b, code in seen if code != compared(held[a], held[b], counted.get(held[a].bag, 0))
    ]
    assert unlike == []


@pytest.mark.parametrize("name", ["", "\0", "\ud800", "😀" * 1_000, "x" * 1_000_000, "'; DROP TABLE norm; --", "?"])
def test_a_look_up_of_anything_finds_nobody_and_harms_nothing(tmp_path: Path, name: str) -> None:
    with Store(tmp_path) as store:
        file = tmp_path / "people.parquet"
        people.write(file, people.records(5, 50))
        match(store, Matching(), [file])

        assert find(store, {"name": name, "birth": name[:50], "number": name[:50], "unit": name[:50]}) == []
        assert find(store, {}) == []
        assert store.one("SELECT count(*) FROM norm") == 50


def test_bearers_of_a_name_are_counted_through_corrections(tmp_path: Path) -> None:
    one, other = ("r1", "a", "Nguyễn An", *[""] * 7), ("r2", "a", "Nguyễn An", *[""] * 7)
    with Store(tmp_path) as store:
        for rows in ([one, other], [("r2", "a", "Trần Bình", *[""] * 7)], [("r1", "a", "Trần Bình", *[""] * 7)]):
            file = tmp_path / "people.parquet"
            people.write(file, iter(rows))
            match(store, Matching(), [file])
            assert store.all(
                "SELECT bag, bearers FROM norm JOIN bearer ON k = hash(bag) GROUP BY ALL ORDER BY bag"
            ) == (store.all("SELECT bag, CAST(count(*) AS INTEGER) FROM norm GROUP BY bag ORDER BY bag"))
        assert store.one("SELECT count(*) FROM bearer") == 1
