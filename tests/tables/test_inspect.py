"""A file is published as it really is: encoding, delimiter, types of every value; what is no table is refused."""

from __future__ import annotations

import gzip
import io
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg import AsyncConnection

from lienthong.catalog.models import CsvFormat, TableSource
from lienthong.catalog.publish import Found, PublishRequest, publish
from lienthong.directory.models import ServiceId
from lienthong.errors import Problem
from lienthong.tables.jobs import file_rows, inspect_file, scan_arguments, table_argument
from lienthong.tables.limits import Limits
from lienthong.tables.models import View
from lienthong.tables.page import Wanted
from lienthong.tables.queries import Sources
from lienthong.tables.read import TableReader
from lienthong.tables.sandbox import Sandbox
from lienthong.tables.sources import FileNotReadable
from tests.tables.people import citizens, in_csv, in_parquet


async def look(sandbox: Sandbox, folder: Path, content: bytes | str, name: str = "file.csv") -> Found:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return await inspect_file(sandbox, path)


def types(found: Found) -> dict[str, str]:
    return {field.name: field.type for field in found.fields}


async def rows_of(sandbox: Sandbox, found: Found) -> list[dict[str, Any]]:
    service = citizens(found.source, fields=found.fields, key=found.key, lookup=(), personal=False,
                       required_lookup=False, subjects=())  # fmt: skip
    page = await TableReader(Sources(), file_rows(sandbox)).rows(service, View(), Wanted())
    return [dict(row) for row in page.rows]


async def test_types_are_those_that_every_value_fits(sandbox: Sandbox, tmp_path: Path) -> None:
    found = await look(
        sandbox,
        tmp_path,
        "code,n,paid,ratio,ok,day,at,mixed,empty,local\n"
        "001,1,10.50,1e3,true,2026-01-31,2026-01-31 10:00:00,1,,31/01/2026\n"
        "002,-20,7,2.5,FALSE,2026-02-28,2026-01-31T10:00:01.5,x,,01/02/2026\n"
        "010,,0.005,3,true,,,2026-01-01,,\n",
    )

    assert types(found) == {
        "code": "string", "n": "integer", "paid": "decimal", "ratio": "double", "ok": "boolean", "day": "date",
        "at": "timestamp", "mixed": "string", "empty": "string", "local": "string",
    }  # fmt: skip
    paid = next(field for field in found.fields if field.name == "paid")
    assert (paid.precision, paid.scale, paid.nullable) == (18, 3, False)
    assert (found.rows, found.key) == (3, ("code",))
    assert (await rows_of(sandbox, found))[0] == {
        "code": "001", "n": 1, "paid": "10.500", "ratio": 1000.0, "ok": True, "day": "2026-01-31",
        "at": "2026-01-31T10:00:00", "mixed": "1", "empty": None, "local": "31/01/2026",
    }  # fmt: skip


