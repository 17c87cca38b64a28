"""Errors as X-Road clients know them: ``type``, ``message``, ``detail``, JSON or XML, 500 or 400, X-Road-Error.

The spelling of types changed in X-Road 7.8 (``Server.ClientProxy.UnknownMember`` became
``server.clientproxy.unknown_member``): both are offered, by a setting.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

from lienthong.errors import Problem
from lienthong.exchange.answer import Headers

ErrorStyle = Literal["camel", "snake"]

_PREFIXES = {"Client": "client", "Server": "server", "ClientProxy": "clientproxy", "ServerProxy": "serverproxy"}
_IRREGULAR = {
    "IOError": "io_error",
    "OutdatedGlobalConf": "global_conf_outdated",
    "SslAuthenticationFailed": "ssl_authentication_failed",
    "ServiceType": "service_type",
    "HSMNonOperational": "hsm_non_operational",
    "TokenReadOnly": "token_readonly",
    "InvalidHashChain": "invalid_hash_chain",
    "Signer": "signer",
}
SUFFIXES = (
    "AccessDenied",
    "BadRequest",
    "CannotSign",
    "CertValidation",
    "ClientProxyVersionNotSupported",
    "DatabaseError",
    "DuplicateHeaderField",
    "HttpError",
    "InconsistentHeaders",
    "InconsistentResponse",
    "IncorrectCertificate",
    "InternalError",
    "InvalidBody",
    "InvalidCertPath",
    "InvalidClientIdentifier",
    "InvalidContentType",
    "InvalidHttpMethod",
    "InvalidMessage",
    "InvalidReference",
    "InvalidRequest",
    "InvalidSecurityServer",
    "InvalidSignatureValue",
    "InvalidSoap",
    "InvalidXml",
    "KeyNotFound",
    "LoggingFailed",
    "MaintenanceMode",
    "MalformedGlobalConf",
    "MalformedServerConf",
    "MalformedSignature",
    "MimeParsingFailed",
    "MissingBody",
    "MissingHeader",
    "MissingHeaderField",
    "MissingRest",
    "MissingSignature",
    "MissingSoap",
    "NetworkError",
    "NotFound",
    "ServiceDisabled",
    "ServiceFailed",
    "ServiceMalformedUrl",
    "ServiceMissingUrl",
    "TimestampingFailed",
    "TokenNotActive",
    "UnknownMember",
    "UnknownService",
    "UnsupportedSignAlgorithm",
    "WrongCertUsage",
)
"""The suffixes whose new spelling follows from the old one."""
SNAKE = _PREFIXES | _IRREGULAR | {name: re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in SUFFIXES}
"""Every word of an error type: spelling up to 7.7, spelling from 7.8."""

_HERE = "Server.ClientProxy."
_THERE = "Server.ServerProxy."
_BROKEN = "Server.ServerProxy.ServiceFailed."
TYPES: dict[str, str] = {
    # what the caller sent
    "xroad-request": _HERE + "BadRequest",
    "xroad-client": _HERE + "InvalidClientIdentifier",
    "xroad-security-server": _HERE + "InvalidSecurityServer",
    "malformed-request": _HERE + "BadRequest",
    "path-refused": _HERE + "BadRequest",
    "method-unknown": _HERE + "InvalidHttpMethod",
    "body-too-large": _HERE + "LoggingFailed",
    "caller-gone": _HERE + "IOError",
    # who calls
    "unknown-client": _HERE + "UnknownMember",
    "unknown-system": _HERE + "UnknownMember",
    "member-without-node": _HERE + "UnknownMember",
    "unknown-member": _HERE + "UnknownMember",
    "member-closed": _HERE + "UnknownMember",
    "caller-not-authenticated": _HERE + "SslAuthenticationFailed",
    # whether it may
    "no-agreement": _THERE + "AccessDenied",
    "agreement-ended": _THERE + "AccessDenied",
    "refused": _THERE + "AccessDenied",
    "terms-refuse": _THERE + "AccessDenied",
    "purpose-missing": _THERE + "AccessDenied",
    "purpose-not-granted": _THERE + "AccessDenied",
    "unknown-purpose": _THERE + "AccessDenied",
    "field-not-granted": _THERE + "AccessDenied",
    "lookup-not-granted": _THERE + "AccessDenied",
    "view-not-applicable": _THERE + "AccessDenied",
    "quota-used-up": _THERE + "AccessDenied",
    "endpoint-unknown": _THERE + "AccessDenied",
    # the service
    "unknown-service": _THERE + "UnknownService",
    "wrong-service-type": _THERE + "ServiceType",
    "backend-address-not-valid": _THERE + "ServiceMalformedUrl",
    "service-failed": _BROKEN + "NetworkError",
    "service-timeout": _BROKEN + "NetworkError",
    "service-answer-too-large": _BROKEN + "HttpError",
    "left-alone": _BROKEN + "NetworkError",
    "node-busy": _BROKEN + "NetworkError",
    "source-unavailable": _BROKEN + "DatabaseError",
    "source-timeout": _BROKEN + "DatabaseError",
    # the way there
    "peer-unreachable": _HERE + "NetworkError",
    "peer-timeout": _HERE + "NetworkError",
    "peer-closed": _HERE + "NetworkError",
    "peer-closed-after-handshake": _HERE + "SslAuthenticationFailed",
    "peer-certificate": _HERE + "SslAuthenticationFailed",
    "unknown-peer": _THERE + "SslAuthenticationFailed",
    "bad-answer": _HERE + "ServiceFailed.InvalidMessage",
    "peer-answer-too-large": _HERE + "LoggingFailed",
    # proof and record
    "answer-not-proven": _HERE + "InconsistentResponse",
    "bad-signature": _THERE + "InvalidSignatureValue",
    "unsigned-message": _THERE + "MissingSignature",
    "uncovered-component": _THERE + "MalformedSignature",
    "stale-message": _THERE + "InvalidMessage",
    "digest-mismatch": _THERE + "InvalidBody",
    "malformed-message": _THERE + "MalformedSignature",
    "replayed-message": _THERE + "InvalidMessage",
    "maybe-replayed": _THERE + "InvalidMessage",
    "unknown-key": _THERE + "KeyNotFound",
    "replay-check-down": _THERE + "DatabaseError",
    "recovery": _THERE + "MaintenanceMode",
    "quota-unknown": _HERE + "DatabaseError",
    "no-record": _HERE + "LoggingFailed",
    "database-unavailable": _HERE + "LoggingFailed",
    "no-directory": _HERE + "OutdatedGlobalConf",
    "directory-expired": _HERE + "OutdatedGlobalConf",
    "directory-rollback": _HERE + "MalformedGlobalConf",
}
"""Our kinds that have a name of their own in X-Road; every other kind is named by its side alone."""

_XML_TYPES = {"text/xml": "text/xml", "application/xml": "application/xml", "text/*": "text/xml"}


@dataclass(frozen=True, slots=True)
class XRoadError:
    """An error ready to be sent."""

    status: int
    headers: Headers
    body: bytes
    type: str


def xroad_type(kind: str, side: str) -> str:
    """The type, in the spelling up to 7.7, of our ``kind`` of problem on ``side``."""
    known = TYPES.get(kind)
    if known is not None:
        return known
    if side == "provider":
        return _THERE + "ServiceFailed.InternalError"
    return _HERE + ("BadRequest" if side == "caller" else "InternalError")


def styled(type_: str, style: ErrorStyle) -> str:
    """``type_`` (spelled as up to 7.7) in ``style``; words nobody knows become snake case letter by letter."""
    if style == "camel":
        return type_
    words = [SNAKE.get(word) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower() for word in type_.split(".")]
    return ".".join(words)


LATER = frozenset({429, 503})
"""Statuses that stay as they are: they tell any client to come again, which X-Road's 500 does not (decision 0014)."""
WAIT_S = 5
"""How long whoever names no time should wait."""


