"""Which table each column of a query means: SELECT blocks with their sources, resolved as DuckDB does.

Promises: every column is found in a source or refused by name; where a bare name fits several sources all of them are
told, so that none of them is left without a column it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from sqlglot import exp

from lienthong.i18n import T
from lienthong.query.models import RemoteTable
from lienthong.query.names import fold_name, unknown_table, write_name
from lienthong.query.problems import QueryRefused, UnknownColumn

Outputs = tuple[str, ...]
"""Names of a query's output columns in order; empty for one without a name."""


@dataclass(slots=True, eq=False)
class Source:
    """One entry of a FROM clause."""

    alias: str
    """As other clauses name it, in lower case; empty for a derived table without a name."""
    columns: Mapping[str, str]
    """Lower-case name -> name as published."""
    node: exp.Table | None = None
    """The reference itself when it is a member's table; None for a derived table or a WITH query."""
    table: RemoteTable | None = None
    parts: tuple[str, ...] = ()
    """The name parts by which columns may be qualified, in lower case; one part when there is an alias."""
    needed: set[str] = field(default_factory=set[str])
    """Published names of the columns that the query uses."""


@dataclass(slots=True, eq=False)
class Block:
    """One SELECT with its sources."""

    select: exp.Select
    parent: Block | None
    sources: list[Source] = field(default_factory=list[Source])
    aliases: set[str] = field(default_factory=set[str])
    nested: bool = False
    """True when an expression of the block holds a query of its own."""
    correlated: bool = False
    """True when the block uses columns of an enclosing one."""


@dataclass(slots=True)
class Scopes:
    """All blocks of a query, inner before outer, and what each column means."""

    blocks: list[Block] = field(default_factory=list[Block])
    meaning: dict[int, tuple[Source, ...]] = field(default_factory=dict[int, tuple[Source, ...]])
    """id of a Column node -> the sources of the nearest block that have it; none for the name of an output."""
    outputs: Outputs = ()

    def sources_of(self, expression: exp.Expr) -> set[Source] | None:
        """The sources an expression reads, or None where that is not certain (names of outputs, ambiguous names)."""
        found: set[Source] = set()
        for column in expression.find_all(exp.Column):
            meant = self.meaning.get(id(column), ())
            if len(meant) != 1:
                return None
            found.update(meant)
        return found


def table_names(query: exp.Query) -> tuple[str, ...]:
    """The tables a query reads, each once, in the spelling of ``write_name``; names of WITH queries are left out."""
    found: dict[str, None] = {}
    _Resolver(None, found).query(query, {}, None)
    return tuple(found)


def resolve(query: exp.Query, tables: Mapping[str, RemoteTable]) -> Scopes:
    """The blocks of ``query`` over ``tables``.  Raises UnknownTable, UnknownColumn or QueryRefused."""
    resolver = _Resolver(tables, {})
    outputs = resolver.query(query, {}, None)
    resolver.scopes.outputs = outputs
    return resolver.scopes


