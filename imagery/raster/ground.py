"""What a pixel measures on the ground: a CRS's own units are not always metres, nor its metres always true."""

from __future__ import annotations

import math
from typing import Any

from rasterio.errors import RasterioError
from rasterio.warp import transform

from imagery.raster.clip import Clip

TOLERANCE = 0.02
"""By how much a nominal size may be off. UTM and national grids stay below 0.002; world Mercator passes it at 11°."""

_EARTH_RADIUS_M = 6_371_008.8


def ground_resolution_m(clip: Clip) -> float | None:
    """Width of a pixel in metres, by the CRS's unit.

    None for degrees, and where a pixel is not its nominal size at the middle of the clip: on Mercator's world map one
    of 10 m is 7 m wide in Slovenia.
    """
    if not clip.crs.is_projected:
        return None
    try:
        unit_m = float(clip.crs.linear_units_factor[1])
        sides = [(nominal * unit_m, _measured_m(clip, *step)) for nominal, step in _sides(clip)]
    except RasterioError:
        return None
    true = all(math.isfinite(real) and abs(real / nominal - 1) <= TOLERANCE for nominal, real in sides)
    return sides[0][0] if true else None


def _sides(clip: Clip) -> list[tuple[float, tuple[float, float]]]:
    """(length, direction) of a pixel's width and height, in units of the CRS."""
    width, height = clip.resolution
    return [(width, (clip.transform.a, clip.transform.d)), (height, (clip.transform.b, clip.transform.e))]


def _measured_m(clip: Clip, x_step: float, y_step: float) -> float:
    """Length of one step from the middle of the clip, over the sphere: right to half a percent."""
    left, bottom, right, top = clip.bounds
    x, y = (left + right) / 2, (bottom + top) / 2
    places: Any = transform(clip.crs, "EPSG:4326", [x, x + x_step], [y, y + y_step])
    (west, east), (south, north) = ([math.radians(degrees) for degrees in axis] for axis in places[:2])
    haversine = (
        math.sin((north - south) / 2) ** 2 + math.cos(south) * math.cos(north) * math.sin((east - west) / 2) ** 2
    )
    return 2 * _EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(haversine)))
