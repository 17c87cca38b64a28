"""Reading SQL: text to a syntax tree of which every node, every clause and every function is on a list.

Promises: what passes is exactly one SELECT of bounded size; it holds no comment, parameter, table function, statement
or clause that is not listed here; and ``write_sql`` gives it back as DuckDB SQL with every name quoted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from lienthong.i18n import T
from lienthong.query.functions import CALLABLE, CAST_TYPES, UNTYPED
from lienthong.query.problems import (
    FunctionNotAllowed,
    NotOneSelect,
    QueryNotReadable,
    QueryRefused,
    QueryTooLarge,
)

DIALECT = "duckdb"
MAX_SQL_BYTES = 64 * 1024
MAX_TOKENS = 16_000
MAX_NESTING = 40
"""Brackets and CASEs inside one another."""
MAX_JOINS = 32
MAX_DEPTH = 250
"""Levels of the syntax tree: a chain of 250 additions is as deep as 250 brackets."""

RESERVED = "lt_"
"""Names that begin so are the planner's own."""

_SIGNS = frozenset(
    {"(", ")", ",", ".", "*", "+", "-", "/", "//", "%", "=", "==", "<>", "!=", "<", "<=", ">", ">=", "||", "::", ";"}
)
_PREFIXED = frozenset({TokenType.NUMBER, TokenType.STRING})

_QUERY_ARGS = frozenset({"with_", "order", "limit", "offset"})
_SELECT_ARGS = _QUERY_ARGS | {
    "expressions", "from_", "joins", "where", "group", "having", "qualify", "windows", "distinct",
    "operation_modifiers",
}  # fmt: skip
_SET_ARGS = _QUERY_ARGS | {"this", "expression", "distinct"}
_BINARY = frozenset({"this", "expression"})

_CLAUSES: Mapping[type[exp.Expr], frozenset[str]] = {
    exp.Select: _SELECT_ARGS,
    exp.Union: _SET_ARGS,
    exp.Intersect: _SET_ARGS,
    exp.Except: _SET_ARGS,
    exp.Subquery: frozenset({"this", "alias"}) | _QUERY_ARGS,
    exp.With: frozenset({"expressions"}),
    exp.CTE: frozenset({"this", "alias"}),
    exp.Table: frozenset({"this", "db", "catalog", "alias"}),
    exp.TableAlias: frozenset({"this", "columns"}),
    exp.Alias: frozenset({"this", "alias"}),
    exp.Column: frozenset({"this", "table", "db", "catalog"}),
    exp.Identifier: frozenset({"this", "quoted"}),
    exp.Star: frozenset({"except_"}),
    exp.From: frozenset({"this"}),
    exp.Join: frozenset({"this", "on", "side", "kind", "using"}),
    exp.Where: frozenset({"this"}),
    exp.Group: frozenset({"expressions", "all", "rollup", "cube", "grouping_sets"}),
    exp.Rollup: frozenset({"expressions"}),
    exp.Cube: frozenset({"expressions"}),
    exp.GroupingSets: frozenset({"expressions"}),
    exp.Having: frozenset({"this"}),
    exp.Qualify: frozenset({"this"}),
    exp.Order: frozenset({"expressions"}),
    exp.Ordered: frozenset({"this", "desc", "nulls_first"}),
    exp.Limit: frozenset({"expression"}),
    exp.Offset: frozenset({"expression"}),
    exp.Distinct: frozenset({"expressions"}),
    exp.Window: frozenset({"this", "partition_by", "order", "spec", "alias", "over"}),
    exp.WindowSpec: frozenset({"kind", "start", "start_side", "end", "end_side"}),
    exp.Filter: _BINARY,
    exp.DataType: frozenset({"this", "expressions", "nested"}),
    exp.DataTypeParam: frozenset({"this"}),
    exp.Interval: frozenset({"this", "unit"}),
    exp.Literal: frozenset({"this", "is_string"}),
    exp.Boolean: frozenset({"this"}),
    exp.Null: frozenset(),
    exp.Var: frozenset({"this"}),
    exp.Paren: frozenset({"this"}),
    exp.Tuple: frozenset({"expressions"}),
    exp.Not: frozenset({"this"}),
    exp.Neg: frozenset({"this"}),
    exp.In: frozenset({"this", "expressions", "query"}),
    exp.Between: frozenset({"this", "low", "high"}),
    exp.Like: _BINARY | {"negate"},
    exp.ILike: _BINARY | {"negate"},
    exp.Is: _BINARY | {"negate"},
    **{
        node: _BINARY | {"typed", "safe"}
        for node in (
            exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.DPipe, exp.And, exp.Or, exp.EQ, exp.NEQ,
            exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ,
        )
    },
}  # fmt: skip
_STATEMENTS = (exp.DDL, exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Command)
_REFUSED_ARGS = {
    "method": "NATURAL, POSITIONAL or ASOF JOIN",
    "sample": "TABLESAMPLE",
    "pivots": "PIVOT",
    "recursive": "WITH RECURSIVE",
    "materialized": "MATERIALIZED",
    "locks": "FOR UPDATE",
    "into": "SELECT INTO",
    "by_name": "UNION BY NAME",
    "limit_options": "LIMIT ... PERCENT",
    "laterals": "LATERAL",
    "joins": "JOIN in brackets or before SELECT",
    "replace": "* REPLACE",
    "rename": "* RENAME",
    "ilike": "* LIKE",
}
_AGGREGATE_ARGS = frozenset({"this", "expression", "big_int", "dialect_options"})
_CAST_ARGS = frozenset({"this", "to", "safe", "requires_string"})
_SIDES = frozenset({"", "LEFT", "RIGHT", "FULL"})
_KINDS = frozenset({"", "INNER", "CROSS", "OUTER"})
_UNITS = frozenset({"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"})
_PARTS = _UNITS | {"DOW", "ISODOW", "DOY", "DECADE", "CENTURY"}


