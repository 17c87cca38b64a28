"""Draws a Vega-Lite specification as SVG or PNG: the sandbox's operation ``draw``.

Promises: the specification is ours, its values travel inside it, and nothing is fetched (left to itself, ``vl_convert``
would fetch even loopback addresses); what others wrote is a label, never a part of the specification's structure.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from lienthong.tables.job import Job

OPERATIONS: Final[Mapping[str, str]] = MappingProxyType({"draw": "lienthong.portal.drawing:draw"})
DOTS: Final = 2.0
"""Dots a point, so that a PNG can be printed."""
_NOTHING: Final = {"$schema": "https://vega.github.io/schema/vega/v5.json", "width": 1, "height": 1}


def draw(job: Job) -> None:
    """Answer with the SVG of the specification in ``spec``, or with the PNG where ``as`` says so."""
    import vl_convert  # 40 MB with an engine inside: only in the child that draws

    # The engine opens a pair of sockets when it starts, which the fence forbids: it starts on an empty picture.
    nothing, png = cast("dict[str, Any]", _NOTHING), job.args.get("as") == "png"
    start = vl_convert.vega_to_png if png else vl_convert.vega_to_svg
    start(nothing, allowed_base_urls=[])
    job.fence()
    specification, numbers = (cast("dict[str, Any]", job.args[name]) for name in ("spec", "numbers"))
    if png:
        job.send(vl_convert.vegalite_to_png(specification, scale=DOTS, allowed_base_urls=[], format_locale=numbers))
    else:
        drawn = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[], format_locale=numbers)
        job.send(drawn.encode())
