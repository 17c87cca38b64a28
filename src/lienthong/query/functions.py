"""The functions a query may call, by the name a person writes.  What is not here is refused.

All of them give the same answer on every node and at every time: nothing reads a clock, a file, a setting or a random
number, makes rows, or builds values of a size unrelated to its arguments'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sqlglot import exp

Role = Literal["scalar", "aggregate", "window"]

_SCALAR: Mapping[type[exp.Expr], str] = {
    exp.Abs: "abs",
    exp.Case: "case",
    exp.Cast: "cast",
    exp.Ceil: "ceil",
    exp.Coalesce: "coalesce",
    exp.Concat: "concat",
    exp.ConcatWs: "concat_ws",
    exp.Contains: "contains",
    exp.DateDiff: "date_diff",
    exp.DateFromParts: "make_date",
    exp.DateTrunc: "date_trunc",
    exp.Day: "day",
    exp.DayOfWeek: "dayofweek",
    exp.DayOfYear: "dayofyear",
    exp.EndsWith: "ends_with",
    exp.Exists: "exists",
    exp.Exp: "exp",
    exp.Extract: "extract",
    exp.Floor: "floor",
    exp.Greatest: "greatest",
    exp.Hour: "hour",
    exp.If: "if",
    exp.LastDay: "last_day",
    exp.Least: "least",
    exp.Left: "left",
    exp.Length: "length",
    exp.Levenshtein: "levenshtein",
    exp.Ln: "ln",
    exp.Lower: "lower",
    exp.Minute: "minute",
    exp.Month: "month",
    exp.Nullif: "nullif",
    exp.Pow: "power",
    exp.Quarter: "quarter",
    exp.RegexpExtract: "regexp_extract",
    exp.RegexpFullMatch: "regexp_full_match",
    exp.RegexpLike: "regexp_matches",
    exp.RegexpReplace: "regexp_replace",
    exp.Replace: "replace",
    exp.Reverse: "reverse",
    exp.Right: "right",
    exp.Round: "round",
    exp.Second: "second",
    exp.SHA2: "sha256",
    exp.Sign: "sign",
    exp.SplitPart: "split_part",
    exp.Sqrt: "sqrt",
    exp.StartsWith: "starts_with",
    exp.StrPosition: "strpos",
    exp.Substring: "substring",
    exp.TimeToStr: "strftime",
    exp.TimestampTrunc: "date_trunc",
    exp.Trim: "trim",
    exp.Trunc: "trunc",
    exp.TryCast: "try_cast",
    exp.Upper: "upper",
    exp.Week: "week",
    exp.Year: "year",
}
_AGGREGATE: Mapping[type[exp.Expr], str] = {
    exp.Avg: "avg",
    exp.Corr: "corr",
    exp.Count: "count",
    exp.CountIf: "count_if",
    exp.CovarPop: "covar_pop",
    exp.CovarSamp: "covar_samp",
    exp.LogicalAnd: "bool_and",
    exp.LogicalOr: "bool_or",
    exp.Max: "max",
    exp.Median: "median",
    exp.Min: "min",
    exp.Stddev: "stddev",
    exp.StddevPop: "stddev_pop",
    exp.StddevSamp: "stddev_samp",
    exp.Sum: "sum",
    exp.Variance: "variance",
    exp.VariancePop: "var_pop",
}
_WINDOW: Mapping[type[exp.Expr], str] = {
    exp.CumeDist: "cume_dist",
    exp.DenseRank: "dense_rank",
    exp.FirstValue: "first_value",
    exp.Lag: "lag",
    exp.LastValue: "last_value",
    exp.Lead: "lead",
    exp.NthValue: "nth_value",
    exp.Ntile: "ntile",
    exp.PercentRank: "percent_rank",
    exp.Rank: "rank",
    exp.RowNumber: "row_number",
}
UNTYPED: Mapping[str, tuple[int, int]] = {
    "age": (2, 2),  # with one argument it would read the clock
    "date_part": (2, 2),
    "date_sub": (3, 3),
    "strip_accents": (1, 1),
}
"""Functions the parser knows by name only -> fewest and most arguments."""

CALLABLE: Mapping[type[exp.Expr], tuple[str, Role]] = {
    **{node: (name, "scalar") for node, name in _SCALAR.items()},
    **{node: (name, "aggregate") for node, name in _AGGREGATE.items()},
    **{node: (name, "window") for node, name in _WINDOW.items()},
}

CAST_TYPES = frozenset(
    {
        exp.DType.BIGINT,
        exp.DType.BOOLEAN,
        exp.DType.DATE,
        exp.DType.DECIMAL,
        exp.DType.DOUBLE,
        exp.DType.INT,
        exp.DType.INT128,
        exp.DType.SMALLINT,
        exp.DType.TEXT,
        exp.DType.TIMESTAMPNTZ,
        exp.DType.VARCHAR,
    }
)
"""Types a value may be cast to; ``name`` of each is what a person writes."""

NEVER_FAILING: frozenset[type[exp.Expr]] = frozenset(
    {
        exp.Abs, exp.Case, exp.Cast, exp.Ceil, exp.Coalesce, exp.Contains, exp.DateDiff, exp.DateTrunc, exp.Day,
        exp.DayOfWeek,
        exp.EndsWith, exp.Extract, exp.Floor, exp.Greatest, exp.If, exp.Least, exp.Left, exp.Length, exp.Lower,
        exp.Month, exp.Nullif, exp.Quarter, exp.RegexpLike, exp.Right, exp.Round, exp.SplitPart, exp.StartsWith,
        exp.Substring, exp.TimestampTrunc, exp.Trim, exp.Trunc, exp.TryCast, exp.Upper, exp.Week, exp.Year,
    }
)  # fmt: skip
"""Functions whose result is no larger than their arguments: under TRY they can neither fail nor fill the memory, so
whether a query succeeds tells nothing of the rows.  Only these are allowed where groups have a least size."""


def allowed_functions() -> dict[str, Role]:
    """Every allowed function by name, for the documentation and for error messages."""
    named: dict[str, Role] = {name: role for name, role in CALLABLE.values() if name != "exists"}
    for name in UNTYPED:
        named[name] = "scalar"
    return dict(sorted(named.items()))
