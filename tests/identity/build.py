"""Persons for the tests of identity."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from typing import Any

from lienthong.identity.approvals import Approvals
from lienthong.identity.models import Actor, Assurance, Person, Role
from lienthong.identity.passwords import encoded
from lienthong.identity.persons import add_person, give_role, person_of
from lienthong.identity.queries import put_password
from lienthong.identity.roles import giving_roles

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
HERE, ELSEWHERE = "VN/GOV/H24", "VN/GOV/H26"
PASSWORD = "hoa sen trắng giữa hồ"
ADDRESS = "198.51.100.7"
KEY = bytes(range(32))


def approvals(least: Assurance = Assurance.TWO_FACTORS) -> Approvals:
    """The approvals of a node that is not the national one."""
    return Approvals([giving_roles(national=False)], least=least)


async def a_person(
    db: Any,
    login: str,
    *roles: Role,
    member: str | None = HERE,
    name: str = "Trần Thị Hoa",
    password: str | None = None,
) -> Person:
    """Somebody of ``member`` with ``roles``."""
    person = await add_person(db, name, login if member else None, member, by=None, now=NOW)
    for role in roles:
        await give_role(db, person, role, national=True, by=None, now=NOW)
    if password:
        await put_password(db, person.id, _encoded(password), NOW)
    return await person_of(db, person.id, member)


@cache
def _encoded(password: str) -> str:
    """A hash takes a tenth of a second: once for all tests."""
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(asyncio.run, encoded(password)).result()


def acting(person: Person, assurance: Assurance = Assurance.TWO_FACTORS) -> Actor:
    """The person, signed in."""
    return Actor(person.id, person.name, person.member, person.roles, assurance, "s-" + person.id)
