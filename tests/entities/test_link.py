"""Which records mean one person: spellings meet, families stay apart, identifiers stay, people have the last word."""

from __future__ import annotations

import csv
import subprocess
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest

from bench.people import COLUMNS, records, write
from lienthong.entities.deciding import decide, undo
from lienthong.entities.files import write_results
from lienthong.entities.link import Report, match
from lienthong.entities.look import changes, find, why
from lienthong.entities.store import Store
from lienthong.linkage.matching.columns import FIELDS, Matching, MatchingRefused, read_matching
from lienthong.linkage.matching.normal import normalised
from lienthong.linkage.names import read_person_name

NO_LABELS = Matching(columns={name: name for name in FIELDS if name != "person"})
AN = {"name": "Nguyễn Thị Hoà An", "birth": "1984-03-12", "gender": "nữ", "phone": "0912345678", "unit": "11344",
      "street": "12 Lê Lợi", "number": "031184123456"}  # fmt: skip


def table(path: Path, rows: Iterable[dict[str, str]]) -> Path:
    """A CSV file of records, numbered where they have no identifier."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, restval="")
        writer.writeheader()
        writer.writerows({"record": f"r{number}", "source": path.stem, **row} for number, row in enumerate(rows))
    return path


def groups(store: Store) -> set[frozenset[str]]:
    """The records of each entity."""
    rows = store.all("SELECT list(coalesce(source, '') || '/' || record) FROM entity JOIN norm USING (r) GROUP BY id")
    return {frozenset(names) for (names,) in rows}


def ids(store: Store) -> dict[str, str]:
    return dict(store.all("SELECT coalesce(source, '') || '/' || record, id FROM entity JOIN norm USING (r)"))


def matched(folder: Path, *files: Path, job: Matching = NO_LABELS) -> Report:
    with Store(folder) as store:
        return match(store, job, files)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5,000 records of made-up people with labels."""
    file = tmp_path_factory.mktemp("people") / "people.parquet"
    write(file, records(7, 5_000))
    return file


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"name": "nguyen thi hoa an"}, "no diacritics"),
        ({"name": "BÀ NGUYỄN THỊ HÒA AN"}, "a title, capitals, the tone elsewhere"),
        ({"name": unicodedata.normalize("NFD", AN["name"])}, "decomposed letters"),
        ({"name": "Thị Hoà An Nguyễn"}, "the family name last"),
        ({"name": "Nguyễn Thị Hoà Am"}, "a slip"),
        ({"birth": "12/03/1984", "phone": "+84 912 345 678"}, "another way to write day and telephone"),
        ({"birth": "1984", "number": ""}, "only the year of birth"),
        ({"birth": "1984-12-03", "number": ""}, "day and month swapped"),
        ({"number": "031184123465", "phone": ""}, "two digits swapped"),
        ({"unit": "00004", "street": "5 Trần Phú", "phone": ""}, "moved"),
    ],
)
def test_another_writing_of_a_record_is_the_same_person(tmp_path: Path, changed: dict[str, str], reason: str) -> None:
    file = table(tmp_path / "a.csv", [AN, AN | changed])
    with Store(tmp_path / "out") as store:
        match(store, NO_LABELS, [file])

        assert groups(store) == {frozenset(("a/r0", "a/r1"))}, reason


def test_a_family_under_one_roof_stays_as_many_people_as_it_is(tmp_path: Path) -> None:
    home = {name: AN[name] for name in ("phone", "unit", "street")}
    family = [
        AN,
        home | {"name": "Nguyễn Văn Bình", "birth": "1980-01-02", "gender": "nam"},
        home | {"name": "Nguyễn Thị Hoà Anh", "birth": "2008-07-01", "gender": "nữ"},
        home | {"name": "Nguyễn Văn Bình An", "birth": "2010-07-01", "gender": "nam"},
        home | {"name": "Nguyễn Thị Cúc", "birth": "1950-05-05", "gender": "nữ"},
    ]
    copies = [one | {"street": "", "number": ""} for one in family]
    with Store(tmp_path / "out") as store:
        match(store, NO_LABELS, [table(tmp_path / "a.csv", family), table(tmp_path / "b.csv", copies)])

        assert groups(store) == {frozenset((f"a/r{at}", f"b/r{at}")) for at in range(len(family))}


