"""The provider's rewriting of a sub-query under its own copy of the agreement.  Pure.

Nothing is taken over from the asker's planner: the text is read and checked again, may be one SELECT over this one
table and nothing else, and can name no column but the granted ones.  Masks and row filter are not its matter: the table
it runs on is loaded with them applied, before it starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from sqlglot import exp

from lienthong.catalog.models import Field, Service
from lienthong.i18n import T
from lienthong.query.grammar import read_query, write_sql
from lienthong.query.guard import write_guarded
from lienthong.query.models import ROWS, RemoteTable, Restricted
from lienthong.query.names import fold_name, write_name
from lienthong.query.problems import QueryRefused
from lienthong.query.scopes import Block, Scopes, resolve
from lienthong.tables.models import Condition, View, check_row_filter, mask_of, shown_fields, subject_columns
from lienthong.tables.sql import SUBJECT, ValueNotValid, quote_name, value_text

_OPERATORS: dict[type[exp.Expr], tuple[str, str]] = {
    exp.EQ: ("eq", "eq"),
    exp.NEQ: ("neq", "neq"),
    exp.LT: ("lt", "gt"),
    exp.LTE: ("lteq", "gteq"),
    exp.GT: ("gt", "lt"),
    exp.GTE: ("gteq", "lteq"),
}
"""Comparison -> operator with the column on the left, and on the right."""
_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DIGITS = re.compile(r"[0-9]{1,18}")
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,10})?")


def table_under(service: Service, view: View, min_group: int | None) -> RemoteTable:
    """``service`` as a query may use it under ``view``, under the service's own name."""
    return RemoteTable(
        name=write_name((fold_name(service.name),)),
        service=service.id,
        fields=tuple(shown.name for shown in shown_fields(service, view)),
        min_group=min_group,
        identifiers=frozenset(subject.select for subject in service.subjects),
    )


def restrict(sql: str, service: Service, view: View, min_group: int | None = None) -> Restricted:
    """What to run for the sub-query ``sql`` on ``service`` under ``view``.

    Raises a QueryRefused (UnknownTable, UnknownColumn, FunctionNotAllowed, GroupGuard ...) or ViewNotApplicable.
    """
    check_row_filter(service, view)
    query = read_query(sql)
    table = table_under(service, view, min_group)
    scopes = resolve(query, {table.name: table})
    block = _only_block(query, scopes)
    needed = block.sources[0].needed
    names = tuple(name for name in table.fields if name in needed)
    relation = quote_name(service.name)
    subjects = ""
    if min_group is None:
        reference = block.select.args["from_"].this
        alias = reference.args.get("alias") or exp.TableAlias(this=exp.to_identifier(reference.name))
        reference.replace(exp.Table(this=exp.to_identifier(service.name, quoted=True), alias=alias.copy()))
        written = write_sql(block.select)
        subjects = _subjects(block.select, alias, len(subject_columns(service)))
    else:
        written = write_guarded(block, scopes, table, relation)
    return Restricted(
        reads=names,
        # A guarded query counts the rows that its condition leaves out, so the source may not leave them out before.
        conditions=tuple(_conditions(block, scopes, service, view)) if min_group is None else (),
        relation=service.name,
        sql=written,
        subjects=subjects,
    )


def _subjects(select: exp.Expr, alias: exp.Expr, count: int) -> str:
    """Whom the rows that meet WHERE are about, also when only their groups are shown; empty without subjects."""
    if not count:
        return ""
    asked = exp.Select(expressions=[exp.column(f"{SUBJECT}{place}") for place in range(count)]).distinct()
    asked = asked.from_(exp.Table(this=exp.to_identifier(ROWS), alias=alias.copy()))
    where = select.args.get("where")
    if where is not None:
        asked.set("where", where.copy())
    return write_sql(asked)


def _only_block(query: exp.Query, scopes: Scopes) -> Block:
    block = scopes.blocks[0]
    alone = (
        len(scopes.blocks) == 1 and block.select is query and len(block.sources) == 1 and not query.args.get("with_")
    )
    if not alone:
        raise QueryRefused(
            T("A sub-query is one SELECT over one table."),
            mend=T("Ask your own node: it takes a query apart and asks each member for its part."),
        )
    return block


def _conditions(block: Block, scopes: Scopes, service: Service, view: View) -> Iterator[Condition]:
    """The simple comparisons ANDed in WHERE, of unmasked columns with values of their type."""
    where = block.select.args.get("where")
    waiting = [where.this] if where else []
    while waiting:
        condition = waiting.pop()
        if isinstance(condition, exp.Paren):
            waiting.append(condition.this)
        elif isinstance(condition, exp.And):
            waiting += [condition.expression, condition.this]
        elif isinstance(condition, exp.Between):
            yield from _compared(block, scopes, service, view, condition.this, "gteq", condition.args["low"])
            yield from _compared(block, scopes, service, view, condition.this, "lteq", condition.args["high"])
        elif isinstance(condition, exp.In) and condition.expressions:
            found = [
                _compared(block, scopes, service, view, condition.this, "eq", value) for value in condition.expressions
            ]
            single = [one[0] for one in found if one]
            if len(single) == len(found):
                yield single[0][0], "in", tuple(cast("str", value) for _, _, value in single)
        elif type(condition) in _OPERATORS:
            straight, turned = _OPERATORS[type(condition)]
            left, right = condition.this, condition.expression
            yield from _compared(block, scopes, service, view, left, straight, right)
            yield from _compared(block, scopes, service, view, right, turned, left)


def _compared(
    block: Block, scopes: Scopes, service: Service, view: View, column: exp.Expr, operator: str, value: object
) -> list[Condition]:
    """One condition, or none when the two sides are not a plain unmasked column and a value of its type."""
    if not isinstance(column, exp.Column) or not scopes.meaning.get(id(column)):
        return []
    published = service.field(block.sources[0].columns[fold_name(column.name)])
    if published is None or mask_of(view, published.name) is not None:
        return []
    text = _text_of(published, value)
    return [] if text is None else [(published.name, operator, text)]


def _text_of(published: Field, value: object) -> str | None:
    """``value`` as text if source and DuckDB are sure to compare it alike with the field, else None."""
    sign = ""
    if isinstance(value, exp.Neg):
        value, sign = value.this, "-"
    cast_to = ""
    if isinstance(value, exp.Cast) and not isinstance(value, exp.TryCast):
        value, cast_to = value.this, str(value.args["to"].this.value)
    if not isinstance(value, exp.Literal):
        return None
    text = value.name
    if value.is_string:
        fits = (published.type == "string" and not cast_to) or (
            published.type == "date" and cast_to in ("", "DATE") and _ISO_DAY.fullmatch(text) is not None
        )
    else:
        form = {"integer": _DIGITS, "decimal": _DECIMAL}.get(published.type)
        fits = not cast_to and form is not None and form.fullmatch(text) is not None
    if not fits or (sign and value.is_string) or "\0" in text:
        return None
    try:
        return value_text(published, sign + text)
    except ValueNotValid:
        return None
