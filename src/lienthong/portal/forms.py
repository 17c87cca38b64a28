"""Forms: read within limits, believed only from our own pages, kept as typed when something is wrong, done once.

A handler reads with ``read_form``, asks for its typed fields, and when ``form.good`` does its deed; otherwise it
renders the same page with the form, whose macros (``templates/parts.html``) show what was typed and what is wrong.
Promises: a form of another site is refused (``ForeignForm``); one whose session ended while it was filled in loses
nothing: it comes back with a word (``form.stale``); with ``queries.claim_form`` one that is sent twice does one thing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import ClassVar, Final
from urllib.parse import urlsplit

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.law.text import visible
from lienthong.portal.shell import Shell

MOST_FIELDS: Final = 200
MOST_FILES: Final = 10
MOST_FIELD_BYTES: Final = 64 * 1024
TOKEN: Final = "token"  # noqa: S105 - the name of a field
KEY: Final = "form_key"
FORM_HEADER: Final = "Lienthong-Form"
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_VIETNAMESE_DAY: Final = re.compile(r"([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4})")
_MAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]{2,}")


class ForeignForm(Problem):
    """The form was sent by a page of another site (CSRF)."""

    kind: ClassVar[str] = "foreign-form"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("This form comes from another site")


class FormTooLarge(Problem):
    """The form holds more, or larger, fields or files than any of our pages sends."""

    kind: ClassVar[str] = "form-too-large"
    status: ClassVar[int] = 413
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The form is too large")


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a form."""

    name: str
    """As the sender calls it, without folders: for people, never for paths."""
    media_type: str
    """As the sender says; not to be trusted."""
    content: bytes


@dataclass(slots=True)
class Form:
    """A form as it was sent.  Reading a field notes under ``wrong`` what is wrong with it."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    uploads: tuple[tuple[str, Upload], ...] = ()
    key: str = ""
    """The form's one-time key under this session, for ``queries.claim_form``; empty when the sender left it out."""
    stale: bool = False
    """The session of the page it was filled in is over: show it again, do nothing."""
    wrong: dict[str, tuple[str, dict[str, object]]] = field(default_factory=dict[str, tuple[str, dict[str, object]]])
    """Name of a field to a message (marked with ``T``) and its facts; "" stands for the whole form."""

    @property
    def good(self) -> bool:
        """Whether the deed may be done."""
        return not self.stale and not self.wrong

    def fault(self, name: str, message: str, **facts: object) -> None:
        """Note that ``name`` is wrong; the first word about a field stays."""
        self.wrong.setdefault(name, (message, facts))

    def said(self, name: str, default: str = "") -> str:
        """What was typed, to be shown again."""
        given = self.values.get(name, ())
        return given[-1] if given else default

    def all_said(self, name: str) -> tuple[str, ...]:
        """Everything chosen under one name (check boxes)."""
        return self.values.get(name, ())

    def text(self, name: str, *, required: bool = True, most: int = 200, shape: re.Pattern[str] | None = None) -> str:
        """One line without what nobody sees; "" when it is wrong or left out."""
        return self._text(name, " ".join(visible(self.said(name)).split()), required, most, shape)

    def lines(self, name: str, *, required: bool = True, most: int = 4_000) -> str:
        """A text of several lines, ends of lines as ``\\n``."""
        told = "\n".join(visible(line).rstrip() for line in self.said(name).splitlines()).strip()
        return self._text(name, told, required, most, None)

    def secret(self, name: str, *, most: int = 1_000) -> str:
        """A password, exactly as typed; never shown again."""
        given = self.said(name)
        if not given:
            self.fault(name, T("Please fill this in."))
        elif len(given) > most:
            self.fault(name, T("At most {most} characters."), most=most)
        return given

    def choice(self, name: str, allowed: Collection[str], *, required: bool = True) -> str:
        """One of ``allowed``; "" when it is wrong or left out."""
        given = self.said(name)
        if given in allowed:
            return given
        if given or required:
            self.fault(name, T("Please choose one."))
        return ""

    def ticked(self, name: str) -> bool:
        """Whether a check box was ticked."""
        return name in self.values

    def whole(self, name: str, *, least: int, most: int, required: bool = True) -> int | None:
        """A whole number, thousands grouped or not; None when it is wrong or left out."""
        given = self.text(name, required=required, most=30)
        if not given:
            return None
        digits = re.sub(r"(?<=[0-9])[., ](?=[0-9]{3}(?![0-9]))", "", given)
        if not re.fullmatch(r"-?[0-9]{1,18}", digits) or not least <= int(digits) <= most:
            self.fault(name, T("Please give a whole number from {least} to {most}."), least=least, most=most)
            return None
        return int(digits)

    def day(self, name: str, *, required: bool = True) -> date | None:
        """A day as ``31/12/2026`` or ``2026-12-31``; None when it is wrong or left out."""
        given = self.text(name, required=required, most=20)
        if not given:
            return None
        written = _VIETNAMESE_DAY.fullmatch(given)
        try:
            if written:
                return date(int(written[3]), int(written[2]), int(written[1]))
            return date.fromisoformat(given)
        except ValueError:
            self.fault(name, T("Please give a day as 31/12/2026."))
            return None

    def mail(self, name: str, *, required: bool = True) -> str:
        """An e-mail address; "" when it is wrong or left out."""
        given = self.text(name, required=required, most=254)
        if given and not _MAIL.fullmatch(given):
            self.fault(name, T("Please give an address like ten@donvi.gov.vn."))
            return ""
        return given

    def files(self, name: str) -> tuple[Upload, ...]:
        """The files sent under ``name``; an empty choice is left out."""
        return tuple(upload for field_name, upload in self.uploads if field_name == name)

    def _text(self, name: str, told: str, required: bool, most: int, shape: re.Pattern[str] | None) -> str:
        if not told:
            if required:
                self.fault(name, T("Please fill this in."))
            return ""
        if len(told) > most:
            self.fault(name, T("At most {most} characters."), most=most)
            return ""
        if shape and not shape.fullmatch(told):
            self.fault(name, T("This is not written as it must be."))
            return ""
        return told


