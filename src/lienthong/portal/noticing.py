"""How somebody wishes to be told of cases: on their page always, by e-mail and by webhook as they choose.

Promises: the page shows and changes one's own wishes alone; an e-mail address counts once its code was typed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lienthong.cases.notices.models import About, Wishes
from lienthong.cases.notices.wishing import BadAddress, Code, WrongCode, choose, confirm, wishes_for
from lienthong.errors import Problem
from lienthong.i18n import T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor
from lienthong.portal.deeds import Deed, Facts, about
from lienthong.portal.forms import Form, read_form
from lienthong.portal.shell import Pages, Shell, both, prefix_of
from lienthong.storage.pool import Pool, reading
from lienthong.web import page_language

PATH: Final = "/account/notices"
TITLE: Final = T("My notices")
ABOUT: Final = (
    ("all", T("Everything that happens to cases that concern me")),
    ("clocks", T("Only new cases, decisions, reminders and what is late")),
)
LANGUAGES: Final = (("vi", "Tiếng Việt"), ("en", "English"))
MOST_ADDRESS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Wished:
    """By which way somebody wishes to be told."""

    which: Literal["all", "clocks"] = about("All that happens, or only what has to do with time limits.")
    language: Literal["vi", "en"] = about("The language that comes first.", default="vi")
    mail: str = about("E-mail address; empty: no e-mail.", default="", most=MOST_ADDRESS)
    webhook: str = about("Address (https) that notices are posted to; empty: none.", default="", most=MOST_ADDRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The code that came by e-mail."""

    code: str = about("The code from the message.", most=40)


@dataclass(frozen=True, slots=True)
class Ways:
    """What the operator set up."""

    mail: bool
    webhook: bool


def notice_pages(pool: Pool, code: Code, ways: Ways) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        return Pages(both(PATH, Room(shell, pool, code, ways).page, ("GET", "POST")))

    return join


def notice_deeds(pool: Pool, code: Code, ways: Ways) -> tuple[Deed[Any], ...]:
    """What the page does, for programs."""

    async def chosen(actor: Actor, wish: Wished) -> Facts:
        if wish.webhook and not ways.webhook:
            raise BadAddress(T("This node posts no notices to webhooks."), mend=T("Leave the webhook empty."))
        mail = wish.mail if ways.mail else ""
        async with reading(pool) as db:
            return _facts(
                await choose(db, actor, about=wish.which, language=wish.language, mail=mail, webhook=wish.webhook,
                             code=code, now=datetime.now(UTC))
            )  # fmt: skip

    async def confirmed(actor: Actor, wish: Typed) -> Facts:
        async with reading(pool) as db:
            return _facts(await confirm(db, actor, wish.code, code))

    gives = {"by_mail": "Whether notices go out by e-mail.", "by_webhook": "Whether they are posted to the webhook."}
    return (
        Deed("notices/choose", T("Choose how to be told of cases"), Wished, chosen, screen=True,
             problems=(BadAddress,), gives=gives, forms=(PATH,)),
        Deed("notices/confirm", T("Confirm an e-mail address"), Typed, confirmed, screen=True, problems=(WrongCode,),
             gives=gives, forms=(PATH,)),
    )  # fmt: skip


class Room:
    """The page."""

    def __init__(self, shell: Shell, pool: Pool, code: Code, ways: Ways) -> None:
        self._shell = shell
        self._pool = pool
        self._code = code
        self._ways = ways

    async def page(self, request: Request) -> Response:
        """The wishes and their form; what was typed comes back when it is not taken.  Raises LoginNeeded."""
        actor, form, status = actor_of(request), Form(), 200
        async with reading(self._pool) as db:
            wishes = await wishes_for(db, actor)
        if request.method == "POST":
            form = await read_form(request, self._shell)
            status = await self._done(form, actor)
            if status == 303:
                return RedirectResponse(f"{prefix_of(request)}{PATH}", 303)
        language = page_language(request)
        return self._shell.page(
            request, "notices.html", title=translate(TITLE, language), status=status, form=form, wishes=wishes,
            ways=self._ways, languages=LANGUAGES, waiting=bool(wishes.mail) and not wishes.mail_confirmed,
            abouts=[(value, translate(word, language)) for value, word in ABOUT],
        )  # fmt: skip

    async def _done(self, form: Form, actor: Actor) -> int:
        if form.said("verb") == "confirm":
            typed = form.text("code", most=40)
            return await self._try(form, lambda db: confirm(db, actor, typed, self._code))
        told = form.choice("about", [value for value, _ in ABOUT])
        language = form.choice("language", [value for value, _ in LANGUAGES])
        mail = form.mail("mail", required=False) if self._ways.mail else ""
        webhook = form.text("webhook", required=False, most=MOST_ADDRESS) if self._ways.webhook else ""
        return await self._try(
            form,
            lambda db: choose(
                db, actor, about=cast("About", told), language="en" if language == "en" else "vi", mail=mail,
                webhook=webhook, code=self._code, now=datetime.now(UTC),
            ),
        )  # fmt: skip

    async def _try(self, form: Form, act: Callable[[Any], Any]) -> int:  # Any: a connection and what is awaited
        if not form.good:
            return 422
        try:
            async with reading(self._pool) as db:
                await act(db)
        except Problem as refused:
            form.fault("", refused.message, **refused.facts)
            return refused.status
        return 303


def _facts(wishes: Wishes) -> Facts:
    return {"by_mail": wishes.by_mail and wishes.mail_confirmed, "by_webhook": wishes.by_webhook}
