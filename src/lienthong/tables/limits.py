"""What one sandbox job may use, what happens past it, and how a Problem travels out of the sandbox.

Light: imported by the gateway as well as by the sandbox's children.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import cast, get_args

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.tables import frames


class TooManyRows(Problem):
    """The answer has more rows than the node gives out at once."""

    kind = "too-many-rows"
    status = 422
    side = "caller"
    title = T("The answer has too many rows")


class AnswerTooLarge(Problem):
    """The answer has more bytes than the node gives out at once."""

    kind = "answer-too-large"
    status = 422
    side = "caller"
    title = T("The answer is too large")


class OutOfMemory(Problem):
    """The job needed more memory than it may have."""

    kind = "sandbox-memory"
    status = 422
    side = "caller"
    title = T("The question needs too much memory")


class SqlFailed(Problem):
    """The engine refused or could not run the SQL."""

    kind = "sql-failed"
    status = 400
    side = "caller"
    title = T("The SQL can not be run")


class InputBroken(Problem):
    """An input of the job is not a complete Arrow stream or is larger than allowed."""

    kind = "input-broken"
    status = 502
    side = "provider"
    title = T("A part of the answer arrived broken")


class JobFailed(Problem):
    """The operation met an error that it does not know."""

    kind = "sandbox-failed"
    status = 500
    side = "node"
    title = T("The work failed in its sandbox")


class OutOfTime(Problem):
    """The job needed more processor or wall-clock time than it may have, and was ended."""

    kind = "sandbox-timeout"
    status = 422
    side = "caller"
    title = T("The question takes too long")


class SandboxBusy(Problem):
    """All places of the sandbox were taken for too long, or it does not start."""

    kind = "sandbox-busy"
    status = 503
    side = "node"
    title = T("The node has no place free for this question")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use.  Exceeding any ends it with a Problem of its own kind."""

    memory_mb: int = 512
    """Private memory beyond what the zygote holds; DuckDB gets three quarters of it."""
    cpu_s: int = 30
    wall_s: float = 20.0
    max_rows: int = 100_000
    max_bytes: int = 64 * 1024 * 1024
    """Most bytes of the answer, and of all inputs together."""
    threads: int = 2
    file_mb: int = 0
    """Largest file the job may write; 0 for all jobs that answer a question."""


def limits_from(described: Mapping[str, object]) -> Limits:
    """The Limits in a JOB frame; unknown names are an error."""
    known = {field.name: field.type for field in fields(Limits)}
    values = {name: cast("float", value) for name, value in described.items()}
    if not set(values) <= set(known):
        raise frames.BadFrame("unknown limit")
    return Limits(**{name: value if known[name] == "float" else int(value) for name, value in values.items()})  # type: ignore[arg-type] - converted by the declared type


def problem_json(problem: Problem) -> dict[str, object]:
    """A Problem as JSON that ``sandbox.problem_from`` reads."""
    facts = {name: value for name, value in problem.facts.items() if isinstance(value, (str, int, float, bool))}
    return {
        "kind": problem.kind,
        "status": problem.status,
        "side": problem.side,
        "title": problem.title,
        "message": problem.message,
        "mend": problem.mend,
        "facts": facts,
    }


def problem_from(told: Mapping[str, object]) -> Problem:
    """The Problem that ``problem_json`` wrote; of the very class when this process knows its kind.

    What comes out of a sandbox is not trusted: anything of the wrong shape becomes JobFailed.
    """
    try:
        kind, side, status = str(told["kind"])[:60], str(told["side"]), int(cast("int", told["status"]))
        if side not in get_args(Side) or not 400 <= status < 600:
            raise ValueError("not a problem")
        facts = {str(name): value for name, value in cast("Mapping[str, object]", told["facts"]).items()}
        facts.pop("message", None)
        message, mend = str(told["message"]), str(told["mend"])
        found = _class_of(Problem, kind)
        if found is None:
            described = {"kind": kind, "side": side, "status": status, "title": str(told["title"])}
            found = cast("type[Problem]", type("ToldProblem", (Problem,), described))
        return found(message, mend=mend, **facts)
    except (KeyError, TypeError, ValueError, AttributeError):
        return JobFailed(T("The work failed: {error}."), error="answer not understood")


def _class_of(parent: type[Problem], kind: str) -> type[Problem] | None:
    for child in parent.__subclasses__():
        if child.kind == kind:
            return child
        if found := _class_of(child, kind):
            return found
    return None
