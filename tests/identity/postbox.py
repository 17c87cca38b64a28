"""A real mail server on this machine: it speaks STARTTLS and asks for a password, and keeps what it takes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lienthong.cases.notices.mail import MailServer

USER, PASSWORD = "nut-h24", "hoa sen 2026"


@dataclass
class Postbox:
    """What the server took, and what it is to answer."""

    server: MailServer
    mails: list[EmailMessage] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    """For the next recipients, before it takes any."""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, told: LoginPassword) -> AuthResult:
    known = told.login == USER.encode() and told.password == PASSWORD.encode()
    return AuthResult(success=known, handled=False)


@asynccontextmanager
async def postbox(folder: Path) -> AsyncIterator[Postbox]:
    """The server, on a free port, until the end of the block."""
    roots = _certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(roots, folder / "smtp.key")
    kept = Postbox(MailServer("", 0, "", ""))
    loop = asyncio.get_running_loop()

    def connected() -> SMTP:
        return SMTP(
            kept, hostname="mail", loop=loop, tls_context=context, require_starttls=True,
            authenticator=_authenticate, auth_required=True,
        )  # fmt: skip

    listening = await loop.create_server(connected, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    kept.server = MailServer(
        "127.0.0.1", port, "thong-bao@nut-h24.vn", "Liên Thông", "starttls", USER, PASSWORD, str(roots)
    )
    try:
        yield kept
    finally:
        listening.close()
        await listening.wait_closed()


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "smtp.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    file = folder / "smtp.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return file
