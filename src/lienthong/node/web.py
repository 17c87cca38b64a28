"""The web process: the public listener with pages, log, directory, shared tables and health."""

from __future__ import annotations

import asyncio
import contextlib

import structlog
from starlette.applications import Starlette

from lienthong.access.gate import Quota
from lienthong.access.http import log_routes
from lienthong.access.reconcile.http import reconciliation_routes
from lienthong.access.recovery import RecoveryWatch
from lienthong.access.witness.http import witness_routes
from lienthong.access.write import COLUMNS, RecordWriter
from lienthong.config import Settings
from lienthong.exchange.guard import RequestLimits
from lienthong.exchange.listen import serve_app
from lienthong.exchange.outward import inside_of
from lienthong.exchange.quota import Leases
from lienthong.identity.http import identity_routes
from lienthong.node.casedesk import case_modules
from lienthong.node.deeds import deed_routes
from lienthong.node.entry import entrance_of, guard_pages, has_right, keep_tidy
from lienthong.node.inboxes import offers_of
from lienthong.node.live import Live
from lienthong.node.local import Local, open_local
from lienthong.node.opendata import OpenTables, open_routes
from lienthong.node.ownuses import NodeOwnUses
from lienthong.node.pages import NodePages
from lienthong.node.pairs import Pairs
from lienthong.node.public import public_routes
from lienthong.node.publishdesk import NodePublishDesk
from lienthong.node.rooms import Rooms, drawing_files_in, drawing_in, look_of
from lienthong.node.supervise import sandbox_socket
from lienthong.node.tablegate import TableGate
from lienthong.node.telling import tell_process
from lienthong.node.versions import DirectoryHistory, directory_view
from lienthong.node.witnessing import witness_of
from lienthong.node.workrooms import work_rooms
from lienthong.portal.addresses import address_pages
from lienthong.portal.app import create_portal
from lienthong.portal.coming import directory_pages
from lienthong.portal.coverage import coverage_pages
from lienthong.portal.feedback import feedback_pages
from lienthong.portal.figures import figure_pages
from lienthong.portal.identity import identity_pages
from lienthong.portal.inbox import CountLayer, Inbox, inbox_pages
from lienthong.portal.journal import journal_pages
from lienthong.portal.legal import legal_pages
from lienthong.portal.live import live_pages
from lienthong.portal.members import member_pages
from lienthong.portal.mine import mine_pages
from lienthong.portal.nodes import node_pages
from lienthong.portal.pictures import picture_pages
from lienthong.portal.publishdeed import publishing_deeds
from lienthong.portal.publishing import publishing_pages
from lienthong.portal.reconciliation import reconciliation_pages
from lienthong.portal.services import service_pages
from lienthong.portal.shell import Shell
from lienthong.portal.status import status_pages
from lienthong.portal.versions import version_pages
from lienthong.portal.visits import VisitLayer, Visits, visit_pages
from lienthong.query.operations import Restrictor
from lienthong.storage.copy import GroupCommit
from lienthong.storage.pool import DatabaseFailed
from lienthong.tables.http import share_routes
from lienthong.tables.jobs import file_rows
from lienthong.tables.materialise import Materialiser, Storage
from lienthong.tables.queries import Sources
from lienthong.tables.read import TableReader
from lienthong.tables.sandbox import Sandbox
from lienthong.tables.share import AddressSigner
from lienthong.tables.take import Taking
from lienthong.web import install

log = structlog.get_logger("lienthong.public")
CLOSE_EVERY_S = 5.0
MAX_BODY = 6 * 1024 * 1024
"""Files of evidence with their form; they go to the disk while they come, and most pages take less."""


