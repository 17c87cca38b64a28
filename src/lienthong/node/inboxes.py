"""What waits for the persons of a node: the offers of its packages, one line each in ``offers_of``.

Promises: an offer shows only what the asking person may do something about; none is shown to citizens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from lienthong.agreements import queries as agreement_queries
from lienthong.cases import queries as case_queries
from lienthong.cases.kinds import kind_on
from lienthong.cases.models import Case
from lienthong.cases.opening import Clocks
from lienthong.cases.reading import is_handler
from lienthong.cases.todo import Offer, Phrase, Todo
from lienthong.directory.queries import operator_persons, pending_changes
from lienthong.i18n import T
from lienthong.identity import queries as identity_queries
from lienthong.identity.entrance import Entrance
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import may
from lienthong.law.calendar import ZONE, last_day
from lienthong.node.casedesk import case_news
from lienthong.node.findingdesk import NodeFindingDesk
from lienthong.node.gathered import Gathered
from lienthong.node.health import HealthDesk
from lienthong.node.local import Local
from lienthong.node.pages import NodePages
from lienthong.node.quotadesk import NodeQuotaDesk
from lienthong.portal.coming import KINDS as CHANGE_KINDS
from lienthong.portal.findings import PATH as FINDINGS_PATH
from lienthong.portal.findings import FindingDesk
from lienthong.portal.joining import PATH as CHANGES_PATH
from lienthong.portal.keys import PATH as KEYS_PATH
from lienthong.portal.models import Name
from lienthong.portal.quotas import PATH as QUOTAS_PATH
from lienthong.portal.quotas import QuotaDesk
from lienthong.portal.status import PARTS
from lienthong.storage.pool import Pool, reading

APPROVALS: Final = T("Approvals")
REQUESTS: Final = T("Requests for access")
CASES: Final = T("Cases")
AGREEMENTS: Final = T("Agreements")
NODE: Final = T("The node")
MOST: Final = 200
"""To-dos of one offer that are shown."""
ENDS_SOON: Final = timedelta(days=30)
TOLD_ELSEWHERE: Final = frozenset(
    {"agreement", "certificate", "clock", "database", "directory", "disk", "key", "member", "peer", "sandbox",
     "sequencer"}
)  # fmt: skip
"""First words of faults that the node's own checks, or another offer, tell at every moment."""
REQUEST_TIME: Final = "account-answer"
"""The dated rule for the time in which a request for access is answered (R-37)."""


def offers_of(local: Local, pages: NodePages, entrance: Entrance) -> Sequence[Offer]:
    """Everything that can wait for somebody on this node."""
    return (
        approvals(entrance),
        *((directory_changes(local.pool, pages.gathered),) if local.settings.national else ()),
        requests(local.pool, pages.gathered),
        cases_due(local.pool),
        case_news(local.pool),
        agreements_ending(local.pool, pages.gathered),
        unanswered(local.pool, pages.gathered),
        findings(HealthDesk(local)),
        found_by_doctor(NodeFindingDesk(local)),
        quotas_near(NodeQuotaDesk(local, pages)),
    )


def approvals(entrance: Entrance) -> Offer:
    """Changes of trust that another person proposed."""

    async def offer(actor: Actor) -> Sequence[Todo]:
        if actor.member is None:
            return ()
        kinds = entrance.approvals.kinds
        async with reading(entrance.pool) as db:
            found = await identity_queries.proposals_of(db, actor.member, MOST)
        return [
            Todo(
                T("Approve or refuse: {what}"),
                "/approvals",
                last_day(each.ends_at),
                APPROVALS,
                facts={"what": Phrase(kinds[each.kind].title, each.wanted)},
            )
            for each in found
            if each.kind in kinds
            and entrance.approvals.may_decide(actor, each)
            and each.ends_at > entrance.now()
            and may(actor, kinds[each.kind].decide, each.member)
        ]

    return offer


def directory_changes(pool: Pool, gathered: Callable[[], Awaitable[Gathered]]) -> Offer:
    """Changes of members and nodes that wait for a coordinator who has not approved them."""

    async def offer(actor: Actor) -> Sequence[Todo]:
        if not may(actor, Right.MANAGE_MEMBERS):
            return ()
        async with reading(pool) as db:
            waiting = [each for each in await pending_changes(db) if each.state in ("requested", "approved-once")]
            own = {each.id for each in waiting if actor.person in await operator_persons(db, each.approved_by)}
        named = await gathered()
        return [
            Todo(
                T("Approve or refuse for {who}: {what}"),
                f"{CHANGES_PATH}/{each.id}",
                None,
                APPROVALS,
                facts={"what": Phrase(CHANGE_KINDS[each.kind].word), "who": named.member_name(each.member)},
            )
            for each in waiting
            if each.id not in own
        ][:MOST]

    return offer


def requests(pool: Pool, gathered: Callable[[], Awaitable[Gathered]], clocks: Clocks | None = None) -> Offer:
    """Requests for access to the member's services, due in the working days of the rule in force."""
    clocks = clocks or Clocks()

    async def offer(actor: Actor) -> Sequence[Todo]:
        if actor.member is None or not may(actor, Right.DECIDE_REQUESTS, actor.member):
            return ()
        async with reading(pool) as db:
            found = await agreement_queries.negotiations_in(db, "provider", ("REQUESTED",))
        named = await gathered()
        todos: list[Todo] = []
        for each in [each for each in found if each.provider == actor.member][:MOST]:
            rule = clocks.rules.rule(REQUEST_TIME, each.requested_at.astimezone(ZONE).date())
            todos.append(
                Todo(
                    T("{who} asks for {what}"),
                    f"/work/requests/{each.pid}",
                    last_day(clocks.calendar.due(each.requested_at, rule)),
                    REQUESTS,
                    facts={"who": named.member_name(each.consumer), "what": named.title(each.target)},
                )
            )
        return todos

    return offer


