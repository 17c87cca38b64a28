"""What a backup says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class TableCopy:
    """One table's rows as text (PostgreSQL's COPY format), with the columns in their order."""

    name: str
    columns: tuple[str, ...]
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FileCopy:
    """One file of the data folder, by its path below it."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Contents of a backup; holds nothing secret and nothing personal."""

    node: str
    made_at: str
    """ISO 8601, UTC."""
    program: str
    """Version of the program that made it."""
    revision: str
    """Newest revision of the schema it was made from."""
    checkpoint: str
    """The signed note of the newest checkpoint in it; empty before the first."""
    log_size: int
    """Records that checkpoint covers."""
    tables: tuple[TableCopy, ...]
    files: tuple[FileCopy, ...]
    format: int = FORMAT

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def read_manifest(told: Mapping[str, object]) -> Manifest:
    """The manifest in ``told``; raises ValueError, KeyError or TypeError when it is none of this format."""
    if told["format"] != FORMAT:
        raise ValueError(f"format {told['format']}")
    values = cast("dict[str, Any]", dict(told))  # Any: the dataclass names what it takes, and refuses the rest
    values["tables"] = tuple(TableCopy(**(each | {"columns": tuple(each["columns"])})) for each in values["tables"])
    values["files"] = tuple(FileCopy(**each) for each in values["files"])
    return Manifest(**values)
