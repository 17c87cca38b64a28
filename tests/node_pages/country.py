"""A small country for the pages: a national node, a provider, a consumer, with databases and public listeners."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import psycopg
from starlette.applications import Starlette

from lienthong.access.http import log_routes
from lienthong.agreements.keeping import keep_agreement
from lienthong.agreements.models import Agreement
from lienthong.agreements.policy import compile_agreement
from lienthong.agreements.signing import MemberSigner
from lienthong.directory.document import Contents
from lienthong.directory.models import MemberId, ServiceId
from lienthong.exchange.listen import Listener, serve_app
from lienthong.node.local import Local, open_local
from lienthong.node.neighbours import Neighbours, ask_everything, ask_services
from lienthong.node.pages import NodePages
from lienthong.node.public import public_routes
from lienthong.node.supervise import write_dsns
from lienthong.portal.app import create_portal, error_page
from lienthong.storage.provision import DatabaseDsns
from lienthong.trust.keys import generate_es256, key_id, public_jwk
from lienthong.web import install
from tests.agreements.build import END, an_agreement
from tests.use.conftest import FIELDS, PEOPLE, the_service
from tests.use.nodes import (
    POLICE,
    PROVINCE,
    PURPOSE,
    TestNode,
    a_directory,
    free_port,
    publish,
    settings_of,
    start_node,
)

NATIONAL = MemberId("VN/ORG/NDC")
NODES = (("nut-quoc-gia", NATIONAL), ("nut-h24", PROVINCE), ("nut-g01", POLICE))
NAMES = {
    NATIONAL: ("Trung tâm Dữ liệu quốc gia", "National Data Centre"),
    PROVINCE: ("UBND thành phố Hải Phòng", "People's Committee of Hải Phòng City"),
    POLICE: ("Bộ Công an", "Ministry of Public Security"),
}
CITIZEN = ServiceId("VN/GOV/G01/dancu/citizen")
DATASET = "VN/GOV/G01/dancu/ds/citizen"
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


def citizen_terms(**changes):
    """The province may see its own people until the end of 2027, the phone number in part."""
    terms = {
        "target": DATASET,
        "purposes": (PURPOSE,),
        "fields": FIELDS,
        "masks": (("phone", "partial"),),
        "row_filter": (("province_code", "eq", "31"),),
        "ends": END + timedelta(days=365),
    }
    return terms | changes


@dataclass
class Site:
    """One node with its public listener."""

    node: TestNode
    pages: NodePages
    listener: Listener | None

    @property
    def local(self) -> Local:
        return self.node.local

    @property
    def url(self) -> str:
        return self.local.settings.public_url

    def signer(self, member: str) -> MemberSigner:
        key = self.local.keyring.es256(member)
        return MemberSigner(member, key_id(public_jwk(key)), key)

    async def listen(self) -> None:
        app = Starlette(
            routes=[
                *public_routes(self.local),
                *log_routes(self.local.pool, self.local.files, self.local.receipts),
                *create_portal(self.pages),
            ]
        )
        install(app, error_page=error_page)
        self.listener = await serve_app(app, "127.0.0.1", self.local.settings.public_port)

    async def silence(self) -> None:
        """From now on nobody listens on the public port."""
        if self.listener:
            await self.listener.stop(1.0)
            self.listener = None

    async def close(self) -> None:
        await self.silence()
        await self.pages.close()
        await self.node.stop()


@dataclass
class Country:
    """The three sites, the directory they share, and a browser."""

    national: Site
    province: Site
    police: Site
    contents: Contents
    folder: Path
    web: aiohttp.ClientSession
    key: object
    version: int = 1

    @property
    def sites(self) -> tuple[Site, Site, Site]:
        return self.national, self.province, self.police

    def redirect(self, **changed) -> None:
        """Publish a directory with ``changed`` parts."""
        self.version += 1
        self.contents = replace(self.contents, **changed)
        publish([site.local for site in self.sites], self.contents, self.folder, self.key, self.version)

    async def agree(self, agreement: Agreement, *sites: Site) -> None:
        """Sign as both parties and keep the agreement on ``sites``; without any, on both parties' nodes."""
        terms = agreement.terms
        provider_jws = self._site(terms.provider).signer(terms.provider).sign(agreement.document)
        by_rule = terms.mode == "rule"
        consumer_jws = None if by_rule else self._site(terms.consumer).signer(terms.consumer).sign(agreement.document)
        for site in sites or (self.province, self.police):
            async with site.local.pool.connection() as db:
                await keep_agreement(
                    db, agreement, provider_jws=provider_jws, consumer_jws=consumer_jws, now=datetime.now(UTC)
                )
            site.node.agreements.append(compile_agreement(agreement, None))

    async def use(self, wish):
        """The province's use; placed in both logs before this returns."""
        try:
            return await self.province.node.consumer.use(wish)
        finally:
            for site in self.sites:
                await site.node.sequence()

    async def get(self, address: str, **options) -> tuple[int, str]:
        async with self.web.get(address, **options) as answer:
            return answer.status, await answer.text()

    def _site(self, member: str) -> Site:
        return next(site for site in self.sites if member in site.local.settings.members)


def patient(local: Local) -> Neighbours:
    """Neighbours that wait for every answer, so that no test depends on how fast the machine is."""
    return Neighbours(ask_everything if local.settings.national else ask_services, timeout_s=60.0, patience_s=60.0)


def a_contents(locals_: Sequence[Local]) -> Contents:
    """The directory of the tests of uses, with names, and keys that are as old as the agreements."""
    contents = a_directory(locals_, datetime.now(UTC))
    members = tuple(
        replace(
            member,
            name_vi=NAMES[member.id][0],
            name_en=NAMES[member.id][1],
            verified=member.id != NATIONAL,
            keys=tuple(replace(key, valid_from=LONG_AGO) for key in member.keys),
        )
        for member in contents.members
    )
    return replace(contents, members=members)


async def open_locals(databases: Sequence[DatabaseDsns], folder: Path) -> list[Local]:
    """The three nodes' opened parts, the national one's first."""
    opened = []
    for dsns, (node, member) in zip(databases, NODES, strict=True):
        port = free_port()
        settings = replace(
            settings_of(node, member, folder / "nodes", free_port()),
            public_port=port,
            public_url=f"http://127.0.0.1:{port}",
            national=member == NATIONAL,
            directory_anchor=folder / "anchor.json",
            synthetic=True,
        )
        write_dsns(settings, dsns)
        opened.append(await open_local(settings))
    return opened


@contextlib.asynccontextmanager
async def open_country(databases: Sequence[DatabaseDsns], folder: Path) -> AsyncIterator[Country]:
    """Everything serving, the register of people published, one agreement about it signed."""
    opened = await open_locals(databases, folder)
    key, contents = generate_es256(), a_contents(opened)
    publish(opened, contents, folder, key)
    sites = [Site(await start_node(local), NodePages(local, neighbours=patient(local)), None) for local in opened]
    police = sites[2]
    with psycopg.connect(police.local.dsns.owner, autocommit=True) as source:
        source.execute(PEOPLE)
    async with police.local.pool.connection() as db:
        service = await the_service(db, police.local.dsns.owner)
    police.node.services[service.id] = service
    async with aiohttp.ClientSession() as web:
        country = Country(*sites, contents, folder, web, key)
        await country.agree(an_agreement(**citizen_terms()))
        for site in sites:
            await site.listen()
        yield country
        for site in sites:
            await site.close()
