"""Our own source as the ratchets see it: files, syntax trees and comments."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "lienthong"
CODE_FOLDERS = ("src", "tests", "bench", "tools")

MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 80
LICENSED_LINES = {
    # One file that a stranger can read from top to end, copy alone and run: that is what it is for.
    "src/lienthong/verify.py": 1350,
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc", "core", "manager"}
SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore|pyright:\s*ignore)\b(?P<rest>.*)")
REASON = re.compile(r"(\[[^\]]*\]|:\s*[A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*)?\s+(-|--|—|–)\s*\w\w")
WORDS = re.compile(r"\w{2,}")


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: str
    """Path from the root of the checkout."""
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax."""
        return ast.parse(self.text, self.path)

    @cached_property
    def comments(self) -> dict[int, str]:
        """Line number to comment."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function, nested ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file of ours that is in the repository or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *CODE_FOLDERS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    found = sorted({name for name in listed if name.endswith(".py") and (ROOT / name).exists()})
    return tuple(Source(name, (ROOT / name).read_text("utf-8")) for name in found)


def package_sources() -> tuple[Source, ...]:
    """The files of the product alone."""
    return tuple(source for source in sources() if source.path.startswith("src/"))


def long_file(source: Source) -> Iterator[str]:
    """A file is one idea."""
    lines = source.text.count("\n") + 1
    most = LICENSED_LINES.get(source.path, MOST_LINES_OF_A_FILE)
    if lines > most:
        yield f"{source.path}: {lines} lines, at most {most}"


def long_functions(source: Source) -> Iterator[str]:
    """A function fits a screen."""
    for function in source.functions():
        lines = (function.end_lineno or 0) - function.lineno + 1
        if lines > MOST_LINES_OF_A_FUNCTION:
            where = f"{source.path}:{function.lineno}: {function.name}"
            yield f"{where} has {lines} lines, at most {MOST_LINES_OF_A_FUNCTION}"


def empty_names(source: Source) -> Iterator[str]:
    """A module or package is named for what it holds."""
    for part in Path(source.path).with_suffix("").parts:
        if part in FORBIDDEN_NAMES:
            yield f"{source.path}: the name '{part}' says nothing"


def late_imports(source: Source) -> Iterator[str]:
    """Imports stand at the top; a late one has its reason as a comment on its line."""
    seen: set[int] = set()
    for function in source.functions():
        for node in ast.walk(function):
            if not isinstance(node, ast.Import | ast.ImportFrom) or node.lineno in seen:
                continue
            seen.add(node.lineno)
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            reason = " ".join(source.comments.get(line, "") for line in lines)
            if len(WORDS.findall(SUPPRESSION.sub(r"\g<rest>", reason))) < 3:
                yield f"{source.path}:{node.lineno}: late import without its reason on the line"


def silent_suppressions(source: Source) -> Iterator[str]:
    """Every noqa and ignore names what it silences and why: ``# noqa: S108 - owner and mode are checked below``."""
    for line, comment in source.comments.items():
        found = SUPPRESSION.search(comment)
        if found and not REASON.match(found["rest"]):
            yield f"{source.path}:{line}: {comment.strip()} (say why, after ' - ')"


def imported(source: Source) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every module imported at run time (not those for type checkers alone)."""
    typing_only = {
        node
        for block in ast.walk(source.tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(source.tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
