"""Mistakes that a good programmer could make, each put into the real code: the simulation must find them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import SimpleNamespace
from unittest.mock import patch

from lienthong.access import queries as access_queries
from lienthong.access.log import CHECKPOINT_FILE
from lienthong.access.seen import SeenMessages, Taking
from lienthong.access.write import RecordWriter
from lienthong.exchange import signed as signed_module
from lienthong.storage import copy as copy_module
from lienthong.storage.copy import GroupCommit
from tests.faults.simulated.disk import Database, Queries, Session

Planted = Callable[[], AbstractContextManager[object]]


def _record_after_release() -> AbstractContextManager[object]:
    """The answer does not wait for its record."""
    real = RecordWriter.append_leaf

    async def append_leaf(self: RecordWriter, leaf: bytes, named: bytes, detail: Mapping[str, object] | None) -> None:
        task = asyncio.ensure_future(real(self, leaf, named, detail))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    return patch.object(RecordWriter, "append_leaf", append_leaf)


def _failed_commit_counts() -> AbstractContextManager[object]:
    """A batch that the database did not take is answered as if it had."""
    real = GroupCommit._commit

    async def commit(self: GroupCommit, rows: list[object], waiters: list[asyncio.Future[None]]) -> None:
        inner = [asyncio.get_running_loop().create_future() for _ in waiters]
        await real(self, rows, inner)  # type: ignore[arg-type]
        for done, told in zip(waiters, inner, strict=True):
            told.exception()
            if not done.done():
                done.set_result(None)

    return patch.object(GroupCommit, "_commit", commit)


def _unsafe_database_taken() -> AbstractContextManager[object]:
    """The database may lose what it acknowledged, and nobody asks."""
    stack = ExitStack()
    stack.enter_context(patch.object(copy_module, "refuse_unsafe", lambda _: None))
    real = Database.__init__

    def unsafe(self: Database, *arguments: object, **named: object) -> None:
        real(self, *arguments, **named)  # type: ignore[arg-type]
        self.safe = False

    stack.enter_context(patch.object(Database, "__init__", unsafe))
    return stack


def _nonces_forgotten_after_crash() -> AbstractContextManager[object]:
    """After a crash of the database the emptied table counts as a full one."""

    async def lost_at(self: SeenMessages, connection: object) -> int:
        return 0

    return patch.object(SeenMessages, "_lost_at", lost_at)


def _nonces_of_one_process() -> AbstractContextManager[object]:
    """Each gateway remembers for itself what it took."""
    known: dict[SeenMessages, set[str]] = {}

    async def take_batch(self: SeenMessages, batch: list[Taking]) -> None:
        mine = known.setdefault(self, set())
        for taking in batch:
            if taking.nonce in mine:
                taking.future.cancel()
            else:
                mine.add(taking.nonce)
                taking.future.set_result(None)

    return patch.object(SeenMessages, "_take_batch", take_batch)


def _doubtful_nonce_taken() -> AbstractContextManager[object]:
    """When the database does not answer, the message counts as new."""
    real = Taking.refuse

    def refuse(self: Taking, problem: Exception) -> None:
        if problem.kind == "replay-check-down":  # type: ignore[attr-defined]
            if not self.future.done():
                self.future.set_result(None)
        else:
            real(self, problem)  # type: ignore[arg-type]

    return patch.object(Taking, "refuse", refuse)


def _answer_of_another_question() -> AbstractContextManager[object]:
    """The consumer does not check that the answer was made for its request."""

    def verify(key: object, *, request_signature_header: str, nonce: str, **rest: object) -> object:
        headers = rest["headers"]
        return SimpleNamespace(raw=headers["signature"].encode(), base=b"", keyid="", nonce="")  # type: ignore[index]

    return patch.object(signed_module, "verify_response", verify)


def _log_in_the_order_of_rows() -> AbstractContextManager[object]:
    """The sequencer does not wait for transactions that began earlier."""

    async def waiting(db: Session, after: access_queries.Head, limit: int) -> list[access_queries.Waiting]:
        await db.step()
        rows = sorted((r for r in db.database.rows if r.seq > after.seq), key=lambda row: row.seq)
        return [access_queries.Waiting(str(r.tx), r.seq, r.hash, r.leaf) for r in rows[:limit]]

    return patch.object(Queries, "waiting_records", staticmethod(waiting))


def _published_before_commit() -> AbstractContextManager[object]:
    """Readers see a checkpoint before the database holds it."""
    real = Queries.keep_checkpoint

    async def keep(db: Session, size: int, root: bytes, note: bytes) -> None:
        await real(db, size, root, note)
        db.folder.put(CHECKPOINT_FILE, note)

    return patch.object(Queries, "keep_checkpoint", staticmethod(keep))


PLANTED: dict[str, Planted] = {
    "record after release": _record_after_release,
    "failed commit counts": _failed_commit_counts,
    "unsafe database taken": _unsafe_database_taken,
    "nonces forgotten after crash": _nonces_forgotten_after_crash,
    "nonces of one process": _nonces_of_one_process,
    "doubtful nonce taken": _doubtful_nonce_taken,
    "answer of another question": _answer_of_another_question,
    "log in the order of rows": _log_in_the_order_of_rows,
    "published before commit": _published_before_commit,
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    with PLANTED[name]():
        yield
