"""``lienthong address`` at a terminal: one address, a table of them, and what it says when that can not be."""

from __future__ import annotations

import csv
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from lienthong.cli.address import TableUnreadable, app
from lienthong.linkage.explain import COLUMNS

RUN = CliRunner()


def test_one_address_is_answered_with_code_name_and_reason():
    done = RUN.invoke(app, ["12 Lê Lợi, P. Bến Nghé, Q.1, TP.HCM"])

    assert done.exit_code == 0
    assert done.stdout.startswith("26740  Phường Sài Gòn, Thành phố Hồ Chí Minh\n")
    assert "Phường Bến Nghé, Quận 1" in done.stdout


def test_what_can_not_be_said_names_the_choices_and_ends_with_1():
    done = RUN.invoke(app, ["Ba To, Ba To, Quang Ngai"])

    assert done.exit_code == 1
    assert {"? 21484  Xã Ba Tơ, Tỉnh Quảng Ngãi", "? 21523  Xã Ba Tô, Tỉnh Quảng Ngãi"} <= set(done.stdout.splitlines())


def test_communes_of_one_name_are_told_apart_by_their_province_as_it_is_called_last():
    lines = RUN.invoke(app, ["xã Tân Lập"]).stdout.splitlines()

    assert len({line[9:] for line in lines if line.startswith("? ")}) == len(lines) - 1
    assert "? 07594  Xã Đèo Gia, Thành phố Bắc Ninh" in lines


def test_a_table_keeps_its_columns_and_gains_the_answers(tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text('\ufeffmã,địa chỉ\n001,"P5, Q3, HCM"\n002,\n', "utf-8")

    done = RUN.invoke(app, ["--file", str(source), "--column", "địa chỉ", "--out", str(target)])

    rows = list(csv.DictReader(io.StringIO(target.read_text("utf-8-sig"))))
    assert (done.exit_code, [row["mã"] for row in rows]) == (0, ["001", "002"])
    assert [(row["unit_code"], row["status"]) for row in rows] == [("27154", "exact"), ("", "none")]
    assert list(rows[0])[2:] == ["unit_code", "unit_name", "status", "score", "alternatives", "explanation"]


@pytest.mark.parametrize(
    ("content", "column"),
    [(b"a,b\n1,2\n", "c"), (b"\xff\xfe\x00a", "a"), (b"", "a"), (b'a\n"' + b"x" * 20_000_000, "a"), (None, "a")],
    ids=["no such column", "not UTF-8", "empty", "one endless cell", "no file"],
)
def test_a_table_that_can_not_be_read_leaves_nothing_behind(tmp_path, content, column):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    if content is not None:
        source.write_bytes(content)

    done = RUN.invoke(app, ["--file", str(source), "--column", column, "--out", str(target)])

    assert isinstance(done.exception, TableUnreadable)
    assert TableUnreadable.kind == "address-table-unreadable"
    assert not target.exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"in.csv"}


@pytest.mark.parametrize("arguments", [[], ["x", "--as-of", "hôm nay"], ["--file", "a.csv"]])
def test_wrong_usage_ends_with_2(arguments):
    assert RUN.invoke(app, arguments).exit_code == 2


def test_a_parquet_file_keeps_its_columns_and_gains_the_answers(tmp_path):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    table = pa.table({"n": pa.array([1, 2], pa.int32()), "diachi": ["12 Lê Lợi, P. Bến Nghé, Q.1, TP.HCM", None]})
    pq.write_table(table, source)
    arguments = ["--file", str(source), "--column", "diachi", "--out", str(target), "--as-of", "2026-11-23"]

    assert RUN.invoke(app, arguments).exit_code == 0

    told = pq.read_table(target)
    assert told.column_names == ["n", "diachi", *COLUMNS]
    assert told.schema.field("n").type == pa.int32()
    assert told.column("unit_code").to_pylist() == ["26740", ""]
    assert told.column("status").to_pylist() == ["exact", "none"]


@pytest.mark.parametrize("content", [b"PAR1 no parquet", b""])
def test_what_is_no_parquet_is_refused_and_leaves_no_file(tmp_path, content):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    source.write_bytes(content)

    refused = RUN.invoke(app, ["--file", str(source), "--column", "a", "--out", str(target)])

    assert isinstance(refused.exception, TableUnreadable)
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]
