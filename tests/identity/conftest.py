"""A migrated database for the tests of pages; every test begins without persons."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

from lienthong.storage.provision import DatabaseDsns, prepare_database
from lienthong.storage.server import PostgresServer
from tests.conftest import drop_database

TABLES = (
    "account, role_held, person_at_provider, password, passkey, first_link, session, sign_in_attempt,"
    " sign_in_failure, api_token, admin_act, proposal, form_key, case_event, case_file, visit,"
    " person_number, subject_use, deed_answer, notice, notice_wish, case_evidence"
)


@pytest.fixture(scope="session")
def _identity_database(pg_server: PostgresServer) -> Iterator[DatabaseDsns]:
    name = f"test_{os.getpid()}_identity"
    yield prepare_database(pg_server.dsn(), name)
    drop_database(pg_server.dsn(), name)


@pytest.fixture
def emptied(_identity_database: DatabaseDsns) -> DatabaseDsns:
    """The database, without persons and what belongs to them."""
    with psycopg.connect(_identity_database.owner, autocommit=True) as owner:
        owner.execute(f"TRUNCATE {TABLES}")
    return _identity_database
