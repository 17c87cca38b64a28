"""A configuration that is not understood is refused with the file and the key, and never half taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from lienthong.config import CONFIG_VARIABLE, DATABASE_VARIABLE, BadConfiguration, Client, Settings, load_settings

RIGHT = """
node = "nut-g01"
data = "data"
members = ["VN/GOV/G01"]
peer_port = 5600
query_timeout_s = 3

[[clients]]
system = "VN/GOV/G01/dancu"
default_purpose = "CA-01"
"""


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (CONFIG_VARIABLE, DATABASE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "node.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_a_right_file_is_taken_with_its_folders_beside_it(tmp_path: Path):
    settings = load_settings(written(tmp_path, RIGHT))

    assert settings.data == tmp_path / "data"
    assert settings.members == ("VN/GOV/G01",)
    assert settings.clients == (Client("VN/GOV/G01/dancu", default_purpose="CA-01"),)
    assert (settings.peer_port, settings.query_timeout_s) == (5600, 3)
    assert settings.public_port == Settings.__dataclass_fields__["public_port"].default


def test_the_environment_names_the_file_and_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(CONFIG_VARIABLE, str(written(tmp_path, RIGHT)))
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql:///elsewhere")

    assert load_settings().database == "postgresql:///elsewhere"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("node = [", "not TOML"),
        (b"node = '\xff\xfe'", "not TOML"),
        ("", "node, data, members"),
        ('node = "nut-g01"\nmembers = ["VN/GOV/G01"]', "data"),
        (RIGHT.replace("peer_port", "peer_prot"), "peer_prot"),
        (RIGHT.replace("5600", '"5600"'), "peer_port"),
        (RIGHT.replace("5600", "56.5"), "peer_port"),
        (RIGHT.replace('"nut-g01"', "7"), "node"),
        (RIGHT.replace("default_purpose", "defualt_purpose"), "clients"),
        (RIGHT.replace('system = "VN/GOV/G01/dancu"', ""), "clients"),
        (RIGHT.replace("[[clients]]", "[clients]"), "clients"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(tmp_path: Path, text: str | bytes, named: str):
    file = written(tmp_path, text)

    with pytest.raises(BadConfiguration) as refused:
        load_settings(file)

    assert refused.value.kind == "bad-configuration"
    assert refused.value.side == "node"
    assert named in str(refused.value)
    assert str(file) in str(refused.value)


def test_a_missing_file_is_told_with_how_to_name_one(tmp_path: Path):
    with pytest.raises(BadConfiguration) as refused:
        load_settings(tmp_path / "nowhere.toml")

    assert "nowhere.toml" in str(refused.value)
    assert "--config" in str(refused.value.as_dict("en")["mend"])
