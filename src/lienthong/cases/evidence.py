"""Evidence files: what a file is by its content, kept sealed in the database beside the event it came with.

Promises: only kinds of file that hold no program are taken, recognised by their content and not by their name; what is
kept never changes, and its SHA-256 stands in the case's history; it is given back only to those whom the case concerns.
"""

from __future__ import annotations

import io
import secrets
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, ClassVar, Final

from lienthong.cases import queries
from lienthong.cases.models import Evidence
from lienthong.cases.reading import case_for
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity.models import Actor
from lienthong.law.text import visible
from lienthong.trust.seal import Seal

MOST_FILES: Final = 3
MOST_BYTES: Final = 5 * 1024 * 1024
"""Of the files that come at once, together."""
MOST_OF_CASE: Final = 20
"""Files that one case may hold."""
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
ENDINGS: Final = {
    "application/pdf": ".pdf",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    f"{_OFFICE}wordprocessingml.document": ".docx",
    f"{_OFFICE}spreadsheetml.sheet": ".xlsx",
    "text/plain": ".txt",
}
_STARTS: Final = ((b"%PDF-", "application/pdf"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))
_PARTS: Final = (
    ("word/document.xml", f"{_OFFICE}wordprocessingml.document"),
    ("xl/workbook.xml", f"{_OFFICE}spreadsheetml.sheet"),
)


class BadEvidence(Problem):
    """A file is empty, too large, one too many, or not of a kind that is taken."""

    kind: ClassVar[str] = "bad-evidence"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("This file can not be taken as evidence")


class NoSuchEvidence(Problem):
    """The case has no file with this id."""

    kind: ClassVar[str] = "no-such-evidence"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("There is no such file")


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was sent."""

    name: str
    content: bytes


async def attach(
    db: Any,  # Any: a connection of any row factory, passed on
    case: str,
    number: int,
    files: Sequence[File],
    seal: Seal,
    now: datetime,
) -> None:
    """Keep ``files`` beside the event ``number``, in its transaction.  Raises BadEvidence; then nothing is kept."""
    if len(files) > MOST_FILES:
        raise BadEvidence(T("At most {most} files at once."), most=MOST_FILES)
    if sum(len(each.content) for each in files) > MOST_BYTES:
        raise _too_large()
    if files and len(await queries.evidence_of(db, case)) + len(files) > MOST_OF_CASE:
        raise BadEvidence(T("A case holds at most {most} files."), most=MOST_OF_CASE)
    for file in files:
        media_type = media_type_of(file.content)
        named = secrets.token_hex(8)
        kept = Evidence(
            named,
            number,
            _name(file.name, media_type),
            media_type,
            len(file.content),
            sha256(file.content).digest(),
            now,
        )
        await queries.insert_evidence(db, case, kept, seal.encrypt(file.content, _place(case, named)))


async def opened_evidence(
    db: Any, case_id: str, evidence: str, actor: Actor | None, seal: Seal
) -> tuple[Evidence, bytes]:
    """A file of the case, for somebody who may see the case.  Raises LoginNeeded, NoSuchCase, NoSuchEvidence."""
    await case_for(db, case_id, actor)
    found = await queries.sealed_evidence(db, case_id, evidence)
    if found is None:
        raise NoSuchEvidence(T("The case has no such file."), mend=T("Start from the case."))
    kept, sealed = found
    return kept, seal.decrypt(sealed, _place(case_id, evidence))


def media_type_of(content: bytes) -> str:
    """What ``content`` is; raises BadEvidence when it is nothing that is taken."""
    if not content:
        raise BadEvidence(T("The file is empty."))
    if len(content) > MOST_BYTES:
        raise _too_large()
    for start, media_type in _STARTS:
        if content.startswith(start):
            return media_type
    if content.startswith(b"PK\x03\x04"):
        return _office_type(content)
    if _is_plain(content):
        return "text/plain"
    raise _other()


def _office_type(content: bytes) -> str:
    """Which office document a ZIP file is; those with programs (macros, embedded objects) are refused."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            names = set(opened.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise _other() from None
    if any(
        "vbaproject" in name.lower() or "/embeddings/" in name.lower() or "activex" in name.lower() for name in names
    ):
        raise BadEvidence(T("The document holds a program or another file."), mend=T("Save it as PDF and send that."))
    for part, media_type in _PARTS:
        if part in names and "[Content_Types].xml" in names:
            return media_type
    raise _other()


def _is_plain(content: bytes) -> bool:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    # What a browser or a shell would take for a program is none, whatever it is called.
    started = text.lstrip()[:1]
    return started not in ("<", "#") and not any(
        unicodedata.category(each) == "Cc" and each not in "\t\r\n" for each in text
    )


def _too_large() -> BadEvidence:
    return BadEvidence(T("The files may have at most {most} MB together."), most=MOST_BYTES // 1024**2)


def _other() -> BadEvidence:
    return BadEvidence(
        T("The file is none of: PDF, PNG, JPEG, Word (.docx), Excel (.xlsx), plain text."),
        mend=T("Save it as PDF and send that."),
    )


def _name(told: str, media_type: str) -> str:
    """The name for people, with the ending of what the file is."""
    name = " ".join(visible(told).replace("/", " ").replace("\\", " ").replace('"', " ").split())[:150].strip(". ")
    ending = ENDINGS[media_type]
    fits = (ending, ".jpeg") if ending == ".jpg" else (ending, ".csv") if ending == ".txt" else (ending,)
    return name if name.lower().endswith(fits) else f"{name or 'tep'}{ending}"


def _place(case: str, evidence: str) -> bytes:
    return f"evidence\x00{case}\x00{evidence}".encode()
