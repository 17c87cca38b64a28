"""Hands notices to a mail server (SMTP, RFC 5321), encrypted and with the server's certificate checked (RFC 3207).

Promises: credentials go over an encrypted connection alone; what failed is told by a word without any address.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final, Literal

from lienthong.cases.notices.models import NotCarried, Told
from lienthong.cases.notices.wording import letter

TIMEOUT_S: Final = 20.0
FOR_GOOD: Final = frozenset((550, 551, 553, 554))
"""Answers about a mailbox that does not change by waiting (RFC 5321, section 4.2.3)."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed over, and as whom."""

    host: str
    port: int
    sender: str
    """The address that notices come from."""
    sender_name: str
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = ""
    roots: str = ""
    """PEM file with the authority of the server's certificate; empty: the system's."""


@dataclass(frozen=True, slots=True)
class Mailer:
    """A carrier of ``sending.Sending``."""

    server: MailServer
    base: str
    """Address of the portal, for links."""
    code: Callable[[str, str], str]
    """Person and address to the code that confirms it."""

    async def carry(self, told: Told) -> None:
        """Hand one notice to the mail server; raises NotCarried."""
        message = self.message(told)
        try:
            await asyncio.to_thread(_hand_over, self.server, message)
        except smtplib.SMTPRecipientsRefused as refused:
            code = next(iter(refused.recipients.values()))[0]
            raise NotCarried(f"smtp-{code}", for_good=code in FOR_GOOD) from None  # the cause names the address
        except smtplib.SMTPResponseException as refused:
            raise NotCarried(f"smtp-{refused.smtp_code}") from None
        except (smtplib.SMTPException, OSError, ValueError) as failed:
            raise NotCarried(type(failed).__name__) from None

    def message(self, told: Told) -> EmailMessage:
        """The e-mail; its id follows from the notice, so that what came twice is seen to be one."""
        code = self.code(told.notice.person, told.wishes.mail) if told.notice.case is None else ""
        words = letter(told, self.base, code)
        local, _, domain = self.server.sender.rpartition("@")
        made = EmailMessage()
        made["From"] = Address(self.server.sender_name, local, domain)
        made["To"] = told.wishes.mail
        made["Subject"] = f"[{self.server.sender_name}] {words.subject}"
        made["Date"] = format_datetime(told.notice.at)
        made["Message-ID"] = f"<notice-{told.notice.id}@{domain}>"
        made["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers to it
        made.set_content(words.text, charset="utf-8", cte="base64")
        return made


def _hand_over(server: MailServer, message: EmailMessage) -> None:
    """In a thread of its own: ``smtplib`` waits."""
    context = ssl.create_default_context(cafile=server.roots or None)
    if server.security == "tls":
        connected: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_S, context=context)
    else:
        connected = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
    with connected as smtp:
        if server.security == "starttls":
            smtp.starttls(context=context)
        if server.user and server.security != "none":
            smtp.login(server.user, server.password)
        smtp.send_message(message)
