"""Directory, agreements and log of one node, driven rule by rule beside a model that a page can hold.

The model knows who is a member under which keys, what was agreed and what was put on record; each rule says beforehand
what must come of it, the invariants say what must hold between any two.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from psycopg import AsyncConnection

from lienthong.access.gate import Gate, Refused, agreement_ref
from lienthong.access.log import LogFiles
from lienthong.access.models import Record, Use
from lienthong.access.queries import newest_checkpoint
from lienthong.access.sequence import Sequencer
from lienthong.access.witness.cosign import Witness
from lienthong.access.write import COLUMNS, RecordWriter
from lienthong.agreements.ending import end_agreement
from lienthong.agreements.index import AgreementIndex
from lienthong.agreements.keeping import keep_agreement
from lienthong.agreements.signing import MemberSigner
from lienthong.directory import queries, register
from lienthong.directory.changes import KEY_AHEAD, approve_change, submit
from lienthong.directory.document import Snapshot, index_contents
from lienthong.directory.lifecycle import ChangeRefused, SameOperator, approve, request_change
from lienthong.directory.models import MemberId, SystemId
from lienthong.directory.queries import all_revocations, whole_directory
from lienthong.directory.revoke import Notes, revoked
from lienthong.errors import Problem
from lienthong.storage.copy import GroupCommit
from lienthong.storage.objects import ObjectStore
from lienthong.storage.pool import open_pool
from lienthong.storage.provision import DatabaseDsns
from lienthong.trust import merkle
from lienthong.trust.cosign import Submission, write_submission
from lienthong.trust.keys import generate_ed25519, generate_es256, key_id, public_jwk
from lienthong.trust.note import VerifierKey
from lienthong.trust.proof import parse_proof, verify_proof
from lienthong.trust.seal import Seal
from tests.agreements.build import an_agreement
from tests.directory.build import POLICE, a_member, a_node, a_purpose, a_system

ORIGIN = "vn.lienthong/nut-g01"
SERVICE = "VN/GOV/G01/dancu/citizen"
MEMBERS = tuple(MemberId(f"VN/GOV/H{number}") for number in (24, 25))
SHARED_KEYS = {name: generate_es256() for name in (*MEMBERS, *(f"{member}/2" for member in MEMBERS))}
"""Each member's first and second key: made once, for making them is not what is tested."""
HOA, NAM = generate_ed25519(), generate_ed25519()
LOG_KEY, WITNESS_KEY = generate_ed25519(), generate_ed25519()
LOG = ORIGIN, VerifierKey(ORIGIN, LOG_KEY.public_key())
BEGIN = datetime(2026, 3, 2, 3, tzinfo=UTC)

members = st.sampled_from(MEMBERS)


