"""Cases are opened on a page by those who may, with evidence that is what its content says and goes to nobody else."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from lienthong.cases import queries
from lienthong.cases.evidence import (
    MOST_BYTES,
    MOST_FILES,
    MOST_OF_CASE,
    BadEvidence,
    File,
    NoSuchEvidence,
    attach,
    media_type_of,
    opened_evidence,
)
from lienthong.cases.kinds import shipped_kinds
from lienthong.cases.moving import move
from lienthong.cases.opening import Wish, open_case
from lienthong.cases.reading import NoSuchCase
from lienthong.identity.models import Role
from lienthong.identity.rights import NotAllowed
from lienthong.portal.casefiles import opening_pages
from lienthong.portal.cases import case_pages
from lienthong.portal.models import Name
from lienthong.storage.pool import reading
from lienthong.storage.provision import DatabaseDsns
from lienthong.trust.seal import Seal
from tests.cases.build import CITIZEN, NOW, OTHER, OWNER, a_case, by
from tests.identity.build import HERE, a_person
from tests.identity.portal import Small, send, small_portal

PDF = b"%PDF-1.7\nb\xe1ng ch\xe9p"
SEAL = Seal(b"s" * 32)
MEMBERS = {HERE: Name("Sở Tư pháp", "Justice"), OTHER: Name("Sở Y tế", "Health"), "VN/GOV/G01": Name("Bộ Công an", "")}


def office(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name in ("[Content_Types].xml", *names):
            file.writestr(name, "x")
    return made.getvalue()


@pytest.fixture
async def small(emptied: DatabaseDsns) -> AsyncIterator[Small]:
    def modules(small: Small):
        return [opening_pages(small.pool, SEAL, lambda: MEMBERS), case_pages(small.pool, SEAL)]

    async with small_portal(emptied.app, more=modules) as opened:
        async with reading(opened.pool) as db:
            for login, roles, member in (
                ("hoa", (Role.DATA_OFFICER,), OTHER),
                ("hoi", (Role.INTEGRATOR,), HERE),
                ("khac", (Role.DATA_OFFICER,), HERE),
            ):
                await a_person(db, login, *roles, member=member)
        yield opened


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PDF, "application/pdf"),
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (office("word/document.xml"), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (office("xl/workbook.xml"), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("Mã xã,Tên\n00001,Hà Đông".encode(), "text/plain"),
    ],
)
def test_what_a_file_is_follows_from_its_content(content: bytes, media_type: str):
    assert media_type_of(content) == media_type


@pytest.mark.parametrize(
    "content",
    [
        b"", b"MZ\x90\x00", b"\x7fELF", b"<html><script>alert(1)</script>", b"\n <svg onload=alert(1)>", b"#!/bin/sh\n",
        b"\x00\x01", "ổ".encode("utf-16"), b"PK\x03\x04 broken", office("other.txt"),
        office("word/document.xml", "word/vbaProject.bin"), office("xl/workbook.xml", "xl/embeddings/oleObject1.bin"),
        b"%PDF-" + b"x" * MOST_BYTES,
    ],
)  # fmt: skip
def test_programs_pages_and_what_is_too_large_are_no_evidence(content: bytes):
    with pytest.raises(BadEvidence) as refused:
        media_type_of(content)

    assert refused.value.kind == "bad-evidence"


async def test_evidence_is_kept_sealed_never_changed_and_bounded(db):
    case = await a_case(db, "feedback", by=None)
    with pytest.raises(BadEvidence):
        await attach(db, case.id, 1, [File("a", PDF)] * (MOST_FILES + 1), SEAL, NOW)
    with pytest.raises(BadEvidence):
        await attach(db, case.id, 1, [File("a", b"%PDF-" + b"x" * (MOST_BYTES // 2))] * 2, SEAL, NOW)
    for _ in range(MOST_OF_CASE):
        await attach(db, case.id, 1, [File('../../e\u202e"tc/pass\nwd.exe', PDF)], SEAL, NOW)
    with pytest.raises(BadEvidence):
        await attach(db, case.id, 1, [File("a", PDF)], SEAL, NOW)

    kept = await queries.evidence_of(db, case.id)
    assert {(each.name, each.sha256) for each in kept} == {("e tc pass wd.exe.pdf", sha256(PDF).digest())}
    found = await queries.sealed_evidence(db, case.id, kept[0].id)
    assert found
    assert PDF not in found[1]
    assert (await opened_evidence(db, case.id, kept[0].id, None, SEAL))[1] == PDF
    with pytest.raises(NoSuchEvidence) as none:
        await opened_evidence(db, case.id, "0" * 16, None, SEAL)
    assert none.value.kind == "no-such-evidence"
    with pytest.raises(NoSuchCase):
        await opened_evidence(db, case.id, kept[0].id, CITIZEN, SEAL)


async def test_a_kind_is_opened_by_those_it_is_for_alone(db):
    for kind in shipped_kinds():
        told = Wish(kind.name, OWNER, "x", matter=next(iter(kind.matters), ""))
        if "citizen" in kind.openers or kind.name == "dispute":
            continue
        with pytest.raises(NotAllowed):
            await open_case(db, told, by=CITIZEN, now=NOW)


async def test_an_officer_opens_each_kind_on_a_page_once_with_a_file_that_those_concerned_fetch(small: Small):
    asker, handler, stranger = [await small.signed_in(name) for name in ("hoi", "hoa", "khac")]
    listed = (await asker.get("/cases/open")).text
    assert "report-reminder" not in listed
    assert (await asker.get("/cases/open/report-reminder")).status_code == 403
    assert (await asker.get("/cases/open/none")).status_code == 403
    assert (await small.browser().get("/cases/open")).status_code == 303

    fields = {"owner": "so y te", "title": "Thiếu mã <b>xã</b>", "text": "Bảng 3, cột 2"}
    offered = [kind.name for kind in shipped_kinds() if f'/cases/open/{kind.name}"' in listed]
    assert len(offered) == 11
    opened = {}
    for kind in offered:
        if kind == "dispute":
            assert "Không có vụ việc nào của anh/chị bị từ chối" in (await asker.get("/cases/open/dispute")).text
            continue
        more = {"matter": "view"} if kind == "rights-request" else {}
        answer = await send(asker, f"/cases/open/{kind}", {**fields, **more})
        assert answer.status_code == 303, (kind, answer.text)
        opened[kind] = answer.headers["location"]

    page = await asker.get("/cases/open/quality-ticket")
    token, key = [page.text.split(f'name="{name}" value="')[1].split('"')[0] for name in ("token", "form_key")]
    data = {"token": token, "form_key": key, **fields}
    program = {"files": ("bang-chung.pdf", b"MZ\x90", "application/pdf")}
    refused = await asker.post("/cases/open/quality-ticket", data=data, files=program)
    assert refused.status_code == 422
    assert "Thiếu mã &lt;b&gt;xã&lt;/b&gt;" in refused.text
    name = "bằng chứng Nguyễn Văn A.pdf"
    twice = [
        await asker.post("/cases/open/quality-ticket", data=data, files={"files": (name, PDF, "text/html")})
        for _ in range(2)
    ]
    assert twice[0].headers["location"] == twice[1].headers["location"] != opened["quality-ticket"]

    case = twice[0].headers["location"]
    shown = (await handler.get(case)).text
    assert sha256(PDF).hexdigest() in shown
    href = shown.split(f'href="{case}/files/')[1].split('"')[0]
    assert shown.count("/files/") == 1
    for browser in (asker, handler):
        fetched = await browser.get(f"{case}/files/{href}")
        assert fetched.content == PDF
        assert fetched.headers["content-disposition"].startswith("attachment; filename*=UTF-8''b%E1%BA%B1ng")
        assert fetched.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in fetched.headers["content-security-policy"]
        assert fetched.headers["cache-control"] == "no-store"
    assert (await stranger.get(f"{case}/files/{href}")).status_code == 404
    assert (await handler.get(f"{opened['feedback']}/files/{href}")).status_code == 404

    unknown = await send(asker, "/cases/open/proposal", {**fields, "owner": "so"})
    assert unknown.status_code == 422
    assert "nhiều hơn một" in unknown.text


async def test_a_refusal_is_disputed_on_a_page_before_another_member(small: Small):
    asker = await small.signed_in("hoi")
    first = await send(asker, "/cases/open/access-request", {"owner": OTHER, "title": "Dân số", "text": "Cho đề án"})
    case_id = first.headers["location"].rsplit("/", 1)[1]
    async with reading(small.pool) as db:
        case = await queries.case_by_id(db, case_id)
        assert case
        await move(db, by(None, case, reason="Mật", provision="Luật 29/2018/QH14, Đ7"), "refused", NOW)

    disputed = {"about": case_id, "title": "Không đồng ý", "text": "Dữ liệu không mật"}
    same = await send(asker, "/cases/open/dispute", {**disputed, "owner": OTHER})
    assert same.status_code == 422, "who refused does not decide"
    good = await send(asker, "/cases/open/dispute", {**disputed, "owner": "VN/GOV/G01"})
    assert good.status_code == 303
    other = await send(asker, "/cases/open/dispute", {**disputed, "about": "0" * 16, "owner": "VN/GOV/G01"})
    assert other.status_code == 422
