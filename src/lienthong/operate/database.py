"""A node's database as the commands of this package reach it: of a node that serves, or of one that does not."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from lienthong.config import Settings
from lienthong.node.supervise import read_dsns
from lienthong.storage.server import PostgresServer, ServerOwned


@contextmanager
def superuser(settings: Settings) -> Generator[str]:
    """DSN of the account that makes databases; the embedded server runs at least as long as the block.

    Raises ServerOwned when another process runs the embedded server: the node must not serve.
    """
    if settings.database is not None:
        yield settings.database
        return
    server = PostgresServer(settings.data / "postgres")
    server.start()
    try:
        yield server.dsn("postgres")
    finally:
        server.stop()


@contextmanager
def owner(settings: Settings) -> Generator[str]:
    """DSN of the database's owner, whether the node serves or not.  Raises DatabaseUnavailable."""
    if settings.database is not None:
        yield read_dsns(settings).owner
        return
    server = PostgresServer(settings.data / "postgres")
    try:
        server.start()
    except ServerOwned:
        yield read_dsns(settings).owner  # the node serves
        return
    try:
        yield read_dsns(settings).owner
    finally:
        server.stop()
