"""The cast of the small country: its members and nodes, what they offer, for which purposes, under which agreements.

Plain frozen data, of which others make the real thing.  Names and codes come from the dated lists of ``law``, so an
unverified code stays marked.  Contacts are fictional, and a legal basis that was not read is marked ILLUSTRATIVE.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Final, Literal

from lienthong.agreements.models import MaskKind, Obligation, Permission, Prohibition, Terms
from lienthong.catalog.models import Service, Sharing, Source, Subject
from lienthong.config import Copy, Lookup
from lienthong.demo.places import HOME_PROVINCE
from lienthong.demo.registers import FIRM, PARCEL, PERSON, RESIDENT, UNIT, Register
from lienthong.directory.models import (
    Block,
    Contact,
    DatasetId,
    Member,
    MemberId,
    MemberKind,
    NodeId,
    Purpose,
    ServiceId,
    System,
    SystemId,
    member_of,
)
from lienthong.law.agencies import agency_on, look_up

SEED: Final = 2026
DATA_DAY: Final = date(2026, 11, 1)
"""The synthetic registers show the country as of this day, whenever the demo runs."""
ILLUSTRATIVE: Final = " (minh họa)"
"""Follows a legal basis that was named from memory: the article has still to be read."""

NATIONAL: Final = MemberId("VN/ORG/NDC")
POPULATION: Final = MemberId("VN/GOV/G01")
LAND: Final = MemberId("VN/GOV/G10")
ENTERPRISE: Final = MemberId("VN/GOV/G12")
HAI_PHONG: Final = MemberId("VN/GOV/H24")

ONE_STOP: Final = "HP-MOTCUA-01"
STATISTICS: Final = "HP-THONGKE-01"
CODE_LISTS: Final = "QG-DANHMUC-01"

ONE_STOP_SYSTEM: Final = SystemId("VN/GOV/H24/motcua")
ANALYSIS_SYSTEM: Final = SystemId("VN/GOV/H24/phantich")

_PERSONAL_GROUND: Final = "law:Luật 91/2025/QH15, Đ19"
_SHARING_GROUND: Final = "law:NĐ 278/2025/NĐ-CP"
_SMALLEST_GROUP: Final = 10


@dataclass(frozen=True, slots=True)
class Offer:
    """A register that a member publishes as one service and one dataset of the same name."""

    service: ServiceId
    register: Register
    sharing: Sharing
    legal_basis: str
    personal: bool
    subjects: tuple[Subject, ...]
    lookup: tuple[str, ...]

    @property
    def dataset(self) -> DatasetId:
        """The dataset with the service's name."""
        system, _, name = self.service.rpartition("/")
        return DatasetId(f"{system}/ds/{name}")

    def service_over(self, source: Source) -> Service:
        """The service as it is published over ``source``."""
        return Service(
            id=self.service,
            kind="table",
            title_vi=self.register.title_vi,
            title_en=self.register.title_en,
            sharing=self.sharing,
            fields=self.register.fields(),
            dataset=self.dataset,
            personal=self.personal,
            subjects=self.subjects,
            lookup=self.lookup,
            required_lookup=self.personal,
            key=(self.register.key,),
            legal_basis=self.legal_basis,
            synthetic=self.register.synthetic,
            source=source,
        )


@dataclass(frozen=True, slots=True)
class Actor:
    """A member with its node, its systems and what it offers."""

    member: Member
    node: NodeId
    systems: tuple[System, ...]
    offers: tuple[Offer, ...] = ()


CITIZEN: Final = Offer(
    ServiceId("VN/GOV/G01/dancu/citizen"),
    PERSON,
    "shared",
    "Luật Căn cước 26/2023/QH15" + ILLUSTRATIVE,
    personal=True,
    subjects=(
        Subject("request", "personal_number", "personal_number"),
        Subject("response", "personal_number", "personal_number"),
    ),
    lookup=("personal_number",),
)
PARCELS: Final = Offer(
    ServiceId("VN/GOV/G10/datdai/parcel"),
    PARCEL,
    "shared",
    "Luật Đất đai 31/2024/QH15" + ILLUSTRATIVE,
    personal=True,
    subjects=(
        Subject("request", "owner_code", "personal_number"),
        Subject("response", "owner_code", "personal_number"),
        Subject("response", "parcel_id", "parcel"),
    ),
    lookup=("parcel_id", "owner_code"),
)
FIRMS: Final = Offer(
    ServiceId("VN/GOV/G12/doanhnghiep/firm"),
    FIRM,
    "shared",
    "Luật Doanh nghiệp 59/2020/QH14" + ILLUSTRATIVE,
    personal=True,
    subjects=(
        Subject("request", "representative_number", "personal_number"),
        Subject("response", "representative_number", "personal_number"),
        Subject("response", "enterprise_code", "enterprise"),
    ),
    lookup=("enterprise_code", "representative_number"),
)
UNITS: Final = Offer(
    ServiceId("VN/ORG/NDC/danhmuc/unit"),
    UNIT,
    "open",
    "QĐ 19/2025/QĐ-TTg",
    personal=False,
    subjects=(),
    lookup=("code", "level", "province_code"),
)

