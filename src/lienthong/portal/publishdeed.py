"""Publishing in one call: what the wizard asks in three steps, for programs and for ``lienthong api``.

Promises: the same questions, rules and words as the wizard's; the source is looked at before anything is kept, and what
looks like data about persons is not published without a word about it.  Files are published by ``lienthong publish``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from lienthong.catalog.models import Sharing
from lienthong.catalog.publish import ServiceChanged
from lienthong.i18n import T
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import require
from lienthong.portal.deeds import BadInput, Deed, Facts, about
from lienthong.portal.drafts import KEPT_FOR, Draft
from lienthong.portal.forms import Form
from lienthong.portal.publishing import PATH, PublishDesk, described
from lienthong.portal.publishsource import read_source

NOBODY: Final = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A table of a PostgreSQL database, or a service by HTTP, that becomes a service of the member."""

    kind: Literal["postgresql", "http"] = about("postgresql or http.")
    title: str = about("Title in Vietnamese.", most=250)
    system: str = about("Id of the system that serves it.")
    name: str = about("Short name: small letters, digits, hyphens.", most=63)
    sharing: Sharing = about("shared, open or private.")
    person: str = about("Field that holds a personal number; - when the data are not about persons.", default=NOBODY)
    sure: bool = about("The data are not about persons although some fields look so.", default=False)
    replace: bool = about("Replace the service that bears this name already.", default=False)
    place: str = about("Of a table: server and database, such as 10.1.2.3:5432/dancu.", default="", most=320)
    account: str = about("Of a table: the account that may read it.", default="", most=63)
    password: str = about("Of a table: the account's password.", default="", most=500, verbatim=True)
    table: str = about("Of a table: schema.table.", default="", most=130)
    address: str = about("Of a service by HTTP: where its back end is.", default="", most=500)
    endpoints: tuple[str, ...] = about("Of a service by HTTP: what may be called: GET /truong/*.", default=(), most=30)
    target: str = about("Of a service by HTTP: path of one GET that is answered.", default="", most=500)


def publishing_deeds(desk: PublishDesk) -> tuple[Deed[Any], ...]:
    """Publish."""

    async def publish(actor: Actor, wish: Publication) -> Facts:
        require(actor, Right.PUBLISH, actor.member)
        form = _filled(wish)
        looked = await read_source(form, desk)
        if looked is None:
            raise BadInput(form.wrong)
        ends = datetime.now(UTC) + KEPT_FOR
        draft = Draft("", str(actor.person), looked.source, looked.found, ends, looked.sample)
        wanted = await described(form, draft, str(actor.member), desk)
        if wanted is None:
            raise BadInput(form.wrong)
        service = await desk.publish(wanted, actor)
        return {"service": service.id, "version": service.version, "fields": [each.name for each in service.fields]}

    return (
        Deed("services/publish", T("Publish a table or a service by HTTP"), Publication, publish, Right.PUBLISH,
             problems=(ServiceChanged,), forms=(PATH, PATH + "/{draft}"),
             gives={"service": "Its id.", "version": "Its version.", "fields": "What it gives."}),
    )  # fmt: skip


def _filled(wish: Publication) -> Form:
    """The wizard's forms as they would be filled in for ``wish``."""
    named = ("kind", "title", "system", "name", "sharing", "person", "place", "account", "password", "table", "address",
             "target")  # fmt: skip
    values = {name: (str(getattr(wish, name)),) for name in named} | {"endpoints": ("\n".join(wish.endpoints),)}
    ticked = {name: ("1",) for name in ("sure", "replace") if getattr(wish, name)}
    return Form(values | ticked)
