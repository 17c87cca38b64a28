"""One query over several members' tables becomes one sub-query a table and a merge.  Pure.

A SELECT over one table travels whole, with its groups and its order.  Any other table reference is asked for the
columns the query uses, of the rows that the query's own conditions on that table keep; the merge is then the query
itself over those parts, conditions included, so that pushing may only ever ask for too much, never for too little.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from sqlglot import exp

from lienthong.i18n import T
from lienthong.query.functions import CALLABLE
from lienthong.query.grammar import RESERVED, read_query, write_sql
from lienthong.query.guard import check_guarded
from lienthong.query.models import Plan, RemoteTable, SubQuery
from lienthong.query.names import fold_name
from lienthong.query.problems import GroupGuard, QueryTooLarge
from lienthong.query.scopes import (
    Block,
    Scopes,
    Source,
    is_star,
    item_name,
    own_nodes,
    resolve,
    star_columns,
    table_names,
)

MAX_PARTS = 16
"""Sub-queries of one query."""


def tables_in(sql: str) -> tuple[str, ...]:
    """The tables ``sql`` reads, each once, in lower case and quoted only where needed.  Raises a QueryRefused."""
    return table_names(read_query(sql))


def plan(sql: str, tables: Mapping[str, RemoteTable]) -> Plan:
    """How to answer ``sql``, whose tables (as ``tables_in`` names them) are ``tables``.

    Raises a QueryRefused: among them UnknownTable, UnknownColumn, and GroupGuard where an agreement's least group size
    can not be kept.
    """
    query = read_query(sql)
    scopes = resolve(query, tables)
    planner = _Planner(scopes)
    root: exp.Expr = query
    for block in scopes.blocks:
        replaced = planner.block(block)
        if block.select is root and replaced is not None:
            root = replaced
    return Plan(tuple(planner.parts.values()), write_sql(root))


class _Planner:
    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self.parts: dict[tuple[str, str], SubQuery] = {}

    def block(self, block: Block) -> exp.Expr | None:
        """Push what can be pushed of ``block``; returns what replaced its SELECT, if anything did."""
        outputs = _whole_outputs(block)
        if outputs is not None:
            return self._push_whole(block, outputs)
        _settle_excludes(block)
        for source in block.sources:
            if source.table is None:
                continue
            if source.table.min_group is not None:
                raise GroupGuard(
                    T("{table} gives statistics only: it can not be joined or read row by row."),
                    mend=T("Group it in a SELECT of its own, and join or compare the result of that."),
                    table=source.table.name,
                )
            self._push_rows(block, source)
        return None

    def _push_whole(self, block: Block, outputs: list[tuple[str, str]]) -> exp.Expr:
        source = block.sources[0]
        table = cast("RemoteTable", source.table)
        if table.min_group is not None:
            check_guarded(block, self._scopes, table)
        sent = block.select.copy()
        _expand_stars(sent, block)
        listed = [cast("exp.Expr", item) for item in sent.expressions]
        sent.set(
            "expressions",
            [
                exp.alias_(item, wire, quoted=True) if item_name(item) != wire else item
                for item, (wire, _) in zip(listed, outputs, strict=True)
            ],
        )
        part = self._ask(source, sent, tuple(wire for wire, _ in outputs), whole=True)
        taken = exp.Select(
            expressions=[
                exp.alias_(exp.column(wire, quoted=True), shown, quoted=True) if shown != wire else exp.column(wire)
                for wire, shown in outputs
            ]
        ).from_(exp.to_table(part))
        return cast("exp.Expr", block.select.replace(taken))

    def _push_rows(self, block: Block, source: Source) -> None:
        conditions = [_unqualified(condition) for condition in _conditions(block, source, self._scopes)]
        names = [name for name in source.columns.values() if name in source.needed]
        sent = exp.Select(expressions=[exp.column(name) for name in names] or [exp.alias_("1", "one")])
        sent = sent.from_(exp.Table(this=exp.to_identifier(_relation(cast("RemoteTable", source.table).service))))
        if conditions:
            sent = sent.where(*conditions)
        part = self._ask(source, sent, tuple(names) or ("one",), whole=False)
        node = cast("exp.Table", source.node)
        named = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(node.name))
        node.replace(exp.Table(this=exp.to_identifier(part), alias=named.copy()))

    def _ask(self, source: Source, sent: exp.Select, columns: tuple[str, ...], *, whole: bool) -> str:
        """The name of the part that answers ``sent``; a sub-query asked before is not asked again."""
        table = cast("RemoteTable", source.table)
        if whole:
            reference = sent.args["from_"].this
            alias = reference.args.get("alias") or exp.TableAlias(this=exp.to_identifier(reference.name))
            reference.replace(exp.Table(this=exp.to_identifier(_relation(table.service)), alias=alias.copy()))
        sql = write_sql(sent)
        asked = self.parts.get((table.service, sql))
        if asked is None:
            if len(self.parts) == MAX_PARTS:
                raise QueryTooLarge(T("The query needs more than {limit} sub-queries."), limit=MAX_PARTS)
            fields = tuple(name for name in table.fields if name in source.needed)
            name = f"{RESERVED}part_{len(self.parts)}"
            asked = SubQuery(name, table.name, table.service, sql, fields, columns, whole)
            self.parts[(table.service, sql)] = asked
        return asked.part


def _relation(service: str) -> str:
    return service.rpartition("/")[2]


def _whole_outputs(block: Block) -> list[tuple[str, str]] | None:
    """Output columns of a block that may travel whole, as (name on the wire, name shown); None if it may not."""
    if len(block.sources) != 1 or block.sources[0].table is None:
        return None
    if block.nested or block.correlated or block.select.args.get("with_"):
        return None
    outputs: list[tuple[str, str]] = []
    used = {fold_name(node.name) for node in block.select.find_all(exp.Identifier)} | set(block.sources[0].columns)
    seen: set[str] = set()
    for item in block.select.expressions:
        starred = [name for _, name in star_columns(item, block.sources)] if is_star(item) else None
        for name in starred if starred is not None else [item_name(item)]:
            folded = fold_name(name)
            if name and folded not in seen:
                outputs.append((name, name))
            elif isinstance(item, exp.Alias):
                return None
            else:
                wire = _unused(f"column_{len(outputs) + 1}", used)
                outputs.append((wire, name or _shown(item)))
            seen.add(folded)
    return outputs


def _unused(name: str, used: set[str]) -> str:
    while name in used:
        name += "_"
    used.add(name)
    return name


def _shown(item: exp.Expr) -> str:
    return item.sql(dialect="duckdb", comments=False, normalize_functions="lower")


def _settle_excludes(block: Block) -> None:
    """Leave out of EXCLUDE what the parts lack anyway: an excluded column is asked for only if used elsewhere."""
    there = {
        fold_name(name)
        for source in block.sources
        for name in (source.columns.values() if source.table is None else source.needed)
    }
    for item in block.select.expressions:
        star = item.this if isinstance(item, exp.Column) else item
        if isinstance(star, exp.Star) and (listed := star.args.get("except_")):
            star.set("except_", [entry for entry in listed if fold_name(entry.name) in there] or None)


def _expand_stars(select: exp.Select, block: Block) -> None:
    expanded: list[exp.Expr] = []
    for item in select.expressions:
        if is_star(item):
            expanded += [exp.column(name, quoted=True) for _, name in star_columns(item, block.sources)]
        else:
            expanded.append(item)
    select.set("expressions", expanded)


def _conditions(block: Block, source: Source, scopes: Scopes) -> list[exp.Expr]:
    """The conditions of ``block`` on ``source`` alone that its rows may be filtered by before the joins.

    A condition of WHERE may, unless an outer join can make the source's row absent afterwards.  A condition of a join's
    ON may on the side that the join does not keep whole, again unless an earlier outer join can make its rows absent.
    """
    place = block.sources.index(source)
    joins: list[exp.Join] = block.select.args.get("joins") or []
    usable: list[exp.Expr] = []
    if not any(_may_be_absent(place, joins, upto) for upto in range(len(joins))):
        where = block.select.args.get("where")
        usable += _conjuncts(where.this) if where else []
    for at, join in enumerate(joins):
        condition = join.args.get("on")
        side = str(join.args.get("side") or "")
        right = at + 1 == place
        if condition is None or at + 1 < place or any(_may_be_absent(place, joins, upto) for upto in range(at)):
            continue
        if side == "" or (side == "LEFT" and right) or (side == "RIGHT" and not right):
            usable += _conjuncts(condition)
    return [condition for condition in usable if _is_filter(condition, source, scopes)]


def _may_be_absent(place: int, joins: list[exp.Join], at: int) -> bool:
    """Can join ``at`` give rows without a partner from the source at ``place`` in the FROM clause?"""
    side = str(joins[at].args.get("side") or "")
    if at + 1 < place:
        return False
    return side == "FULL" or side == ("LEFT" if at + 1 == place else "RIGHT")


def _conjuncts(condition: exp.Expr) -> list[exp.Expr]:
    while isinstance(condition, exp.Paren):
        condition = condition.this
    if not isinstance(condition, exp.And):
        return [condition]
    return _conjuncts(condition.this) + _conjuncts(condition.expression)


def _is_filter(condition: exp.Expr, source: Source, scopes: Scopes) -> bool:
    for node in own_nodes(condition):
        role = CALLABLE.get(type(node), ("", "scalar"))[1]
        if isinstance(node, (exp.Query, exp.Window)) or role != "scalar":
            return False
    return scopes.sources_of(condition) == {source}


def _unqualified(condition: exp.Expr) -> exp.Expr:
    alone = condition.copy()
    for column in alone.find_all(exp.Column):
        column.set("table", None)
    return exp.paren(alone, copy=False)