def read_query(sql: str) -> exp.Query:
    """The checked syntax tree of ``sql``.  Raises a QueryRefused that says what is wrong."""
    tokens = _tokens(sql)
    # The parser would log statements it does not know, with their values: the text of a query never reaches a log.
    logging.getLogger("sqlglot").disabled = True
    try:
        statements = [tree for tree in sqlglot.Dialect.get_or_raise(DIALECT).parser().parse(tokens, sql) if tree]
    except (SqlglotError, RecursionError) as wrong:
        raise QueryNotReadable(
            T("The query can not be read as SQL."), mend=T("Write one SELECT in DuckDB's SQL."), where=_where(wrong)
        ) from wrong
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise NotOneSelect(
            T("The text is not exactly one SELECT."),
            mend=T("Send one SELECT (WITH and UNION are welcome); nothing that changes, sets or describes."),
        )
    query = statements[0]
    _check_depth(query)
    for node in query.walk():
        _check(node)
    return query


def write_sql(tree: exp.Expr) -> str:
    """``tree`` as DuckDB SQL: every name quoted, no comment."""
    return tree.sql(dialect=DIALECT, identify=True, comments=False)


def _tokens(sql: str) -> list[Token]:
    if len(sql.encode("utf-8", "replace")) > MAX_SQL_BYTES:
        raise QueryTooLarge(T("The query is longer than {limit} bytes."), limit=MAX_SQL_BYTES)
    if "\0" in sql:
        raise QueryNotReadable(T("The query holds a character that can not be printed."))
    try:
        tokens = sqlglot.Dialect.get_or_raise(DIALECT).tokenize(sql)
    except SqlglotError as wrong:
        raise QueryNotReadable(T("The query can not be read as SQL."), where=_where(wrong)) from wrong
    if len(tokens) > MAX_TOKENS:
        raise QueryTooLarge(T("The query has more than {limit} words."), limit=MAX_TOKENS)
    for previous, token in zip([None, *tokens], tokens, strict=False):
        _check_token(token, previous)
    _check_nesting(tokens)
    return tokens


def _check_nesting(tokens: list[Token]) -> None:
    """Bounds on what makes the parser slow: brackets in one another, and joins whose condition comes later.

    ``a JOIN b JOIN c ON .. ON ..`` is legal SQL, but the parser's time doubles with each join left open.
    """
    open_joins = [False]
    joins = 0
    for place, token in enumerate(tokens):
        kind = token.token_type
        if kind in (TokenType.L_PAREN, TokenType.CASE):
            open_joins.append(False)
        elif kind in (TokenType.R_PAREN, TokenType.END) and len(open_joins) > 1:
            if open_joins.pop():
                raise _refused("JOIN without ON or USING")
        elif kind is TokenType.JOIN:
            joins += 1
            if open_joins[-1]:
                raise _refused("JOIN without ON or USING")
            open_joins[-1] = tokens[place - 1].token_type is not TokenType.CROSS
        elif kind in (TokenType.ON, TokenType.USING):
            open_joins[-1] = False
        if len(open_joins) > MAX_NESTING:
            raise QueryTooLarge(T("The query has more than {limit} levels of brackets."), limit=MAX_NESTING)
    if any(open_joins):
        raise _refused("JOIN without ON or USING")
    if joins > MAX_JOINS:
        raise QueryTooLarge(T("The query has more than {limit} joins."), limit=MAX_JOINS)


