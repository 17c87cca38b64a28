"""Queries made at random over the three tables, of every shape that the planner treats differently.

Each is legal and its answer is determined as a multiset; ``ordered`` ones have an order that leaves nothing open.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

Columns = dict[str, str]

TABLES: dict[str, Columns] = {
    "g01.dancu.citizen": {
        "pn": "text", "full_name": "text", "commune": "text", "born": "date", "gender": "text", "income": "number",
        "married": "truth", "height": "double", "children": "number",
    },
    '"h31.12".datdai.parcel': {
        "id": "text", "owner": "text", "commune": "text", "area": "number", "purpose": "text", "price": "number",
        "changed": "time",
    },
    "G05.dkkd.firm": {
        "code": "text", "title": "text", "owner": "text", "commune": "text", "founded": "date", "capital": "number",
        "staff": "number",
    },
}  # fmt: skip
KEYS = {"g01.dancu.citizen": "pn", '"h31.12".datdai.parcel': "owner", "G05.dkkd.firm": "owner"}
_TEXTS = ("Hồng Bàng", "Lê Chân", "000000000012", "M", "ODT", "Trần Thị Bé", "", "O''Hara")
_PATTERNS = ("%ng%", "N_uyễn%", "%''%", "", "%", "0000000000__")


@dataclass(frozen=True)
class Made:
    """One query."""

    sql: str
    ordered: bool = False


@dataclass(frozen=True)
class Used:
    """One table in a FROM, with the name its columns go by."""

    table: str
    alias: str

    def columns(self, *kinds: str) -> list[str]:
        return [f"{self.alias}.{name}" for name, kind in TABLES[self.table].items() if not kinds or kind in kinds]

    @property
    def key(self) -> str:
        return f"{self.alias}.{KEYS[self.table]}"


class Maker:
    """Makes queries from one source of chance."""

    ALIASES: ClassVar[tuple[str, ...]] = ("a", "b", "c", '"Đất"', "q")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def query(self) -> Made:
        shapes = [
            self._rows, self._rows, self._groups, self._groups, self._joined, self._joined, self._joined_groups,
            self._set, self._with, self._subqueries, self._subqueries, self._windows, self._derived, self._stars,
            self._totals,
        ]  # fmt: skip
        return self._rng.choice(shapes)()

    def _use(self, place: int = 0, table: str | None = None) -> Used:
        return Used(table or self._rng.choice(list(TABLES)), self.ALIASES[place])

    def _from(self, used: Used) -> str:
        return f"{used.table} {self._rng.choice(['', 'AS '])}{used.alias}"

    def _literal(self, kind: str) -> str:
        rng = self._rng
        if kind == "number":
            return rng.choice(["0", "3", "-1", "250", "1000.5", "4000", "100000000", "2.25"])
        if kind == "double":
            return rng.choice(["1.6", "0.3", "-0.0", "1.5"])
        if kind == "date":
            return rng.choice(["DATE '1990-05-17'", "DATE '1960-01-01'", "CAST('2001-12-31' AS DATE)"])
        if kind == "time":
            return rng.choice(["CAST('2020-06-01 12:00:00' AS TIMESTAMP)", "TIMESTAMP '2021-01-01 00:00:00'"])
        if kind == "truth":
            return rng.choice(["TRUE", "FALSE"])
        return f"'{rng.choice(_TEXTS)}'"

    def _scalar(self, used: list[Used], kind: str) -> str:
        """An expression of ``kind`` over the tables in use; a literal when they have none of that kind."""
        rng = self._rng
        names = [name for one in used for name in one.columns(kind)]
        name = rng.choice(names) if names else self._literal(kind)
        if rng.random() < 0.5:
            return name
        if kind == "number":
            return rng.choice(
                [f"{name} + 1", f"{name} * 2", f"{name} / 3", f"abs({name})", f"coalesce({name}, 0)", f"-{name}",
                 f"round({name} / 7, 2)", f"({name} - 5) * 2", f"CASE WHEN {name} > 100 THEN 1 ELSE 0 END",
                 f"nullif({name}, 3)", f"greatest({name}, 10)", f"CAST({name} AS BIGINT)", f"sign({name})",
                 f"length(CAST({name} AS VARCHAR))", f"{name} % 7"]
            )  # fmt: skip
        if kind == "text":
            return rng.choice(
                [f"upper({name})", f"lower({name})", f"substr({name}, 1, 3)", f"{name} || '-x'", f"trim({name})",
                 f"coalesce({name}, 'không')", f"replace({name}, 'n', 'N')", f"concat({name}, '!')", f"left({name}, 2)",
                 f"strip_accents({name})", f"split_part({name}, ' ', 1)", f"regexp_replace({name}, '[aă]', '_', 'g')",
                 f"reverse({name})", f"CASE {name} WHEN 'M' THEN 'nam' WHEN 'F' THEN 'nữ' END"]
            )  # fmt: skip
        if kind in ("date", "time"):
            day = f"CAST({name} AS DATE)" if kind == "date" else name
            return rng.choice([f"date_trunc('month', {day})", f"{day} + INTERVAL 18 YEAR", f"{day} - INTERVAL '3' DAY"])
        return f"coalesce({name}, FALSE)" if kind == "truth" else name

    def _number_of(self, used: list[Used]) -> str:
        """A number from any kind of column."""
        rng = self._rng
        dates = [name for one in used for name in one.columns("date", "time")]
        texts = [name for one in used for name in one.columns("text")]
        if dates and rng.random() < 0.5:
            name = rng.choice(dates)
            return rng.choice(
                [f"year({name})", f"month({name})", f"extract(quarter FROM {name})", f"date_part('day', {name})",
                 f"date_diff('year', {name}, DATE '2025-07-01')", f"dayofweek({name})"]
            )  # fmt: skip
        return rng.choice([f"length({rng.choice(texts)})", f"strpos({rng.choice(texts)}, 'n')"])

    def _condition(self, used: list[Used], depth: int = 0) -> str:
        rng = self._rng
        if depth < 2 and rng.random() < 0.4:
            left, right = self._condition(used, depth + 1), self._condition(used, depth + 1)
            return rng.choice(
                [f"{left} AND {right}", f"({left} OR {right})", f"NOT ({left})", f"({left}) AND ({right})"]
            )
        one = rng.choice(used)
        name, kind = rng.choice(list(TABLES[one.table].items()))
        column = f"{one.alias}.{name}"
        literal = self._literal(kind)
        choices = [
            f"{column} {rng.choice(['=', '<>', '<', '<=', '>', '>=', '!='])} {literal}",
            f"{literal} {rng.choice(['<', '>=', '='])} {column}",
            f"{column} IS {rng.choice(['', 'NOT '])}NULL",
            f"{column} BETWEEN {literal} AND {self._literal(kind)}",
            f"{column} {rng.choice(['', 'NOT '])}IN ({literal}, {self._literal(kind)})",
            f"{column} IS {rng.choice(['', 'NOT '])}DISTINCT FROM {literal}",
            f"{self._number_of([one])} > {rng.choice(['3', '7', '1970'])}",
        ]
        if kind == "text":
            choices += [
                f"{column} {rng.choice(['', 'NOT '])}{rng.choice(['LIKE', 'ILIKE'])} '{rng.choice(_PATTERNS)}'",
                f"starts_with({column}, 'H')", f"contains({column}, 'ng')", f"regexp_matches({column}, '^[HL]')",
            ]  # fmt: skip
        if kind == "truth":
            choices += [column, f"NOT {column}", f"{column} IS TRUE", f"{column} IS NOT FALSE"]
        return rng.choice(choices)

    def _where(self, used: list[Used], often: float = 0.7) -> str:
        return f" WHERE {self._condition(used)}" if self._rng.random() < often else ""

    def _aggregate(self, used: list[Used]) -> str:
        rng = self._rng
        number = self._scalar(used, "number")
        anything = rng.choice(rng.choice(used).columns())
        plain = rng.choice(
            [
                "count(*)", f"count({anything})", f"count(DISTINCT {anything})", f"sum({number})", f"avg({number})",
                f"min({anything})", f"max({anything})", f"median({number})", f"sum(DISTINCT {number})",
                f"sum({self._number_of(used)})", f"count_if({self._condition(used, 2)})", "count()",
                f"bool_and({self._condition(used, 2)})",
            ]
        )  # fmt: skip
        return f"{plain} FILTER (WHERE {self._condition(used, 2)})" if rng.random() < 0.2 else plain

    def _finish(self, items: int) -> tuple[str, bool]:
        """ORDER BY every output (and perhaps LIMIT), or nothing."""
        rng = self._rng
        if rng.random() < 0.4:
            return "", False
        order = list(range(1, items + 1))
        rng.shuffle(order)
        written = [f"{n}{rng.choice(['', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST'])}" for n in order]
        limit = rng.choice(["", f" LIMIT {rng.randrange(1, 12)}", f" LIMIT 9 OFFSET {rng.randrange(5)}"])
        return f" ORDER BY {', '.join(written)}{limit}", True

    def _items(self, used: list[Used], count: int) -> list[str]:
        kinds = ("text", "number", "date", "truth", "double", "time")
        items = [self._scalar(used, self._rng.choice(kinds)) for _ in range(count)]
        return [f"{item} AS c{n}" if self._rng.random() < 0.6 else item for n, item in enumerate(items)]

    def _rows(self) -> Made:
        used = self._use()
        items = self._items([used], self._rng.randrange(1, 4))
        finish, ordered = self._finish(len(items))
        distinct = self._rng.choice(["", "", "DISTINCT "])
        source = self._from(used)
        return Made(f"SELECT {distinct}{', '.join(items)} FROM {source}{self._where([used])}{finish}", ordered)

    def _groups(self) -> Made:
        used = self._use()
        keys = [
            self._scalar([used], self._rng.choice(["text", "date", "truth"])) for _ in range(self._rng.randrange(3))
        ]
        return self._grouped([used], keys, f"{self._from(used)}{self._where([used])}")

    def _grouped(self, used: list[Used], keys: list[str], source: str) -> Made:
        rng = self._rng
        aggregates = [self._aggregate(used) for _ in range(rng.randrange(1, 4))]
        named = [f"{item} AS k{n}" for n, item in enumerate(keys)] + [f"{a} AS v{n}" for n, a in enumerate(aggregates)]
        by = ""
        if keys:
            ways = [
                ", ".join(str(n + 1) for n in range(len(keys))),
                ", ".join(f"k{n}" for n in range(len(keys))),
                "ALL",
            ]
            by = f" GROUP BY {rng.choice([*ways, ', '.join(keys)])}"
        having = rng.choice(["", "", " HAVING count(*) > 2", " HAVING v0 IS NOT NULL"]) if keys else ""
        finish, ordered = self._finish(len(named))
        return Made(f"SELECT {', '.join(named)} FROM {source}{by}{having}{finish}", ordered)

    def _join(self) -> tuple[list[Used], str]:
        rng = self._rng
        used = [self._use(0)]
        written = self._from(used[0])
        for place in range(1, rng.choice([2, 2, 3])):
            other = self._use(place)
            on = f"{rng.choice(used).key} = {other.key}"
            if place == 1 and rng.random() < 0.3:
                on = f"{used[0].alias}.commune = {other.alias}.commune AND {other.key} < '000000000050'"
            if rng.random() < 0.4:
                on += f" AND {self._condition([other])}"
            if rng.random() < 0.3:
                on += f" AND {self._condition([rng.choice(used)])}"
            side = rng.choice(["JOIN", "INNER JOIN", "LEFT JOIN", "LEFT OUTER JOIN", "RIGHT JOIN", "FULL JOIN"])
            if rng.random() < 0.15:
                written += f", {self._from(other)}"
            else:
                written += f" {side} {self._from(other)} ON {on}"
            used.append(other)
        if ", " in written:
            keys = " AND ".join(f"{used[0].key} = {one.key}" for one in used[1:])
            return used, f"{written} WHERE {keys} AND {self._condition(used)}"
        if rng.random() < 0.4:
            return used, f"{written} WHERE {self._absent(rng.choice(used))}"
        return used, written + self._where(used)

    def _absent(self, used: Used) -> str:
        """A condition that holds for the rows an outer join makes up."""
        rng = self._rng
        text, number = rng.choice(used.columns("text")), rng.choice(used.columns("number"))
        return rng.choice(
            [
                f"{rng.choice(used.columns())} IS NULL",
                f"coalesce({number}, 0) < 3",
                f"{text} IS DISTINCT FROM 'M'",
                f"({number} > 100 OR {text} IS NULL)",
                f"NOT ({number} IS NOT NULL)",
                f"coalesce({text}, 'x') = 'x' AND {self._condition([used])}",
            ]
        )

    def _joined(self) -> Made:
        used, source = self._join()
        items = self._items(used, self._rng.randrange(1, 4))
        finish, ordered = self._finish(len(items))
        return Made(f"SELECT {', '.join(items)} FROM {source}{finish}", ordered)

    def _joined_groups(self) -> Made:
        used, source = self._join()
        return self._grouped(used, [self._scalar(used, "text")], source)

    def _set(self) -> Made:
        rng = self._rng
        kinds = rng.sample(["text", "number"], rng.randrange(1, 3))
        branches: list[str] = []
        for _ in range(rng.randrange(2, 4)):
            used = self._use()
            items = [self._scalar([used], kind) for kind in kinds]
            branches.append(f"SELECT {', '.join(items)} FROM {self._from(used)}{self._where([used])}")
        word = rng.choice([" UNION ALL ", " UNION ALL ", " UNION ", " INTERSECT ", " EXCEPT "])
        finish, ordered = self._finish(len(kinds))
        return Made(word.join(branches) + finish, ordered)

    def _with(self) -> Made:
        rng = self._rng
        first, second = self._use(0), self._use(1)
        left = f"SELECT {first.alias}.commune, {self._aggregate([first])} AS n FROM {self._from(first)}"
        right = f"SELECT {second.alias}.commune, {self._aggregate([second])} AS m FROM {self._from(second)}"
        by = f" GROUP BY {first.alias}.commune", f" GROUP BY {second.alias}.commune"
        join = rng.choice(["JOIN", "LEFT JOIN", "FULL JOIN"])
        name = rng.choice(["x", "citizen", "parcel"])  # a WITH query may bear a table's last name
        sql = (
            f"WITH {name} AS ({left}{self._where([first])}{by[0]}), y(commune, m) AS ({right}{by[1]}) "
            f"SELECT {name}.commune AS k, n, m FROM {name} {join} y ON {name}.commune = y.commune"
        )
        finish, ordered = self._finish(3)
        return Made(sql + finish, ordered)

    def _subqueries(self) -> Made:
        rng = self._rng
        used, inner = self._use(0), self._use(1)
        where = self._condition([inner])
        correlated = f"SELECT 1 FROM {self._from(inner)} WHERE {inner.key} = {used.key} AND {where}"
        number = rng.choice(inner.columns("number"))
        condition = rng.choice(
            [
                f"{rng.choice(['', 'NOT '])}EXISTS ({correlated})",
                f"{used.key} IN (SELECT {inner.key} FROM {self._from(inner)} WHERE {where})",
                f"{used.alias}.commune NOT IN (SELECT commune FROM {inner.table} WHERE commune LIKE 'H%')",
                f"{rng.choice(used.columns('number'))} > (SELECT avg({number}) FROM {self._from(inner)} WHERE {where})",
                f"EXISTS ({correlated}) OR {self._condition([used])}",
            ]
        )
        items = self._items([used], 2)
        if rng.random() < 0.4:
            items.append(f"(SELECT max({number}) FROM {self._from(inner)} WHERE {inner.key} = {used.key}) AS biggest")
        finish, ordered = self._finish(len(items))
        return Made(f"SELECT {', '.join(items)} FROM {self._from(used)} WHERE {condition}{finish}", ordered)

    def _windows(self) -> Made:
        rng = self._rng
        used = self._use()
        names = used.columns()
        everything = ", ".join(names)
        number = rng.choice(used.columns("number"))
        window = rng.choice(
            [
                f"row_number() OVER (PARTITION BY {used.alias}.commune ORDER BY {everything})",
                f"rank() OVER (ORDER BY {number})",
                f"sum({number}) OVER (PARTITION BY {used.alias}.commune)",
                "count(*) OVER w",
                f"lag({number}) OVER (ORDER BY {everything})",
                f"avg({number}) OVER (ORDER BY {everything} ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
            ]
        )
        named = f" WINDOW w AS (PARTITION BY {used.alias}.commune)" if " w" in window[-2:] else ""
        qualify = rng.choice(["", " QUALIFY r > 1"])
        sql = f"SELECT {names[0]}, {window} AS r FROM {self._from(used)}{self._where([used])}{named}{qualify}"
        return Made(sql)

    def _derived(self) -> Made:
        used, other = self._use(0), self._use(1)
        inner = f"SELECT {used.key} AS k, {self._scalar([used], 'number')} AS v, commune FROM {self._from(used)}"
        inner += self._where([used])
        join = self._rng.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN"])
        sql = (
            f"SELECT d.commune, d.v, {other.key} AS o FROM ({inner}) d {join} {self._from(other)}"
            f" ON d.k = {other.key} AND {self._condition([other])}"
        )
        finish, ordered = self._finish(3)
        return Made(sql + finish, ordered)

    def _stars(self) -> Made:
        rng = self._rng
        used, other = self._use(0), self._use(1)
        last = used.table.rpartition(".")[2]
        both = f"{self._from(used)} JOIN {self._from(other)}"
        return Made(
            rng.choice(
                [
                    f"SELECT * FROM {used.table}",
                    f"FROM {self._from(used)}{self._where([used])}",
                    f"SELECT {used.alias}.* FROM {both} ON {used.key} = {other.key}",
                    f"SELECT * EXCLUDE (commune) FROM {self._from(used)}{self._where([used])}",
                    f"SELECT * FROM {both} USING (commune) WHERE {used.key} < '000000000040'",
                    f"SELECT {last}.commune, {used.table}.commune FROM {used.table} WHERE {last}.commune <> 'x'",
                    f"SELECT {used.alias}.* EXCLUDE (commune), {other.key} FROM {self._from(used)}"
                    f" LEFT JOIN {self._from(other)} USING (commune) WHERE {other.key} IS NULL",
                    f"SELECT count(*) FROM {self._from(used)}, {self._from(other)}",
                ]
            )
        )

    def _totals(self) -> Made:
        used = self._use()
        kind = self._rng.choice(["ROLLUP", "CUBE"])
        column = self._rng.choice(used.columns("text", "date"))
        return Made(
            f"SELECT {used.alias}.commune, {column} AS o, {self._aggregate([used])} FROM {self._from(used)}"
            f" GROUP BY {kind} ({used.alias}.commune, {column})"
        )
