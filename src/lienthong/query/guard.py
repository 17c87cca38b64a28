"""Statistics only: a SELECT over a table whose agreement sets a least group size N, rewritten so as to tell no less.

What it keeps: every output is a group key or an aggregate; a group is shown when at least N rows meet WHERE, and when
none or at least N of its other rows do not (else the same query without its condition would tell about the few); an
aggregate over a column is shown when at least N rows have a value there, and none or N of those left out have one.
Whether the query succeeds tells nothing either: conditions and keys are computed under TRY from functions that can not
fill the memory.  What it can not keep is what a series of cunning queries may add up to: that needs a budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlglot import exp

from lienthong.i18n import T
from lienthong.query.functions import NEVER_FAILING, UNTYPED
from lienthong.query.grammar import write_sql
from lienthong.query.models import RemoteTable
from lienthong.query.names import fold_name
from lienthong.query.problems import GroupGuard
from lienthong.query.scopes import Block, Scopes, is_star

_PLAIN_NODES: frozenset[type[exp.Expr]] = NEVER_FAILING | {
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.And, exp.Or, exp.Not, exp.EQ,
    exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.In, exp.Between, exp.Like,
    exp.ILike, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.DataType, exp.DataTypeParam,
    exp.Interval, exp.Var, exp.Anonymous,
}  # fmt: skip
_TOTALS = frozenset({"rollup", "cube", "grouping_sets"})


def check_guarded(block: Block, scopes: Scopes, table: RemoteTable) -> None:
    """Raises GroupGuard when the least group size can not be guaranteed for ``block``, with the reason."""
    _Guard(block, scopes, table)


def write_guarded(block: Block, scopes: Scopes, table: RemoteTable, relation: str) -> str:
    """DuckDB SQL of ``block`` over ``relation`` (a quoted name), with what would tell of fewer rows left out.

    Raises GroupGuard for a form that can not be guaranteed.
    """
    return _Guard(block, scopes, table).write(relation, cast("int", table.min_group))


class _Guard:
    """A SELECT taken apart into keys, aggregates and what is computed from them.

    Expressions are normalised first: a column is its published name without a table, the name of an output is replaced
    by what it stands for.
    """

    def __init__(self, block: Block, scopes: Scopes, table: RemoteTable) -> None:
        self._select = block.select
        self._columns = block.sources[0].columns
        self._scopes = scopes
        self._table = table
        self._check_form()
        self._items: list[exp.Expr] = []
        self._named: dict[str, exp.Expr] = {}
        for item in self._select.expressions:
            self._items.append(self._normal(item.unalias()))
            if isinstance(item, exp.Alias):
                self._named[fold_name(item.alias)] = self._items[-1]
        self._cells: list[exp.AggFunc] = []
        self._keys = self._read_keys()
        where = self._select.args.get("where")
        self._condition = None if where is None else self._plain(self._normal(where.this))
        self._shown = [self._outer(item) for item in self._items]
        having = self._select.args.get("having")
        self._having = None if having is None else self._outer(self._normal(having.this))
        self._order = [self._ordered(entry) for entry in (self._select.args.get("order") or exp.Order()).expressions]
        if not self._keys and not self._cells:
            raise self._refused(T("{table} gives statistics only: no row of it can be shown by itself."))

    def write(self, relation: str, least: int) -> str:
        """The guarded SELECT over ``relation``."""
        met = "" if self._condition is None else f" FILTER (WHERE TRY({write_sql(self._condition)}))"
        inner = [f"{_tried(key)} AS lt_key_{place}" for place, key in enumerate(self._keys)]
        inner += [f"{_cell(cell, met, least)} AS lt_cell_{place}" for place, cell in enumerate(self._cells)]
        grouped = f" GROUP BY {', '.join(_tried(key) for key in self._keys)}" if self._keys else ""
        guard = f"count(*){met} >= {least} AND {_none_or_many(f'count(*) - count(*){met}', least)}"
        source = f"SELECT {', '.join(inner)} FROM {relation}{grouped} HAVING {guard}"  # noqa: S608 - written here
        outputs = [
            write_sql(exp.alias_(value, item.alias_or_name, quoted=True) if item.alias_or_name else value)
            for value, item in zip(self._shown, self._select.expressions, strict=True)
        ]
        written = f"SELECT {', '.join(outputs)} FROM ({source}) AS lt_group"  # noqa: S608 - all parts are checked
        if self._having is not None:
            written += f" WHERE TRY({write_sql(self._having)})"
        if self._order:
            written += f" ORDER BY {', '.join(write_sql(entry) for entry in self._order)}"
        for clause, word in (("limit", "LIMIT"), ("offset", "OFFSET")):
            if given := self._select.args.get(clause):
                written += f" {word} {write_sql(given.expression)}"
        return written

    def _check_form(self) -> None:
        select = self._select
        group = select.args.get("group")
        for used, what in (
            (select.args.get("distinct"), "SELECT DISTINCT"),
            (select.args.get("qualify"), "QUALIFY"),
            (select.args.get("windows") or select.find(exp.Window), "OVER"),
            (group and any(group.args.get(name) for name in _TOTALS), "ROLLUP, CUBE, GROUPING SETS"),
            (select.find(exp.Filter), "FILTER"),
            (any(is_star(item) for item in select.expressions), "SELECT *"),
        ):
            if used:
                raise self._refused(T("{table} gives statistics only: {what} could single out a few rows."), what=what)
        for item in select.expressions:
            hidden = self._columns.get(fold_name(item.alias)) if isinstance(item, exp.Alias) else None
            if hidden and not (
                isinstance(item.this, exp.Column) and fold_name(item.this.name) == fold_name(item.alias)
            ):
                raise self._refused(
                    T("The output name {column} is also a column of {table}."), T("Choose another name."), column=hidden
                )

    def _read_keys(self) -> list[exp.Expr]:
        group = self._select.args.get("group")
        if group is None:
            return []
        if group.args.get("all"):
            keys = [item for item in self._items if item.find(exp.AggFunc) is None]
        else:
            keys = [self._key(entry) for entry in group.expressions]
        return [self._plain(key) for key in dict.fromkeys(keys) if key.find(exp.Column) is not None]

    def _key(self, entry: exp.Expr) -> exp.Expr:
        if isinstance(entry, exp.Literal):
            place = int(entry.name) - 1 if entry.name.isdigit() else -1
            if not 0 <= place < len(self._items):
                raise self._refused(T("GROUP BY names an output that does not exist."))
            return self._items[place]
        return self._normal(entry)

    def _normal(self, expression: exp.Expr) -> exp.Expr:
        """A copy in which columns are bare published names and names of outputs are what they stand for."""

        copied = expression.copy()
        pairs = list(zip(copied.walk(), expression.walk(), strict=True))
        meant = {id(node): self._meaning(original) for node, original in pairs if isinstance(original, exp.Column)}
        normal = cast("exp.Expr", copied.transform(lambda node: meant.get(id(node), node), copy=False))
        while isinstance(normal, exp.Paren):
            normal = normal.this
        return normal

    def _meaning(self, column: exp.Column) -> exp.Expr:
        if self._scopes.meaning.get(id(column)):
            return exp.column(self._columns[fold_name(column.name)], quoted=True)
        named = self._named.get(fold_name(column.name))
        if named is None:
            raise self._refused(T("The name of an output can be used only after that output."))
        return exp.paren(named.copy(), copy=False)

    def _plain(self, expression: exp.Expr) -> exp.Expr:
        """``expression`` if it can neither fail nor fill the memory under TRY and names no single person."""
        for node in expression.walk():
            allowed = type(node) in _PLAIN_NODES and not (
                isinstance(node, exp.Anonymous) and (node.name.lower() not in UNTYPED or node.name.lower() == "age")
            )
            if not allowed:
                raise self._refused(
                    T("{table} gives statistics only: {what} can not be used in its WHERE and GROUP BY."),
                    what=node.sql_name() if isinstance(node, exp.Func) else type(node).__name__,
                )
            if isinstance(node, exp.Column) and node.name in self._table.identifiers:
                raise self._refused(
                    T("{table} gives statistics only: {column} names single persons and can only be counted."),
                    column=node.name,
                )
        return expression

    def _outer(self, normal: exp.Expr) -> exp.Expr:
        """``normal`` over the grouped rows: keys and aggregates become columns; anything else is refused."""

        def change(node: exp.Expr) -> exp.Expr:
            if node in self._keys:
                return exp.column(f"lt_key_{self._keys.index(node)}")
            if isinstance(node, exp.AggFunc):
                self._check_cell(node)
                if node not in self._cells:
                    self._cells.append(node.copy())
                return exp.column(f"lt_cell_{self._cells.index(node)}")
            if isinstance(node, exp.Column) and not node.name.startswith("lt_"):
                raise self._refused(
                    T("{table} gives statistics only: {column} is neither grouped by nor aggregated."), column=node.name
                )
            return node

        return normal.copy().transform(change, copy=False)

    def _ordered(self, entry: exp.Expr) -> exp.Expr:
        ordered = entry.copy()
        if isinstance(entry.this, (exp.Literal, exp.Var)):
            return ordered
        ordered.set("this", self._outer(self._normal(entry.this)))
        return ordered

    def _check_cell(self, cell: exp.AggFunc) -> None:
        operand = cell.this
        if isinstance(cell, exp.Count) and (operand is None or isinstance(operand, exp.Star)):
            return
        counted = isinstance(cell, exp.Count)
        if counted and isinstance(operand, exp.Distinct):
            operand = operand.expressions[0]
        if not isinstance(cell, (exp.Count, exp.Sum, exp.Avg)):
            raise self._refused(
                T("{table} gives statistics only: {what} could show the value of a single row."),
                T("Use count, sum and avg."),
                what=cell.sql_name().lower(),
            )
        if not isinstance(operand, exp.Column):
            raise self._refused(
                T("{table} gives statistics only: an aggregate takes a plain column, not a computed value."),
                T("Group by the condition instead of computing it inside the aggregate."),
            )
        if not counted and operand.name in self._table.identifiers:
            raise self._refused(
                T("{table} gives statistics only: {column} names single persons and can only be counted."),
                column=operand.name,
            )

    def _refused(self, message: str, mend: str = "", **facts: object) -> GroupGuard:
        facts.setdefault("table", self._table.name)
        facts.setdefault("least", self._table.min_group or 0)
        return GroupGuard(message, mend=mend or _MEND, **facts)


_MEND = T("Ask for count, sum or avg of plain columns, grouped by keys that at least {least} rows share.")


def _tried(key: exp.Expr) -> str:
    return write_sql(key) if isinstance(key, exp.Column) else f"TRY({write_sql(key)})"


def _none_or_many(count: str, least: int) -> str:
    return f"({count}) NOT BETWEEN 1 AND {least - 1}"


def _cell(cell: exp.AggFunc, met: str, least: int) -> str:
    """An aggregate over the rows that meet the condition; NULL where it would tell of fewer than ``least`` values."""
    operand = cell.this
    if operand is None or isinstance(operand, exp.Star):
        return f"count(*){met}"
    distinct = isinstance(operand, exp.Distinct)
    column = write_sql(operand.expressions[0] if distinct else operand)
    safe: Sequence[str] = [
        f"count({column}){met} >= {least}",
        _none_or_many(f"count({column}) - count({column}){met}", least),
    ]
    if isinstance(cell, exp.Count) and not distinct:
        safe = [*safe, _none_or_many(f"count(*){met} - count({column}){met}", least)]
    return f"CASE WHEN {' AND '.join(safe)} THEN {write_sql(cell)}{met} END"
