"""Draws a Vega-Lite specification as SVG: the sandbox's operation ``draw``.

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
_NOTHING: Final = {"$schema": "https://vega.github.io/schema/vega/v5.json", "width": 1, "height": 1}


def draw(job: Job) -> None:
    """Answer with the SVG of the specification in ``spec``."""
    import vl_convert  # 40 MB with an engine inside: only in the child that draws

    # The engine opens a pair of sockets when it starts, which the fence forbids: it starts on an empty picture.
    vl_convert.vega_to_svg(cast("dict[str, Any]", _NOTHING), allowed_base_urls=[])
    job.fence()
    drawn = vl_convert.vegalite_to_svg(
        cast("dict[str, Any]", job.args["spec"]),
        allowed_base_urls=[],
        format_locale=cast("dict[str, Any]", job.args["numbers"]),
    )
    job.send(drawn.encode())
