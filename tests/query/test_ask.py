"""A question is described, planned, sent side by side and merged; the first thing wrong ends it."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import orjson
import pytest

from lienthong.errors import Problem
from lienthong.query.ask import Asked, AskLimits, Granted, PartAnswer, ask
from lienthong.query.models import SubQuery
from lienthong.query.names import unknown_table
from lienthong.query.operations import Planner
from lienthong.query.problems import QueryTimeout, UnknownTable
from lienthong.tables.limits import AnswerTooLarge
from lienthong.tables.models import View
from lienthong.tables.sandbox import Sandbox
from tests.query.members import CITIZEN, Federation, part_of

C = "g01.dancu.citizen"
P = '"h31.12".datdai.parcel'
JOIN = f"SELECT c.gender, count(*) AS n FROM {C} c JOIN {P} p ON c.pn = p.owner GROUP BY 1 ORDER BY 1"


class Node:
    """The asking node's parts that are the caller's: names, agreements, and sending."""

    def __init__(self, sandbox: Sandbox, federation: Federation) -> None:
        self.sandbox = sandbox
        self.members = federation.members
        self.described: list[str] = []
        self.sent: list[SubQuery] = []

    async def describe(self, name: str) -> Granted:
        self.described.append(name)
        if name not in self.members:
            raise unknown_table(name)
        member = self.members[name]
        return Granted(member.service, member.view, member.min_group)

    async def send(self, asked: SubQuery) -> PartAnswer:
        self.sent.append(asked)
        member = self.members[asked.table]
        outcome = await part_of(self.sandbox, member.service, member.view, member.min_group, asked.sql)
        return PartAnswer(outcome.body, f"agreement of {asked.service}", "ours", "theirs")

    async def ask(self, sql: str, limits: AskLimits | None = None) -> Asked:
        return await ask(
            sql,
            planner=Planner(self.sandbox),
            sandbox=self.sandbox,
            describe=self.describe,
            send=self.send,
            limits=limits,
        )


@pytest.fixture
def node(sandbox: Sandbox, federation: Federation) -> Node:
    return Node(sandbox, federation)


async def test_an_answer_names_the_agreement_and_the_records_of_every_part(node: Node, federation: Federation):
    answer = await node.ask(JOIN)

    expected = federation.merged().sql(JOIN).fetchall()
    assert [tuple(row) for row in orjson.loads(answer.body)["rows"]] == expected
    assert (answer.rows, answer.truncated, answer.form) == (len(expected), False, "json")
    assert sorted(source["table"] or "" for source in answer.sources()) == [P, C]
    assert answer.sources()[0] == {
        "table": answer.parts[0].asked.table,
        "service": answer.parts[0].asked.service,
        "agreement": f"agreement of {answer.parts[0].asked.service}",
        "record": "ours",
        "peer_record": "theirs",
    }


async def test_nothing_is_sent_when_a_table_is_not_granted(node: Node):
    with pytest.raises(UnknownTable):
        await node.ask(f"SELECT * FROM {C} c JOIN g02.secret.files f ON c.pn = f.pn")

    assert node.described == [C, "g02.secret.files"]
    assert node.sent == []


async def test_nothing_is_sent_when_groups_could_be_too_small(sandbox: Sandbox, federation: Federation):
    node = Node(sandbox, federation.with_terms(CITIZEN, View(), 10))

    with pytest.raises(Problem) as refused:
        await node.ask(JOIN)

    assert refused.value.kind == "group-too-small-guard"
    assert node.sent == []


async def test_parts_are_asked_side_by_side(node: Node):
    waiting = asyncio.Barrier(2)
    send = node.send

    async def together(asked: SubQuery) -> PartAnswer:
        await waiting.wait()  # one after the other would never get past
        return await send(asked)

    node.send = together  # type: ignore[method-assign] - the test's own node
    assert (await node.ask(JOIN)).rows > 0


async def test_the_first_problem_of_a_part_ends_the_question_and_gives_up_the_others(node: Node):
    given_up = asyncio.Event()

    async def failing(asked: SubQuery) -> PartAnswer:
        if asked.table == C:
            raise unknown_table(asked.table)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            given_up.set()
            raise
        raise AssertionError

    node.send = failing  # type: ignore[method-assign] - the test's own node
    with pytest.raises(UnknownTable):
        await node.ask(JOIN)
    assert given_up.is_set()


async def test_a_member_that_does_not_answer_ends_the_question_at_its_deadline(node: Node):
    async def silent(asked: SubQuery) -> PartAnswer:
        await asyncio.Event().wait()
        raise AssertionError(asked)

    node.send = silent  # type: ignore[method-assign] - the test's own node
    with pytest.raises(QueryTimeout) as late:
        await node.ask(JOIN, AskLimits(deadline_s=0.05))

    assert (late.value.kind, late.value.side, late.value.facts["seconds"]) == ("query-timeout", "provider", 0.05)


async def test_parts_with_too_many_bytes_are_not_merged(node: Node):
    with pytest.raises(AnswerTooLarge):
        await node.ask(JOIN, AskLimits(part_bytes=1000))


async def test_a_long_answer_is_cut_and_says_so(node: Node):
    answer = await node.ask(f"SELECT pn FROM {C} ORDER BY pn", AskLimits(most_rows=7))

    assert (answer.rows, answer.truncated) == (7, True)


def test_asking_and_serving_load_no_engine():
    modules = "lienthong.query, lienthong.query.ask, lienthong.query.serve, lienthong.query.operations"
    heavy = "{'duckdb', 'sqlglot', 'pyarrow', 'pandas', 'numpy'}"
    program = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
