"""One of the two test nodes as a process that can be killed: ``python lone.py FOLDER consumer|provider``.

For each line on its input it forks one: importing once is what makes twenty rounds short.  The consumer asks without
end and prints, for each use that was answered, the hashes of both records: what is printed was acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
from pathlib import Path

from lienthong.errors import Problem
from lienthong.exchange.breaker import Breaker
from lienthong.exchange.consume import Wish
from lienthong.node.local import open_local
from tests.use.conftest import the_agreement
from tests.use.forged import BODY, CITIZEN
from tests.use.nodes import COUNTER, PURPOSE, TestNode, start_node

CALLERS = 4
CONSUMER, PROVIDER = "consumer", "provider"
SERVICE_FILE = "service.pickle"


async def serve(folder: Path, role: str) -> None:
    local = await open_local(pickle.loads((folder / f"{role}.pickle").read_bytes()))
    node = await start_node(local)
    node.agreements.append(the_agreement())
    service = pickle.loads((folder / SERVICE_FILE).read_bytes())
    node.services[service.id] = service
    # A pause after failures would only make the rounds longer.
    node.parts.link._breaker = Breaker(failures=1_000_000)
    if role == CONSUMER:
        await asyncio.gather(*(ask(node) for _ in range(CALLERS)))
    await asyncio.Event().wait()


async def ask(node: TestNode) -> None:
    while True:
        try:
            used = await node.consumer.use(
                Wish(
                    consumer=COUNTER, service=CITIZEN, way="call", target=b"/x1/" + CITIZEN.encode(), body=BODY,
                    purpose=PURPOSE, deadline_s=5.0,
                )
            )  # fmt: skip
        except Problem as problem:
            tell(f"refused {problem.status}")
            await asyncio.sleep(0.05)
        else:
            assert used.answer.status in (200, 503), used.answer
            if used.answer.status == 200:
                tell(f"used {used.record} {used.peer_record}")


def tell(line: str) -> None:
    os.write(1, line.encode() + b"\n")


if __name__ == "__main__":
    child = 0
    for _ in sys.stdin:
        if child:
            os.waitpid(child, 0)
        child = os.fork()
        if not child:
            asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))
        tell(f"started {child}")
    if child:
        os.kill(child, signal.SIGKILL)