def cases_due(pool: Pool) -> Offer:
    """The member's running cases whose clock runs and that this person handles."""

    async def offer(actor: Actor) -> Sequence[Todo]:
        if actor.member is None:
            return ()
        async with reading(pool) as db:
            found = await case_queries.cases_of_owner(db, actor.member, ended=False, before=None, most=MOST)
        return [_of_case(each) for each in found if each.paused_at is None and is_handler(each, actor)]

    return offer


def _of_case(case: Case) -> Todo:
    kind = kind_on(case.kind, case.opened_on)
    clocks = [case.due] if case.answered_at else [case.due, case.answer_due]
    ends = [last_day(each) for each in clocks if each is not None]
    facts = {"kind": Name(kind.title_vi, kind.title_en), "title": case.title}
    return Todo(
        T("{kind}: {title}"),
        f"/cases/{case.id}",
        min(ends, default=None),
        CASES,
        urgent=case.kind == "breach",
        facts=facts,
    )


def agreements_ending(pool: Pool, gathered: Callable[[], Awaitable[Gathered]]) -> Offer:
    """The member's signed agreements that end within thirty days; those of a rule end with the rule."""

    async def offer(actor: Actor) -> Sequence[Todo]:
        if actor.member is None or not may(actor, Right.SEE_AGREEMENTS, actor.member):
            return ()
        now = datetime.now(UTC)
        async with reading(pool) as db:
            current = await agreement_queries.current_agreements(db)
        named = await gathered()
        ending = [
            (each, end)
            for each in current
            if actor.member in (each.provider, each.consumer)
            and each.mode != "rule"
            and (end := each.ended_at or each.ends) is not None
            and now < end <= now + ENDS_SOON
        ]
        return [
            Todo(
                T("The agreement on {what} ends"),
                f"/agreements/{each.digest.removeprefix('sha-256:')}",
                last_day(end),
                AGREEMENTS,
                facts={"what": named.title(each.target)},
                hint=T("Agree on its successor before that day, or let it end: uses stop by themselves."),
            )
            for each, end in ending[:MOST]
        ]

    return offer


def unanswered(pool: Pool, gathered: Callable[[], Awaitable[Gathered]]) -> Offer:
    """Negotiations whose other side has not answered our last word, so nobody has signed yet."""

    async def offer(actor: Actor) -> Sequence[Todo]:
        if actor.member is None or not may(actor, Right.SEE_AGREEMENTS, actor.member):
            return ()
        async with reading(pool) as db:
            found = await agreement_queries.undelivered_negotiations(db)
        ours = [each for each in found if actor.member == (each.provider if each.side == "provider" else each.consumer)]
        named = await gathered()
        return [
            Todo(
                T("{who} has not answered about {what}: not signed by both yet"),
                "/work/requests",
                None,
                AGREEMENTS,
                facts={
                    "who": named.member_name(each.consumer if each.side == "provider" else each.provider),
                    "what": named.title(each.target),
                },
                hint=T("This node sends it again by itself; see whether the other node runs."),
            )
            for each in ours[:MOST]
        ]

    return offer


def findings(health: HealthDesk) -> Offer:
    """What is not in order with the node, keys and certificates that end soon and missing helpers among it."""

    async def offer(actor: Actor) -> Sequence[Todo]:
        if actor.member is None or not may(actor, Right.SEE_HEALTH, actor.member):
            return ()
        return [
            Todo(
                T("{part}: {cause}"),
                KEYS_PATH if check.name in ("certificate", "keys") else "/status",
                None,
                NODE,
                urgent=check.state == "failed",
                facts={
                    "part": Phrase(PARTS.get(check.name, check.name)),
                    "cause": Phrase(check.cause, check.facts),
                    **check.facts,
                },
                hint=check.mend,
            )
            for check in (await health.look()).checks
            if check.state != "ok"
        ]

    return offer


def found_by_doctor(desk: FindingDesk) -> Offer:
    """What the doctor's last look found and nothing else here tells."""

    async def offer(actor: Actor) -> Sequence[Todo]:
        if actor.member is None or not may(actor, Right.SEE_HEALTH, actor.member):
            return ()
        looked = await desk.last()
        return [
            Todo(each.cause, FINDINGS_PATH, None, NODE, urgent=each.grave, facts=each.facts, hint=each.mend)
            for each in (looked.findings if looked else ())
            if each.name.partition("-")[0] not in TOLD_ELSEWHERE
        ][:MOST]

    return offer


def quotas_near(desk: QuotaDesk) -> Offer:
    """Quotas of the day that are nearly or wholly used up, for those who ask for agreements and who decide on them."""

    async def offer(actor: Actor) -> Sequence[Todo]:
        if actor.member is None or not (
            may(actor, Right.ASK_ACCESS, actor.member) or may(actor, Right.DECIDE_REQUESTS, actor.member)
        ):
            return ()
        return [
            Todo(
                T("{what}: {percent} % of the day's quota is used"),
                QUOTAS_PATH,
                None,
                AGREEMENTS,
                urgent=each.state == "full",
                facts={"what": each.title, "percent": each.percent},
                hint=T("More uses are refused until midnight; the consumer can ask for a larger quota.")
                if each.state == "full"
                else "",
            )
            for each in (await desk.near(actor.member))[:MOST]
        ]

    return offer
