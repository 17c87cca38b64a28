"""One seed: uses, kills, crashes and bad weather for some time, then peace; afterwards the history is judged."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from lienthong.access.log import CHECKPOINT_FILE, SIGNED_FILE
from lienthong.errors import Problem
from lienthong.exchange.provide import PeerAnswer
from lienthong.trust.merkle import leaf_hash, root_of
from lienthong.trust.note import parse_verifier_key
from lienthong.trust.proof import parse_proof, verify_proof
from tests.directory.build import POLICE, PROVINCE
from tests.faults.simulated.country import Site, a_wish, simulated_ports
from tests.faults.simulated.network import Network, Weather
from tests.faults.simulated.world import World

USES = 8
BURSTS = 3
"""Uses come together at so many moments, so that writers overlap."""
TROUBLE_S = 9.0
PEACE_S = 12.0
MOST_FAULTS = 6


@dataclass
class History:
    """What was seen from outside."""

    broken: list[str] = field(default_factory=list)
    """Invariants that did not hold, a sentence each."""
    acknowledged: list[tuple[str, str, str]] = field(default_factory=list)
    """Record, peer record and exchange of every use that was answered."""
    refused: list[str] = field(default_factory=list)


class Run:
    """A small country, its troubles and what came of them."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.history = History()
        self.consumer = Site(self.world, "nut-h24", PROVINCE)
        self.provider = Site(self.world, "nut-g01", POLICE)
        self.network = Network(self.world, self.provider, self._released)
        self.consumer.network = self.network

    @property
    def sites(self) -> tuple[Site, Site]:
        return self.consumer, self.provider

    def play(self) -> History:
        with simulated_ports({site.node: site for site in self.sites}):
            self.world.run(self._play())
        return self.history

    async def _play(self) -> None:
        world = self.world
        for site in self.sites:
            await site.start_gateway()
            site.start_jobs()
            await site.start_gateway()  # a second one, on the same database
        moments = [world.dice.random() * TROUBLE_S for _ in range(BURSTS)]
        uses = [world.loop.create_task(self._use(world.dice.choice(moments))) for _ in range(USES)]
        troubles = [world.loop.create_task(self._trouble()) for _ in range(world.dice.randint(0, MOST_FAULTS))]
        await asyncio.wait([*uses, *troubles], timeout=TROUBLE_S + PEACE_S)
        self.network.weather = Weather(0, 0, 0, 0, 0)
        await self._peace()
        self._judge()

    async def _use(self, at: float) -> None:
        await asyncio.sleep(at)
        await self.world.some_time(0.1)
        gateway = self.consumer.a_gateway()
        if gateway is None:
            return

        async def use() -> None:
            try:
                used = await gateway.consumer.use(a_wish())
            except Problem as problem:
                await gateway.process.port()
                self.history.refused.append(str(problem.as_dict()["type"]).rpartition(":")[2])
                return
            await gateway.process.port()
            if b"lienthong-problem" in dict(used.answer.headers):
                self.history.refused.append(dict(used.answer.headers)[b"lienthong-problem"].decode())
            self._acknowledge(used.record, used.peer_record, used.exchange_id)

        task = gateway.process.spawn(use())
        await asyncio.wait([task], timeout=PEACE_S)  # a killed gateway never ends it
        if task.done() and not task.cancelled() and task.exception() is not None:
            self.history.broken.append(f"a use ended with {task.exception()!r}")

    async def _trouble(self) -> None:
        """One fault, and its repair."""
        world = self.world
        await world.some_time(TROUBLE_S)
        site = world.dice.choice(self.sites)
        match world.dice.choice(("gateway", "database", "database", "jobs", "slow")):
            case "gateway":
                gateway = site.a_gateway()
                if gateway is not None:
                    gateway.process.kill()
                    await world.some_time(2.0)
                    await site.start_gateway()
            case "database":
                if site.database.up:
                    site.database.crash()
                    await world.some_time(4.0)
                    site.database.up = True
            case "jobs":
                await self._new_jobs(site)
            case _:
                site.database.slow_s = world.dice.choice((0.5, 15.0))
                await world.some_time(5.0)
                site.database.slow_s = 0.0

    async def _new_jobs(self, site: Site) -> None:
        """Another sequencer takes over; the old one is killed, or only believed dead."""
        if site.jobs is not None and self.world.chance(0.6):
            site.jobs.kill()
        await self.world.some_time(1.0)
        site.start_jobs()

    async def _peace(self) -> None:
        for site in self.sites:
            site.database.up, site.database.slow_s = True, 0.0
        await asyncio.sleep(7.0)
        for site in self.sites:
            site.start_jobs()
            assert site.jobs
            site.jobs.dies_at_put = None
        await asyncio.sleep(6.0)

    # -- what must hold at every moment

    def _released(self, answer: PeerAnswer) -> None:
        named = dict(answer.headers).get(b"lienthong-record")
        if b"signature" in dict(answer.headers):
            if named is None or not self.provider.database.holds(bytes.fromhex(named.decode())):
                self._broken("an answer left its provider before its record was durable")
        elif answer.body.startswith(b'{"for"'):
            self._broken("an answer left without a signature")

    def _acknowledge(self, record: str, peer_record: str, exchange_id: str) -> None:
        for site, named in ((self.consumer, record), (self.provider, peer_record)):
            if not site.database.holds(bytes.fromhex(named)):
                self._broken(f"a use was answered before the record of {site.node} was durable")
        self.history.acknowledged.append((record, peer_record, exchange_id))

    def _broken(self, sentence: str) -> None:
        self.history.broken.append(sentence)

    # -- what must hold in the end

    def _judge(self) -> None:
        for site in self.sites:
            self._judge_log(site)
        for nonce, times in self.provider.executed.items():
            if times > 1:
                self._broken(f"the message with nonce {nonce} was acted on {times} times")
        leaves = {row.hash.hex(): json.loads(row.leaf) for site in self.sites for row in site.database.rows}
        for record, peer_record, exchange_id in self.history.acknowledged:
            ours, theirs = leaves.get(record), leaves.get(peer_record)
            if ours is None or theirs is None:
                self._broken("a record that was acknowledged is lost")
                continue
            if not (
                ours["exchange_id"] == theirs["exchange_id"] == exchange_id
                and ours["peer_record"] == peer_record
                and ours["request_signature_digest"] == theirs["request_signature_digest"]
                and ours["body_digest"] == theirs["body_digest"]
            ):
                self._broken("the two records of a use do not match")

    def _judge_log(self, site: Site) -> None:
        placed = [site.database.entries.get(index) for index in range(len(site.database.entries))]
        durable = {row.hash: row.leaf for row in site.database.rows}
        if None in placed or sorted(placed) != sorted(durable):
            self._broken(f"the log of {site.node} does not hold each durable record once")
            return
        hashes = [leaf_hash(durable[named]) for named in placed if named is not None]
        largest = 0
        for key, note in [*site.kept.puts, *site.folder.puts]:
            if key not in (CHECKPOINT_FILE, SIGNED_FILE):
                continue
            told = site.files.opened(note)
            if told.root != root_of(hashes[: told.size]) or told.size > len(hashes):
                self._broken(f"{site.node} signed a checkpoint that its log does not continue")
            if key == CHECKPOINT_FILE:
                if told.size < largest:
                    self._broken(f"the checkpoint that {site.node} shows became smaller")
                largest = max(largest, told.size)
        if largest != len(hashes):
            self._broken(f"{site.node} shows a checkpoint of {largest} of {len(hashes)} records")
            return
        key = parse_verifier_key(site.files.verifier_key)
        note = site.folder.get(CHECKPOINT_FILE) or b""
        for index, hashed in enumerate(hashes):
            verify_proof(parse_proof(site.files.proof(index, largest, note)), hashed, site.files.origin, key)


def play(seed: int) -> History:
    """The history of one seed; what went wrong in the telling counts as broken."""
    run = Run(seed)
    try:
        return run.play()
    except Exception as failure:
        run.history.broken.append(f"{type(failure).__name__}: {failure}")
        return run.history