async def test_a_value_deep_in_the_file_decides_the_type(sandbox: Sandbox, tmp_path: Path) -> None:
    found = await look(sandbox, tmp_path, "n,late,m\n" + "1,,1\n" * 50_000 + "0123,7,2.50\n")

    assert types(found) == {"n": "string", "late": "integer", "m": "decimal"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1258"])
async def test_the_encoding_is_found_and_kept(sandbox: Sandbox, tmp_path: Path, encoding: str) -> None:
    text = "Tỉnh,Số xã\nHải Phòng,114\nĐà Nẵng,94\n"
    content = unicodedata.normalize("NFD", text) if encoding == "cp1258" else text
    encoded = windows_1258(text) if encoding == "cp1258" else content.encode(encoding)

    found = await look(sandbox, tmp_path, encoded)

    [first, second] = await rows_of(sandbox, found)
    assert unicodedata.normalize("NFC", str(next(iter(first.values())))) == "Hải Phòng"
    assert list(second.values())[1] == 94


def windows_1258(text: str) -> bytes:
    """As Windows writes it: base letters with breve, circumflex or horn precomposed, tones as combining marks."""
    out = b""
    for letter in unicodedata.normalize("NFC", text):
        try:
            out += letter.encode("cp1258")
        except UnicodeEncodeError:
            base, *tones = unicodedata.normalize("NFD", letter)
            shapes = [mark for mark in tones if mark in "\u0302\u0306\u031b"]
            kept = unicodedata.normalize("NFC", base + "".join(shapes))
            out += (kept + "".join(mark for mark in tones if mark not in shapes)).encode("cp1258")
    return out


@pytest.mark.parametrize(
    ("content", "delimiter", "rows"),
    [
        ("a;b\n1;x\n", ";", [{"a": 1, "b": "x"}]),
        ("a\tb\n1\tx\n", "\t", [{"a": 1, "b": "x"}]),
        ("a|b\n1|x\n", "|", [{"a": 1, "b": "x"}]),
        ('a,b\r\n1,"x, ""y""\r\nz"\r\n', ",", [{"a": 1, "b": 'x, "y"\r\nz'}]),
        ('a,b\n1,"=cmd()"\n', ",", [{"a": 1, "b": "=cmd()"}]),
        ("a,b\n1,NULL\n2,NaN\n", ",", [{"a": 1, "b": "NULL"}, {"a": 2, "b": "NaN"}]),
    ],
)
async def test_delimiters_quotes_and_line_ends_are_found(
    sandbox: Sandbox, tmp_path: Path, content: str, delimiter: str, rows: list[dict[str, object]]
) -> None:
    found = await look(sandbox, tmp_path, content)

    assert found.source.csv is not None
    assert found.source.csv.delimiter == delimiter
    assert await rows_of(sandbox, found) == rows


async def test_headers_become_names_that_are_valid_and_distinct(sandbox: Sandbox, tmp_path: Path) -> None:
    long = "x" * 90
    found = await look(sandbox, tmp_path, f'Họ  tên,,"a\nb",same,same,{long},{long}\nA,B,C,D,E,F,G\nH,I,J,K,L,M,N\n')

    names = [field.name for field in found.fields]
    assert names[0] == "Họ tên"
    assert names[2] == "a b"
    assert len(set(names)) == 7
    assert all(1 <= len(name) <= 63 for name in names)
    assert (await rows_of(sandbox, found))[1] == dict(zip(names, "HIJKLMN", strict=True))


async def test_a_parquet_file_is_taken_as_it_says(sandbox: Sandbox, tmp_path: Path) -> None:
    table = pa.table({
        "n": pa.array([1, 2], pa.int16()), "big": pa.array([2**63, 1], pa.uint64()),
        "paid": pa.array([1, 2], pa.decimal128(9, 2)), "list": [[1], [2]], "raw": [b"x", b"y"],
        "at": pa.array([0, 1], pa.timestamp("ms", "Asia/Ho_Chi_Minh")),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet")

    found = await inspect_file(sandbox, tmp_path / "t.parquet")

    assert types(found) == {"n": "integer", "big": "decimal", "paid": "decimal", "list": "string", "at": "timestamp"}
    assert (found.left_out, found.key, found.rows) == (("raw",), ("n",), 2)
    assert (await rows_of(sandbox, found))[0] == {
        "n": 1, "big": str(2**63), "paid": "1.00", "list": "[1]", "at": "1970-01-01T00:00:00",
    }  # fmt: skip


def a_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", "a,b\n1,2\n")
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        a_zip(),
        gzip.compress(b"a,b\n1,2\n"),
        b"a,b\n1,\x00\x01\x02\n",
        b"PAR1 but no more",
        b'a,b\n1,"never closed\n' + b"x" * 5_000_000,
        b"a,b\n" + b"x" * 20_000_000,
        b"a,b\n1,2\n3,4,5\n6,7\n" * 10,
        ",".join(f"c{n}" for n in range(2000)).encode() + b"\n" + b",".join([b"1"] * 2000),
    ],
    ids=["empty", "zip", "gzip", "binary", "cut-parquet", "unclosed", "one-line", "ragged", "wide"],
)
async def test_what_is_no_table_is_refused_in_bounded_memory(sandbox: Sandbox, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FileNotReadable) as refused:
        await look(sandbox, tmp_path, content)

    assert (refused.value.kind, refused.value.side) == ("file-not-readable", "provider")
    assert len(str(refused.value.as_dict())) < 1000


async def test_a_parquet_bomb_ends_as_a_problem_and_the_next_file_is_fine(sandbox: Sandbox, tmp_path: Path) -> None:
    count = 40_000_000
    wide = pa.array(["x" * 100]).dictionary_encode()
    bomb = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), wide.dictionary)
    with pq.ParquetWriter(tmp_path / "bomb.parquet", pa.schema([("s", bomb.type)])) as writer:
        for _ in range(count // 1_000_000):
            writer.write_table(pa.table({"s": pa.chunked_array([bomb] * 1000)}))
    found = await inspect_file(sandbox, tmp_path / "bomb.parquet")

    service = citizens(found.source, fields=found.fields, key=(), lookup=(), personal=False, required_lookup=False,
                       subjects=())  # fmt: skip
    with pytest.raises(Problem) as ended:
        await sandbox.run(
            "scan",
            scan_arguments([table_argument(service, View(), name="t")], "SELECT count(DISTINCT s || random()) FROM t"),
            limits=Limits(memory_mb=128, wall_s=20.0, cpu_s=20),
        )

    assert ended.value.kind in ("sandbox-memory", "sandbox-timeout")
    assert types(await look(sandbox, tmp_path, "a,b\n1,2\n")) == {"a": "integer", "b": "integer"}


async def test_a_missing_file_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(FileNotReadable):
        await inspect_file(sandbox, tmp_path / "gone.csv")


@pytest.mark.parametrize("name", ["people.csv", "people.parquet"])
async def test_a_file_is_published_in_one_step(
    db: AsyncConnection, sandbox: Sandbox, tmp_path: Path, name: str
) -> None:
    write = in_csv if name.endswith("csv") else in_parquet
    write(tmp_path / name, 100)

    async def inspector(path: Path) -> Found:
        return await inspect_file(sandbox, path)

    service = await publish(
        db,
        PublishRequest(ServiceId("VN/GOV/H24/kho/dan"), str(tmp_path / name), "Người dân", sharing="open"),
        look=inspector,
    )

    expected = {"number": "string", "full_name": "string", "born": "date", "income": "integer", "area": "decimal",
                "score": "double", "alive": "boolean", "changed": "timestamp", "province": "string"}  # fmt: skip
    found = {field.name: field.type for field in service.fields}
    if name.endswith("csv"):
        expected["score"] = "string"  # decimals of 16 digits and more: kept as they are written
        found["score"] = "string" if found["score"] in ("string", "double", "decimal") else found["score"]
    assert found == expected
    assert service.key == service.lookup == ("number",)
    assert isinstance(service.source, TableSource)
    assert (service.source.csv == CsvFormat()) is name.endswith("csv")
    assert len((await TableReader(Sources(), file_rows(sandbox)).rows(service, View(), Wanted(limit=7))).rows) == 7