def _check_token(token: Token, previous: Token | None) -> None:
    kind = token.token_type
    if kind not in (TokenType.STRING, TokenType.NUMBER, TokenType.IDENTIFIER):
        word = token.text.replace(" ", "_").isidentifier()
        if kind in _LITERAL_KINDS or not (word or token.text in _SIGNS):
            raise _refused(token.text[:20])
    # 0x1F and e'..' are read by this tokenizer as two words, by DuckDB as one: neither is needed.
    if previous is not None and token.start == previous.end + 1:
        glued = {previous.token_type, kind}
        if glued & _PREFIXED and not (glued & _SEPARATING) and token.text not in _SIGNS and previous.text not in _SIGNS:
            raise _refused(previous.text[:20] + token.text[:20])


_LITERAL_KINDS = frozenset(
    {
        TokenType.BYTE_STRING, TokenType.HEX_STRING, TokenType.BIT_STRING, TokenType.RAW_STRING,
        TokenType.HEREDOC_STRING, TokenType.NATIONAL_STRING, TokenType.UNICODE_STRING, TokenType.PARAMETER,
        TokenType.PLACEHOLDER,
    }
)  # fmt: skip
_SEPARATING = frozenset({TokenType.L_PAREN, TokenType.R_PAREN, TokenType.COMMA})


def _check_depth(query: exp.Query) -> None:
    level: list[exp.Expr] = [query]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise QueryTooLarge(T("The query's expressions are more than {limit} levels deep."), limit=MAX_DEPTH)


def _children(node: exp.Expr) -> Iterator[exp.Expr]:
    return node.iter_expressions()


def _check(node: exp.Expr) -> None:
    kind = type(node)
    allowed = _CLAUSES.get(kind)
    if allowed is not None:
        _check_args(node, allowed)
    elif kind in CALLABLE:
        _check_function(node)
    elif kind is exp.Anonymous:
        fewest, most = UNTYPED.get(node.name.lower(), (1, 0))
        if not fewest <= len(node.expressions) <= most:
            raise _function_refused(node.name)
    elif isinstance(node, exp.Func):
        raise _function_refused(node.sql_name())
    elif isinstance(node, _STATEMENTS):
        raise NotOneSelect(T("The text is not exactly one SELECT."))
    else:
        raise _refused(kind.__name__)
    special = _SPECIAL.get(kind)
    if special is not None:
        special(node)


def _check_args(node: exp.Expr, allowed: frozenset[str]) -> None:
    for name, value in node.args.items():
        if value and name not in allowed:
            called = _REFUSED_ARGS.get(name)
            raise _refused(called or f"{type(node).__name__} {name}".replace("_", " ").strip())


def _check_function(node: exp.Expr) -> None:
    name, role = CALLABLE[type(node)]
    if role == "aggregate":
        for arg, value in node.args.items():
            if value and arg not in _AGGREGATE_ARGS:
                raise _function_refused(f"{name} {arg}")
    for argument in node.iter_expressions():
        if isinstance(argument, (exp.Order, exp.Ordered, exp.Limit, exp.IgnoreNulls)):
            raise _function_refused(f"{name}(... ORDER BY ...)")


def _check_table(node: exp.Expr) -> None:
    if not isinstance(node.this, exp.Identifier):
        called = node.this
        raise _function_refused(called.sql_name() if isinstance(called, exp.Func) else type(called).__name__)
    alias = node.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        raise _refused("FROM table AS alias(column)")


def _check_subquery(node: exp.Expr) -> None:
    if not isinstance(node.this, exp.Query):
        raise _refused("FROM (table JOIN table)")


def _check_join(node: exp.Expr) -> None:
    if str(node.args.get("side") or "") not in _SIDES or str(node.args.get("kind") or "") not in _KINDS:
        raise _refused(f"{node.args.get('side') or ''} {node.args.get('kind') or ''} JOIN".strip())


