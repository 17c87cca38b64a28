"""What concerns two members is nothing to a third: every path of the peer listener, asked with every foreign id."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from lienthong.access.models import Record, write_record
from lienthong.directory.models import MemberId
from lienthong.exchange.describe import Describer
from lienthong.exchange.signed import Message, RefusedByProvider
from lienthong.node.desk import DESK, Desk
from lienthong.node.halves import HalvesDesk
from lienthong.node.notices import Notices
from lienthong.node.profiles import ProfileOffice
from tests.agreements.build import AGREEMENT_ID
from tests.faults.conftest import Apart
from tests.use.conftest import the_agreement
from tests.use.forged import BODY, CITIZEN
from tests.use.nodes import COUNTER, POLICE, PURPOSE

pytestmark = [pytest.mark.integration, pytest.mark.faults]

OTHER = MemberId("VN/GOV/G13")
THEIR_EXCHANGE = "00000000-0000-4000-8000-00000000feed"
THEIR_RECORD = Record(
    side="provider", exchange_id=THEIR_EXCHANGE, at=datetime(2026, 7, 1, tzinfo=UTC), node="nut-g01",
    consumer=f"{OTHER}/datdai", provider=POLICE, resource=CITIZEN, way="call", purpose=None, ground=None,
    agreement=None, decision_digest=None, outcome="permitted",
)  # fmt: skip


def questions() -> dict[str, list[tuple[str, bytes]]]:
    """What a third member may try on each path: the service it names, and a body with a foreign id."""
    leaf = write_record(replace(THEIR_RECORD, side="consumer")).decode()
    as_its_own = write_record(replace(THEIR_RECORD, side="consumer", consumer=COUNTER)).decode()
    service = f"{POLICE}/{DESK}"
    return {
        "agreements": [
            (f"{service}/agreements", json.dumps({"@type": kind, "consumerPid": pid, "providerPid": pid}).encode())
            for kind in ("ContractAgreementVerificationMessage", "ContractNegotiationTerminationMessage")
            for pid in (AGREEMENT_ID, "urn:uuid:00000000-0000-4000-8000-00000000abcd")
        ],
        "describe": [("VN/GOV/G01/dancu/describe", b"{}")],
        "profiles": [(f"{service}/profiles", json.dumps({"agreement": AGREEMENT_ID}).encode())],
        "halves": [
            (f"{service}/halves", json.dumps({"leaves": [leaf]}).encode()),
            (f"{service}/halves", json.dumps({"leaves": [as_its_own]}).encode()),
        ],
        "query": [(CITIZEN, b'{"sql": "SELECT full_name FROM citizen"}')],
        CITIZEN: [(CITIZEN, BODY)],
    }


def tried(paths: set[str]) -> Iterator[tuple[str, str, bytes]]:
    asked = questions()
    assert paths <= asked.keys(), f"say what a third member may try on {paths - asked.keys()}"
    for path in sorted(paths):
        for service, body in asked[path]:
            yield path, service, body


async def test_a_third_member_learns_nothing_of_two_others_on_any_peer_path(apart: Apart) -> None:
    node = apart.provider
    node.agreements[:] = [the_agreement(consumer=OTHER)]
    node.services[CITIZEN] = replace(node.services[CITIZEN], sharing="private")
    await node.parts.writer.append(THEIR_RECORD)
    await node.sequence()
    index = SimpleNamespace(find=node.find, get=lambda named: next((a for a in node.agreements if a.id == named), None))
    local, parts = node.local, node.parts
    handlers = Notices(
        Desk(local.pool, local.directory, parts.keys, parts.link),
        Describer(parts.services, node.find),
        ProfileOffice(local.settings, local.pool, index, parts.services),  # type: ignore[arg-type]
        HalvesDesk(local),
    ).handlers()
    parts.notices.update(handlers)  # type: ignore[attr-defined]

    for path, service, body in tried({*handlers, "query", CITIZEN}):
        try:
            exchanged = await apart.consumer.parts.link.send(
                Message(
                    consumer=COUNTER, service=service, target=b"/x1/" + path.encode(), exchange_id=str(uuid.uuid4()),
                    purpose=PURPOSE, agreement=None, body=body,
                ),
                POLICE, deadline_s=10.0, max_body=1_000_000,
            )  # fmt: skip
            status, told = exchanged.answer.status, exchanged.answer.body
        except RefusedByProvider as refused:
            status, told = refused.answer_status, json.dumps(refused.body).encode()

        assert status in (400, 403, 404) or told in (b'{"services":[]}', b'{"halves":[[]]}'), (path, status, told)
        for theirs in (b"Nguy", b"datdai", b"person", THEIR_EXCHANGE.encode()):
            assert theirs not in told, (path, told)
