"""The list of problem kinds, ``docs/problems.md``, written from the source: it can not forget one or say another side.

python tools/problems.py           say how the list differs from the source, status 1 if it does
python tools/problems.py --write   write the list anew
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS.parent))

from tools.messages import SOURCE, catalogue_path, read_catalogue  # noqa: E402 - found once the path is set

LIST = TOOLS.parent / "docs" / "problems.md"
ROOT = "lienthong.errors.Problem"
SIDES = {
    "caller": "who asked<br>*bên gọi*",
    "consumer": "consumer's node<br>*nút của bên sử dụng*",
    "provider": "provider<br>*bên cung cấp*",
    "node": "this node<br>*nút này*",
}
GENERAL_MENDS = {
    "caller": ("Correct the request as the detail says.", "Sửa yêu cầu theo phần mô tả."),
    "consumer": (
        "Give the operator of the consumer's node the correlation id.",
        "Gửi mã tra soát cho người vận hành nút của bên sử dụng.",
    ),
    "provider": (
        "Try again later; if it lasts, give the provider the correlation id.",
        "Thử lại sau; nếu vẫn lỗi, gửi mã tra soát cho bên cung cấp.",
    ),
    "node": (
        "The operator of this node finds the cause in its log under the correlation id.",
        "Người vận hành nút này tìm nguyên nhân trong nhật ký chạy theo mã tra soát.",
    ),
}
"""What to do where the source says nothing more precise."""
HEAD = """# Problems

Every error of Liên Thông is one of these kinds. A program gets it as RFC 9457 problem details (`type` is
`urn:lienthong:problem:` and the kind), a person as a page or in the terminal; both say what happened, on whose side,
and what to do. Written by `python tools/problems.py --write` from the source.

*Mọi lỗi của Liên Thông thuộc một trong các loại dưới đây: chuyện gì xảy ra, phía nào phải xử lý, và cần làm gì.*

| Kind | HTTP | To be mended by | What it means | What to do |
|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """One subclass of Problem: what its callers read, its meaning, and what its raisers tell people to do."""

    name: str
    place: str
    """The module that declares it, dotted."""
    parents: tuple[str, ...]
    """Full names of its base classes."""
    kind: str = ""
    status: int | None = None
    side: str = ""
    title: str = ""
    meaning: str = ""
    mends: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """Module and class, dotted."""
        return f"{self.place}.{self.name}"


def problem_kinds(source: Path = SOURCE) -> list[Kind]:
    """Every kind declared below ``source``, inherited attributes filled in, by kind."""
    modules = [_Module.read(path, source) for path in sorted(source.rglob("*.py"))]
    declared = {found.full_name: found for module in modules for found in module.classes()}
    mends: dict[str, list[str]] = {}
    for module in modules:
        for name, mend in module.mends():
            if mend not in mends.setdefault(name, []):
                mends[name].append(mend)
    kinds = [
        replace(_inherit(found, declared), mends=tuple(mends.get(name, ())))
        for name, found in declared.items()
        if found.kind and _is_problem(found, declared)
    ]
    return sorted(kinds, key=lambda found: (found.kind, found.place))


def page(kinds: list[Kind]) -> str:
    """The list as Markdown: one row a kind, English above Vietnamese."""
    vietnamese = read_catalogue(catalogue_path("vi"))
    rows: list[str] = []
    for kind in kinds:
        meaning = f"{kind.meaning}<br>*{vietnamese.get(kind.title, '')}*"
        mends = [(mend, vietnamese.get(mend, "")) for mend in kind.mends] or [GENERAL_MENDS[kind.side]]
        told = "<br>".join(f"{english}<br>*{viet}*" for english, viet in mends)
        cells = (f"`{kind.kind}`", str(kind.status), SIDES[kind.side], meaning, told)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return HEAD + "\n".join(rows) + "\n"


@dataclass(frozen=True, slots=True)
class _Module:
    """One Python file with what its names mean."""

    place: str
    tree: ast.Module
    names: Mapping[str, str]
    """Name used in the file -> full name of the class it means."""

    @classmethod
    def read(cls, path: Path, source: Path) -> _Module:
        place = ".".join(("lienthong", *path.relative_to(source).with_suffix("").parts)).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.ClassDef):
                names[node.name] = f"{place}.{node.name}"
        return cls(place, tree, names)

    def classes(self) -> Iterator[Kind]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef):
                values = dict(_attributes(node))
                status = values.get("status")
                yield Kind(
                    name=node.name,
                    place=self.place,
                    parents=tuple(self.names.get(base.id, "") for base in node.bases if isinstance(base, ast.Name)),
                    kind=str(values.get("kind", "")),
                    status=status if isinstance(status, int) else None,
                    side=str(values.get("side", "")),
                    title=str(values.get("title", "")),
                    meaning=" ".join((ast.get_docstring(node) or "").split("\n\n")[0].split()),
                )

    def mends(self) -> Iterator[tuple[str, str]]:
        """(class, mend) of every call that gives a marked ``mend``, and of every row (class, message, mend)."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.names:
                given = (keyword.value for keyword in node.keywords if keyword.arg == "mend")
                yield from ((self.names[node.func.id], text) for value in given for text in _marked(value))
            elif isinstance(node, ast.Tuple) and len(node.elts) == 3 and isinstance(node.elts[0], ast.Name):
                kind = node.elts[0].id
                if kind in self.names:
                    yield from ((self.names[kind], text) for text in _marked(node.elts[2]))


def _marked(value: ast.expr) -> Iterator[str]:
    """The texts marked with ``T`` in ``value``; a choice between two counts as both."""
    for part in ast.walk(value):
        text = _text(part) if isinstance(part, ast.Call) else None
        if isinstance(text, str):
            yield text


def _attributes(node: ast.ClassDef) -> Iterator[tuple[str, object]]:
    for statement in node.body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        value = getattr(statement, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.expr):
            text = _text(value)
            if text is not None:
                yield target.id, text


def _text(value: ast.expr) -> object:
    """The constant in ``value``, with the marker ``T(...)`` taken off."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "T" and value.args:
        value = value.args[0]
    return value.value if isinstance(value, ast.Constant) else None


def _is_problem(found: Kind, declared: Mapping[str, Kind]) -> bool:
    return found.full_name == ROOT or any(
        parent in declared and _is_problem(declared[parent], declared) for parent in found.parents
    )


def _inherit(found: Kind, declared: Mapping[str, Kind]) -> Kind:
    """``found`` with status, side and title of its parent where it declares none; the kind is its own."""
    parent = next((declared[name] for name in found.parents if name in declared), None)
    if parent is None:
        return found
    above = _inherit(parent, declared)
    return replace(
        found,
        status=found.status if found.status is not None else above.status,
        side=found.side or above.side,
        title=found.title or above.title,
    )


def main(arguments: list[str]) -> int:
    """Status 0 when the list says what the source says, 1 otherwise."""
    written = page(problem_kinds())
    if arguments == ["--write"]:
        LIST.parent.mkdir(exist_ok=True)
        LIST.write_text(written, encoding="utf-8")
    if LIST.exists() and LIST.read_text(encoding="utf-8") == written:
        return 0
    print("docs/problems.md does not say what the source says: run python tools/problems.py --write")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
