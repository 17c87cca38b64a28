"""After a member was closed: fetching its agreements, asking for them anew, listing its rules anew.

The jobs process fetches and re-signs rules by itself, for that decides nothing; what two sides agreed is asked for by
an officer (``lienthong agreement take-over``) and approved by one.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import aiohttp
import orjson
import structlog

from lienthong.agreements import takeover
from lienthong.catalog.queries import all_services
from lienthong.directory.document import Snapshot
from lienthong.directory.models import MemberId, Node, Rule, SystemId, member_of
from lienthong.directory.register import add_rule, withdraw_rule
from lienthong.errors import Problem
from lienthong.exchange.parts import PeerNotice
from lienthong.exchange.signed import Incoming, Message, RefusedByProvider, body_object
from lienthong.i18n import T
from lienthong.node.desk import DEADLINE_S, DESK, MAX_ANSWER, Desk, open_desk
from lienthong.node.halves import national_node
from lienthong.node.local import Local
from lienthong.node.published import NotAsPublished, read_agreements

log = structlog.get_logger("lienthong.jobs")
RULES: Final = "rules"
"""Name of the path ``/x1/rules`` on the national node's peer listener."""
LOOK_EVERY_S: Final = 5.0
AT_ONCE: Final = 20
ANSWER_S: Final = 5.0
LARGE: Final = 4 * 1024 * 1024
NOTE: Final = "Tiếp nhận thỏa thuận của cơ quan đã kết thúc hoạt động"
"""What a request says of itself: agreements speak Vietnamese."""


