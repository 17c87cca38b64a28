"""Made-up persons for every role at every node of the demo, marked as synthetic, with one password for all.

The password is random for each demo folder and printed when the demo has started; nobody else's node has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lienthong.demo.found import Site
from lienthong.demo.queries import database_of
from lienthong.identity.models import Role
from lienthong.identity.passwords import encoded
from lienthong.identity.persons import add_person, give_role, person_of
from lienthong.identity.queries import person_by_login, put_password
from lienthong.storage.keyring import Keyring
from lienthong.storage.pool import connect

STAFF: Final = (
    ("dieuphoi", "Vũ Minh Điều (giả lập)", Role.COORDINATOR),
    ("dieuphoi2", "Bùi Thị Phối (giả lập)", Role.COORDINATOR),
    ("vanhanh1", "Lê Văn Hành (giả lập)", Role.OPERATOR),
    ("vanhanh2", "Đỗ Thị Vận (giả lập)", Role.OPERATOR),
    ("canbo", "Trần Thị Hoa (giả lập)", Role.DATA_OFFICER),
    ("tracuu", "Hoàng Thị Tra (giả lập)", Role.CASE_OFFICER),
    ("tichhop", "Phạm Văn Nối (giả lập)", Role.INTEGRATOR),
    ("kiemtra", "Ngô Thị Soát (giả lập)", Role.AUDITOR),
)
"""Login, name and role; the coordinators, two so that approvals can be tried, are at the national node alone."""


def demo_password(folder: Path) -> str:
    """The password of all made-up persons of the demo in ``folder``."""
    return "demo-" + Keyring(folder).secret("staff", 8).hex()


async def add_staff(sites: Sequence[Site], superuser: str, folder: Path) -> None:
    """Add the persons to every node that has them not; two operators, so that approvals can be tried."""
    hashed = await encoded(demo_password(folder))
    now = datetime.now(UTC)
    for site in sites:
        member, national = site.settings.members[0], site.settings.national
        async with await connect(database_of(superuser, site.database)) as db:
            for login, name, role in STAFF:
                if (role is Role.COORDINATOR and not national) or await person_by_login(db, login) is not None:
                    continue
                person = await add_person(db, name, login, member, by=None, now=now, synthetic=True)
                await give_role(db, await person_of(db, person.id, member), role, national=national, by=None, now=now)
                await put_password(db, person.id, hashed, now)