RESIDENTS: Final = Offer(
    ServiceId("VN/GOV/H24/motcua/resident"),
    RESIDENT,
    "private",
    "NĐ 118/2025/NĐ-CP" + ILLUSTRATIVE,
    personal=True,
    subjects=(
        Subject("request", "personal_number", "personal_number"),
        Subject("response", "personal_number", "personal_number"),
    ),
    lookup=("personal_number",),
)
"""The city's own copy of its residents: nobody else's to use, compared with the source every day."""
COPIES: Final = (
    Copy(
        RESIDENTS.service,
        CITIZEN.service,
        "personal_number",
        ["full_name", "birth_date", "gender", "commune_code", "address"],
        ONE_STOP_SYSTEM,
        ONE_STOP,
    ),
)
LOOKUP: Final = Lookup(ONE_STOP_SYSTEM, ONE_STOP, CITIZEN.service, FIRMS.service, PARCELS.service)
"""What an officer of Hải Phòng's one-stop shop may ask about whom a case in hand concerns."""


def actors(day: date) -> tuple[Actor, ...]:
    """The five members that run nodes, the national one first, as they stood on ``day``."""
    return (
        Actor(
            _member(NATIONAL, "Trung tâm Dữ liệu quốc gia", "National Data Centre", "data-centre", parent=POPULATION),
            NodeId("nut-quoc-gia"),
            (System(SystemId("VN/ORG/NDC/danhmuc"), "Danh mục dùng chung", "Shared code lists"),),
            (UNITS,),
        ),
        Actor(
            _agency(POPULATION, day, security_level=4),
            NodeId("nut-g01"),
            (System(SystemId("VN/GOV/G01/dancu"), "Cơ sở dữ liệu quốc gia về dân cư", "National population database"),),
            (CITIZEN,),
        ),
        Actor(
            _agency(LAND, day),
            NodeId("nut-g10"),
            (System(SystemId("VN/GOV/G10/datdai"), "Cơ sở dữ liệu quốc gia về đất đai", "National land database"),),
            (PARCELS,),
        ),
        Actor(
            _agency(ENTERPRISE, day),
            NodeId("nut-g12"),
            (
                System(
                    SystemId("VN/GOV/G12/doanhnghiep"),
                    "Cơ sở dữ liệu quốc gia về đăng ký doanh nghiệp",
                    "National enterprise registration database",
                ),
            ),
            (FIRMS,),
        ),
        Actor(
            _agency(HAI_PHONG, day),
            NodeId("nut-h24"),
            (
                System(
                    ONE_STOP_SYSTEM,
                    "Hệ thống thông tin giải quyết thủ tục hành chính",
                    "One-stop shop for administrative procedures",
                    default_purpose=ONE_STOP,
                ),
                System(
                    ANALYSIS_SYSTEM,
                    "Hệ thống phân tích, chỉ đạo điều hành",
                    "Analysis for steering the city",
                    default_purpose=STATISTICS,
                ),
            ),
            (RESIDENTS,),
        ),
    )


def former_members(day: date) -> tuple[Member, ...]:
    """Ministries merged into members of the country by ``day``: closed, with the successor that answers for them."""
    found: list[Member] = []
    for code in ("G05", "G13", "G24"):
        standing = look_up(code, day)
        if standing.state == "closed" and standing.successor is not None:
            identifier = MemberId(f"VN/GOV/{code}")
            member = _member(identifier, standing.agency.name_vi, standing.agency.name_en, standing.agency.kind)
            found.append(
                replace(
                    member,
                    state="closed",
                    successor=MemberId(f"VN/GOV/{standing.successor}"),
                    verified=standing.agency.verified,
                    closed_on=standing.closed_on,
                )
            )
    return tuple(found)


def purposes() -> tuple[Purpose, ...]:
    """The registered tasks that uses of the demo name."""
    return (
        Purpose(
            ONE_STOP,
            HAI_PHONG,
            "Giải quyết thủ tục hành chính tại bộ phận một cửa",
            "Handling administrative procedures at the one-stop shop",
            "NĐ 118/2025/NĐ-CP" + ILLUSTRATIVE,
            date(2025, 7, 1),
            None,
            "https://w3id.org/dpv#ImprovePublicServices",
        ),
        Purpose(
            STATISTICS,
            HAI_PHONG,
            "Thống kê, phân tích phục vụ chỉ đạo, điều hành của thành phố",
            "Statistics and analysis for steering the city",
            "Luật Thống kê 89/2015/QH13" + ILLUSTRATIVE,
            date(2016, 7, 1),
            None,
            "https://w3id.org/dpv#PublicPolicyMaking",
        ),
        Purpose(
            CODE_LISTS,
            POPULATION,
            "Dùng danh mục dùng chung để xây dựng, cập nhật cơ sở dữ liệu",
            "Using shared code lists to build and update databases",
            "NĐ 278/2025/NĐ-CP" + ILLUSTRATIVE,
            date(2025, 10, 22),
            None,
            "https://w3id.org/dpv#LegalCompliance",
            common=True,
        ),
    )


