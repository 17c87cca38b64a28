"""A node signs agreements for its own members alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lienthong.directory.models import MemberId
from lienthong.exchange.signed import LocalKey
from lienthong.node.desk import Desk, NotOurMember
from lienthong.storage.pool import open_pool
from lienthong.trust.keys import generate_es256, key_id, public_jwk
from tests.agreements.build import AGREEMENT_ID, POLICE, PROVINCE

pytestmark = pytest.mark.integration


@pytest.fixture
async def desk(database: Any):
    key = generate_es256()
    jwk = public_jwk(key)
    pool = await open_pool(database.app, min_size=1, max_size=1)
    yield Desk(pool, None, {PROVINCE: LocalKey(MemberId(PROVINCE), key, key_id(jwk), jwk)}, None)  # type: ignore[arg-type]
    await pool.close()


async def test_the_key_of_another_member_is_not_ours_to_sign_with(desk: Desk):
    assert desk.signer(PROVINCE).member == PROVINCE
    with pytest.raises(NotOurMember) as refused:
        desk.signer(POLICE)

    assert (refused.value.kind, refused.value.status, refused.value.side) == ("not-our-member", 403, "caller")
    assert refused.value.facts["member"] == POLICE


async def test_nothing_is_approved_or_ended_in_the_name_of_another_member(desk: Desk):
    with pytest.raises(NotOurMember):
        await desk.end(AGREEMENT_ID, POLICE, reason="r", provision=None, ends_at=datetime(2026, 8, 1, tzinfo=UTC))
    assert await desk.requests() == []
