"""A resolution in words and as the fields of a batch: what was read, how, and what it lies in on the asked day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lienthong.i18n import Language, T, translate
from lienthong.law.units import Unit, province_of, readings, unit_on
from lienthong.linkage.address import Resolution, Status, Step

COLUMNS: Final = ("unit_code", "unit_name", "status", "score", "alternatives", "explanation")

_STATUS: Final[Mapping[Status, str]] = {
    "exact": T("found as written"),
    "corrected": T("found, with a correction"),
    "ambiguous": T("several units fit: please choose"),
    "split": T("the unit was divided: please choose by street or place"),
    "none": T("no commune recognised"),
}
_HOW: Final[Mapping[str, str]] = {
    "mended": T("{name} (spelling mended)"),
    "earlier-name": T("{name} (under an earlier name)"),
    "other-kind": T("{name} (written as another kind of unit)"),
}


def fields_of(resolution: Resolution, language: Language) -> dict[str, str]:
    """The columns of batch output, all text; ``alternatives`` as ``code name, province; code ...``, likeliest first."""
    unit = resolution.unit
    return {
        "unit_code": unit.code if unit else "",
        "unit_name": unit.full_name if unit else "",
        "status": resolution.status,
        "score": f"{resolution.score:.2f}",
        "alternatives": "; ".join(f"{each.code} {placed_name(each)}" for each in resolution.alternatives),
        "explanation": explanation(resolution, language),
    }


def placed_name(unit: Unit) -> str:
    """The unit's full name and its province's, which tells communes of one name apart: ``Xã Tân Lập, Tỉnh Lào Cai``.

    The province is called as at the end of the unit's time, or as it is called last.
    """
    code = province_of(unit)
    last = readings(code, "province")[-1]
    province = last if unit.valid_to is None else unit_on(code, "province", unit.valid_to)
    return unit.full_name if province is None or unit.level == "province" else f"{unit.full_name}, {province.full_name}"


def explanation(resolution: Resolution, language: Language) -> str:
    """One line: the verdict, the units read from small to large, and the text of law that renamed or merged them."""
    parts = [translate(_STATUS[resolution.status], language)]
    if resolution.steps:
        names = ", ".join(_step(step, language) for step in resolution.steps)
        parts.append(translate(T("read as {names}"), language, names=names))
    if resolution.unit is not None and resolution.alternatives:
        others = ", ".join(unit.full_name for unit in resolution.alternatives)
        parts.append(translate(T("if it was written before 1 July 2025: {others}"), language, others=others))
    if resolution.legal_basis:
        parts.append(translate(T("by {basis}"), language, basis=resolution.legal_basis))
    return "; ".join(parts)


def as_json(resolution: Resolution, language: Language) -> dict[str, object]:
    """The resolution for programs, with its explanation in words."""
    return {
        "status": resolution.status,
        "score": resolution.score,
        "unit": _unit(resolution.unit),
        "alternatives": [_unit(unit) for unit in resolution.alternatives],
        "read_as": _unit(resolution.read_as),
        "steps": [{"name": step.name, "how": step.how} for step in resolution.steps],
        "legal_basis": resolution.legal_basis,
        "explanation": explanation(resolution, language),
    }


def _unit(unit: Unit | None) -> dict[str, str] | None:
    return None if unit is None else {**unit.as_record(), "full_name": unit.full_name}


def _step(step: Step, language: Language) -> str:
    return translate(_HOW[step.how], language, name=step.name) if step.how in _HOW else step.name
