"""One object a call, with the field names of X-Road's operational monitoring, and without anything personal.

The path is the template of the service's description, the id of the message is the exchange's; officer, case and
represented party are never kept here (they lie encrypted beside the record).  Source: PR-OPMON, annex B.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, cast

import orjson

from lienthong.monitoring.watch import Seen

FIELDS: Final[tuple[str, ...]] = (
    "monitoringDataTs", "securityServerInternalIp", "securityServerType", "requestInTs", "requestOutTs",
    "responseInTs", "responseOutTs", "clientXRoadInstance", "clientMemberClass", "clientMemberCode",
    "clientSubsystemCode", "serviceXRoadInstance", "serviceMemberClass", "serviceMemberCode", "serviceSubsystemCode",
    "serviceCode", "restMethod", "restPath", "serviceVersion", "representedPartyClass", "representedPartyCode",
    "messageId", "messageUserId", "messageIssue", "messageProtocolVersion", "clientSecurityServerAddress",
    "serviceSecurityServerAddress", "requestSize", "requestMimeSize", "requestAttachmentCount", "responseSize",
    "responseMimeSize", "responseAttachmentCount", "succeeded", "serviceType", "faultCode", "faultString",
    "statusCode", "xRoadVersion",
)  # fmt: skip
"""As X-Road names them, in its order; what a field says is in docs/monitoring.md."""
KEPT: Final = (
    "monitoringDataTs", "securityServerType", "requestInTs", "requestOutTs", "responseInTs", "responseOutTs",
    "client", "service", "restMethod", "restPath", "messageId", "clientSecurityServerAddress",
    "serviceSecurityServerAddress", "requestSize", "responseSize", "serviceType", "faultCode", "statusCode",
)  # fmt: skip
"""What is stored; the rest is taken apart from it or always null."""
METHODS: Final[Mapping[bytes, str]] = {
    name.encode("ascii"): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
}
_EXCHANGE: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FAULT: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,80}")

ServiceType = Literal["REST", "OPENAPI3"]


@dataclass(frozen=True, slots=True)
class Names:
    """What may be named: only words that the directory or an agreement knows, for a caller types what it likes."""

    system: Callable[[str], bool]
    """Whether the directory lists a system."""
    service: Callable[[str], bool]
    """Whether a service is ours, described to us or agreed."""
    template: Callable[[str, str, bytes], tuple[str | None, ServiceType]]
    """Service, method, path behind it -> the template that stands for the path; kind of the service's description."""
    address: Callable[[str], str | None]
    """Host of the node of a system's or service's member."""


class Call(NamedTuple):
    """A call as it may be told."""

    side: str
    client: str | None
    service: str | None
    seconds: float
    request_bytes: int
    response_bytes: int
    status: int
    fault: str | None
    row: tuple[object, ...]
    """In the order of ``KEPT``."""


class _Known(NamedTuple):
    """What equal calls have in common."""

    client: str | None
    client_address: str | None
    service: str | None
    service_address: str | None


def tell(seen: Iterable[Seen], names: Names, now_s: int) -> list[Call]:
    """What was ``seen``, in words that may be kept."""
    known: dict[tuple[str, bytes, bytes], _Known] = {}
    templates: dict[tuple[str | None, bytes, bytes], tuple[str | None, ServiceType]] = {}
    calls: list[Call] = []
    for call in seen:
        raw, rest = _service_of(call)
        key = (call.side, call.client, raw)
        common = known.get(key) or known.setdefault(key, _common(call.client, raw, names))
        if len(rest) > 1 or common.service is None:
            described = _template(common.service, call.method, rest, names)
        else:
            asked = (common.service, call.method, rest)
            described = templates.get(asked) or templates.setdefault(asked, _template(*asked, names))
        calls.append(_told(call, common, described, now_s))
    return calls


def _told(call: Seen, common: _Known, described: tuple[str | None, ServiceType], now_s: int) -> Call:
    side, started, sent_on, came_back, ended, raw_method, _, _, _, raw_exchange, got, gave, status, raw_fault = call
    fault = None
    if raw_fault:
        fault = raw_fault.decode("latin-1")
        fault = fault if _FAULT.fullmatch(fault) else "other"
    row = (
        now_s,
        "Client" if side == "consumer" else "Producer",
        int(started * 1000),
        int(sent_on * 1000) if sent_on else None,
        int(came_back * 1000) if came_back else None,
        int(ended * 1000),
        common.client,
        common.service,
        METHODS.get(raw_method),
        described[0] if side == "provider" else None,
        raw_exchange.decode("ascii") if _EXCHANGE.fullmatch(raw_exchange) else None,
        common.client_address,
        common.service_address,
        got,
        gave,
        described[1],
        fault,
        status,
    )
    spent = ended - started
    return Call(side, common.client, common.service, spent if spent > 0 else 0.0, got, gave, status, fault, row)


def _common(raw_client: bytes, raw_service: bytes, names: Names) -> _Known:
    client, service = _named(raw_client, names.system), _named(raw_service, names.service)
    return _Known(
        client, names.address(client) if client else None, service, names.address(service) if service else None
    )


def _template(service: str | None, method: bytes, rest: bytes, names: Names) -> tuple[str | None, ServiceType]:
    return names.template(service, METHODS.get(method) or "", rest) if service else (None, "REST")


def pack(rows: Sequence[Sequence[object]]) -> bytes:
    """Rows of ``KEPT`` for the database."""
    return zlib.compress(orjson.dumps(rows), 1)


def unpack(packed: bytes) -> list[dict[str, object]]:
    """The objects of what ``pack`` wrote, with all of ``FIELDS``."""
    return [
        _object(dict(zip(KEPT, row, strict=True)))
        for row in cast("list[list[Any]]", orjson.loads(zlib.decompress(packed)))
    ]


def _object(kept: Mapping[str, Any]) -> dict[str, object]:
    told: dict[str, object] = {name: None for name in FIELDS}  # noqa: C420 - fromkeys loses the declared types
    told |= {name: value for name, value in kept.items() if name in told}
    for role, parts in (("client", kept["client"]), ("service", kept["service"])):
        names = ("XRoadInstance", "MemberClass", "MemberCode", "SubsystemCode")
        for name, part in zip(names, (parts or "").split("/"), strict=False):
            told[role + name] = part or None
    told["serviceCode"] = kept["service"].split("/")[4] if kept["service"] else None
    told["succeeded"] = 200 <= kept["statusCode"] < 400
    told["messageProtocolVersion"] = "1"
    return told


def _service_of(call: Seen) -> tuple[bytes, bytes]:
    """The service as it was written, and the path behind it."""
    path = call.target.partition(b"?")[0]
    if call.side == "provider":
        head = b"/x1/" + call.service
        return call.service, path[len(head) :] if path.startswith(head) else b""
    parts = path.split(b"/", 7)
    return b"/".join(parts[2:7]), b"/" + parts[7] if len(parts) == 8 else b""


def _named(raw: bytes, known: Callable[[str], bool]) -> str | None:
    text = raw.decode("latin-1")
    return text if text and known(text) else None
