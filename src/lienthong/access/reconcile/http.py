"""What both sides' records show by day, as JSON: counts for everybody, never a single use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from lienthong.access.reconcile import queries
from lienthong.access.reconcile.models import DayShare
from lienthong.storage.pool import Pool, reading

SHOWN_DAYS = 31


def reconciliation_routes(pool: Pool, node: str, *, national: bool) -> list[BaseRoute]:
    """``/v1/reconciliation``: counts only."""

    async def read(_: Request) -> Response:
        async with reading(pool) as db:
            days = await queries.day_shares(db, SHOWN_DAYS)
            observed = await queries.observed_shares(db, SHOWN_DAYS) if national else None
        body: dict[str, object] = {"node": node, "days": [share_json(share) for share in days]}
        if observed is not None:
            body["observed"] = [share_json(share) for share in observed]
        return JSONResponse(body, headers={"Cache-Control": "no-cache"})

    return [Route("/v1/reconciliation", read, methods=["GET"])]


def share_json(share: DayShare) -> Mapping[str, object]:
    """One day between two members."""
    return asdict(share) | {
        "day": share.day.isoformat(),
        "waiting": share.waiting,
        "share": round(share.share, 6),
    }
