"""The verifier stands alone: one file, the standard library and `cryptography`, run from an empty folder."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cryptography
import pytest

from lienthong import verify
from tests.verify.receipts import Country
from tests.verify.tampering import edit

SOURCE = Path(verify.__file__)


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for part in ast.walk(tree):
        if isinstance(part, ast.Import):
            names |= {alias.name for alias in part.names}
        if isinstance(part, ast.ImportFrom):
            assert part.level == 0
            names.add(str(part.module))
    return names


def test_it_imports_nothing_but_the_standard_library_and_cryptography():
    names = imported(ast.parse(SOURCE.read_text()))

    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | {"cryptography"}
    assert "importlib" not in SOURCE.read_text()
    assert "__import__" not in SOURCE.read_text()


@pytest.fixture(scope="module")
def only_cryptography(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder from which `cryptography` and what it needs can be imported, and nothing else."""
    folder = tmp_path_factory.mktemp("packages")
    installed = Path(cryptography.__file__).parent.parent
    for name in ("cryptography", "cffi", "_cffi_backend*", "pycparser"):
        for found in installed.glob(name):
            (folder / found.name).symlink_to(found)
    return folder


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """An empty folder with a copy of the one file."""
    shutil.copy(SOURCE, tmp_path / "verify.py")
    return tmp_path


def run(folder: Path, packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        # -S: without the site packages of this environment, so that only the given folder can be imported from.
        [sys.executable, "-S", "verify.py", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(packages), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


def test_there_is_really_nothing_of_ours_to_import(empty, only_cryptography):
    (empty / "verify.py").write_text("import cryptography, orjson")
    assert "No module named 'orjson'" in run(empty, only_cryptography).stderr
    (empty / "verify.py").write_text("import cryptography, lienthong")
    assert "No module named 'lienthong'" in run(empty, only_cryptography).stderr


def test_it_checks_a_receipt_from_an_empty_folder(empty, only_cryptography):
    country = Country()
    receipt, _ = country.use()
    (empty / "receipt.json").write_text(json.dumps(receipt))
    (empty / "directory.json").write_bytes(country.directory())
    (empty / "anchor.json").write_text(json.dumps(country.anchor))

    bare = run(empty, only_cryptography, "receipt", "receipt.json")
    full = run(
        empty, only_cryptography, "receipt", "receipt.json", "--directory", "directory.json", "--anchor", "anchor.json"
    )

    assert (bare.returncode, bare.stderr) == (0, "")
    assert "KẾT QUẢ: ĐÚNG, nhưng" in bare.stdout
    assert "KẾT QUẢ: ĐÚNG. 15 điều" in full.stdout
    # Vietnamese first, English below it.
    lines = full.stdout.split("\n")
    at = lines.index("✓ Bản ghi nằm trong nhật ký")
    assert lines[at + 1] == "  The record is in the log"


def test_it_refuses_a_changed_receipt_with_the_reason(empty, only_cryptography):
    receipt, _ = Country().use()
    forged = edit(receipt, lambda r: r.update(record=r["record"].replace("HP-HOTICH-01", "HP-HOTICH-02")))
    (empty / "receipt.json").write_text(json.dumps(forged))

    result = run(empty, only_cryptography, "receipt", "receipt.json")

    assert result.returncode == 1
    assert "✗ Mã băm đúng với nội dung bản ghi: mã băm tính lại là" in result.stdout
    assert "purpose: chữ ký nêu HP-HOTICH-01, bản ghi nêu HP-HOTICH-02" in result.stdout
    assert "KẾT QUẢ: SAI." in result.stdout


def test_it_checks_a_log_from_an_empty_folder(empty, only_cryptography):
    country = Country()
    country.use()
    country.consumer.save(empty / "copy")
    country.provider.save(empty / "theirs")
    (empty / "log.key").write_text(country.consumer.verifier_key)

    good = run(empty, only_cryptography, "log", "copy", "--key", "log.key")
    also = run(empty, only_cryptography, "log", "copy", "--key", country.consumer.verifier_key)
    (empty / "copy/tile/0/000.p/1").write_bytes(bytes(32))
    bad = run(empty, only_cryptography, "log", "copy", "--key", "log.key")

    assert (good.returncode, also.returncode, bad.returncode) == (0, 0, 1)
    assert "consumer  call  permitted  1" in good.stdout
    assert "tile/0/000.p/1" in bad.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("receipt",), 2),
        (("unknown", "x"), 2),
        (("receipt", "missing.json"), 2),
        (("receipt", "."), 2),
        (("log", "missing"), 2),
        (("receipt", "text.json"), 1),
        (("receipt", "list.json"), 1),
        (("receipt", "deep.json"), 1),
        (("receipt", "text.json", "--directory", "missing.json"), 2),
    ],
)
def test_usage_and_missing_files_are_status_2_and_bad_receipts_1(empty, only_cryptography, arguments, code):
    (empty / "text.json").write_text("no receipt")
    (empty / "list.json").write_text("[]")
    (empty / "deep.json").write_text("[" * 200_000)

    result = run(empty, only_cryptography, *arguments)

    assert result.returncode == code
    assert "Traceback" not in result.stderr


def test_a_file_of_any_size_is_refused_before_it_fills_the_memory(empty, only_cryptography):
    with (empty / "huge.json").open("wb") as file:
        file.truncate(verify.MOST_FILE_BYTES + 1)

    assert run(empty, only_cryptography, "receipt", "huge.json").returncode == 2
