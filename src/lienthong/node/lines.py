"""From gathered facts to the lines of the front page: uses, members, agreements.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, cast

from lienthong.access.models import Outcome, Way
from lienthong.access.queries import Entry
from lienthong.directory.models import Member, Node, member_of
from lienthong.node.facts import NodeFacts, SignedAgreement
from lienthong.node.gathered import Gathered, plain_digest, service_name
from lienthong.portal.models import AgreementLine, MemberLine, Name, RecordLink, RecordSide, UseLine

MOST_USES: Final = 50
_SEVERITY: Final[Mapping[str, int]] = {"permitted": 0, "refused": 1, "failed": 2}
_ORDER: Final[Mapping[str, int]] = {"consumer": 0, "provider": 1}
_WAYS: Final[tuple[Way, ...]] = ("call", "table", "query", "event")

Written = tuple[NodeFacts, Entry]
"""A record with the node that wrote it."""


def use_lines(gathered: Gathered) -> tuple[UseLine, ...]:
    """The newest uses; the records that both sides keep of one use are one line."""
    uses: dict[tuple[str, str], list[Written]] = {}
    for facts in gathered.nodes:
        for entry in facts.entries:
            # One question in SQL may use several services in one exchange: each is a use of its own.
            uses.setdefault((entry.exchange_id, entry.resource), []).append((facts, entry))
    newest = sorted(uses.values(), key=_begun, reverse=True)
    return tuple(use_line(gathered, records) for records in newest[:MOST_USES])


def use_line(gathered: Gathered, records: Sequence[Written]) -> UseLine:
    """One use as all its ``records`` together tell it; where they differ, the worse outcome counts.

    A use that was opened and is closed later leaves two records on one side: the later one is linked.
    """
    by_side = {entry.side: (facts, entry) for facts, entry in sorted(records, key=lambda record: record[1].at)}
    told = [entry for _, entry in sorted(by_side.values(), key=lambda record: _ORDER[record[1].side], reverse=True)]
    worst = max(told, key=lambda entry: _SEVERITY[entry.outcome])
    best_known = told[0]
    digest = next((entry.agreement_digest for entry in told if entry.agreement_digest), None)
    consumer = member_of(best_known.consumer)
    return UseLine(
        exchange_id=best_known.exchange_id,
        at=_begun(records),
        way=cast("Way", best_known.way),
        consumer=gathered.member_name(consumer),
        provider=gathered.member_name(best_known.provider),
        title=gathered.title(best_known.resource),
        resource=best_known.resource,
        purpose=gathered.purpose_name(best_known.purpose),
        purpose_code=best_known.purpose,
        outcome=cast("Outcome", worst.outcome),
        reason=None if worst.outcome == "permitted" else worst.reason,
        rows=next((entry.rows for entry in told if entry.rows is not None), None),
        bytes=next((entry.bytes for entry in told if entry.bytes is not None), None),
        agreement_digest=plain_digest(digest) if digest else None,
        agreement_url=gathered.agreement_url(digest, best_known.provider, consumer) if digest else None,
        records=tuple(
            record_link(facts.base, entry)
            for facts, entry in sorted(by_side.values(), key=lambda record: _ORDER[record[1].side])
        ),
        synthetic=gathered.is_synthetic(best_known.resource),
    )


def _begun(records: Sequence[Written]) -> datetime:
    return min(entry.at for _, entry in records)


def record_link(base: str, entry: Entry, *, proved: bool = True) -> RecordLink:
    """Where the record is found on the node at ``base`` that wrote it."""
    named = entry.hash.hex()
    return RecordLink(
        side=cast("RecordSide", entry.side),
        record_hash=named,
        page_url=f"{base}/records/{named}",
        receipt_url=f"{base}/log/receipt/{named}",
        proof_url=f"{base}/log/proof/{named}" if proved else None,
    )


def uses_by_way(gathered: Gathered) -> tuple[tuple[Way, int], ...]:
    """How many uses each way has seen, as far as the asked nodes tell.

    A use leaves a record on each side, or on one (refused before it left, or taken by a foreign client): the side
    that counts more is nearest to the number of uses.
    """
    totals: dict[tuple[str, str], int] = {}
    for facts in gathered.nodes:
        for side, way, _, count in facts.counts:
            totals[way, side] = totals.get((way, side), 0) + count
    most: dict[Way, int] = {
        way: max(totals.get((way, "consumer"), 0), totals.get((way, "provider"), 0)) for way in _WAYS
    }
    return tuple((way, count) for way, count in most.items() if count)


def member_lines(gathered: Gathered) -> tuple[MemberLine, ...]:
    """The open members with the nodes that act for them, our own first, in the directory's order."""
    if gathered.snapshot is None:
        return ()
    known = {facts.node: facts for facts in gathered.nodes}
    lines: list[tuple[bool, MemberLine]] = []
    for member in gathered.snapshot.contents.members:
        node = gathered.snapshot.node_of(member.id)
        if node is not None and member.state == "active" and node.id in known:
            facts = known[node.id]
            lines.append((facts is not gathered.own, _member_line(gathered, member, node, facts)))
    return tuple(line for _, line in sorted(lines, key=lambda each: each[0]))


