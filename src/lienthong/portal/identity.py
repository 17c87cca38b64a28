"""The pages of identity as one module of the portal: signing in, the own account, persons, approvals, audit."""

from __future__ import annotations

from collections.abc import Callable

from lienthong.identity.entrance import Entrance
from lienthong.portal.account import account_pages
from lienthong.portal.persons import person_pages
from lienthong.portal.shell import Pages, Shell
from lienthong.portal.signin import sign_in_pages


def identity_pages(entrance: Entrance) -> Callable[[Shell], Pages]:
    """All of them."""

    def join(shell: Shell) -> Pages:
        joined = [module(entrance)(shell) for module in (sign_in_pages, account_pages, person_pages)]
        return Pages(
            tuple(route for pages in joined for route in pages.routes),
            tuple(section for pages in joined for section in pages.sections),
        )

    return join
