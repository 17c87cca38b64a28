"""Storing signed agreements and keeping the index tables true: the documents are the source, the rest is derived.

Promise: ``reindex`` gives the same tables from the documents and notices alone; every change is told to the gateways
in the transaction that makes it.
"""

from __future__ import annotations

from datetime import datetime

from lienthong.agreements import queries
from lienthong.agreements.models import Agreement, TermsRefused
from lienthong.agreements.queries import Connection
from lienthong.agreements.reading import AgreementMalformed, AgreementTermUnknown, parse_agreement
from lienthong.agreements.records import CurrentAgreement, StoredDocument
from lienthong.errors import Problem
from lienthong.i18n import T


class PredecessorMismatch(Problem):
    """A new version must name the newest one known, between the same parties, on the same target."""

    kind = "agreement-predecessor"
    status = 409
    side = "caller"
    title = T("The new version does not follow the last one")


class AgreementUnknown(Problem):
    """No agreement with this id is stored here."""

    kind = "unknown-agreement"
    status = 404
    side = "caller"
    title = T("Unknown agreement")


async def keep_agreement(
    db: Connection, agreement: Agreement, *, provider_jws: str, consumer_jws: str | None, now: datetime
) -> None:
    """Store an agreement whose signatures were checked, and let it count.  Raises PredecessorMismatch."""
    await queries.lock_agreement(db, agreement.id)
    await check_succession(db, agreement)
    await queries.insert_document(db, agreement, provider_jws, consumer_jws, now)
    await index_agreement(db, agreement.id)


async def check_succession(db: Connection, agreement: Agreement) -> None:
    """Raise PredecessorMismatch unless ``agreement`` is stored already or follows the newest stored version."""
    versions = await queries.document_versions(db, agreement.id)
    if any(stored.digest == agreement.digest for stored in versions):
        return
    newest = versions[0] if versions else None
    if (newest.digest if newest else None) != agreement.predecessor:
        raise _mismatch(agreement)
    if newest is not None:
        before = parse_agreement(newest.document)
        same = (before.terms.provider, before.terms.consumer, before.terms.target, before.version + 1)
        if same != (agreement.terms.provider, agreement.terms.consumer, agreement.terms.target, agreement.version):
            raise _mismatch(agreement)


async def index_agreement(db: Connection, agreement_id: str) -> None:
    """Derive the index rows of one agreement anew and tell the change."""
    counting = await _counting_version(db, agreement_id)
    if counting is None:
        await queries.drop_current(db, agreement_id)
    else:
        agreement = parse_agreement(counting.document)
        notices = await queries.notices_on(db, counting.digest)
        permissions = agreement.terms.permissions
        ends = [permission.ends for permission in permissions]
        current = CurrentAgreement(
            id=agreement.id,
            version=agreement.version,
            digest=agreement.digest,
            mode=agreement.terms.mode,
            provider=agreement.terms.provider,
            consumer=agreement.terms.consumer,
            target=agreement.terms.target,
            starts=min(permission.starts for permission in permissions),
            ends=None if None in ends else max(end for end in ends if end is not None),
            ended_at=notices[0].ends_at if notices else None,
        )
        purposes = {purpose for permission in permissions for purpose in permission.purposes}
        await queries.put_current(db, current, sorted(purposes))
    await queries.tell_change(db, agreement_id)


async def reindex(db: Connection) -> int:
    """Derive every index row anew from the documents and notices; the number of agreements with a document.

    A document this program can not read keeps the rows it has: the evaluator denies its uses by name.
    """
    await queries.lock_index(db)
    await queries.drop_orphans(db)
    ids = await queries.agreement_ids(db)
    for agreement_id in ids:
        try:
            await index_agreement(db, agreement_id)
        except (AgreementMalformed, AgreementTermUnknown, TermsRefused):
            await queries.tell_change(db, agreement_id)
    return len(ids)


async def _counting_version(db: Connection, agreement_id: str) -> StoredDocument | None:
    """The newest version that counts: by rule, only once the directory lists it or somebody accepted it."""
    for stored in await queries.document_versions(db, agreement_id):
        if not stored.by_rule or stored.published or await queries.is_accepted(db, stored.digest):
            return stored
    return None


def _mismatch(agreement: Agreement) -> PredecessorMismatch:
    return PredecessorMismatch(
        T("Version {version} of {agreement} does not follow the newest version known here."),
        mend=T("Exchange the missing version first, or make the new one from the newest."),
        agreement=agreement.id,
        version=agreement.version,
    )
