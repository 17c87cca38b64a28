"""Changing one's own password: the old one first, then a good new one; every other session ends."""

from __future__ import annotations

from typing import ClassVar

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity import queries
from lienthong.identity.entrance import Entrance
from lienthong.identity.models import Actor
from lienthong.identity.passwords import check_new, encoded, matches
from lienthong.identity.persons import person_of, set_password
from lienthong.storage.pool import reading


class WrongPassword(Problem):
    """The old password that was told is not the person's."""

    kind: ClassVar[str] = "wrong-password"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The old password is wrong")


async def change_own_password(entrance: Entrance, actor: Actor, old: str, new: str) -> None:
    """Raises WrongPassword, WeakPassword, NoSuchPerson."""
    async with reading(entrance.pool) as db:
        person = await person_of(db, actor.person or "", actor.member)
        kept = await queries.password_of(db, person.id)
    if not await matches(old, kept):
        raise WrongPassword(T("This is not your password."))
    check_new(new, own_words=(person.name, person.login or ""))
    hashed = await encoded(new)
    async with reading(entrance.pool) as db:
        await set_password(db, person, hashed, entrance.now(), keep=actor.session or "")
