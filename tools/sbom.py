"""What the environment consists of, as CycloneDX 1.6 JSON: every package with version and licence.

``python tools/sbom.py > sbom.json``; reads what is installed and asks nobody.  Times and serial numbers are left out:
the same environment gives the same bytes.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import Distribution, distributions


def component(package: Distribution) -> dict[str, object]:
    """One package as CycloneDX describes a library."""
    told = package.metadata
    name = str(told["Name"])
    made: dict[str, object] = {
        "type": "library",
        "name": name,
        "version": package.version,
        "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{package.version}",
    }
    licence = licence_of(package)
    if licence:
        made["licenses"] = [{"license": {"name": licence}}]
    return made


def licence_of(package: Distribution) -> str:
    """The licence as the package states it: expression, classifiers or the first line of its field."""
    told = package.metadata
    stated = told.get("License-Expression")
    if stated:
        return str(stated)
    classified = [
        line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or [] if line.startswith("License :: ")
    ]
    if classified:
        return ", ".join(classified)
    return str(told.get("License") or "").strip().split("\n")[0][:80]


def bill() -> dict[str, object]:
    """The whole bill of materials."""
    packages = {str(package.metadata["Name"]).lower(): package for package in distributions()}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": [component(packages[name]) for name in sorted(packages)],
    }


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