def test_two_numbers_that_are_no_slip_of_each_other_are_two_people_however_alike_the_rest(tmp_path: Path) -> None:
    other = AN | {"number": "031184777777"}
    between = AN | {"number": ""}
    with Store(tmp_path / "out") as store:
        match(store, NO_LABELS, [table(tmp_path / "a.csv", [AN, other, between])])

        assert not any({"a/r0", "a/r1"} <= group for group in groups(store))


def test_the_answer_is_right_says_how_right_and_is_the_same_again(made: Path, tmp_path: Path) -> None:
    reports, answers = [], []
    for folder in (tmp_path / "one", tmp_path / "two"):
        with Store(folder) as store:
            reports.append(match(store, Matching(), [made]))
            answers.append(ids(store))

    assert answers[0] == answers[1]
    assert reports[0].quality == reports[1].quality
    assert reports[0].quality["precision"] >= 0.995
    assert reports[0].quality["recall"] >= 0.975
    assert reports[0].compared < 10 * reports[0].records


def test_records_that_come_later_find_their_entity_and_all_others_keep_their_identifier(
    made: Path, tmp_path: Path
) -> None:
    with Store(tmp_path / "out") as store:
        match(store, Matching(), [made])
        before = ids(store)
        known = store.all(
            "SELECT record, source, name, y, m, d, number, phone FROM norm WHERE number IS NOT NULL LIMIT 3"
        )
        later = [
            {"record": f"later-{number}", "name": row[2], "birth": f"{row[3]}-{row[4]:02d}-{row[5]:02d}",
             "number": row[6]}
            for number, row in enumerate(known) if row[4]
        ]  # fmt: skip
        report = match(store, Matching(), [table(tmp_path / "later.csv", later)])
        after = ids(store)

    assert report.new == len(later) > 0
    assert {name: after[name] for name in before} == before
    for number, row in enumerate(each for each in known if each[4]):
        assert after[f"later/later-{number}"] == before[f"{row[1]}/{row[0]}"]


def test_the_same_file_again_changes_nothing_and_a_corrected_record_is_matched_anew(tmp_path: Path) -> None:
    stranger = AN | {"name": "Trần Văn Nam", "birth": "1990-01-01", "gender": "nam", "number": "", "phone": ""}
    file = table(tmp_path / "a.csv", [AN, stranger])
    matched(tmp_path / "out", file)
    again = matched(tmp_path / "out", file)
    table(tmp_path / "a.csv", [AN, AN | {"street": ""}])
    corrected = matched(tmp_path / "out", file)

    assert (again.new, again.compared, again.entities) == (0, 0, 2)
    assert (corrected.records, corrected.new, corrected.entities) == (2, 1, 1)


def test_two_entities_that_a_new_record_shows_to_be_one_are_merged_on_record_and_can_be_parted(tmp_path: Path) -> None:
    old_card = {"name": AN["name"], "birth": "1984", "number": "123456789", "unit": "00004", "street": "1 A"}
    new_card = {"name": AN["name"], "birth": "", "number": AN["number"], "unit": "11344"}
    bridge = AN | {"number": AN["number"], "unit": "00004", "street": "1 A"}
    with Store(tmp_path / "out") as store:
        match(store, NO_LABELS, [table(tmp_path / "a.csv", [old_card, new_card])])
        assert len(groups(store)) == 2
        first = ids(store)
        report = match(store, NO_LABELS, [table(tmp_path / "b.csv", [bridge])])
        assert report.merged == 1
        assert len(groups(store)) == 1
        [change] = changes(store)
        assert {change.id, change.other} == set(first.values())

        assert not undo(store, change.number, "Bình")
        assert not undo(store, change.number, "Bình"), "one person twice is one person"
        assert len(groups(store)) == 1
        assert undo(store, change.number, "An")

        assert {name: entity for name, entity in ids(store).items() if name in first} == first
        with pytest.raises(MatchingRefused, match="no change"):
            undo(store, change.number, "Bình")


