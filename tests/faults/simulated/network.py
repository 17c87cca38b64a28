"""A network between gateways that loses, delays, doubles and swaps messages; it has no means to read or forge them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lienthong.errors import Problem
from lienthong.exchange.answer import Answer, Headers, PeerClosed, PeerTimeout, PeerUnreachable
from lienthong.exchange.peerdoor import plain_problem
from lienthong.exchange.provide import PeerAnswer, PeerRequest
from tests.faults.simulated.world import World, here

if TYPE_CHECKING:
    from tests.faults.simulated.country import Gateway, Site


@dataclass
class Weather:
    """Probabilities, each for one message."""

    lost: float = 0.05
    answer_lost: float = 0.08
    doubled: float = 0.3
    stale: float = 0.1
    swapped: float = 0.1


@dataclass
class Network:
    """Carries messages to the gateways of ``site``."""

    world: World
    site: Site
    released: Callable[[PeerAnswer], None]
    """Told of every answer at the moment it leaves its provider."""
    weather: Weather = field(default_factory=Weather)
    under_way: list[asyncio.Future[Answer]] = field(default_factory=list)

    async def fetch(
        self, origin: object, method: str, target: bytes, headers: Callable[[], Headers], body: bytes, *,
        deadline_s: float, max_body: int, spill: object = None,
    ) -> Answer:  # fmt: skip
        """What ``HttpClient.fetch`` promises."""
        process, world = here.get(), self.world
        await process.port()
        request = made(target, headers(), body)
        if world.chance(self.weather.stale):  # a reused link died: nobody knows whether the message arrived
            if world.chance(0.5):
                self.site.spawn(self._arrive(request, None))
            request = made(target, headers(), body)
        answer: asyncio.Future[Answer] = world.loop.create_future()
        self.under_way.append(answer)
        if not world.chance(self.weather.lost):
            self.site.spawn(self._arrive(request, answer))
        if world.chance(self.weather.doubled):
            self.site.spawn(self._again(request))
        try:
            async with asyncio.timeout(deadline_s):
                got = await answer
        except TimeoutError:
            raise PeerTimeout("The other side did not answer in time.") from None
        finally:
            self.under_way.remove(answer)
            await process.port()
        return got

    async def _again(self, request: PeerRequest) -> None:
        await self.world.some_time(self.world.dice.choice((0.05, 3.0, 12.0)))
        await self._arrive(request, None)

    async def _arrive(self, request: PeerRequest, answer: asyncio.Future[Answer] | None) -> None:
        world = self.world
        await world.some_time(0.05)
        gateway = self.site.a_gateway()
        if gateway is None:
            if answer is not None and not answer.done():
                answer.set_exception(PeerUnreachable("Nobody listens."))
            return
        given: asyncio.Future[PeerAnswer] = world.loop.create_future()
        gateway.process.spawn(answer_on(gateway, request, given))
        end = world.loop.create_task(gateway.process.end())
        await asyncio.wait({given, end}, return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        if not given.done():
            if answer is not None and not answer.done():
                answer.set_exception(PeerClosed("The link closed."))
            return
        self.released(given.result())
        await world.some_time(0.05)
        if answer is None or world.chance(self.weather.answer_lost):
            return
        if world.chance(self.weather.swapped):
            answer = world.dice.choice([*self.under_way, answer])
        if not answer.done():
            answer.set_result(Answer(given.result().status, given.result().headers, given.result().body))


async def answer_on(gateway: Gateway, request: PeerRequest, given: asyncio.Future[PeerAnswer]) -> None:
    """What the peer listener's door does with a request."""
    try:
        answer = await gateway.provider.answer(request)
    except Problem as problem:
        answer = plain_problem(problem)
    await gateway.process.port()
    given.set_result(replace(answer, headers=list(answer.headers)))


def made(target: bytes, headers: Headers, body: bytes) -> PeerRequest:
    """A request as it stands on the wire."""
    fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    return PeerRequest(target, {"host": PROVIDER_AUTHORITY, **fields}, body, CONSUMER_CERTIFICATE)


PROVIDER_AUTHORITY = "10.0.0.2:5500"
CONSUMER_CERTIFICATE = "aa" * 32
