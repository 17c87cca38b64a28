"""What the node does about cases by itself: carries notices as soon as they are written, and tells how that goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from lienthong.cases.minding import ask_for_reports, mind_clocks
from lienthong.cases.notices import queries
from lienthong.cases.notices.mail import Mailer, MailServer
from lienthong.cases.notices.queries import CHANNEL
from lienthong.cases.notices.sending import Carry, Sending
from lienthong.cases.notices.wording import NEWS, code_of
from lienthong.cases.todo import Offer, Phrase, Todo
from lienthong.config import Settings
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.identity.models import Actor
from lienthong.law.calendar import ZONE
from lienthong.node.finding import Check, fine
from lienthong.node.local import Local
from lienthong.portal.app import PageModule
from lienthong.portal.casefiles import opening_pages
from lienthong.portal.cases import case_pages
from lienthong.portal.installed import installed_pages
from lienthong.portal.models import Name
from lienthong.portal.noticing import Ways, notice_pages
from lienthong.storage.pool import Pool, reading, wait_for_notices

QUIET_S: Final = 30.0
MIND_EVERY_S: Final = 60.0
PASSWORD: Final = "smtp-password"  # noqa: S105 - the name of a file
SECRET: Final = "notices"  # noqa: S105 - the name of a secret
MOST_NEWS: Final = 50
NEWS_OF_CASES: Final = T("News of cases")
TOLD_DAYS: Final = 7
"""How long a notice that was given up is told to the operator."""


async def carry_notices(local: Local) -> None:
    """Carry what waits, at once when something is written; for as long as the process runs."""
    sending = Sending(local.pool, carriers(local))
    async for _ in wait_for_notices(local.dsns.app, (CHANNEL,), QUIET_S):
        await sending.send_all()


async def mind_cases(local: Local) -> None:
    """Mind the clocks of cases, and once a year ask for reports; for as long as the process runs."""
    # Who is made up owes no report.
    reporting = () if local.settings.synthetic else tuple(each for each in local.settings.members if "/GOV/" in each)
    while True:
        now = datetime.now(UTC)
        await mind_clocks(local.pool, now)
        await ask_for_reports(local.pool, reporting, now.astimezone(ZONE).date(), now)
        await asyncio.sleep(MIND_EVERY_S)


def carriers(local: Local) -> dict[str, Carry]:
    """Who carries what, as the operator set it up."""
    found: dict[str, Carry] = {}
    server = mail_server(local.settings)
    if server is not None:
        found["mail"] = Mailer(server, local.settings.public_url.rstrip("/"), code_in(local)).carry
    return found


def code_in(local: Local) -> Callable[[str, str], str]:
    """Person and address to the code that confirms it."""
    secret = local.keyring.secret(SECRET)
    return lambda person, mail: code_of(secret, person, mail)


def mail_server(settings: Settings) -> MailServer | None:
    """The mail server of the settings with its password from ``data/secrets/smtp-password``; None: no mail."""
    told = settings.mail
    if told is None:
        return None
    file = settings.data / "secrets" / PASSWORD
    password = file.read_text("utf-8").strip() if told.user and file.exists() else ""
    name = settings.portal_name or "Liên Thông"
    return MailServer(
        told.host, told.port, told.sender, name, told.security, told.user, password, told.roots
    )  # fmt: skip


async def notices(local: Local) -> Check:
    """Whether notices reach those whom they are for; told without anybody's address."""
    since = datetime.now(UTC) - timedelta(days=TOLD_DAYS)
    async with local.pool.connection(timeout=2.0) as db:
        failing = await queries.failing_notices(db, since)
    if not failing:
        return fine("notices")
    return Check(
        "notices", "degraded", "not-delivered",
        T("{count} notices could not be delivered ({words}); {given_up} of them were given up."),
        T("Mend the cause, then: lienthong case notices --again"),
        {
            "count": sum(each.count for each in failing),
            "words": ", ".join(sorted({each.word for each in failing})),
            "given_up": sum(each.count for each in failing if each.state == "given-up"),
        },
    )  # fmt: skip


def case_news(pool: Pool) -> Offer:
    """What happened to cases that concern somebody and that they have not looked at; the case's page ends it."""

    async def offer(actor: Actor) -> Sequence[Todo]:
        if actor.person is None:
            return ()
        async with reading(pool) as db:
            found = await queries.unseen_of(db, actor.person, MOST_NEWS)
        return [
            Todo(
                T("Case {case}: {news}"),
                f"/cases/{each.case}",
                None,
                NEWS_OF_CASES,
                facts={"case": each.case, "news": Phrase(NEWS[each.act])},
            )
            for each in found
        ]

    return offer


def ways_of(local: Local) -> Ways:
    """By which ways notices go out from this node."""
    return Ways(mail=local.settings.mail is not None, webhook=False)


def case_modules(local: Local) -> tuple[PageModule, ...]:
    """The pages about cases."""
    ways = ways_of(local)

    def members() -> dict[str, Name]:
        try:
            known = local.directory.snapshot().contents.members
        except Problem:
            return {}
        return {str(each.id): Name(each.name_vi, each.name_en) for each in known if each.state == "active"}

    opening = opening_pages(local.pool, local.seal, members)
    notices_of_mine = notice_pages(local.pool, code_in(local), ways)
    return (opening, case_pages(local.pool, local.seal), notices_of_mine, installed_pages())