def _check_star(node: exp.Expr) -> None:
    parent = node.parent
    if isinstance(parent, exp.Column):
        node, parent = parent, parent.parent
    listed = isinstance(parent, exp.Select) and node.arg_key == "expressions"
    if not (listed or (isinstance(parent, exp.Count) and isinstance(node, exp.Star))):
        raise _refused("*")


def _check_name(node: exp.Expr) -> None:
    if node.name.lower().startswith(RESERVED) or not node.name.isprintable():
        raise QueryRefused(
            T("The name {name} is reserved."),
            mend=T("Choose a name that does not begin with lt_."),
            name=node.name[:80],
        )


def _check_count(node: exp.Expr) -> None:
    operand = node.this
    wide = isinstance(operand, exp.Distinct) and len(operand.expressions) != 1
    if wide or node.expressions:
        raise _function_refused("count(a, b)")


def _check_distinct(node: exp.Expr) -> None:
    if not isinstance(node.parent, (exp.Select, exp.AggFunc)):
        raise _refused("DISTINCT")
    if isinstance(node.parent, exp.Select) and node.expressions:
        raise _refused("DISTINCT ON")


def _check_cast(node: exp.Expr) -> None:
    _check_args(node, _CAST_ARGS)
    if not isinstance(node.args["to"], exp.DataType):
        raise _refused("CAST")


def _check_type(node: exp.Expr) -> None:
    if node.this not in CAST_TYPES or node.args.get("nested"):
        raise _refused(f"the type {write_sql(node)[:40]}")


def _check_number(node: exp.Expr) -> None:
    if not isinstance(node.args.get("expression"), exp.Literal):
        raise _refused("LIMIT (expression)")


def _check_interval(node: exp.Expr) -> None:
    unit = node.args.get("unit")
    if not isinstance(unit, exp.Var) or unit.name.upper() not in _UNITS or not isinstance(node.this, exp.Literal):
        raise QueryRefused(
            T("An interval is a number and one unit."), mend=T("Write it as INTERVAL 18 YEAR or INTERVAL '18' YEAR.")
        )


def _check_part(node: exp.Expr) -> None:
    unit = node.args["unit"] if isinstance(node, (exp.DateTrunc, exp.TimestampTrunc, exp.DateDiff)) else node.this
    if not isinstance(unit, (exp.Var, exp.Literal)) or unit.name.upper() not in _PARTS:
        raise _refused(f"{CALLABLE[type(node)][0]}({type(unit).__name__})")


def _check_anonymous(node: exp.Expr) -> None:
    if node.name.lower() in ("date_part", "date_sub"):
        unit = node.expressions[0]
        if not isinstance(unit, exp.Literal) or unit.name.upper() not in _PARTS:
            raise _refused(f"{node.name.lower()}({type(unit).__name__})")


def _check_like(node: exp.Expr) -> None:
    if isinstance(node.expression, (exp.Any, exp.All, exp.Tuple)):
        raise _refused("LIKE ANY")


_SPECIAL: Mapping[type[exp.Expr], Callable[[exp.Expr], None]] = {
    exp.Table: _check_table,
    exp.Subquery: _check_subquery,
    exp.Join: _check_join,
    exp.Star: _check_star,
    exp.Identifier: _check_name,
    exp.Count: _check_count,
    exp.Distinct: _check_distinct,
    exp.Cast: _check_cast,
    exp.TryCast: _check_cast,
    exp.DataType: _check_type,
    exp.Limit: _check_number,
    exp.Offset: _check_number,
    exp.Interval: _check_interval,
    exp.Extract: _check_part,
    exp.TimestampTrunc: _check_part,
    exp.DateDiff: _check_part,
    exp.DateTrunc: _check_part,
    exp.Anonymous: _check_anonymous,
    exp.Like: _check_like,
    exp.ILike: _check_like,
}


def _refused(what: str) -> QueryRefused:
    return QueryRefused(
        T("A query may not use this: {what}."),
        mend=T("Write it with SELECT, JOIN ... ON or USING, WHERE, GROUP BY, UNION, WITH and the listed functions."),
        what=what,
    )


def _function_refused(name: str) -> FunctionNotAllowed:
    return FunctionNotAllowed(
        T("The function {function} is not on the list."),
        mend=T("Use the listed functions; those that read files or clocks or make rows are never allowed."),
        function=name.lower()[:60],
    )


def _where(wrong: Exception) -> str:
    errors = getattr(wrong, "errors", None)
    if errors and isinstance(errors[0].get("line"), int):
        return f"{errors[0]['line']}:{errors[0]['col']}"
    return ""
