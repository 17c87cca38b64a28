"""The four registers of the small country: their columns, in what types, with what titles, and which are personal.

One description serves three uses: the table that is made, the rows that are copied in, and the service that is
published.  ``person``, ``parcel`` and ``firm`` are synthetic; ``unit`` is the real register of administrative units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lienthong.catalog.models import Field, FieldType

_SQL_TYPES: Final[dict[FieldType, str]] = {
    "string": "text",
    "integer": "bigint",
    "decimal": "numeric(14,2)",
    "double": "double precision",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a register."""

    name: str
    type: FieldType
    title_vi: str
    title_en: str
    personal: bool = False
    nullable: bool = False

    @property
    def sql_type(self) -> str:
        """The PostgreSQL type."""
        return _SQL_TYPES[self.type]

    def field(self) -> Field:
        """The column as a field of the published schema."""
        precision, scale = (14, 2) if self.type == "decimal" else (None, None)
        return Field(self.name, self.type, self.title_vi, self.title_en, self.personal, self.nullable, precision, scale)


@dataclass(frozen=True, slots=True)
class Register:
    """A table of the demo; ``key`` names its row."""

    table: str
    title_vi: str
    title_en: str
    key: str
    columns: tuple[Column, ...]
    synthetic: bool

    def fields(self) -> tuple[Field, ...]:
        """The published schema."""
        return tuple(column.field() for column in self.columns)


_COMMUNE = Column("commune_code", "string", "Mã xã, phường, đặc khu", "Commune code")
_PROVINCE = Column("province_code", "string", "Mã tỉnh, thành phố", "Province code")
_SYNTHETIC = Column("synthetic", "boolean", "Dữ liệu giả lập", "Synthetic")

PERSON: Final = Register(
    "person",
    "Công dân (dữ liệu giả lập)",
    "Citizens (synthetic)",
    "personal_number",
    (
        Column("personal_number", "string", "Số định danh cá nhân", "Personal number", personal=True),
        Column("full_name", "string", "Họ, chữ đệm và tên", "Full name", personal=True),
        Column("birth_date", "date", "Ngày sinh", "Birth date", personal=True),
        Column("gender", "string", "Giới tính", "Gender", personal=True),
        Column("household_id", "string", "Mã hộ", "Household", personal=True),
        _COMMUNE,
        _PROVINCE,
        Column("address", "string", "Nơi cư trú", "Residence", personal=True),
        Column("phone", "string", "Số điện thoại", "Telephone", personal=True, nullable=True),
        Column("updated_at", "timestamp", "Cập nhật lúc", "Updated at"),
        _SYNTHETIC,
    ),
    synthetic=True,
)

RESIDENT: Final = Register(
    "resident",
    "Cư dân, bản sao tại một cửa (dữ liệu giả lập)",
    "Residents, copy at the one-stop shop (synthetic)",
    "personal_number",
    tuple(
        column
        for column in PERSON.columns
        if column.name
        in ("personal_number", "full_name", "birth_date", "gender", "commune_code", "address", "synthetic")
    ),
    synthetic=True,
)
"""What the city once copied of its residents; it has grown old since, see ``demo.copied``."""

PARCEL: Final = Register(
    "parcel",
    "Thửa đất (dữ liệu giả lập)",
    "Land parcels (synthetic)",
    "parcel_id",
    (
        Column("parcel_id", "string", "Mã định danh thửa đất", "Parcel id"),
        _COMMUNE,
        _PROVINCE,
        Column("area_m2", "decimal", "Diện tích (m²)", "Area (m²)"),
        Column("land_use", "string", "Mục đích sử dụng đất", "Land use"),
        Column("owner_kind", "string", "Loại người sử dụng đất", "Kind of land user"),
        Column("owner_code", "string", "Mã người sử dụng đất", "Land user's code", personal=True),
        Column("issued_on", "date", "Ngày cấp giấy chứng nhận", "Certificate issued on"),
        _SYNTHETIC,
    ),
    synthetic=True,
)

FIRM: Final = Register(
    "firm",
    "Doanh nghiệp (dữ liệu giả lập)",
    "Enterprises (synthetic)",
    "enterprise_code",
    (
        Column("enterprise_code", "string", "Mã số doanh nghiệp", "Enterprise code"),
        Column("name", "string", "Tên doanh nghiệp", "Name"),
        Column("legal_form", "string", "Loại hình", "Legal form"),
        Column("founded_on", "date", "Ngày thành lập", "Founded on"),
        _COMMUNE,
        _PROVINCE,
        Column(
            "representative_number",
            "string",
            "Số định danh người đại diện theo pháp luật",
            "Legal representative's personal number",
            personal=True,
        ),
        Column("charter_capital", "integer", "Vốn điều lệ (đồng)", "Charter capital (VND)"),
        Column("status", "string", "Tình trạng hoạt động", "Status"),
        _SYNTHETIC,
    ),
    synthetic=True,
)

UNIT: Final = Register(
    "unit",
    "Danh mục đơn vị hành chính",
    "Register of administrative units",
    "reading",
    (
        Column("reading", "string", "Mã và ngày bắt đầu hiệu lực", "Code and first day"),
        Column("code", "string", "Mã đơn vị hành chính", "Code"),
        Column("level", "string", "Cấp", "Level"),
        Column("kind", "string", "Loại đơn vị", "Kind"),
        Column("name", "string", "Tên", "Name"),
        Column("full_name", "string", "Tên đầy đủ", "Full name"),
        Column("parent_code", "string", "Mã đơn vị cấp trên", "Parent code", nullable=True),
        _PROVINCE,
        Column("valid_from", "date", "Hiệu lực từ ngày", "First day", nullable=True),
        Column("valid_to", "date", "Hiệu lực đến hết ngày", "Last day", nullable=True),
        Column("legal_basis", "string", "Căn cứ pháp lý", "Legal basis"),
        Column("area_km2", "decimal", "Diện tích (km²)", "Area (km²)", nullable=True),
        Column("lat", "double", "Vĩ độ trung tâm", "Latitude of the centre", nullable=True),
        Column("lon", "double", "Kinh độ trung tâm", "Longitude of the centre", nullable=True),
    ),
    synthetic=False,
)

REGISTERS: Final = (PERSON, RESIDENT, PARCEL, FIRM, UNIT)