def test_people_decide_by_four_eyes_and_a_later_run_heeds_them(tmp_path: Path) -> None:
    twin = AN | {"name": "Nguyễn Thị Hoà Ân", "number": ""}
    file = table(tmp_path / "a.csv", [AN, twin])
    with Store(tmp_path / "out") as store:
        match(store, NO_LABELS, [file])
        one_before = len(groups(store)) == 1

        assert not decide(store, "r0", "r1", same=False, who="An")
        assert not decide(store, "r0", "r1", same=False, who="An"), "one person twice is one person"
        assert (len(groups(store)) == 1) == one_before
        assert decide(store, "r0", "r1", same=False, who="Bình")
        assert len(groups(store)) == 2

        match(store, NO_LABELS, [table(tmp_path / "c.csv", [AN | {"name": "Trần Văn Tám", "number": ""}])])
        assert not any({"a/r0", "a/r1"} <= group for group in groups(store))
        with pytest.raises(MatchingRefused, match="one and the same"):
            decide(store, "a/r0", "a/r0", same=True, who="An")
        with pytest.raises(MatchingRefused, match="2 records are called"):
            decide(store, "r0", "a/r1", same=True, who="An")
        with pytest.raises(MatchingRefused, match="0 records are called"):
            decide(store, "a/r0", "nobody", same=True, who="An")


def test_why_names_what_spoke_for_and_against(tmp_path: Path) -> None:
    other = AN | {"birth": "1955-01-30", "gender": "nam", "number": ""}
    with Store(tmp_path / "out") as store:
        match(store, NO_LABELS, [table(tmp_path / "a.csv", [AN, AN | {"number": ""}, other])])
        alike, unlike = why(store, "r0", "r1"), why(store, "r0", "r2")

    assert alike.entities[0] == alike.entities[1]
    assert alike.probability > 0.99
    assert "name and birth" in alike.shared
    assert unlike.probability < 0.5
    assert ("birth", "other") in {(field, level) for field, level, weight in unlike.reasons if weight < 0}


def test_one_record_is_looked_up_among_all(made: Path, tmp_path: Path) -> None:
    with Store(tmp_path / "out") as store:
        match(store, Matching(), [made])
        source, record, number = store.all("SELECT source, record, number FROM norm WHERE number IS NOT NULL LIMIT 1")[
            0
        ]
        name, y = store.all("SELECT name, y FROM norm WHERE record = ?", record)[0]

        found = find(store, {"name": name, "birth": str(y), "number": number})

        assert found[0].id == ids(store)[f"{source}/{record}"]
        assert found[0].probability > 0.9
        assert find(store, {"name": "Không Ai Cả", "birth": "1901-01-01"}) == []


def test_one_household_of_hundreds_and_one_value_in_half_the_rows_are_not_compared_one_with_all(tmp_path: Path) -> None:
    rows = [
        {"name": f"Nguyễn Văn {chr(65 + at % 26)}{chr(97 + at // 26 % 26)}", "birth": "1900-01-01" if at % 2 else "",
         "phone": "0900000000", "unit": "00004", "street": "1 Trần Phú"}
        for at in range(3_000)
    ]  # fmt: skip
    report = matched(tmp_path / "out", table(tmp_path / "a.csv", rows))

    assert report.compared < 30 * report.records
    assert report.too_large["year and home"] >= 1_500