async def read_form(request: Request, shell: Shell, *, most_file_bytes: int = 0) -> Form:
    """The urlencoded or multipart form that ``request`` carries; ``most_file_bytes`` 0 takes no files.

    Raises ForeignForm when a page of another site sent it, FormTooLarge past any limit.
    """
    if not _own_page(request):
        raise ForeignForm(
            T("A page of another site sent this form; nothing was done."),
            mend=T("Open the page on this portal and send the form from there."),
        )
    try:
        async with request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD_BYTES) as sent:
            return await _read(request, shell, sent, most_file_bytes)
    except HTTPException as refused:
        raise _too_large() from refused


async def _read(request: Request, shell: Shell, sent: FormData, most_file_bytes: int) -> Form:
    values: dict[str, tuple[str, ...]] = {}
    uploads: list[tuple[str, Upload]] = []
    for name, value in sent.multi_items():
        if isinstance(value, UploadFile):
            if not value.filename:
                continue
            content = await value.read(most_file_bytes + 1)
            if len(content) > most_file_bytes:
                raise _too_large()
            uploads.append((name, Upload(_file_name(value.filename), value.content_type or "", content)))
        elif len(value) > MOST_FIELD_BYTES or len(values) > MOST_FIELDS:
            raise _too_large()
        else:
            values[name] = (*values.get(name, ()), value)
    token, key = values.pop(TOKEN, ("",))[-1], values.pop(KEY, ("",))[-1]
    stale = not hmac.compare_digest(token.encode(), shell.token(request).encode())
    once = hashlib.sha256(f"{token}\x00{key}".encode()).hexdigest() if _KEY.fullmatch(key) else ""
    form = Form(values, tuple(uploads), once, stale)
    if stale:
        form.fault(
            "", T("This page had been open for too long, so nothing was done. Look through it and send it again.")
        )
    return form


def _too_large() -> FormTooLarge:
    return FormTooLarge(T("The form holds more than this page takes."), mend=T("Send less, or smaller files."))


def _file_name(told: str) -> str:
    return visible(re.split(r"[/\\]", told)[-1])[:200] or "tep"


def believed(shell: Shell) -> Callable[[Request, str], bool]:
    """For ``ActorLayer``: whether an unsafe request of the API under a session comes from that session's own pages.

    It must bring the session's form token in the header ``Lienthong-Form``, which no other site can read or send.
    """

    def own(request: Request, session: str) -> bool:
        told = request.headers.get(FORM_HEADER, "")
        return _own_page(request) and hmac.compare_digest(told.encode(), shell.token_of(session).encode())

    return own


def _own_page(request: Request) -> bool:
    """Whether a page of this very host sent it: ``Sec-Fetch-Site``, else ``Origin``; programs send neither."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")
