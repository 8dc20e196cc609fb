"""Degree boxes as a flat index wants them: never over the antimeridian. Arithmetic only."""

from __future__ import annotations

Bbox = tuple[float, float, float, float]
"""(west, south, east, north) in degrees; west > east when it crosses the antimeridian."""


def parts_of(bbox: Bbox) -> tuple[Bbox, ...]:
    """The box itself, or its two halves when it crosses the antimeridian."""
    west, south, east, north = bbox
    if west <= east:
        return (bbox,)
    return ((west, south, 180.0, north), (-180.0, south, east, north))
