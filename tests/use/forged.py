"""Messages made by hand and sent over real TLS, so that a test may say anything a stranger could."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lienthong.exchange.signed import LocalKey
from lienthong.node.certificates import tls_files
from lienthong.node.prepare import local_keys
from lienthong.trust.digest import content_digest
from lienthong.trust.messages import sign_request
from tests.use.nodes import COUNTER, PROVINCE, PURPOSE, TestNode

CITIZEN = "VN/GOV/G01/dancu/citizen"
BODY = b'{"personal_number": "001099012345"}'


@dataclass(frozen=True)
class Letter:
    """A signed message as bytes on the wire are made of it."""

    target: str
    authority: str
    headers: Mapping[str, str]
    body: bytes

    def without(self, *names: str) -> Letter:
        return replace(self, headers={name: value for name, value in self.headers.items() if name not in names})

    def altered(self, name: str, value: str) -> Letter:
        return replace(self, headers={**self.headers, name: value})

    def wire(self) -> bytes:
        lines = [f"POST {self.target} HTTP/1.1", f"host: {self.authority}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(f"content-length: {len(self.body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


@dataclass(frozen=True)
class Told:
    """What came back."""

    status: int
    fields: Mapping[str, str]
    body: bytes
    problem: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The problem's kind; ``ok`` for an answer that is none."""
        return str(self.problem.get("type", "ok")).removeprefix("urn:lienthong:problem:")


def a_letter(
    sender: TestNode,
    receiver: TestNode,
    *,
    key: LocalKey | None = None,
    created: int | None = None,
    body: bytes = BODY,
    target: str = "/x1/" + CITIZEN,
    peer_url: str | None = None,
    expires: int | None = None,
    **fields: str,
) -> Letter:
    """A message of ``sender`` to ``receiver`` that is right in everything the test does not change."""
    key = key or local_keys(sender.local.settings, sender.local.keyring)[PROVINCE]
    url = peer_url or receiver.local.settings.peer_url
    headers = {
        "content-digest": content_digest(body),
        "content-type": "application/json",
        "lienthong-client": COUNTER,
        "lienthong-service": CITIZEN,
        "lienthong-purpose": PURPOSE,
        "lienthong-agreement": "-",
        "lienthong-exchange": str(uuid.uuid4()),
        "lienthong-method": "POST",
    } | {name.replace("_", "-"): value for name, value in fields.items()}
    authority = url.split("://", 1)[1]
    signed = sign_request(
        key.key,
        key.keyid,
        method="POST",
        target_uri=url + target,
        authority=authority,
        headers=headers,
        created=int(time.time()) if created is None else created,
        nonce=uuid.uuid4().hex[:22],
        expires=expires,
    )
    headers |= {"signature-input": signed.signature_input, "signature": signed.signature}
    return Letter(target, authority, headers, body)


def tls_as(node: TestNode | None) -> ssl.SSLContext:
    """A client that shows the certificate of ``node``, or none, and looks at nobody's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if node is not None:
        context.load_cert_chain(*tls_files(node.local.settings, node.local.keyring))
    return context


async def deliver(letter: Letter | bytes, tls: ssl.SSLContext, port: int) -> Told:
    """Send one request on a connection of its own; ConnectionError or SSLError when TLS refuses the certificate."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        writer.write(letter.wire() if isinstance(letter, Letter) else letter)
        raw = await reader.read()
    finally:
        writer.close()
    if not raw:
        raise ConnectionError("the link was closed without an answer")
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    problem = json.loads(body) if fields.get("content-type") == "application/problem+json" else {}
    return Told(int(first.split()[1]), fields, body, problem)
