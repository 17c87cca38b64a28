"""A small country as the pages see it: plain view models with every state a page can meet."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from lienthong.portal import models as m

NOW = datetime(2026, 11, 22, 7, 5, 9, tzinfo=UTC)

POLICE = m.Name("Bộ Công an", "Ministry of Public Security")
LAND = m.Name("Bộ Nông nghiệp và Môi trường", "Ministry of Agriculture and Environment")
FINANCE = m.Name("Bộ Tài chính", "Ministry of Finance")
HAIPHONG = m.Name("UBND thành phố Hải Phòng", "People's Committee of Hải Phòng City")
CENTRE = m.Name("Trung tâm Dữ liệu quốc gia", "National Data Centre")
CITIZEN = m.Name("Công dân", "Citizens")
PARCEL = m.Name("Thửa đất", "Land parcels")
FIRM = m.Name("Doanh nghiệp", "Enterprises")
UNITS = m.Name("Đơn vị hành chính", "Administrative units")
ONE_STOP = m.Name(
    "Giải quyết thủ tục hành chính tại một cửa", "Handling administrative procedures at the one-stop shop"
)


def sha(text: str) -> str:
    """A digest that stays the same for the same text."""
    return hashlib.sha256(text.encode()).hexdigest()


def agreement_line(title: m.Name, provider: m.Name, target: str, **changed: object) -> m.AgreementLine:
    digest = sha(target)
    line = m.AgreementLine(
        id="urn:uuid:5b2c1d1e-6a0f-4a8e-9d35-2f5f2c9d1a01",
        version="1",
        digest=digest,
        title=title,
        target=target,
        provider=provider,
        consumer=HAIPHONG,
        fields=7,
        masked=1,
        filtered=True,
        by_rule=False,
        valid_to=datetime(2027, 12, 31, 17, 0, tzinfo=UTC),
        personal=True,
        synthetic=True,
        url=f"/agreements/{digest}",
    )
    return replace(line, **changed)  # type: ignore[arg-type]


CITIZEN_AGREEMENT = agreement_line(CITIZEN, POLICE, "VN/GOV/G01/dancu/citizen")
AGREEMENTS = (
    CITIZEN_AGREEMENT,
    agreement_line(PARCEL, LAND, "VN/GOV/G10/datdai/parcel", masked=0, personal=False),
    agreement_line(FIRM, FINANCE, "VN/GOV/G12/doanhnghiep/firm", masked=0, fields=None),
    agreement_line(
        UNITS,
        CENTRE,
        "VN/GOV/G01.99/danhmuc/unit",
        consumer=m.Name("Mọi cơ quan nhà nước", "Every state body"),
        masked=0,
        fields=None,
        filtered=False,
        by_rule=True,
        personal=False,
        synthetic=False,
        valid_to=None,
    ),
)


def record_link(side: m.RecordSide, number: int, *, proved: bool = True) -> m.RecordLink:
    record_hash = sha(f"{side}{number}")
    return m.RecordLink(
        side=side,
        record_hash=record_hash,
        page_url=f"/records/{record_hash}",
        receipt_url=f"/log/receipt/{record_hash}",
        proof_url=f"/log/proof/{record_hash}" if proved else None,
    )


def use(number: int, way: m.Way, line: m.AgreementLine, **changed: object) -> m.UseLine:
    made = m.UseLine(
        exchange_id=f"0192f3a1-{number:04d}",
        at=NOW - timedelta(seconds=41 * number),
        way=way,
        consumer=HAIPHONG,
        provider=line.provider,
        title=line.title,
        resource=line.target,
        purpose=ONE_STOP,
        purpose_code="HP-MOTCUA-01",
        outcome="permitted",
        reason=None,
        rows=1,
        bytes=412,
        agreement_digest=line.digest,
        agreement_url=line.url,
        records=(record_link("consumer", number), record_link("provider", number)),
        synthetic=line.synthetic,
    )
    return replace(made, **changed)  # type: ignore[arg-type]


USES = (
    use(0, "call", AGREEMENTS[0], records=(record_link("consumer", 0, proved=False),)),
    use(1, "query", AGREEMENTS[1], rows=114, bytes=18_204),
    use(2, "table", AGREEMENTS[0], rows=12_041, bytes=1_204_512),
    use(3, "call", AGREEMENTS[2]),
    use(
        4,
        "call",
        AGREEMENTS[0],
        outcome="refused",
        reason="purpose-not-covered",
        rows=None,
        purpose=None,
        purpose_code="HP-KHAC-09",
        agreement_digest=None,
        agreement_url=None,
    ),
    use(5, "query", AGREEMENTS[3], rows=3_321, bytes=240_000, outcome="permitted"),
    use(6, "call", AGREEMENTS[1], outcome="failed", reason="backend-silent", rows=None),
)

MEMBERS = (
    m.MemberLine(
        "VN/GOV/A99", CENTRE, False, "nut-quoc-gia", "http://127.0.0.1:8080/", "serving", 3_420, services=(UNITS,)
    ),
    m.MemberLine(
        "VN/GOV/G01", POLICE, True, "nut-g01", "http://127.0.0.1:40101/", "serving", 18_044, services=(CITIZEN,)
    ),
    m.MemberLine("VN/GOV/G10", LAND, False, "nut-g10", "http://127.0.0.1:40102/", "starting", None, services=(PARCEL,)),
    m.MemberLine("VN/GOV/G12", FINANCE, True, "nut-g12", "http://127.0.0.1:40103/", "silent", 902, services=(FIRM,)),
    m.MemberLine("VN/GOV/H24", HAIPHONG, False, "nut-h24", "http://127.0.0.1:40104/", "serving", 20_117),
)

CHECKPOINT = m.CheckpointView(
    origin="vn.lienthong/nut-quoc-gia",
    size=3_420,
    root="q1yZ0mN0xv8k0dJ8yYt0rZbq9c5O2yq8c8m8u7yD6Hk=",
    at=NOW,
    url="/log/checkpoint",
    key="vn.lienthong/nut-quoc-gia+1f4a5b6c+ARpDq3gq0bXl8Yk0X0hW0m0mR7yq8a0oQp9b1s9m0P1k",
)

HOME = m.Home(
    at=NOW,
    node=CENTRE,
    synthetic=True,
    members=MEMBERS,
    agreements=AGREEMENTS,
    uses=USES,
    uses_by_way=(("call", 1204), ("table", 12), ("query", 88)),
    checkpoint=CHECKPOINT,
    commands=(
        (
            m.Name("Gọi một hồ sơ", "Call one record"),
            "lienthong call VN/GOV/G01/dancu/citizen --receipt bien-nhan.json",
        ),
        (m.Name("Truy vấn", "Query"), 'lienthong query "SELECT gender, count(*) FROM g01.dancu.citizen GROUP BY 1"'),
    ),
)

STARTING = m.Home(
    at=NOW,
    node=CENTRE,
    synthetic=True,
    progress=m.Progress(
        steps=(
            m.Step(m.Name("Cơ sở dữ liệu của năm nút", "The five nodes' databases"), "done"),
            m.Step(
                m.Name("20.000 người giả lập, thửa đất và doanh nghiệp", "20,000 synthetic persons"), "done", "2,1 s"
            ),
            m.Step(m.Name("Năm nút kết nối", "Five nodes"), "running"),
            m.Step(m.Name("Thỏa thuận và chữ ký", "Agreements and signatures"), "waiting"),
            m.Step(m.Name("Những lần sử dụng đầu tiên", "The first uses"), "waiting"),
        ),
        started_at=NOW - timedelta(seconds=9),
    ),
)


def _field(
    name: str, vi: str, en: str, *, personal: bool = True, granted: bool = True, mask: str | None = None
) -> m.FieldLine:
    return m.FieldLine(name, m.Name(vi, en), "string", personal, granted, mask)


FIELDS = (
    _field("personal_number", "Số định danh cá nhân", "Personal number"),
    _field("full_name", "Họ và tên", "Full name"),
    _field("birth_date", "Ngày sinh", "Birth date", mask="year"),
    _field("gender", "Giới tính", "Gender"),
    _field("commune_code", "Mã xã", "Commune code", personal=False),
    _field("phone", "Điện thoại", "Telephone", mask="partial"),
    _field("household_id", "Mã hộ", "Household id", granted=False),
)
PURPOSE = m.PurposeLine("HP-MOTCUA-01", ONE_STOP, "NĐ 118/2025/NĐ-CP (minh họa)", date(2025, 7, 1), None)
AGREEMENT = m.AgreementPage(
    line=CITIZEN_AGREEMENT,
    state="FINALIZED",
    legal_basis="NĐ 278/2025/NĐ-CP",
    permissions=(
        m.PermissionView(
            ways=("call", "table", "query"),
            systems=("VN/GOV/H24/motcua", "VN/GOV/H24/phantich"),
            purposes=(PURPOSE,),
            ground="law:NĐ 278/2025/NĐ-CP",
            fields=FIELDS,
            row_filter=(m.FilterLine("province_code", "eq", ("31",)),),
            quota_per_day=10_000,
            min_group=None,
            valid_from=datetime(2026, 1, 1, tzinfo=UTC),
            valid_to=datetime(2027, 12, 31, 17, 0, tzinfo=UTC),
        ),
        m.PermissionView(
            ways=("query",),
            systems=(),
            purposes=(replace(PURPOSE, code="HP-THONGKE-01"),),
            ground="law:NĐ 278/2025/NĐ-CP",
            fields=FIELDS,
            row_filter=(),
            quota_per_day=None,
            min_group=10,
            valid_from=datetime(2026, 1, 1, tzinfo=UTC),
            valid_to=None,
        ),
    ),
    obligations=(("delete-after", "P30D"), ("notify-breach", "PT72H")),
    prohibitions=("reidentify",),
    clauses=(("processing", "Chỉ xử lý trong phạm vi mục đích đã đăng ký."),),
    signatures=(
        m.SignatureLine(
            POLICE,
            "VN/GOV/G01",
            "provider",
            "Zk3vN0mS5o0c0bq0cXy1q2w3e4r5t6y7u8i9o0p1a2s",
            "eyJhbGciOiJFUzI1NiJ9..c2ln",
        ),
        m.SignatureLine(HAIPHONG, "VN/GOV/H24", "consumer", None, None),
    ),
    document='{"@type":"http://www.w3.org/ns/odrl/2/Agreement","giữ nguyên":"<b>"}',
    previous_digest=sha("before"),
)

RECORD = m.RecordPage(
    line=USES[2],
    link=USES[2].records[1],
    leaf='{"v":1,"side":"provider","exchange_id":"0192f3a1-0002"}',
    record=(
        ("v", "1"),
        ("side", "provider"),
        ("exchange_id", "0192f3a1-0002"),
        ("at", "2026-11-22T07:03:47.120Z"),
        ("node", "nut-g01"),
        ("consumer", "VN/GOV/H24/phantich"),
        ("agreement.digest", f"sha-256:{CITIZEN_AGREEMENT.digest}"),
        ("outcome", "permitted"),
        ("reason", None),
        ("body_digest", f"sha-256:{sha('body')}"),
        ("rows", "12041"),
    ),
    node="nut-g01",
    log_index=18_041,
    checkpoint=replace(CHECKPOINT, origin="vn.lienthong/nut-g01", size=18_044),
    peer_url="http://127.0.0.1:40104/log/receipt/" + sha("peer"),
)


class SampleData:
    """PortalData over the sample, with nothing behind it but these values."""

    def __init__(self, home: m.Home = HOME) -> None:
        self.shown = home

    async def home(self) -> m.Home:
        return self.shown

    async def agreement(self, digest: str) -> m.AgreementPage | None:
        return AGREEMENT if digest == AGREEMENT.line.digest else None

    async def record(self, record_hash: str) -> m.RecordPage | None:
        return RECORD if record_hash == RECORD.link.record_hash else None
