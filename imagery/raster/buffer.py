"""An AOI grown or shrunk by metres on the ground, wherever it lies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.warp import transform
from shapely import get_num_coordinates, make_valid, segmentize, union_all
from shapely import transform as transform_shape
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Point, Polygon, box, mapping, shape
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from imagery.errors import AoiInvalid

MAX_REACH_M = 1_000_000
"""From the middle of a part to its farthest vertex: beyond it distances around the edge are half a percent off."""

MAX_VERTICES = 20_000
"""Of what is made."""

TOLERANCE = 0.002
"""Of the distance: by how much an edge may stray on its way into the plane and back."""

_QUARTER_SEGMENTS = 12
"""Of a round join: the chord is 0.2 percent of the distance inside its arc."""

SMOOTHED_VERTICES = 500
"""Outlines of more corners are buffered in steps."""

_STEPS = (1 / 128, 1 / 32, 1 / 8, 1 / 2, 1.0)
"""Shares of the distance reached."""

_EARTH_RADIUS_M = 6_371_008.8
_METRES_A_DEGREE = 111_000.0
_NO_WIDTH = 1e-9
"""Degrees (a tenth of a millimetre)."""


def buffered(geometry: Mapping[str, Any], metres: float) -> dict[str, Any] | None:
    """The AOI grown by `metres`, its corners rounded; shrunk by less than 0, and None if nothing is left of it.

    GeoJSON Polygon or MultiPolygon in EPSG:4326 in and out, RFC 7946 winding, split at the antimeridian. True to a
    percent of `metres` everywhere but at the poles.

    Raises AoiInvalid where it would hold a pole or more than MAX_VERTICES, and for a part that reaches over a thousand
    kilometres from its middle.
    """
    if metres == 0:
        return dict(geometry)
    if not math.isfinite(metres):
        raise AoiInvalid("the buffer must be a finite number of metres")
    pieces = [piece for part in _joined(shape(geometry)) for piece in _buffered_part(part, metres)]
    if not pieces:
        return None
    # Parts that grew into one another, on either side of the antimeridian too, are one.
    whole = _polygons(union_all([turned for piece in pieces for turned in _split(piece)]))
    vertices = sum(int(get_num_coordinates(part)) for part in whole)
    if vertices > MAX_VERTICES:
        raise AoiInvalid(
            f"with a buffer of {metres:g} m the area has {vertices} vertices and the limit is {MAX_VERTICES}; simplify "
            "its outline, or buffer it less"
        )
    parts = [orient(part) for part in whole]
    found = mapping(parts[0] if len(parts) == 1 else MultiPolygon(parts))
    return {"type": found["type"], "coordinates": _lists(found["coordinates"])}


def _joined(outline: BaseGeometry) -> list[Polygon]:
    """The parts, each in one piece, whose longitudes may pass 180: halves that meet at the antimeridian are joined."""
    parts = _polygons(outline if outline.is_valid else make_valid(outline))
    west, east = (
        any(abs(part.bounds[side] - edge) <= _NO_WIDTH for part in parts) for side, edge in ((0, -180), (2, 180))
    )
    if not (west and east):
        return parts
    return _polygons(union_all([translate(part, 360) if part.bounds[2] <= 0 else part for part in parts]))


def _buffered_part(part: Polygon, metres: float) -> list[Polygon]:
    """Buffered in a plane around its own middle, where lengths from there are true and the others nearly so."""
    west, south, east, north = part.bounds
    longitude, latitude = (west + east) / 2, (south + north) / 2
    plane = f"+proj=aeqd +lat_0={latitude!r} +lon_0={longitude!r} +datum=WGS84 +units=m"
    if east - west >= 180:
        raise _too_wide()
    steepest = min(89.0, max(abs(south), abs(north)))
    flat = transform_shape(_densified(part, _step_m(metres, steepest) / _METRES_A_DEGREE), _mapper("EPSG:4326", plane))
    if not np.isfinite(flat.bounds).all() or _reach_m(flat) + max(0.0, metres) > MAX_REACH_M:
        raise _too_wide()
    flat = flat if flat.is_valid else make_valid(flat)
    found = _polygons(_in_steps(flat, metres))
    _refuse_poles(found, plane, latitude)
    back = _mapper(plane, "EPSG:4326", around=longitude)
    tolerance = TOLERANCE * abs(metres) / _METRES_A_DEGREE
    turned = [transform_shape(_densified(piece, _step_m(metres, steepest)), back) for piece in found]
    return [simpler for piece in turned for simpler in _polygons(_mended(piece).simplify(tolerance))]


def _in_steps(flat: BaseGeometry, metres: float) -> BaseGeometry:
    """Many-cornered outlines a little at a time, which smooths them for the rest: at once it could take minutes."""
    done = 0.0
    for share in _STEPS if get_num_coordinates(flat) > SMOOTHED_VERTICES else (1.0,):
        flat = flat.buffer(metres * share - done, quad_segs=_QUARTER_SEGMENTS)
        flat = flat.simplify(TOLERANCE * abs(metres * share - done))
        done = metres * share
    return flat


def _step_m(metres: float, latitude: float) -> float:
    """How long an edge may be: a straight one in longitude and latitude is a curve in the plane, and the other way."""
    # The sagitta of a parallel's arc of length L is L² tan(latitude) / 8R.
    sagitta = max(0.01, TOLERANCE * abs(metres))
    return math.sqrt(8 * _EARTH_RADIUS_M * sagitta / max(0.05, math.tan(math.radians(latitude))))


def _densified(part: Polygon, step: float) -> Polygon:
    """No edge longer than `step`, as far as the limit of vertices allows."""
    least = float(part.length) / MAX_VERTICES
    return segmentize(part, max(step, least))


def _mapper(source: str, target: str, *, around: float | None = None) -> Any:
    """Positions from one CRS into the other; longitudes within 180 degrees of `around`."""

    def mapped(places: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = (np.asarray(axis) for axis in transform(source, target, places[:, 0], places[:, 1])[:2])
        if around is not None:
            x = x - 360 * np.round((x - around) / 360)
        return np.column_stack((x, y))

    return mapped


def _reach_m(flat: BaseGeometry) -> float:
    left, bottom, right, top = flat.bounds
    return math.hypot(max(-left, right), max(-bottom, top))


def _refuse_poles(found: Sequence[Polygon], plane: str, latitude: float) -> None:
    """In longitude and latitude an outline that holds a pole, or touches it, cannot be drawn."""
    pole = math.copysign(90.0, latitude)
    x, y = (axis[0] for axis in transform("EPSG:4326", plane, [0.0], [pole])[:2])
    if any(piece.distance(Point(x, y)) < 1 for piece in found):
        raise AoiInvalid(
            f"with its buffer the area would reach the {'north' if pole > 0 else 'south'} pole; buffer it less, or "
            "send the part of it that is wanted"
        )


def _too_wide() -> AoiInvalid:
    return AoiInvalid(
        f"a part of the area reaches further than {MAX_REACH_M / 1000:,.0f} km from its middle, too far for a true "
        "buffer; split it, or leave the buffer out"
    )


def _split(piece: Polygon) -> list[Polygon]:
    """Within -180 to 180, each part on one side of the antimeridian (RFC 7946, 3.1.9)."""
    west, _, east, _ = piece.bounds
    if west >= -180 and east <= 180:
        return [piece]
    return [
        translate(part, -360 * turns)
        for turns in (-1, 0, 1)
        for part in _polygons(piece.intersection(box(360 * turns - 180, -90, 360 * turns + 180, 90)))
        if part.bounds[2] - part.bounds[0] > _NO_WIDTH
    ]


def _mended(geometry: BaseGeometry) -> BaseGeometry:
    return geometry if geometry.is_valid else make_valid(geometry)


def _polygons(geometry: BaseGeometry) -> list[Polygon]:
    pieces: Iterable[BaseGeometry] = getattr(geometry, "geoms", (geometry,))
    found: list[Polygon] = []
    for piece in pieces:
        if isinstance(piece, Polygon):
            found += [] if piece.is_empty else [piece]
        elif hasattr(piece, "geoms"):
            found += _polygons(piece)
    return found


def _lists(coordinates: Any) -> Any:
    if isinstance(coordinates[0], float):
        return [float(value) for value in coordinates]
    return [_lists(each) for each in coordinates]
