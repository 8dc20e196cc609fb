"""One outline around the areas of an order, with no more vertices than Planet takes. Never smaller than they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import shapely
from shapely.geometry import MultiPolygon, Polygon, mapping, shape
from shapely.geometry.base import BaseGeometry

MAX_VERTICES = 1500
"""Of a clip tool's AOI; more are refused (docs.planet.com, Orders API tools)."""

_FINEST = 1e-6
"""Degrees (a tenth of a metre): where simplifying begins, doubling until it is enough."""


def clip_aoi(geometries: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], str | None]:
    """GeoJSON Polygon or MultiPolygon (EPSG:4326) that holds all of these; and what was done to it, for a person."""
    return simplified(mapping(shapely.union_all([shape(dict(one)) for one in geometries])))


def simplified(geometry: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Simplified outward until Planet takes it: every point of the area stays inside."""
    outline = shape(dict(geometry))
    before = _vertices(outline)
    if before <= MAX_VERTICES:
        return _geojson(outline), None
    tolerance = _FINEST
    coarse = outline
    while _vertices(coarse) > MAX_VERTICES and tolerance < 1.0:
        coarse = _outward(outline, tolerance)
        tolerance *= 2.0
    if _vertices(coarse) > MAX_VERTICES:
        coarse = shapely.union_all([part.envelope for part in shapely.get_parts(outline)])
    if _vertices(coarse) > MAX_VERTICES:
        coarse = outline.convex_hull if _vertices(outline.convex_hull) <= MAX_VERTICES else outline.envelope
    remark = f"the area ordered was simplified outward from {before} to {_vertices(coarse)} vertices; clips are exact"
    return _geojson(coarse), remark


def _outward(outline: BaseGeometry, tolerance: float) -> BaseGeometry:
    """Grown by the tolerance and simplified by less, so that no part of the area is lost; small holes close."""
    grown = outline.buffer(tolerance, quad_segs=1, join_style="mitre", mitre_limit=2.0)
    coarse = grown.simplify(tolerance * 0.5)
    return coarse if coarse.covers(outline) else shapely.union(coarse, outline).envelope


def _vertices(outline: BaseGeometry) -> int:
    return int(shapely.get_num_coordinates(outline))


def _geojson(outline: BaseGeometry) -> dict[str, Any]:
    parts = [part for part in shapely.get_parts(outline) if isinstance(part, Polygon) and part.area > 0]
    oriented = [shapely.geometry.polygon.orient(part) for part in parts]
    whole = mapping(oriented[0] if len(oriented) == 1 else MultiPolygon(oriented))
    return {"type": whole["type"], "coordinates": shapely.geometry.mapping(shape(whole))["coordinates"]}
