"""A subscriber's area: parsed from GeoJSON, mended where harmless, refused with the place named where not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Aoi:
    """An area on the ground."""

    geometry: dict[str, object]
    """GeoJSON Polygon or MultiPolygon, longitude/latitude (EPSG:4326), RFC 7946 winding, split at the antimeridian."""

    bbox: tuple[float, float, float, float]
    """(west, south, east, north) in degrees; west > east when it crosses the antimeridian."""

    area_km2: float
    """On the WGS 84 ellipsoid."""
