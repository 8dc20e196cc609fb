"""One outline around the areas of an order, with no more vertices than Planet takes. Never smaller than they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import shapely
from shapely.geometry import MultiPolygon, Polygon, box, mapping, shape
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from imagery.providers.planet.outlines import by_parts, outward, vertices_of

MAX_VERTICES = 1500
"""Of a clip tool's AOI; more are refused (docs.planet.com, Orders API tools)."""

_FINEST = 1e-6
"""Degrees (a tenth of a metre): where simplifying begins, doubling until it is enough."""

_COARSEST = 0.1
"""Degrees (ten kilometres): where it ends, and a box around the area has to do."""

_HALVES = (box(-180.0, -90.0, 0.0, 90.0), box(0.0, -90.0, 180.0, 90.0))


def clip_aoi(geometries: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], str | None]:
    """GeoJSON Polygon or MultiPolygon (EPSG:4326) that holds all of these; and what was done to it, for a person."""
    return simplified(mapping(shapely.union_all([_outline(one) for one in geometries])))


def simplified(geometry: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Simplified outward until Planet takes it: every point of the area stays inside."""
    outline = _outline(geometry)
    before = vertices_of(outline)
    if before <= MAX_VERTICES:
        return _geojson(outline), None
    coarse = min(
        (one for one in _coarser(outline) if vertices_of(one) <= MAX_VERTICES), key=lambda one: float(one.area)
    )
    remark = f"the area ordered was simplified outward from {before} to {vertices_of(coarse)} vertices; clips are exact"
    return _geojson(coarse), remark


def _coarser(outline: BaseGeometry) -> Iterator[BaseGeometry]:
    """Outlines that hold it, the last of which has few vertices: what is ordered is paid for, so the smallest wins."""
    tolerance = _FINEST
    while tolerance < _COARSEST:
        coarse = outward(outline, tolerance)
        if vertices_of(coarse) <= MAX_VERTICES and coarse.covers(outline):
            yield coarse
            break
        tolerance *= 2.0
    yield from (coarse for coarse in by_parts(outline, most=MAX_VERTICES) if coarse.covers(outline))
    halves = [outline.intersection(half) for half in _HALVES]  # an area over the antimeridian is far apart in degrees
    parts = [half for half in halves if not half.is_empty]
    for whole in ([outline], parts):
        yield from (shapely.union_all([one.convex_hull for one in whole]), _boxes(whole))


def _boxes(parts: Sequence[BaseGeometry]) -> BaseGeometry:
    return shapely.union_all([box(*part.bounds) for part in parts])


def _outline(geometry: Mapping[str, Any]) -> BaseGeometry:
    found = shape(dict(geometry))
    return found if found.is_valid else shapely.make_valid(found)


def _geojson(outline: BaseGeometry) -> dict[str, Any]:
    polygons = [part for part in shapely.get_parts(outline, return_index=False) if part.area > 0]
    oriented = [orient(part) for part in polygons if isinstance(part, Polygon)]
    whole = oriented[0] if len(oriented) == 1 else MultiPolygon(oriented)
    return dict(json.loads(shapely.to_geojson(whole)))
