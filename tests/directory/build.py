"""Builders for the tests of the directory: a small country, each value replaceable by name."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from lienthong.directory.contents import Contents
from lienthong.directory.document import Snapshot, parse_directory, write_directory
from lienthong.directory.models import (
    Contact,
    Member,
    MemberId,
    MemberKey,
    Node,
    NodeId,
    Purpose,
    Rule,
    System,
    SystemId,
)
from lienthong.trust.keys import generate_es256, key_id, public_jwk

NOW = datetime(2026, 7, 1, 5, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2028, 1, 1, tzinfo=UTC)
POLICE, LAND, PROVINCE = MemberId("VN/GOV/G01"), MemberId("VN/GOV/G13"), MemberId("VN/GOV/H24")
COUNTER = SystemId("VN/GOV/H24/motcua")
CONTACT = Contact("Nguyễn Văn A", "Chuyên viên", "+84 24 3933 0000", "dulieu@example.gov.vn")


def a_member(member_id: str = POLICE, **changes: Any) -> Member:
    defaults: dict[str, Any] = {
        "id": MemberId(member_id),
        "name_vi": f"Cơ quan {member_id}",
        "name_en": f"Body {member_id}",
        "kind": "ministry",
        "block": "government",
        "parent": None,
        "state": "active",
        "successor": None,
        "verified": True,
        "security_level": 3,
        "contact": CONTACT,
        "keys": (),
    }
    return Member(**defaults | changes)


def a_system(system_id: str = COUNTER, **changes: Any) -> System:
    return System(**{"id": SystemId(system_id), "name_vi": "Một cửa", "name_en": "Counter", **changes})


def a_node(node_id: str = "nut-g01", **changes: Any) -> Node:
    defaults: dict[str, Any] = {
        "id": NodeId(node_id),
        "operator": POLICE,
        "members": (POLICE,),
        "peer_url": "https://127.0.0.1:5500",
        "public_url": "http://127.0.0.1:8080",
        "tls_sha256": (f"{sum(node_id.encode()):064x}",),
        "log_origin": f"lienthong.example/{node_id}",
        "log_key": f"{node_id}+00000000+AAAA",
        "platform": "NDXP",
        "runs_on": "Trung tâm dữ liệu",
        "capabilities": ("frames",),
    }
    return Node(**defaults | changes)


def a_purpose(code: str = "HP-01", **changes: Any) -> Purpose:
    defaults: dict[str, Any] = {
        "code": code,
        "member": PROVINCE,
        "title_vi": "Giải quyết thủ tục đất đai",
        "title_en": "Land procedures",
        "legal_basis": "Luật Đất đai 2024",
        "valid_from": date(2026, 1, 1),
        "valid_to": None,
        "dpv": "https://w3id.org/dpv#PublicBenefit",
    }
    return Purpose(**defaults | changes)


def a_key(node_id: str = "nut-g01", private: EllipticCurvePrivateKey | None = None, **changes: Any) -> MemberKey:
    jwk = public_jwk(private or generate_es256())
    return MemberKey(
        **{"keyid": key_id(jwk), "jwk": jwk, "node": NodeId(node_id), "valid_from": START, "valid_to": END, **changes}
    )


def a_directory(**changes: Any) -> Contents:
    defaults: dict[str, Any] = {
        "members": (a_member(POLICE), a_member(LAND), a_member(PROVINCE, kind="province")),
        "systems": (a_system(),),
        "nodes": (a_node(), a_node("nut-h24", operator=PROVINCE, members=(PROVINCE,))),
        "purposes": (a_purpose(),),
        "rules": (Rule(POLICE, '{"điều":"khoản"}'.encode(), "e30..AAAA"),),
        "authorities": ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",),
    }
    return Contents(**defaults | changes)


def a_snapshot(version: int = 1, issued: datetime = NOW, expires: datetime = END, **changes: Any) -> Snapshot:
    return parse_directory(write_directory(a_directory(**changes), version=version, issued=issued, expires=expires))
