"""``lienthong copies``: compare tables copied from other members with their sources, and see how they stand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lienthong.cli.terminal import say, show_json
from lienthong.cli.where import settings_for
from lienthong.i18n import T
from lienthong.node import queries
from lienthong.node.copies import copies_of
from lienthong.node.local import open_local
from lienthong.query.digests import Compared
from lienthong.storage.pool import reading

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Compare copied tables with their sources.")
ConfigOption = Annotated[Path | None, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")]
MemberOption = Annotated[str | None, typer.Option("--member", help="Of several demo nodes, whose.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def copies() -> None:
    """Compare copied tables with their sources."""


@app.command()
def compare(
    copy: Annotated[str, typer.Argument(help="Id of the member's service over the copied table.")],
    member: MemberOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare one copy with its source now, by digests, under the agreement.

    lienthong copies compare VN/GOV/H24/motcua/resident
    """

    async def compared() -> Compared:
        local = await open_local(settings_for(member or copy.rsplit("/", 2)[0], config))
        try:
            return await copies_of(local).compare(copy, datetime.now(UTC))
        finally:
            await local.pool.close()

    found = asyncio.run(compared())
    counts = {"same": found.same, "differing": found.differing, "only_here": found.only_here,
              "only_there": found.only_there, "by_field": dict(found.by_field)}  # fmt: skip
    if as_json:
        show_json(counts)
        return
    say(T("{same} of {rows} rows are as the source has them."), same=found.same, rows=found.rows_here)
    say(T("{count} differ; the source lacks {absent}; the copy lacks {missing}."),
        count=found.differing, absent=found.only_here, missing=found.only_there)  # fmt: skip
    for name, count in found.by_field.items():
        print(f"  {name}: {count}")


@app.command("list")
def list_(member: MemberOption = None, config: ConfigOption = None) -> None:
    """Show how every copy stood when it was last compared.

    lienthong copies list
    """

    async def rows() -> list[queries.CopyRow]:
        local = await open_local(settings_for(member, config))
        try:
            async with reading(local.pool) as db:
                return await queries.copies_compared(db)
        finally:
            await local.pool.close()

    show_json(
        [
            {"copy": row.copy, "source": row.source, "at": row.at.isoformat(), "same": row.same,
             "differing": row.differing, "only_here": row.only_here, "only_there": row.only_there,
             "by_field": row.by_field, "refusal": row.refusal or None}
            for row in asyncio.run(rows())
        ]
    )  # fmt: skip