class PublicWeb:
    """The public listener's application and what it keeps open."""

    def __init__(self, local: Local) -> None:
        self.local = local
        self._live = Live(local)
        self._recovery = RecoveryWatch(local.dsns.app)
        self._commit = GroupCommit(local.dsns.log, "record", COLUMNS)
        self._sources = Sources()
        self._pages = NodePages(local)
        signer = AddressSigner(local.keyring.secret("share-addresses"))
        self._leases = Leases(local.pool, Quota())
        records = RecordWriter(self._commit, local.seal, self._recovery.refuse)
        gate = TableGate(local.settings.node, local.settings.members[0], self._live, records, self._leases)
        storage = Storage(local.settings.data / "shared")
        sandbox = Sandbox(sandbox_socket(local.settings))
        materialiser = Materialiser(local.pool, storage, sandbox, self._sources)
        self._taking = Taking(local.pool, gate, materialiser, signer)
        tables = OpenTables(
            self._live, local.pool, TableReader(self._sources, file_rows(sandbox)), materialiser, sandbox,
            self._sources, Restrictor(sandbox), asyncio.Semaphore(1),
        )  # fmt: skip
        rooms = Rooms(local, self._pages)
        self._entrance = entrance_of(local)
        self._visits = Visits(local.pool)
        self._own_uses = NodeOwnUses(local.pool, local.seal, self._entrance.key, self._pages.gathered)
        inbox = Inbox(offers_of(local, self._pages, self._entrance))
        shell = Shell(look_of(local.settings), secret=local.keyring.secret("forms"), may=has_right)
        work = work_rooms(local, self._pages)
        rule = inside_of(local.settings.outward_allowed)
        publishing = NodePublishDesk(local.pool, local.settings.data, local.directory.snapshot, sandbox, self._sources,
                                     rule)  # fmt: skip
        # The pages beside front page, agreements and records, in the order of the navigation: one line each.
        modules = (
            member_pages(rooms.directory, rooms.listed_on),
            node_pages(rooms.nodes),
            directory_pages(lambda: directory_view(local), history=local.settings.national),
            *((version_pages(DirectoryHistory(local).published),) if local.settings.national else ()),
            service_pages(rooms.services, tables.page),
            live_pages(rooms.uses),
            picture_pages(rooms.pictures, drawing_in(sandbox), drawing_files_in(sandbox)),
            coverage_pages(rooms.listed_on, drawing_files_in(sandbox)),
            journal_pages(rooms.journal),
            status_pages(rooms.status),
            legal_pages(),
            *case_modules(local),
            address_pages(),
            figure_pages(rooms.figures, rooms.behind),
            reconciliation_pages(Pairs(local).page),
            visit_pages(rooms.visits, drawing_in(sandbox)),
            feedback_pages(local.pool, local.settings.members[0]),
            inbox_pages(inbox),
            mine_pages(local.pool, self._own_uses),
            identity_pages(self._entrance),
            *work.modules,
            publishing_pages(publishing),
        )  # fmt: skip
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self.app = Starlette(
            routes=[
                *public_routes(local),
                *open_routes(tables),
                *log_routes(local.pool, local.files, local.receipts),
                *witness_routes(local.pool, witness_of(local)),
                *share_routes(self._taking, signer, local.settings.public_url),
                *reconciliation_routes(local.pool, local.settings.node, national=local.settings.national),
                *identity_routes(self._entrance),
                *work.reads,
                *deed_routes(
                    local,
                    shell,
                    work.agreements,
                    self._entrance,
                    lambda: self.app.routes,
                    (*work.deeds, *publishing_deeds(publishing)),
                ),
                *create_portal(self._pages, shell, modules, figures=rooms.figures),
            ]
        )
        self.app.add_middleware(VisitLayer, visits=self._visits)
        self.app.add_middleware(CountLayer, inbox=inbox)
        guard_pages(self.app, shell, self._entrance)
        install(self.app, error_page=shell.error_page)

    async def start(self) -> None:
        """Load services and agreements, begin to close readings that ended."""
        await self._recovery.start()
        await self._live.start()
        kept = (
            self._close_readings(), tell_process(self.local, "web"), keep_tidy(self._entrance), self._visits.keep(),
            self._own_uses.keep(),
        )  # fmt: skip
        self._tasks = tuple(asyncio.create_task(each) for each in kept)

    async def stop(self) -> None:
        """Close what is open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._visits.flush()
        with contextlib.suppress(DatabaseFailed, OSError):  # what is not given back stays unused today
            await self._leases.tidy(everything=True)
        await self._live.stop()
        await self._recovery.stop()
        await self._pages.close()
        await self._sources.close()
        await self._commit.close()
        await self.local.pool.close()

    async def _close_readings(self) -> None:
        while True:
            try:
                await self._leases.tidy()
                await self._taking.close_ended()
            except Exception as failed:  # a task's root: the next round tries again
                log.error("readings.not-closed", error=type(failed).__name__)
            await asyncio.sleep(CLOSE_EVERY_S)


async def run_web(settings: Settings, stopping: asyncio.Event) -> None:
    """Serve until ``stopping`` is set, then let requests under way finish."""
    web = PublicWeb(await open_local(settings, connections=6))
    await web.start()
    listener = await serve_app(
        web.app, settings.public_host, settings.public_port, limits=RequestLimits(max_body=MAX_BODY)
    )
    log.info("web.serving", port=listener.port)
    await stopping.wait()
    await listener.stop(25.0)
    await web.stop()