class RuleUnreadable(Problem):
    """A rule sent for listing lacks its document or its signature."""

    kind = "rule-unreadable"
    status = 400
    side = "caller"
    title = T("The agreement by rule can not be read")


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What came of asking the other nodes for the agreements of closed members."""

    agreements: int
    silent: tuple[str, ...]
    """Nodes that did not answer, or not readably."""


def succeeded_by(snapshot: Snapshot, members: tuple[str, ...]) -> frozenset[str]:
    """The closed members whose place one of ``members`` has taken."""
    return frozenset(
        closed.id
        for closed in snapshot.contents.members
        if closed.state == "closed" and _heir(snapshot, closed.id) in members
    )


async def take_in(desk: Desk, members: tuple[str, ...]) -> TakenIn:
    """Fetch from all nodes, check and keep the agreements of those whom ``members`` succeeded."""
    snapshot = desk.directory.snapshot()
    closed = succeeded_by(snapshot, members)
    if not closed:
        return TakenIn(0, ())
    turn, now = asyncio.Semaphore(AT_ONCE), datetime.now(UTC)
    nodes = snapshot.contents.nodes
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S), trust_env=False) as session:
        answers = await asyncio.gather(*(_published(session, node, turn) for node in nodes))
    kept, silent = 0, list[str]()
    for node, body in zip(nodes, answers, strict=True):
        try:
            listed = read_agreements(body or b"", node, snapshot, {})
        except NotAsPublished:
            silent.append(node.id)
            continue
        for signed in listed:
            terms = signed.agreement.terms
            if terms.mode == "rule" or closed.isdisjoint((terms.provider, terms.consumer)) or signed.over(now):
                continue
            async with desk.pool.connection() as db:
                kept += await takeover.take_in(db, signed.agreement, signed.provider_jws, signed.consumer_jws, now)
    return TakenIn(kept, tuple(silent))


async def request_all(desk: Desk, members: tuple[str, ...]) -> dict[str, str]:
    """Ask the present providers for what closed members had.

    Our id of each negotiation to the kind of the problem for which it waits; empty when the provider has it.  What
    waits is sent again by the jobs process.
    """
    snapshot = desk.directory.snapshot()
    async with desk.pool.connection() as db:
        asked = await takeover.request_takeovers(db, snapshot, members, note=NOTE, now=datetime.now(UTC))
    found: dict[str, str] = {}
    for sent in asked:
        pid = str(sent.payload["consumerPid"])
        try:
            await desk.carry(sent)
            found[pid] = ""
        except RefusedByProvider as refused:
            found[pid] = str(refused.body.get("type", refused.kind)).rpartition(":")[2]
        except Problem as away:
            found[pid] = away.kind
    return found


async def list_rules(desk: Desk, local: Local) -> int:
    """Sign anew the rules of closed members that our members now provide, and have them listed; how many."""
    snapshot, listed = desk.directory.snapshot(), 0
    for member in local.settings.members:
        signer = desk.signer_of(member)
        if signer is None or _heir(snapshot, member) != member:
            continue
        async with desk.pool.connection() as db:
            services = await all_services(db)
            targets = {str(name) for service in services for name in (service.id, service.dataset) if name is not None}
            rules = await takeover.reissue_rules(db, snapshot, signer, targets.__contains__, now=datetime.now(UTC))
        for rule in rules:
            await _have_listed(desk, local, rule)
            listed += 1
    return listed


async def follow_successions(local: Local) -> None:
    """In the jobs process: whenever the directory closes a member that ours succeed, take in what it had."""
    done: frozenset[str] | None = None
    while True:
        try:
            snapshot = local.directory.snapshot()
            closed = succeeded_by(snapshot, local.settings.members)
            rules_due = any(takeover.terms_of_heirs(snapshot, rule.document) for rule in snapshot.rules)
            if closed != (done or frozenset()) or rules_due:
                async with open_desk(local.settings, local.dsns.app) as desk:
                    taken = await take_in(desk, local.settings.members)
                    await list_rules(desk, local)
                log.info("succession.taken-in", agreements=taken.agreements, silent=len(taken.silent))
                done = closed if not taken.silent else done
        except Problem as failed:
            log.warning("succession.waits", error=failed.kind)
        await asyncio.sleep(LOOK_EVERY_S)


@dataclass(frozen=True, slots=True)
class RulesDesk:
    """On the national node: lists what only follows from a closing, without operators, for it says nothing new."""

    local: Local

    def handlers(self) -> dict[str, PeerNotice]:
        """Path below ``/x1/`` to handler; none on any other node."""
        return {RULES: self.receive} if self.local.settings.national else {}

    async def receive(self, _: str, incoming: Incoming) -> dict[str, object]:
        """List a rule made anew in place of the old one.  Raises RuleUnreadable, SuccessionRefused."""
        body = body_object(incoming.body)
        document, signature = body.get("document"), body.get("provider_jws")
        if not isinstance(document, str) or not isinstance(signature, str):
            raise RuleUnreadable(T("A rule for the directory has a document and its provider's signature."))
        rule = Rule(member_of(incoming.consumer), document.encode(), signature)
        replaced = takeover.check_reissued(self.local.directory.snapshot(), rule, datetime.now(UTC))
        async with self.local.pool.connection() as db:
            await add_rule(db, rule)
            await withdraw_rule(db, replaced)
        return {"listed": True}


async def _have_listed(desk: Desk, local: Local, rule: Rule) -> None:
    national = national_node(desk.directory.snapshot(), local.settings.directory_url)
    exchanged = await desk.link.send(
        Message(
            consumer=SystemId(f"{rule.provider}/{DESK}"),
            service=f"{national.operator}/{DESK}/{RULES}",
            target=f"/x1/{RULES}".encode(),
            exchange_id=str(uuid.uuid4()),
            purpose=None,
            agreement=None,
            body=orjson.dumps({"document": rule.document.decode(), "provider_jws": rule.provider_jws}),
        ),
        national.operator,
        deadline_s=DEADLINE_S,
        max_body=MAX_ANSWER,
    )
    if exchanged.answer.status >= 400:
        raise RefusedByProvider(body_object(exchanged.answer.body), exchanged.answer.status)


async def _published(session: aiohttp.ClientSession, node: Node, turn: asyncio.Semaphore) -> bytes | None:
    """What the node lists at ``/v1/agreements``; None when it does not answer, or endlessly."""
    body = bytearray()
    try:
        async with turn, session.get(node.public_url.rstrip("/") + "/v1/agreements", allow_redirects=False) as answer:
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > LARGE or answer.status != 200:
                    return None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):  # ValueError: no address at all
        return None
    return bytes(body)


def _heir(snapshot: Snapshot, member: str) -> MemberId | None:
    try:
        return snapshot.heir(member).id
    except Problem:
        return None