def status_of(type_: str, status: int | None = None) -> int:
    """500 for faults of a server in either spelling, else 400; ``status`` itself where it means to come again later."""
    if status in LATER:
        return status
    return 500 if type_.lower().startswith("server.") else 400


def xroad_error(
    problem: Problem, accept: list[bytes], *, reference: str, style: ErrorStyle = "camel", side: str | None = None
) -> XRoadError:
    """``problem`` as an X-Road client expects it; one that another node told keeps its kind and side.

    ``accept``: values of the request's Accept fields.  ``reference``: a random id that stands in our log, too.
    """
    shown = problem.as_dict("en")
    kind = str(shown.get("type", "")).removeprefix("urn:lienthong:problem:") or problem.kind
    type_ = xroad_type(kind, side or str(shown.get("side") or problem.side))
    status = shown.get("status")
    return plain_error(
        type_, told_message(shown), accept, reference=reference, style=style,
        status=status if isinstance(status, int) else problem.status,
    )  # fmt: skip


def told_message(told: Mapping[str, object]) -> str:
    """What happened and what to do, of problem details, in one line."""
    return " ".join(str(told[key]) for key in ("detail", "mend") if told.get(key))


def plain_error(
    type_: str, message: str, accept: list[bytes], *, reference: str, style: ErrorStyle = "camel",
    status: int | None = None,
) -> XRoadError:  # fmt: skip
    """An error of ``type_`` (spelled as up to 7.7) with its message; ``status`` as in ``status_of``."""
    named = styled(type_, style)
    media = error_media_type(accept)
    if media == "application/json":
        body = json.dumps({"type": named, "message": message, "detail": reference}, ensure_ascii=False)
    else:
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<error><type>{escape(named)}</type><message>{escape(_xml_text(message))}</message>"
            f"<detail>{escape(reference)}</detail></error>"
        )
    return XRoadError(
        status=status_of(named, status),
        headers=[(b"content-type", f"{media};charset=utf-8".encode("ascii")), (b"x-road-error", named.encode("ascii"))],
        body=body.encode("utf-8"),
        type=named,
    )


def error_media_type(accept: list[bytes]) -> str:
    """JSON unless one of the XML types is named; the first named counts, weights are not looked at."""
    for value in accept:
        for entry in value.decode("latin-1").split(","):
            found = _XML_TYPES.get(entry.split(";", 1)[0].strip().lower())
            if found:
                return found
    return "application/json"


def _xml_text(text: str) -> str:
    """``text`` without the control characters that XML can not hold."""
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "?", text)