@dataclass
class Body:
    """What the model knows of one member."""

    state: str = "absent"
    """absent, registered, active, closed."""
    keys: dict[str, datetime] = field(default_factory=dict)
    """Key to the moment from which it counts."""
    revoked: set[str] = field(default_factory=set)
    agreement: str | None = None
    ends: datetime | None = None
    """When it ends by itself."""
    ended: datetime | None = None
    """When notice was given."""
    asked: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Kind of change to its id and the operator who approved it first (none: empty)."""


class Rooms(RuleBasedStateMachine):
    """The machine; ``database`` is set by the test: it gives an empty, migrated one for each run of rules."""

    database: Callable[[], contextlib.AbstractContextManager[list[DatabaseDsns]]]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = contextlib.ExitStack()
        (self.dsns,) = self.stack.enter_context(type(self).database())
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.now = BEGIN
        self.bodies = {member: Body() for member in MEMBERS}
        self.written: list[bytes] = []
        self.witnessed = self.size = self.named = 0
        self.files = LogFiles(folder / "log", ORIGIN, LOG_KEY.public_key(), ObjectStore(folder))
        self.index = AgreementIndex()
        self.run(self._open())

    def run(self, deed: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(deed, 120))

    async def _open(self) -> None:
        self.db = await AsyncConnection.connect(self.dsns.app)
        self.pool = await open_pool(self.dsns.app, min_size=1, max_size=2)
        self.commit = GroupCommit(self.dsns.log, "record", COLUMNS)
        self.writer = RecordWriter(self.commit, Seal(bytes(32)))
        self.sequencer = Sequencer(self.files, LOG_KEY)
        self.witness = Witness(
            self.pool, WITNESS_KEY, "nut-nc", lambda _: VerifierKey(ORIGIN, LOG_KEY.public_key()), clock=lambda: 1.0
        )
        await register.add_member(self.db, a_member(POLICE))
        await register.add_node(self.db, a_node("nut-g01"))
        for key in (HOA, NAM):
            await queries.insert_operator(self.db, key_id(public_jwk(key)), "người vận hành", public_jwk(key), self.now)
        await self.db.commit()

    def teardown(self) -> None:
        self.run(self._close())
        self.loop.close()
        self.stack.close()

    async def _close(self) -> None:
        await self.commit.close()
        await self.pool.close()
        await self.db.close()

    async def _done(self, deed: Awaitable[Any]) -> Problem | None:
        """Carry out one deed in a transaction of its own; the Problem it was refused with."""
        try:
            await deed
        except Problem as problem:
            await self.db.rollback()
            return problem
        await self.db.commit()
        return None

    async def _snapshot(self) -> Snapshot:
        contents = await whole_directory(self.db)
        number, revocations = await all_revocations(self.db)
        await self.db.commit()
        until = self.now + timedelta(days=1)
        told = index_contents(contents, version=1, issued=self.now, expires=until, digest="")
        return revoked(told, Notes(number, 1, self.now, revocations))

    # The directory

    @initialize()
    def first_member(self) -> None:
        """One member is there from the start, so that short runs reach what is behind joining."""
        self.register_member(MEMBERS[0])
        self.ask(MEMBERS[0], "join")
        for operator in (HOA, NAM):
            self._approve(MEMBERS[0], "join", operator)
        self._agree(MEMBERS[0], 20)

    @rule(member=members)
    def register_member(self, member: MemberId) -> None:
        body = self.bodies[member]

        async def admit() -> None:
            await register.add_member(self.db, a_member(member, kind="province"))
            await register.add_system(self.db, a_system(f"{member}/motcua"))
            await register.add_purpose(self.db, a_purpose(_purpose(member), member=member))

        refused = self.run(self._done(admit()))
        assert (refused is None) == (body.state == "absent"), "an id is given once, also after its bearer was closed"
        if refused is None:
            body.state = "registered"

    @rule(member=members, kind=st.sampled_from(("join", "key", "close")))
    def ask(self, member: MemberId, kind: str) -> None:
        body, first, second = self.bodies[member], SHARED_KEYS[member], SHARED_KEYS[f"{member}/2"]
        node = f"nut-{member[-3:].lower()}"
        if kind == "join":
            identity = asdict(a_node(node)) | {
                "node": node, "members": {member: public_jwk(first)}, "tls_sha256": f"{sum(node.encode()):064x}",
                "certificate_pem": "-----BEGIN CERTIFICATE-----",
            }  # fmt: skip
            wanted: dict[str, Any] = {"identity": identity}
        elif kind == "key":
            wanted = {"jwk": public_jwk(second), "node": node}
        else:
            wanted = {"day": self.now.date().isoformat(), "successor": POLICE}
        envelope = request_change(kind, member, wanted, first, self.now)  # type: ignore[arg-type]
        found: list[str] = []

        async def hand_in() -> None:
            found.append((await submit(self.db, envelope, self.now)).id)

        refused = self.run(self._done(hand_in()))
        if kind == "join":
            if refused is not None:
                return
        else:
            assert (refused is None) == self._counts(member, key_id(public_jwk(first))), (kind, refused)
        if refused is None:
            body.asked[kind] = (found[0], "")

    @precondition(lambda self: any(body.asked for body in self.bodies.values()))
    @rule(choice=st.data(), operator=st.sampled_from((HOA, NAM)))
    def approve(self, choice: st.DataObject, operator: Any) -> None:
        waiting = [(member, kind) for member, body in self.bodies.items() for kind in body.asked]
        self._approve(*choice.draw(st.sampled_from(waiting)), operator)

    def _approve(self, member: MemberId, kind: str, operator: Any) -> None:
        body, name = self.bodies[member], key_id(public_jwk(operator))
        change, before = body.asked[kind]
        refused = self.run(self._done(approve_change(self.db, change, approve(change, operator, self.now), self.now)))
        if before == name:
            assert isinstance(refused, SameOperator), f"one operator approved {kind} twice: {refused}"
        elif not before:
            assert refused is None, refused
            body.asked[kind] = (change, name)
        elif refused is None:
            del body.asked[kind]
            self._carried_out(body, member, kind)
        else:
            assert body.state in ("absent", "closed") or kind != "close" or isinstance(refused, ChangeRefused), refused

    def _carried_out(self, body: Body, member: MemberId, kind: str) -> None:
        first, second = (key_id(public_jwk(SHARED_KEYS[name])) for name in (member, f"{member}/2"))
        if kind == "join":
            body.keys.setdefault(first, self.now)
            body.state = "active" if body.state == "registered" else body.state
        elif kind == "key":
            body.keys.setdefault(second, self.now + KEY_AHEAD)
        else:
            body.state = "closed"

    @precondition(lambda self: self._those("active", agreed=True))
    @rule(choice=st.data())
    def dissolve(self, choice: st.DataObject) -> None:
        """The whole way of closing at once: single steps seldom come that far."""
        member = choice.draw(st.sampled_from(self._those("active", agreed=True)))
        if self._counts(member, key_id(public_jwk(SHARED_KEYS[member]))):
            self.ask(member, "close")
            for operator in (HOA, NAM):
                self._approve(member, "close", operator)

    @precondition(lambda self: self._keys_left())
    @rule(choice=st.data())
    def revoke_key(self, choice: st.DataObject) -> None:
        member, keyid = choice.draw(st.sampled_from(self._keys_left()))
        refused = self.run(self._done(register.revoke(self.db, "key", keyid, "stolen", self.now)))
        assert refused is None, refused
        self.bodies[member].revoked.add(keyid)

    def _keys_left(self) -> list[tuple[MemberId, str]]:
        return [
            (member, key) for member, body in self.bodies.items() for key in sorted(body.keys.keys() - body.revoked)
        ]

    def _counts(self, member: MemberId, keyid: str) -> bool:
        body = self.bodies[member]
        return (
            body.state in ("registered", "active") and keyid in body.keys and body.keys[keyid] <= self.now
            and keyid not in body.revoked
        )  # fmt: skip

    # Agreements

    @precondition(lambda self: self._those("active", agreed=False))
    @rule(choice=st.data(), days=st.integers(1, 5))
    def agree(self, choice: st.DataObject, days: int) -> None:
        self._agree(choice.draw(st.sampled_from(self._those("active", agreed=False))), days)

    def _those(self, *states: str, agreed: bool) -> list[MemberId]:
        return [
            member for member, body in self.bodies.items() if body.state in states and bool(body.agreement) == agreed
        ]

    def _agree(self, member: MemberId, days: int) -> None:
        body = self.bodies[member]
        self.named += 1
        body.agreement = f"urn:uuid:00000000-0000-4000-8000-{self.named:012d}"
        body.ends = self.now.replace(microsecond=0) + timedelta(days=days)
        agreement = an_agreement(
            body.agreement, consumer=member, target=SERVICE, purposes=(_purpose(member),), starts=BEGIN, ends=body.ends
        )
        kept = keep_agreement(self.db, agreement, provider_jws="a..b", consumer_jws="a..b", now=self.now)
        assert self.run(self._done(kept)) is None

    @precondition(lambda self: self._those("active", agreed=True))
    @rule(choice=st.data(), hours=st.sampled_from((0, 1, 48)))
    def withdraw(self, choice: st.DataObject, hours: int) -> None:
        member = choice.draw(st.sampled_from(self._those("active", agreed=True)))
        body = self.bodies[member]
        key = SHARED_KEYS[member]
        ends = self.now.replace(microsecond=0) + timedelta(hours=hours)
        notice = end_agreement(
            self.db, MemberSigner(member, key_id(public_jwk(key)), key), body.agreement, reason="no longer needed",
            provision=None, ends_at=ends, now=self.now.replace(microsecond=0),
        )  # fmt: skip
        if self.run(self._done(notice)) is None:
            body.ended = min(ends, body.ended or ends)

    @rule(hours=st.integers(1, 24))
    def time_goes_on(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    # The use, and its record

    @rule(member=members, own_purpose=st.sampled_from((True, True, True, False)))
    def use(self, member: MemberId, own_purpose: bool) -> None:
        purpose_of = member if own_purpose else next(other for other in MEMBERS if other != member)
        allowed = self._may(member) and purpose_of == member
        permitted = self.run(self._use(member, purpose_of))
        assert permitted == allowed, f"{member} was {'let through' if permitted else 'refused'}: {self.bodies[member]}"

    def _may(self, member: MemberId) -> bool:
        body = self.bodies[member]
        running = body.ends is not None and self.now < body.ends and (body.ended is None or self.now < body.ended)
        return body.state == "active" and body.agreement is not None and running

    async def _use(self, member: MemberId, purpose_of: MemberId) -> bool:
        snapshot = await self._snapshot()
        await self.index.reload(self.db)
        await self.db.commit()
        gate = Gate(self.index.find, lambda: snapshot)
        use = Use("call", f"e-{len(self.written)}", SystemId(f"{member}/motcua"), POLICE, SERVICE,
                  _purpose(purpose_of), self.now)  # fmt: skip
        try:
            decision = gate.admit(use)
        except Refused as refused:
            decision = refused.decision
            outcome, reason = "refused", refused.kind
        else:
            outcome, reason = "permitted", None
        record = Record(
            side="provider", exchange_id=use.exchange_id, at=self.now, node="nut-g01", consumer=use.consumer,
            provider=POLICE, resource=SERVICE, way="call", purpose=use.purpose, ground=None,
            agreement=agreement_ref(decision), decision_digest=None, outcome=outcome, reason=reason,
        )  # fmt: skip
        self.written.append(await self.writer.append(record))
        return outcome == "permitted"

    # The log and its witness

    @rule()
    def checkpoint(self) -> None:
        self.size += self.run(self.sequencer.step(self.db))
        assert self.size == len(self.written), "what was acknowledged is in the log"

    @rule(lag=st.integers(0, 3))
    def show_witness(self, lag: int) -> None:
        """Show the witness the newest head; with ``lag`` as one that claims to go on from another size than its own."""
        newest = self.run(newest_checkpoint(self.db))
        self.run(self.db.commit())
        if newest is None:
            return
        size, note = newest[0], bytes(self.files.last_signed() or b"")
        old = max(self.witnessed - lag, 0)
        proof = self.files.consistency(old, size) if 0 < old < size else []
        reply = self.run(self.witness.add_checkpoint(write_submission(Submission(old, tuple(proof), note))))
        assert (reply.status == 200) == (old == self.witnessed), (reply, old, self.witnessed, size)
        if reply.status == 200:
            self.witnessed = size

    @invariant()
    def the_directory_says_what_was_approved(self) -> None:
        snapshot = self.run(self._snapshot())
        for member, body in self.bodies.items():
            known = snapshot.member(member)
            assert (known is None) == (body.state == "absent"), member
            assert known is None or (known.state == "closed") == (body.state == "closed"), (member, body)
            assert {key.keyid for key in known.keys} == set(body.keys) if known else not body.keys, (member, body)
            for keyid in body.keys:
                signs = snapshot.signing_key(keyid, self.now) is not None
                assert signs == self._counts(member, keyid), f"{keyid} of {member} {signs}: {body}"

    @invariant()
    def whatever_is_in_the_log_is_proven_and_stays(self) -> None:
        note = self.files.last_signed()
        if note is None:
            assert self.size == 0
            return
        head = self.files.opened(note)
        assert head.size == self.size >= self.witnessed
        for index in {0, self.size // 2, self.size - 1}:
            shown = verify_proof(parse_proof(self.files.proof(index, self.size, note)), self.written[index], *LOG)
            assert shown == head
        assert merkle.root_of(self.written[: self.size]) == head.root


def _purpose(member: MemberId) -> str:
    return f"HP-{member[-2:]}"
