"""An AOI on a raster's grid: its window, its pixels, and how much of it lies beyond the raster. No pixel is read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError, WindowError
from rasterio.features import geometry_mask, geometry_window
from rasterio.warp import transform_geom
from shapely import make_valid
from shapely import transform as transform_shape
from shapely.geometry import box, shape

from imagery.raster.gdal import unwarned

Geometry = Mapping[str, Any]
"""GeoJSON Polygon or MultiPolygon in EPSG:4326."""


def to_crs(geometry: Geometry, crs: Any) -> dict[str, Any] | None:
    """The AOI in the raster's CRS; None where that CRS does not reach it."""
    try:
        aoi: dict[str, Any] = transform_geom("EPSG:4326", crs, dict(geometry))
    except RasterioError:
        return None
    return aoi if np.isfinite(shape(aoi).bounds).all() else None


def window_of(src: Any, aoi: Geometry) -> Any | None:
    """The box of pixels around an AOI in the raster's CRS; None where it does not reach it."""
    try:
        window = geometry_window(src, [aoi])
    except WindowError:
        return None
    return window if window.width >= 1 and window.height >= 1 else None


def inside_of(aoi: Geometry, transform: Any, shape_: tuple[int, int]) -> NDArray[np.bool_]:
    """Shape (height, width): pixels whose centre is in the AOI, else those it touches."""
    by_centre, by_touch = (
        partial(geometry_mask, [aoi], shape_, transform, invert=True, all_touched=touched) for touched in (False, True)
    )
    inside: NDArray[np.bool_] = unwarned(by_centre)
    return inside if inside.any() else unwarned(by_touch)


def pixels_beyond(src: Any, aoi: Geometry) -> int:
    """How many pixels of the AOI would lie off the raster, by area: nothing of that size is made to count them."""
    inverse = ~src.transform

    def to_pixels(places: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = places.T
        columns = inverse.a * x + inverse.b * y + inverse.c
        rows = inverse.d * x + inverse.e * y + inverse.f
        return np.column_stack((columns, rows))

    outline = make_valid(transform_shape(shape(aoi), to_pixels))
    beyond = outline.area - outline.intersection(box(0, 0, src.width, src.height)).area
    return max(0, round(float(beyond)))
