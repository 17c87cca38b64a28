"""What ``/readyz`` says of the log's trust: recovery, missing witnesses, forks that were proven."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from lienthong.access.recovery import recovery_state
from lienthong.access.witness import queries
from lienthong.i18n import T
from lienthong.node.finding import Check, fine
from lienthong.node.local import Local
from lienthong.node.stamping import overdue
from lienthong.node.witnessing import own_policy
from lienthong.trust.cosign import cosignature_times, cosigned

GRACE: Final = timedelta(seconds=15)
"""How long a checkpoint may wait for its cosignatures before anybody is told."""


async def recovery(local: Local) -> Check:
    """Whether the log signs, or was found put back, shortened or forked."""
    async with local.pool.connection(timeout=2.0) as db:
        state = await recovery_state(db)
    if state is None:
        return fine("recovery")
    return Check(
        "recovery", "failed", state.cause,
        T("The log is in recovery since {since}: {source} shows {size} records that it signed, {own_size} are here "
          "({cause}). Nothing is signed and no use is answered."),
        T("Restore the newest backup and the records after it; then show an outside checkpoint: lienthong restore."),
        {
            "since": state.since.astimezone(UTC).isoformat(timespec="seconds"), "source": state.source,
            "size": state.size, "own_size": state.own_size, "cause": state.cause,
        },
    )  # fmt: skip


async def witnesses(local: Local) -> Check:
    """Whether as many witnesses cosign this node's checkpoints as the directory asks for."""
    policy = own_policy(local)
    async with local.pool.connection(timeout=2.0) as db:
        newest = await queries.newest_with_cosignatures(db, policy.names)
        good = await queries.best_checkpoint(db, policy.names, policy.threshold)
    if newest is None or good is None or len(newest.lines) >= policy.threshold:
        return fine("witnesses")
    since = good.at if len(good.lines) >= policy.threshold else None
    if datetime.now(UTC) - newest.at < GRACE or (since is not None and newest.at - since < GRACE):
        return fine("witnesses")
    present = cosignature_times(cosigned(bytes(newest.note), newest.lines), [site.key for site in policy.witnesses])
    missing = [name for name in policy.names if name not in present]
    return Check(
        "witnesses", "degraded", "missing",
        T("{count} of {threshold} wanted witnesses cosigned the newest checkpoint; missing: {missing}. Uses go on, "
          "their receipts say so."),
        T("See that those nodes run and that their public listeners can be reached from here."),
        {"count": len(present), "threshold": policy.threshold, "missing": ", ".join(missing[:10]) or "-"},
    )  # fmt: skip


async def forks(local: Local) -> Check:
    """Whether any log of the country was proven to have shown two histories."""
    async with local.pool.connection(timeout=2.0) as db:
        kept = await queries.all_evidence(db)
    if not kept:
        return fine("forks")
    return Check(
        "forks", "degraded", "forked",
        T("These logs showed two histories, both signed: {origins}. The evidence is under /witness/forks."),
        T("Trust no receipt of that log alone; compare with the other side's records and tell the log's operator."),
        {"origins": ", ".join(sorted({one.origin for one in kept})[:10])},
    )  # fmt: skip


async def timestamps(local: Local) -> Check:
    """Whether checkpoints get their timestamps, where an authority is set."""
    if not local.settings.tsa_url:
        return fine("timestamps")
    async with local.pool.connection(timeout=2.0) as db:
        last = await queries.newest_stamp(db)
        waiting = await queries.unstamped_since(db)
    if not overdue(local, waiting, datetime.now(UTC)):
        return fine("timestamps")
    return Check(
        "timestamps", "degraded", "missing",
        T("No checkpoint was timestamped since {since}: uses go on, their time rests on this node's clock."),
        T("See that tsa_url can be reached, and that tsa_roots holds the authority's root."),
        {"since": last.at.astimezone(UTC).isoformat(timespec="seconds") if last else "-"},
    )  # fmt: skip