def own_nodes(root: exp.Expr) -> Iterator[exp.Expr]:
    """The nodes of an expression without those inside queries nested in it (the nested queries themselves included)."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, exp.Query):
            waiting.extend(reversed(list(node.iter_expressions())))


def item_name(item: exp.Expr) -> str:
    """The name a SELECT item gives its column; empty when it gives none."""
    if isinstance(item, exp.Alias):
        return item.alias
    return item.name if isinstance(item, exp.Column) else ""


def star_columns(star: exp.Expr, sources: Sequence[Source]) -> list[tuple[Source, str]]:
    """What ``*`` or ``t.*`` stands for: source and published column name, without the EXCLUDEd."""
    bare = star.this if isinstance(star, exp.Column) else star
    excluded = {fold_name(entry.name) for entry in bare.args.get("except_") or ()}
    qualifier = fold_name(star.table) if isinstance(star, exp.Column) else ""
    return [
        (source, published)
        for source in sources
        if not qualifier or source.alias == qualifier
        for folded, published in source.columns.items()
        if folded not in excluded
    ]


def is_star(item: exp.Expr) -> bool:
    """Is this SELECT item ``*`` or ``t.*``?"""
    return isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star))


_Ctes = Mapping[str, "Outputs | None"]
"""Lower-case name of a WITH query -> its outputs; None while its own body is read."""


class _Resolver:
    """One pass over a query.  With ``tables`` None it only collects table names into ``names``."""

    def __init__(self, tables: Mapping[str, RemoteTable] | None, names: dict[str, None]) -> None:
        self._tables = tables
        self._names = names
        self.scopes = Scopes()

    def query(self, node: exp.Expr, ctes: _Ctes, parent: Block | None) -> Outputs:
        """The outputs of a SELECT, a set operation or either in brackets."""
        ctes = self._with(node, ctes)
        if isinstance(node, exp.Subquery):
            outputs = self.query(node.this, ctes, parent)
            alias = node.args.get("alias")
            named = [column.name for column in (alias.args.get("columns") or ())] if alias else []
            outputs = _renamed(outputs, named)
        elif isinstance(node, exp.SetOperation):
            outputs = self.query(node.this, ctes, parent)
            self.query(node.expression, ctes, parent)
        else:
            return self._select(cast("exp.Select", node), ctes, parent)
        order = node.args.get("order")
        if order is not None and any(isinstance(inner, exp.Query) for inner in own_nodes(order)):
            raise QueryRefused(T("ORDER BY after UNION names output columns only."))
        return outputs

    def _with(self, node: exp.Expr, ctes: _Ctes) -> _Ctes:
        listed = node.args.get("with_")
        if listed is None:
            return ctes
        visible = dict(ctes)
        for cte in listed.expressions:
            name = fold_name(cte.alias)
            visible[name] = None
            outputs = self.query(cte.this, visible, None)
            columns = [column.name for column in cte.args["alias"].args.get("columns") or ()]
            visible[name] = _renamed(outputs, columns)
        return visible

    def _select(self, select: exp.Select, ctes: _Ctes, parent: Block | None) -> Outputs:
        block = Block(select, parent)
        entries = [select.args["from_"].this] if select.args.get("from_") else []
        entries += [join.this for join in select.args.get("joins") or ()]
        for entry in entries:
            source = self._source(entry, ctes, parent)
            if source.alias and any(source.alias == other.alias for other in block.sources):
                raise QueryRefused(
                    T("Two tables of one FROM bear the name {name}."),
                    mend=T("Give each its own name: FROM table AS a, table AS b."),
                    name=source.alias,
                )
            block.sources.append(source)
        block.aliases = {fold_name(item.alias) for item in select.expressions if isinstance(item, exp.Alias)}
        for item in select.expressions:
            if is_star(item):
                self._star(item, block)
        self._expressions(block, ctes)
        self.scopes.blocks.append(block)
        return tuple(
            name
            for item in select.expressions
            for name in ([n for _, n in star_columns(item, block.sources)] if is_star(item) else [item_name(item)])
        )

    def _source(self, entry: exp.Expr, ctes: _Ctes, parent: Block | None) -> Source:
        if isinstance(entry, exp.Subquery):
            outputs = self.query(entry, ctes, parent)
            return Source(fold_name(entry.alias), _by_name(outputs))
        table = cast("exp.Table", entry)
        parts = tuple(fold_name(part.name) for part in table.parts)
        alias = fold_name(table.alias_or_name)
        if len(parts) == 1 and parts[0] in ctes:
            outputs = ctes[parts[0]]
            if outputs is None:
                raise QueryRefused(T("A query may not use this: {what}."), what="WITH RECURSIVE")
            return Source(alias, _by_name(outputs), parts=(alias,))
        name = write_name(parts)
        self._names.setdefault(name)
        if self._tables is None:
            return Source(alias, {}, parts=(alias,))
        known = self._tables.get(name)
        if known is None:
            raise unknown_table(name)
        return Source(alias, _by_name(known.fields), table, known, (alias,) if table.alias else parts)

    def _star(self, item: exp.Expr, block: Block) -> None:
        if isinstance(item, exp.Column):
            if self._qualified(item, block) is None:
                raise _unknown(item.sql())
            item.set("db", None)
            item.set("catalog", None)
        if not block.sources:
            raise QueryRefused(T("SELECT * needs a FROM."))
        for source, name in star_columns(item, block.sources):
            source.needed.add(name)

    def _expressions(self, block: Block, ctes: _Ctes) -> None:
        for name, clause in block.select.args.items():
            if name in ("from_", "with_") or not clause:
                continue
            for root in clause if isinstance(clause, list) else [clause]:
                if isinstance(root, exp.Join):
                    self._join(root, block, ctes)
                elif isinstance(root, exp.Expr) and not is_star(root):
                    self._expression(root, block, ctes)

    def _join(self, join: exp.Join, block: Block, ctes: _Ctes) -> None:
        for column in join.args.get("using") or ():
            if not self._bare(column.name, block, column):
                raise _unknown(column.name)
        condition = join.args.get("on")
        if condition is not None:
            self._expression(condition, block, ctes)

    def _expression(self, root: exp.Expr, block: Block, ctes: _Ctes) -> None:
        for node in own_nodes(root):
            if isinstance(node, exp.Query):
                block.nested = True
                self.query(node, ctes, block)
            elif isinstance(node, exp.Column):
                self._column(node, block)

    def _column(self, column: exp.Column, block: Block) -> None:
        if self._tables is None:
            return
        inner: Block | None = block
        while inner is not None:
            if column.table:
                source = self._qualified(column, inner)
                found = () if source is None else (source,)
            else:
                found = self._bare(column.name, inner, column)
            if found:
                self._mean(column, found, block if inner is not block else None)
                return
            if inner is block and not column.table and fold_name(column.name) in block.aliases:
                self.scopes.meaning[id(column)] = ()
                return
            inner = inner.parent
        raise _unknown(column.sql())

    def _mean(self, column: exp.Column, found: tuple[Source, ...], correlated: Block | None) -> None:
        self.scopes.meaning[id(column)] = found
        name = fold_name(column.name)
        for source in found:
            source.needed.add(source.columns[name])
        if correlated is not None:
            correlated.correlated = True
        if column.table:
            # In the merge a table goes by one name: member.system.table.column becomes table.column.
            column.set("db", None)
            column.set("catalog", None)

    def _qualified(self, column: exp.Column, block: Block) -> Source | None:
        parts = tuple(fold_name(part.name) for part in column.parts[:-1])
        for source in block.sources:
            own = source.parts or (source.alias,)
            if own[-len(parts) :] == parts:
                if not isinstance(column.this, exp.Star) and fold_name(column.name) not in source.columns:
                    if self._tables is not None:
                        raise _unknown(column.sql())
                    return None
                return source
        return None

    def _bare(self, name: str, block: Block, node: exp.Expr) -> tuple[Source, ...]:
        folded = fold_name(name)
        found = tuple(source for source in block.sources if folded in source.columns)
        if isinstance(node, exp.Identifier):  # USING
            for source in found:
                source.needed.add(source.columns[folded])
            return found if found or self._tables is not None else tuple(block.sources)
        return found


def _by_name(outputs: Sequence[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for name in outputs:
        if name:
            named.setdefault(fold_name(name), name)
    return named


def _renamed(outputs: Outputs, columns: Sequence[str]) -> Outputs:
    if len(columns) > len(outputs) and outputs:
        raise QueryRefused(T("More column names are given than the query has columns."))
    return (*columns, *outputs[len(columns) :])


def _unknown(name: str) -> UnknownColumn:
    return UnknownColumn(
        T("There is no column {column} that this query may read."),
        mend=T("Look up the granted columns of the table; a computed column needs a name: expression AS name."),
        column=name.replace('"', "")[:200],
    )
