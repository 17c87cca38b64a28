"""The messages people read: found in the source and the pages, kept in the two catalogues.

    python tools/messages.py           say what is missing or no longer used, status 1 if anything is
    python tools/messages.py --write   write both catalogues anew: translations kept, unused dropped, missing left empty

English is the message itself; Vietnamese is written by people into ``src/lienthong/locale/vi/LC_MESSAGES``.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

SOURCE = Path(__file__).resolve().parent.parent / "src" / "lienthong"
LANGUAGES = ("vi", "en")
_PLACEHOLDER = re.compile(r"{(\w*)}")


@dataclass(frozen=True, slots=True)
class Found:
    """A message and the first place that shows it; ``message`` is None where the marker holds no plain text."""

    message: str | None
    place: str


def found_messages(source: Path = SOURCE) -> list[Found]:
    """Every ``T("...")`` of the Python files and every ``t("...")`` of the pages below ``source``."""
    found: list[Found] = []
    for path in sorted(source.rglob("*.py")):
        if path.name != "i18n.py":
            found += _in_python(path, source)
    for path in sorted((source / "portal" / "templates").glob("*.html")):
        found += _in_template(path, source)
    return found


def catalogue_path(language: str, source: Path = SOURCE) -> Path:
    """Where the catalogue of ``language`` lies."""
    return source / "locale" / language / "LC_MESSAGES" / "lienthong.po"


def read_catalogue(path: Path) -> dict[str, str]:
    """Message to translation; empty when the file does not exist."""
    if not path.exists():
        return {}
    with path.open("rb") as lines:
        return {str(entry.id): str(entry.string) for entry in read_po(lines) if entry.id}


def write_catalogue(path: Path, language: str, entries: Mapping[str, str]) -> None:
    """The catalogue as a gettext file, sorted, so that two branches seldom touch the same lines."""
    head = (
        f'msgid ""\nmsgstr ""\n"Language: {language}\\n"\n"MIME-Version: 1.0\\n"\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n"Content-Transfer-Encoding: 8bit\\n"\n'
    )
    body = "".join(f"\nmsgid {_quoted(m)}\nmsgstr {_quoted(entries[m])}\n" for m in sorted(entries))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + body, encoding="utf-8")


def faults(source: Path = SOURCE) -> list[str]:
    """What is wrong with the catalogues, one sentence each; empty when both are complete."""
    found = found_messages(source)
    said = [f"{entry.place}: the marker holds no plain text" for entry in found if entry.message is None]
    wanted = {entry.message: entry.place for entry in found if entry.message is not None}
    for language in LANGUAGES:
        catalogue = read_catalogue(catalogue_path(language, source))
        said += [f"{language}: no translation of {m!r} ({wanted[m]})" for m in sorted(wanted) if not catalogue.get(m)]
        said += [f"{language}: nothing says {m!r} any more" for m in sorted(set(catalogue) - set(wanted))]
        said += [
            f"{language}: {m!r} and its translation name different facts"
            for m, text in sorted(catalogue.items())
            if text and set(_PLACEHOLDER.findall(m)) != set(_PLACEHOLDER.findall(text))
        ]
    return said


def rewrite(more: Mapping[str, str] | None = None) -> None:
    """Write both catalogues anew from what is found; ``more`` adds Vietnamese where the catalogue has none."""
    wanted = sorted({entry.message for entry in found_messages() if entry.message is not None})
    known = read_catalogue(catalogue_path("vi"))
    vietnamese = {m: known.get(m) or (more or {}).get(m, "") for m in wanted}
    write_catalogue(catalogue_path("vi"), "vi", vietnamese)
    write_catalogue(catalogue_path("en"), "en", {m: m for m in wanted})


def _in_python(path: Path, root: Path) -> Iterator[Found]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "T":
            argument = node.args[0] if node.args else None
            text = argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else None
            yield Found(text, f"{path.relative_to(root)}:{node.lineno}")


def _in_template(path: Path, root: Path) -> Iterator[Found]:
    for call in Environment(autoescape=True).parse(path.read_text(encoding="utf-8")).find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "t":
            argument = call.args[0] if call.args else None
            text = argument.value if isinstance(argument, nodes.Const) and isinstance(argument.value, str) else None
            yield Found(text, f"{path.relative_to(root)}:{call.lineno}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def main(arguments: list[str]) -> int:
    """Status 0 when both catalogues are complete, 1 otherwise."""
    if arguments == ["--write"]:
        rewrite()
    said = faults()
    print("\n".join(said) or "Both catalogues are complete.")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
