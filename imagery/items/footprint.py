"""The box around a footprint: RFC 7946, so west > east where it crosses the antimeridian."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imagery.errors import ItemInvalid
from imagery.items.checks import is_within

BBox = tuple[float, float, float, float]

_LONGITUDE = is_within(-180, 180)
_LATITUDE = is_within(-90, 90)


def bbox_of(geometry: Mapping[str, Any]) -> BBox:
    """(west, south, east, north), degrees, of a GeoJSON Polygon or MultiPolygon that is split at the antimeridian.

    Raises ItemInvalid on other geometries, and on positions that are not on the globe.
    """
    boxes = [_flat_box(polygon) for polygon in _polygons(geometry)]
    south, north = min(box[1] for box in boxes), max(box[3] for box in boxes)
    west, east = _span([(box[0], box[2]) for box in boxes])
    return west, south, east, north


def _span(spans: Sequence[tuple[float, float]]) -> tuple[float, float]:
    west, east = min(span[0] for span in spans), max(span[1] for span in spans)
    if not (west == -180 and east == 180):
        return west, east
    # Parts lie against both sides of the antimeridian: leave out the widest stretch without any.
    reach, gap = -180.0, (0.0, west, east)
    for start, end in sorted(spans):
        gap = max(gap, (start - reach, start, reach))
        reach = max(reach, end)
    width, after, before = gap
    return (after, before) if width > 0 else (west, east)


def _polygons(geometry: Mapping[str, Any]) -> Iterator[Any]:
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon") or not isinstance(coordinates, Sequence) or not coordinates:
        raise ItemInvalid(f"a footprint is a Polygon or a MultiPolygon, not {kind!r}", field="/geometry")
    if kind == "Polygon":
        yield coordinates
    else:
        yield from coordinates


def _flat_box(polygon: Any) -> BBox:
    try:
        positions = [(float(position[0]), float(position[1])) for position in polygon[0]]
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise ItemInvalid(f"a footprint's ring is not a list of positions: {error}", field="/geometry") from error
    if not positions or not all(_LONGITUDE(x) and _LATITUDE(y) for x, y in positions):
        raise ItemInvalid("a footprint lies within ±180 and ±90 degrees; split it there", field="/geometry")
    xs, ys = zip(*positions, strict=True)
    return min(xs), min(ys), max(xs), max(ys)