def _member_line(gathered: Gathered, member: Member, node: Node, facts: NodeFacts) -> MemberLine:
    systems = gathered.snapshot.contents.systems if gathered.snapshot else ()
    return MemberLine(
        id=member.id,
        name=Name(member.name_vi, member.name_en),
        code_verified=member.verified,
        node=node.id,
        node_url="/" if facts is gathered.own else node.public_url,
        health=facts.health,
        log_size=facts.log_size,
        systems=tuple(Name(each.name_vi, each.name_en) for each in systems if member_of(each.id) == member.id),
        services=tuple(service_name(service) for service in facts.services if service.member == member.id),
    )


def agreement_lines(gathered: Gathered) -> tuple[AgreementLine, ...]:
    """The agreements in force, by provider and target."""
    now = gathered.now
    in_force = [signed for signed in gathered.agreements.values() if signed.in_force(now)]
    in_force.sort(
        key=lambda signed: (signed.agreement.terms.provider, signed.agreement.terms.target, signed.agreement.id)
    )
    return tuple(agreement_line(gathered, signed) for signed in _newest_versions(in_force))


def agreement_line(gathered: Gathered, signed: SignedAgreement) -> AgreementLine:
    """One agreement as a list shows it."""
    agreement, terms = signed.agreement, signed.agreement.terms
    digest = plain_digest(agreement.digest)
    granted = [permission.fields for permission in terms.permissions]
    service = gathered.services.get(terms.target)
    return AgreementLine(
        id=agreement.id,
        version=str(agreement.version),
        digest=digest,
        title=gathered.title(terms.target),
        target=terms.target,
        provider=gathered.member_name(terms.provider),
        consumer=gathered.member_name(terms.consumer),
        fields=None if None in granted else len({field for fields in granted for field in fields or ()}),
        masked=len(_always_masked(signed)),
        filtered=all(permission.row_filter for permission in terms.permissions),
        by_rule=terms.mode == "rule",
        valid_to=signed.ends,
        personal=service.personal if service else False,
        synthetic=gathered.is_synthetic(terms.target),
        url=gathered.agreement_url(agreement.digest, terms.provider, terms.consumer) or f"/agreements/{digest}",
    )


def _always_masked(signed: SignedAgreement) -> set[str]:
    """Fields that no permission gives as they are."""
    permissions = signed.agreement.terms.permissions
    masked = {field for permission in permissions for field, _ in permission.masks}
    return {
        field
        for field in masked
        if all(
            field in dict(permission.masks) or (permission.fields is not None and field not in permission.fields)
            for permission in permissions
        )
    }


def _newest_versions(agreements: Iterable[SignedAgreement]) -> list[SignedAgreement]:
    """Of each agreement the newest version: one node may not have heard of it yet."""
    newest: dict[str, SignedAgreement] = {}
    for signed in agreements:
        known = newest.get(signed.agreement.id)
        if known is None or known.agreement.version < signed.agreement.version:
            newest[signed.agreement.id] = signed
    return list(newest.values())
