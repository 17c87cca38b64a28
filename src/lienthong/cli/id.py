"""``lienthong id``: what a code is, its parts, and whether it holds."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated

import typer

from lienthong.cli.terminal import language, show_json
from lienthong.i18n import T, translate
from lienthong.linkage.identify import Identified, identify

app = typer.Typer(add_completion=False)

_MARKS = {"valid": "✓", "doubtful": "?", "invalid": "✗"}
_KINDS = {
    "personal-number": T("personal number"),
    "old-identity-card": T("old identity card (CMND)"),
    "enterprise-code": T("enterprise code"),
    "parcel": T("land parcel"),
    "procedure": T("administrative procedure"),
    "dossier": T("dossier"),
    "agency": T("agency"),
    "unit": T("administrative unit"),
    "phone": T("telephone"),
    "plate": T("vehicle plate"),
}


@app.command(name="id")
def identity(
    codes: Annotated[list[str], typer.Argument(help="Codes; - reads them from standard input, one a line.")],
    as_of: Annotated[datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Day of a unit code.")] = None,
    born: Annotated[datetime | None, typer.Option("--born", formats=["%Y-%m-%d"], help="Birth date to check.")] = None,
    gender: Annotated[str | None, typer.Option("--gender", help="male or female, to check.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Say what each code is, its parts, and whether it holds.

    lienthong id 0100109106 1.011442 w6ugs3kbd4pz
    """
    if gender not in (None, "male", "female"):
        raise typer.BadParameter("gender is male or female")
    given = [line.strip() for line in sys.stdin] if codes == ["-"] else codes
    answers: list[tuple[str, tuple[Identified, ...]]] = []
    for code in filter(None, given):
        found = identify(
            code,
            today=datetime.now().astimezone().date(),
            born=born.date() if born else None,
            female=None if gender is None else gender == "female",
            as_of=as_of.date() if as_of else None,
        )
        answers.append((code, found))
    if as_json:
        show_json([{"code": code, "readings": [_as_json(each) for each in found]} for code, found in answers])
    else:
        for code, found in answers:
            _show(code, found)
    if not all(found and found[0].verdict != "invalid" for _, found in answers):
        raise typer.Exit(1)


def _show(code: str, found: tuple[Identified, ...]) -> None:
    spoken = language()
    if not found:
        print(f"✗ {code}  {translate(T('no known kind of code'), spoken)}")
    valid = [each for each in found if each.verdict != "invalid"]
    for each in valid or found:
        parts = ", ".join(f"{name}={value}" for name, value in each.parts.items())
        line = "  ".join(filter(None, (translate(_KINDS[each.kind], spoken), parts, each.reason(spoken))))
        print(f"{_MARKS[each.verdict]} {code}  {line}")


def _as_json(found: Identified) -> dict[str, object]:
    return {
        "kind": found.kind,
        "verdict": found.verdict,
        "parts": dict(found.parts),
        "reason": found.reason(language()),
    }
