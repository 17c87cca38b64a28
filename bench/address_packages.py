"""One address package in a process of its own: ``python address_packages.py PACKAGE < addresses.json > answers.json``.

Run by the interpreter that has the package.  Sockets are refused and counted: an address is personal data, and two of
the packages ask a geocoder on another continent where an old commune was divided.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

refused: list[str] = []


def refuse(event: str, _: tuple[object, ...]) -> None:
    """Hears of every socket and every name to resolve before it happens, from the first import on, and refuses it."""
    if event in ("socket.__new__", "socket.getaddrinfo", "socket.connect"):
        refused.append(event)
        raise OSError("the network is shut")


def _vietnamadminunits(module: Any) -> Callable[[str], str | None]:
    return lambda text: getattr(module.convert_address(text), "short_ward", None)


def _onflow(module: Any) -> Callable[[str], str | None]:
    return lambda text: getattr(module.convert_address_old_to_new(text), "short_ward", None)


def _converter(module: Any) -> Callable[[str], str | None]:
    def ward(text: str) -> str | None:
        found = (module.convert_address_text(text) or {}).get("converted") or {}
        return (found.get("ward") or {}).get("name")

    return ward


def _vn_converter(module: Any) -> Callable[[str], str | None]:
    return lambda text: _bare(module.convert_to_new_address(module.parse_address(text)).ward)


def _bare(name: str | None) -> str | None:
    for kind in ("Phường ", "Xã ", "Đặc khu "):
        if name and name.startswith(kind):
            return name[len(kind) :]
    return name


PACKAGES: Final[dict[str, Callable[[Any], Callable[[str], str | None]]]] = {
    "vietnamadminunits": _vietnamadminunits,
    "onflow_location_platform": _onflow,
    "vietnam_address_converter": _converter,
    "vn_address_converter": _vn_converter,
}
"""Module -> what makes of an address the bare name of today's commune, or None."""


def main() -> int:
    """Answers as JSON: names in order, seconds of CPU, seconds of the import, sockets asked for."""
    name = sys.argv[1]
    sys.addaudithook(refuse)
    started = time.process_time()
    try:
        module = importlib.import_module(name)
    except ImportError:
        return 3
    imported = time.process_time() - started
    ward = PACKAGES[name](module)
    answers: list[str | None] = []
    started = time.process_time()
    for text in json.load(sys.stdin):
        try:
            answers.append(ward(text))
        except Exception:  # what a package does not read is no answer
            answers.append(None)
    spent = time.process_time() - started
    json.dump({"answers": answers, "cpu_s": spent, "import_s": imported, "sockets": len(refused)}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
