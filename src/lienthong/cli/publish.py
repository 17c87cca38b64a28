"""``lienthong publish``: a table, view or file becomes a catalogued service that can be called, taken and queried."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

import typer

from lienthong.catalog.models import Service, ServiceNotValid
from lienthong.catalog.publish import Found, PublishRequest, find, subjects_from
from lienthong.catalog.publish import publish as publish_service
from lienthong.cli.terminal import language, note, run, say
from lienthong.cli.where import settings_for
from lienthong.config import Settings
from lienthong.directory.models import DatasetId, ServiceId, member_of, read_service_id
from lienthong.errors import Problem, Side
from lienthong.i18n import T, translate
from lienthong.node.local import KeptDirectory
from lienthong.node.supervise import read_dsns, sandbox_socket
from lienthong.storage.pool import DatabaseFailed, connect
from lienthong.storage.provision import DatabaseUnavailable
from lienthong.tables.jobs import inspect_file
from lienthong.tables.sandbox import Sandbox

app = typer.Typer(add_completion=False)
Class = Literal["open", "shared", "private"]
DEFAULT_SYSTEM = "dulieu"


class WhichSystem(Problem):
    """The owner has several systems and the command names none of them."""

    kind: ClassVar[str] = "which-system"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Which system?")


@app.command()
def publish(
    source: Annotated[str, typer.Argument(help="postgresql://host/db#schema.table, or a .csv or .parquet file.")],
    member: Annotated[str, typer.Option("--member", help="Code or id of the owner, for example G01.")],
    title: Annotated[str, typer.Option("--title", help="Title in Vietnamese.")],
    service: Annotated[str | None, typer.Option("--service", help="NAME or SYSTEM/NAME; else as the table.")] = None,
    sharing: Annotated[str, typer.Option("--class", help="open, shared or private.")] = "shared",
    personal: Annotated[bool, typer.Option("--personal", help="The rows are about persons.")] = False,
    subjects: Annotated[str, typer.Option("--subjects", help="Column that names the person: personal_number.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before publishing.")] = False,
    config: Annotated[Path | None, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")] = None,
) -> None:
    """Publish a PostgreSQL table or view, a CSV or a Parquet file as a service.

    lienthong publish truong_hoc.csv --member H24 --service motcua/truong_hoc --title "Trường học" --class open
    """
    if sharing not in get_args(Class):
        raise typer.BadParameter(f"--class: {', '.join(get_args(Class))}")
    if "://" not in source and not Path(source).is_file():
        raise typer.BadParameter(translate(T("There is no such file."), language()))
    settings = settings_for(member, config)
    owner = next((m for m in settings.members if member in (m, m.rsplit("/", 1)[1])), settings.members[0])
    identifier = service_id(settings, owner, service, source)
    request = PublishRequest(
        service=identifier,
        source=source if "://" in source else str(Path(source).resolve()),
        title_vi=title,
        sharing=sharing,  # type: ignore[arg-type] - checked above
        personal=personal,
        subjects=subjects_from(subjects) if subjects else (),
        dataset=DatasetId("{}/ds/{}".format(*identifier.rsplit("/", 1))),
    )
    sandbox = Sandbox(sandbox_socket(settings))
    _show_found(run(find(request.source, lambda path: inspect_file(sandbox, path))))
    if not yes and sys.stdin.isatty() and not typer.confirm("?"):
        raise typer.Exit(1)
    published = run(_publish(settings, request, sandbox))
    _show_published(settings, published)


def service_id(settings: Settings, owner: str, named: str | None, source: str) -> ServiceId:
    """The id: NAME in the owner's only registered system, or SYSTEM/NAME.  Raises IdMalformed, WhichSystem."""
    system, _, name = (named or "").rpartition("/")
    if not name:
        place = source.rsplit("#", 1)[-1] if "#" in source else Path(source).stem
        name = place.rsplit(".", 1)[-1]
    if not system:
        systems = [s.id for s in KeptDirectory(settings).snapshot().contents.systems if member_of(s.id) == owner]
        system = only_system(owner, systems, name)
        note(T("Published in the system {system}; another one: --service SYSTEM/{name}"), system=system, name=name)
    return read_service_id(f"{owner}/{system}/{name}")


def only_system(owner: str, systems: Sequence[str], name: str) -> str:
    """The last part of the only id in ``systems``, a default when there is none.  Raises WhichSystem for several."""
    if len(systems) > 1:
        raise WhichSystem(
            T("{owner} has several systems: {systems}."),
            mend=T("Name the one that serves it: --service SYSTEM/{name}"),
            owner=owner,
            systems=", ".join(each.rsplit("/", 1)[1] for each in systems),
            name=name,
        )
    return systems[0].rsplit("/", 1)[1] if systems else DEFAULT_SYSTEM


async def _publish(settings: Settings, request: PublishRequest, sandbox: Sandbox) -> Service:
    dsn = read_dsns(settings).app
    try:
        connection = await connect(dsn)
    except DatabaseFailed as away:
        raise DatabaseUnavailable(
            T("The node's database does not answer."), mend=T("See that the server runs and has free connections.")
        ) from away
    async with connection as db:
        service = await publish_service(db, request, look=lambda path: inspect_file(sandbox, path))
        await db.execute("SELECT pg_notify('service', %s)", (service.id,))
    return service


def _show_found(found: Found) -> None:
    if not found.fields:
        raise ServiceNotValid(T("Nothing that can be published was found."))
    say(T("Found {count} columns:"), count=len(found.fields))
    for field in found.fields:
        mark = " *" if field.personal else ""
        print(f"  {field.name:<28} {field.type}{mark}")
    if any(field.personal for field in found.fields):
        say(T("  * looks like personal data: publish with --personal --subjects COLUMN if it is."))
    if found.left_out:
        say(T("Left out: {columns}"), columns=", ".join(found.left_out))


def _show_published(settings: Settings, service: Service) -> None:
    say(T("Published: {service}, version {version}."), service=service.id, version=service.version)
    code, system, name = service.id.split("/")[2:]
    say(T("Call it at /r1/{service}, query it as {table}, take it with a share profile."),
        service=service.id, table=f"{code}.{system}.{name}".lower())  # fmt: skip
    say(T("Others need an agreement; open data is described at {url}."), url=f"{settings.public_url}/v1/services")