def test_columns_without_a_value_and_odd_letters_are_matched_by_what_is_left(tmp_path: Path) -> None:
    rows = [{"name": "😀😀"}, {"name": ""}, {"name": "Y Moan"}, {"name": "x" * 100_000}, {"name": "Jean-Paul Smith"}]
    report = matched(tmp_path / "out", table(tmp_path / "a.csv", rows))

    assert (report.records, report.entities) == (5, 5)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "no column|can not be read"),
        (",".join(FIELDS) + "\n", "no record"),
        ("record,name\nr1,An\n", "no column"),
        (",".join(FIELDS) + "\nr1,a,An,,,,,,,\nr1,a,An,,,,,,,\n", "used twice"),
        (",".join(FIELDS) + "\n,a,An,,,,,,,\n", "missing or used twice"),
    ],
)
def test_what_is_no_table_of_records_is_refused_and_leaves_nothing(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(content, "utf-8")
    with Store(tmp_path / "out") as store:
        with pytest.raises(MatchingRefused, match=told):
            match(store, Matching(), [file])
        assert store.one("SELECT count(*) FROM norm") == 0
        with pytest.raises(MatchingRefused, match="no CSV"):
            match(store, Matching(), [tmp_path / "none.xlsx"])


def test_a_folder_whose_state_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "state.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(MatchingRefused, match="can not be opened"):
        Store(tmp_path / "out")


def test_a_folder_at_work_is_not_opened_by_another_process(tmp_path: Path) -> None:
    other = "import sys; from pathlib import Path; from lienthong.entities.store import Store; Store(Path(sys.argv[1]))"
    with Store(tmp_path / "out"):
        tried = subprocess.run([sys.executable, "-c", other, str(tmp_path / "out")], capture_output=True, text=True)

    assert tried.returncode != 0
    assert "can not be opened" in tried.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[columns", "no TOML"),
        ("[columns]\nrecord='a'\nname='b'\nshoe='c'", "shoe"),
        ("[columns]\nrecord='a'", "at least"),
        ("[columns]\nrecord='a'\nname='b'\n[thresholds]\nautomatic=0.1\nreview=0.5", "thresholds"),
        ("speed=1", "speed"),
        ("columns=3", "tables"),
        ("spark=3", "tables"),
        ("[columns]\nrecord='a'\nname='b'\n[thresholds]\nautomatic='high'", "no number"),
        ("seed=[1]\n[columns]\nrecord='a'\nname='b'", "no number"),
    ],
)
def test_a_job_that_says_something_odd_is_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(MatchingRefused, match=told) as refused:
        read_matching(text)
    assert refused.value.kind == "matching-refused"


def test_the_engine_folds_names_as_the_reader_of_one_name_does(made: Path, tmp_path: Path) -> None:
    with Store(tmp_path / "out") as store:
        odd = [
            "Ông Nguyễn Văn A",
            "Ông Ích Khiêm",
            "TS. Lê Thị Mỹ Lệ",
            "H' Hen Niê",
            "Võ Thị Sáu",
            "Sáu Huỳnh",
            "  Lò   Vi ",
        ]
        store.load(Matching(), [made])
        store.run(
            "INSERT INTO source (record, source, name) SELECT 'o' || i, 'odd', n"
            " FROM (SELECT unnest(?) n, unnest(?) i)",
            odd,
            list(range(len(odd))),
        )
        written = {
            f"{source}/{record}": name for source, record, name in store.all("SELECT source, record, name FROM source")
        }
        store.table("folded", normalised({name: name for name in COLUMNS}, "source"))
        told = store.all("SELECT source || '/' || record, name, bag, given, family FROM folded")

    unlike = []
    for key, name, bag, given, family in told:
        read = read_person_name(written[key])
        if (bag, given or "", family or "") != (read.bag, read.given, read.family):
            unlike.append((written[key], name, given, family, read))
    assert len(told) == 5_000 + len(odd)
    assert unlike == []


def test_results_are_files_that_people_can_read(made: Path, tmp_path: Path) -> None:
    with Store(tmp_path / "out") as store:
        report = match(store, Matching(automatic=0.99), [made])
        write_results(store, tmp_path / "out", report, "vi")

    entities = list(csv.DictReader((tmp_path / "out" / "entities.csv").read_text("utf-8").splitlines()))
    review = list(csv.DictReader((tmp_path / "out" / "review.csv").read_text("utf-8-sig").splitlines()))
    assert len(entities) == report.records
    assert len({row["entity"] for row in entities}) == report.entities
    assert len(review) == report.to_review > 0
    assert all(0.2 <= float(row["probability"]) <= 0.99 and row["why"] for row in review)
