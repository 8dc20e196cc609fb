"""Boxes and geometries on the globe: read from GeoJSON, split where they cross the antimeridian."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import shapely
import shapely.geometry
from shapely.validation import explain_validity

from imagery.errors import FilterInvalid

Box = tuple[float, float, float, float]
"""(west, south, east, north) in degrees; west <= east."""

_EDGE = 1e-9
"""Degrees: how far off ±180 a coordinate still lies on the antimeridian."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much outline is taken from somebody. The cost of checking and comparing grows with the square of it."""

    vertices: int
    """In one geometry."""

    vertices_of_lines: int
    """In one that holds lines, or is a collection: those may cross themselves, at a place for each pair of edges."""

    vertices_crossing: int
    """In one that crosses itself: mending it finds all places where it does."""

    vertices_together: int
    """In all geometries of one request."""


SENT = Limits(vertices=10_000, vertices_of_lines=1_000, vertices_crossing=300, vertices_together=100_000)
"""Items that callers write."""

SEARCHED = Limits(vertices=10_000, vertices_of_lines=1_000, vertices_crossing=300, vertices_together=10_000)
PUBLISHED = Limits(
    vertices=100_000, vertices_of_lines=100_000, vertices_crossing=100_000, vertices_together=100_000_000
)
"""Our own footprints, which follow pixels; nobody chooses them for their cost."""

_UNREADABLE = (
    shapely.errors.ShapelyError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RecursionError,
)


def boxes_of(bbox: Sequence[float]) -> tuple[Box, ...]:
    """A 2D or 3D bbox as one box, or as two where west > east. Raises FilterInvalid."""
    numbers = [float(value) for value in bbox]
    if len(numbers) not in (4, 6) or not all(map(math.isfinite, numbers)):
        raise FilterInvalid("bbox: send 4 or 6 numbers: west,south,east,north", field="/bbox")
    west, south, east, north = numbers if len(numbers) == 4 else (*numbers[:2], *numbers[3:5])
    if max(abs(west), abs(east)) > 180 or max(abs(south), abs(north)) > 90:
        raise FilterInvalid("bbox: longitudes lie in ±180 and latitudes in ±90 degrees", field="/bbox")
    if south > north:
        raise FilterInvalid("bbox: its south lies above its north", field="/bbox")
    if west <= east:
        return ((west, south, east, north),)
    return (west, south, 180.0, north), (-180.0, south, east, north)


def box_geometry(boxes: Sequence[Box]) -> Any:
    """The shape of some boxes."""
    return shapely.union_all([shapely.box(*box) for box in boxes])


def parse_geometry(geojson: object, limits: Limits) -> Any:
    """A valid shapely geometry in 2D of a GeoJSON geometry or Feature.

    Self-intersections are mended where that is cheap. Raises ValueError for what is no geometry, empty, off the globe,
    or beyond the limits.
    """
    if isinstance(geojson, dict) and geojson.get("type") == "Feature":
        geojson = geojson.get("geometry")
    try:
        shape = shapely.force_2d(shapely.geometry.shape(geojson))
        if shape.is_empty or not math.isfinite(sum(shape.bounds)):
            raise ValueError("it is empty, or has a coordinate that is no number")
        _refuse_large(shape, limits)
        shape = shape if shape.is_valid else _mended(shape, limits)
    except _UNREADABLE as error:
        raise ValueError(f"not a usable GeoJSON geometry: {error}") from error
    west, south, east, north = shape.bounds
    if west < -180 - _EDGE or east > 180 + _EDGE or south < -90 - _EDGE or north > 90 + _EDGE:
        raise ValueError("it leaves ±180 degrees of longitude or ±90 of latitude; split it at the antimeridian")
    return shape


def _refuse_large(shape: Any, limits: Limits) -> None:
    flat = shape.geom_type.removeprefix("Multi") in ("Point", "Polygon")
    most = limits.vertices if flat else limits.vertices_of_lines
    if shapely.get_num_coordinates(shape) > most:
        what = "vertices" if flat else "vertices, too many for lines or a collection"
        raise ValueError(f"it has more than {most} {what}; simplify it")
    if not flat and shapely.get_num_coordinates(shape) > limits.vertices_crossing and not shape.is_simple:
        raise ValueError(f"its lines cross themselves, and have more than {limits.vertices_crossing} vertices")


def _mended(shape: Any, limits: Limits) -> Any:
    if shapely.get_num_coordinates(shape) > limits.vertices_crossing:
        raise ValueError(
            f"{explain_validity(shape)}: mend it there; only geometries of at most {limits.vertices_crossing} vertices "
            "are mended here"
        )
    # The other method takes seconds for a few hundred vertices.
    return shapely.make_valid(shape, method="structure")


def search_geometry(geojson: object, *, field: str) -> Any:
    """As `parse_geometry`, for a searcher. Raises FilterInvalid."""
    try:
        return parse_geometry(geojson, SEARCHED)
    except ValueError as error:
        raise FilterInvalid(f"{field.strip('/')}: {error}", field=field) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """An item's outline as the catalog keeps it."""

    wkb: bytes
    bbox: tuple[float, float, float, float]
    """(west, south, east, north) in degrees; west > east when it crosses the antimeridian."""

    boxes: tuple[Box, ...]
    """One, or one on each side of the antimeridian."""

    vertices: int


def footprint_of(geojson: object, limits: Limits) -> Footprint:
    """Raises ValueError."""
    shape = parse_geometry(geojson, limits)
    boxes = boxes_around(shape)
    east = boxes[-1][2]
    bbox = (boxes[0][0], min(b[1] for b in boxes), east, max(b[3] for b in boxes))
    vertices = int(shapely.get_num_coordinates(shape))
    return Footprint(wkb=shapely.to_wkb(shape), bbox=bbox, boxes=boxes, vertices=vertices)


def boxes_around(shape: Any) -> tuple[Box, ...]:
    """One box, or (eastern hemisphere's, western hemisphere's) of a shape that RFC 7946 split at the antimeridian."""
    parts = [part.bounds for part in shapely.get_parts(shape)] if hasattr(shape, "geoms") else []
    eastern = [box for box in parts if box[0] >= 0]
    western = [box for box in parts if box[2] <= 0]
    meets = max((b[2] for b in eastern), default=0) >= 180 - _EDGE and (
        min((b[0] for b in western), default=0) <= -180 + _EDGE
    )
    if meets and len(eastern) + len(western) == len(parts):
        return _around(eastern), _around(western)
    return (tuple(shape.bounds),)


def _around(boxes: Sequence[Box]) -> Box:
    west, south, east, north = zip(*boxes, strict=True)
    return min(west), min(south), max(east), max(north)
