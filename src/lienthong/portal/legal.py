"""The legal values and grounds in force on a day, each with its article: nothing here is a number without a source."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final

from starlette.requests import Request

from lienthong.i18n import T
from lienthong.law.grounds import GroundRule, ground_rules
from lienthong.law.rules import Rule, RuleBook, RuleUnknown, shipped_rules
from lienthong.portal.listing import Listing, asked_day, listing
from lienthong.portal.models import Name
from lienthong.portal.sheet import Mark, Row, Sheet, columns_of
from lienthong.portal.shell import Pages, Section, Shell

TITLE: Final = T("Legal bases")
READ: Final = Mark("good", T("text read"), "verified")
UNREAD: Final = Mark("warn", T("not verified against the official text"), "unverified")
COLUMNS: Final = columns_of(
    ("rule", T("Rule")),
    ("value", T("Value")),
    ("legal_basis", T("Legal basis")),
    ("from", T("From")),
    ("to", T("Last day")),
    ("verified", T("Source")),
)


def legal_pages(book: Callable[[], RuleBook] = shipped_rules) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    async def read(request: Request) -> Sheet:
        day = asked_day(request)
        rules = [rule for name in book().names() if (rule := _rule_on(book(), name, day))]
        grounds = [ground for ground in ground_rules() if ground.in_force(day)]
        rows = (*(_rule_row(rule) for rule in rules), *(_ground_row(ground) for ground in grounds))
        return Sheet("can-cu-phap-ly", TITLE, COLUMNS, rows, datetime.now(UTC))

    def join(shell: Shell) -> Pages:
        lead = T(
            "Every period, limit and ground that the program applies on the day chosen, and the article it comes from."
        )
        page = Listing("/legal", TITLE, lead, read, dated=True)
        return Pages(listing(shell, page), (Section("/legal", TITLE, group="more"),))

    return join


def _rule_on(book: RuleBook, name: str, day: date) -> Rule | None:
    try:
        return book.rule(name, day)
    except RuleUnknown:
        return None


def _rule_row(rule: Rule) -> Row:
    return Row(
        (
            Name(rule.title_vi, rule.title_en),
            Name(rule.shown("vi"), rule.shown("en")),
            rule.legal_basis,
            rule.valid_from,
            rule.valid_to,
            READ if rule.verified else UNREAD,
        ),
        more=rule.name,
    )


def _ground_row(ground: GroundRule) -> Row:
    return Row(
        (
            Name(ground.title_vi, ground.title_en),
            Name(f"căn cứ {ground.kind}", f"ground {ground.kind}"),
            ground.legal_basis,
            ground.valid_from,
            ground.valid_to,
            READ if ground.verified else UNREAD,
        )
    )