def agreements(day: date) -> tuple[Terms, ...]:
    """What was agreed, valid from 1 January of the year of ``day`` until the end of the following year.

    Each of Hải Phòng's three serves call, table and query for the one-stop shop, and queries over groups for
    statistics; the unit register is shared by rule with every state body.
    """
    starts = datetime(day.year, 1, 1, tzinfo=UTC)
    single_cases = Permission(
        purposes=(ONE_STOP,),
        ground=_PERSONAL_GROUND,
        starts=starts,
        ends=datetime(day.year + 2, 1, 1, tzinfo=UTC),
        systems=(ONE_STOP_SYSTEM, ANALYSIS_SYSTEM),
        row_filter=(("province_code", "eq", HOME_PROVINCE),),
        quota=10_000,
    )
    about_people = replace(
        single_cases, fields=_all_but(PERSON, "household_id", "updated_at"), masks=(("phone", "partial"),)
    )
    return (
        _with_hai_phong(
            CITIZEN,
            about_people,
            statistics=("birth_date", "gender", "commune_code", "province_code"),
            masks=(("birth_date", "year"),),
        ),
        _with_hai_phong(
            PARCELS,
            single_cases,
            statistics=("commune_code", "province_code", "area_m2", "land_use", "owner_kind"),
        ),
        _with_hai_phong(
            FIRMS,
            single_cases,
            statistics=("legal_form", "founded_on", "commune_code", "province_code", "charter_capital", "status"),
        ),
        Terms(
            provider=NATIONAL,
            consumer="VN/GOV",
            target=UNITS.service,
            mode="rule",
            legal_basis="NĐ 278/2025/NĐ-CP; QĐ 19/2025/QĐ-TTg",
            permissions=(
                Permission(purposes=(CODE_LISTS, ONE_STOP, STATISTICS), ground=_SHARING_GROUND, starts=starts),
            ),
            obligations=(Obligation("cite-source"),),
        ),
    )


def _with_hai_phong(
    offer: Offer,
    permission: Permission,
    *,
    statistics: tuple[str, ...],
    masks: tuple[tuple[str, MaskKind], ...] = (),
) -> Terms:
    """An agreement with Hải Phòng on request: ``permission`` for single cases, and figures over ``statistics``."""
    figures = replace(
        permission,
        purposes=(STATISTICS,),
        systems=(ANALYSIS_SYSTEM,),
        ways=("query",),
        fields=statistics,
        masks=masks,
        quota=None,
        min_group=_SMALLEST_GROUP,
    )
    return Terms(
        provider=member_of(offer.service),
        consumer=HAI_PHONG,
        target=offer.service,
        mode="request",
        legal_basis=f"NĐ 278/2025/NĐ-CP; {offer.legal_basis}",
        permissions=(permission, figures),
        prohibitions=(Prohibition("reidentify"), Prohibition("distribute")),
        obligations=(Obligation("delete-after", "P30D"), Obligation("notify-breach", "PT72H")),
        bundle="hai-phong-mot-cua",
    )


def _all_but(register: Register, *left_out: str) -> tuple[str, ...]:
    return tuple(column.name for column in register.columns if column.name not in left_out)


def _agency(identifier: MemberId, day: date, *, security_level: Literal[3, 4] = 3) -> Member:
    """The member that an agency code of the published lists stands for on ``day``."""
    code = identifier.rsplit("/", 1)[1]
    agency = agency_on(code, day)
    if agency is None:
        raise ValueError(f"no agency bore the code {code} on {day}")
    member = _member(identifier, agency.name_vi, agency.name_en, agency.kind)
    return replace(member, verified=agency.verified, security_level=security_level)


def _member(
    identifier: MemberId, name_vi: str, name_en: str, kind: MemberKind, *, parent: MemberId | None = None
) -> Member:
    block: Block = "government"
    return Member(
        id=identifier,
        name_vi=name_vi,
        name_en=name_en,
        kind=kind,
        block=block,
        parent=parent,
        state="active",
        successor=None,
        verified=False,
        security_level=3,
        contact=_fictional_contact(identifier),
        keys=(),
    )


def _fictional_contact(identifier: MemberId) -> Contact:
    """A contact nobody can reach: the name says "sample", the number is zeros, the domain is reserved (RFC 2606)."""
    mailbox = identifier.rsplit("/", 1)[1].lower()
    return Contact("Nguyễn Văn Mẫu", "Đầu mối dữ liệu (hư cấu)", "000 0000 0000", f"dau-moi@{mailbox}.example")
