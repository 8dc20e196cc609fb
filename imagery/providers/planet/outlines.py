"""Outlines of few corners around many parts, each for itself: nothing is bought that lies between. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

WORLD = box(-180.0, -90.0, 180.0, 90.0)

_FINENESS = (1 / 512, 1 / 128, 1 / 32, 1 / 16, 1 / 8)
"""Tolerances a part is simplified with, of its longer side."""

_FEWEST = 5
"""Vertices of the coarsest outline of a part, a rectangle, with the one that closes it."""

_HAIR = 1e-9
"""Degrees (a tenth of a millimetre): more than arithmetic takes from a rotated rectangle."""

_NEIGHBOURS = 6
"""How many of those near a part are thought of as one with it."""

_SPREADS = (1.0, 0.75, 0.5, 0.25)
"""How much of the vertices goes to the fewest parts that are tried: fewer, larger parts may have finer outlines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outline:
    """One way to hold a part."""

    geometry: BaseGeometry
    vertices: int
    area: float


def vertices_of(outline: BaseGeometry) -> int:
    """Those that close a ring counted as well."""
    return int(shapely.get_num_coordinates(outline))


def outward(outline: BaseGeometry, tolerance: float) -> BaseGeometry:
    """Simplified by half of the tolerance, grown by all of it and simplified by a quarter: nothing of the area is lost.

    Small holes close.
    """
    # Round corners of two segments a quarter lie no nearer than 0.92 of the tolerance, however sharp the corner is.
    grown = outline.simplify(tolerance / 2).buffer(tolerance, quad_segs=2)
    return grown.simplify(tolerance / 4).intersection(WORLD)


def by_parts(outline: BaseGeometry, *, most: int) -> Iterator[BaseGeometry]:
    """Outlines around its parts with no more than `most` vertices; whether they hold it is for the caller to see."""
    parts = [part for part in shapely.get_parts(outline) if part.area > 0]
    if len(parts) < 2:
        return
    known: dict[bytes, list[_Outline]] = {}
    for spread in _SPREADS:
        parts = _merged(parts, int(most * spread) // _FEWEST)
        known |= {part.wkb: _frontier(part, most) for part in parts if part.wkb not in known}
        choices = [known[part.wkb] for part in parts]
        for budget in (most, int(most * 0.9), int(most * 0.75)):
            whole = shapely.union_all([one.geometry for one in _chosen(choices, budget)])
            if vertices_of(whole) <= most:
                yield whole
                break


def _merged(parts: Sequence[BaseGeometry], most: int) -> list[BaseGeometry]:
    """No more than so many: neighbours become one, those first that least lies between."""
    merged = list(parts)
    while len(merged) > max(1, most):
        merged = _neighbours_merged(merged, len(merged) - most)
    return merged


def _neighbours_merged(parts: list[BaseGeometry], excess: int) -> list[BaseGeometry]:
    """Up to `excess` fewer, each part with one neighbour at most."""
    array = np.array(parts, dtype=object)
    centres = shapely.centroid(array)
    first, second = _pairs(centres)
    hulls = shapely.convex_hull(shapely.union(array[first], array[second]))
    between = shapely.area(hulls) - shapely.area(array[first]) - shapely.area(array[second])
    partner: dict[int, int] = {}
    for pair in np.argsort(between, kind="stable"):
        one, other = int(first[pair]), int(second[pair])
        if one not in partner and other not in partner:
            partner[one], partner[other] = other, one
            if len(partner) >= 2 * excess:
                break
    alone = [part for number, part in enumerate(parts) if number not in partner]
    return alone + [shapely.union(parts[a], parts[b]) for a, b in partner.items() if a < b]


def _pairs(centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of those that lie near each other, each pair once."""
    x, y = shapely.get_x(centres), shapely.get_y(centres)
    found: set[tuple[int, int]] = set()
    for number in range(len(centres)):
        distance = (x - x[number]) ** 2 + (y - y[number]) ** 2
        near = np.argpartition(distance, min(_NEIGHBOURS, len(centres) - 1))[: _NEIGHBOURS + 1]
        found |= {(min(number, int(one)), max(number, int(one))) for one in near if int(one) != number}
    pairs = np.array(sorted(found))
    return pairs[:, 0], pairs[:, 1]


def _frontier(part: BaseGeometry, most: int) -> list[_Outline]:
    """Ways to hold it, from the fewest vertices to the most, each worth more a vertex than the next."""
    kept: list[_Outline] = []
    for one in sorted(_ways(part, most), key=lambda way: (way.vertices, way.area)):
        if kept and one.area >= kept[-1].area:
            continue
        while len(kept) > 1 and _worth(kept[-2], one) >= _worth(kept[-2], kept[-1]):
            kept.pop()
        kept.append(one)
    return kept


def _ways(part: BaseGeometry, most: int) -> Iterator[_Outline]:
    west, south, east, north = part.bounds
    hull = part.convex_hull
    rectangle = shapely.oriented_envelope(hull).buffer(_HAIR, join_style="mitre").intersection(WORLD)
    side = max(east - west, north - south)
    ways = [part, hull, box(west, south, east, north), rectangle]
    ways += [outward(part, side * fineness) for fineness in _FINENESS]
    for way in ways:
        if vertices_of(way) <= most and way.covers(part):
            yield _Outline(geometry=way, vertices=vertices_of(way), area=float(way.area))


def _worth(coarse: _Outline, fine: _Outline) -> float:
    """Area saved a vertex."""
    return (coarse.area - fine.area) / (fine.vertices - coarse.vertices)


def _chosen(choices: Sequence[list[_Outline]], budget: int) -> list[_Outline]:
    """One way for each: the coarsest, and then what is worth most for as long as there are vertices."""
    chosen = [ways[0] for ways in choices]
    steps = [
        (_worth(coarse, fine), number, step + 1)
        for number, ways in enumerate(choices)
        for step, (coarse, fine) in enumerate(pairwise(ways))
    ]
    left, stopped = budget - sum(one.vertices for one in chosen), set[int]()
    for _, number, step in sorted(steps, key=lambda one: (-one[0], one[1], one[2])):
        more = choices[number][step].vertices - chosen[number].vertices
        if number in stopped or more > left:
            stopped.add(number)  # its next steps would leave this one out
            continue
        chosen[number], left = choices[number][step], left - more
    return chosen
