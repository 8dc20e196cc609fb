"""An AOI on a grid: its window, its pixels, and how much of it lies beyond the raster. No pixel is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio import windows
from rasterio.errors import RasterioError, WindowError
from rasterio.features import geometry_mask, geometry_window
from rasterio.warp import transform_geom
from rasterio.windows import Window
from shapely import make_valid
from shapely import transform as transform_shape
from shapely.geometry import box, shape

from imagery.raster.buffer import buffered
from imagery.raster.gdal import unwarned

__all__ = ["Geometry", "buffered", "longest_way", "pixels_beyond", "pixels_of", "to_crs", "window_of"]

Geometry = Mapping[str, Any]
"""GeoJSON Polygon or MultiPolygon in EPSG:4326."""

COUNTED_CELLS = 4_000_000
"""Up to this many the pixels of an AOI that reaches beyond the raster are counted; beyond it they are estimated."""


def to_crs(geometry: Geometry, crs: Any) -> dict[str, Any] | None:
    """The AOI in the raster's CRS; None where that CRS does not reach it."""
    try:
        aoi: dict[str, Any] = transform_geom("EPSG:4326", crs, dict(geometry))
    except RasterioError:
        return None
    return aoi if np.isfinite(shape(aoi).bounds).all() else None


def window_of(grid: Any, aoi: Geometry) -> Any | None:
    """The box of a grid's (or dataset's) pixels around an AOI in its CRS; None where it does not reach it."""
    try:
        window = geometry_window(grid, [aoi])
    except WindowError:
        return None
    return window if window.width >= 1 and window.height >= 1 else None


def longest_way(geometry: Geometry) -> float:
    """How far one line can run within an AOI at most, in units of the side of a square of the AOI's size."""
    outline = shape(geometry)
    shrunk = math.cos(math.radians((outline.bounds[1] + outline.bounds[3]) / 2))
    flat = transform_shape(outline, lambda places: places * np.array([shrunk, 1.0]))
    if not flat.area > 0:
        return 1.0
    left, bottom, right, top = flat.bounds
    return float(min(flat.length / 2, math.hypot(right - left, top - bottom)) / math.sqrt(flat.area))


def pixels_of(grid: Any, aoi: Geometry, window: Any, *, all_touched: bool) -> tuple[Any, NDArray[np.bool_], bool]:
    """(window, its pixels that are the AOI's, whether by touch), of the `window` that `window_of` gave.

    Shape (height, width): those whose centre is in the AOI; those it touches when it holds no centre at all, were the
    grid to go on without end; with `all_touched` those it touches at once, and the window holds every one of them.
    """
    if not all_touched:
        inside = _mask(aoi, grid, window, all_touched=False)
        if inside.any() or _holds_one_beyond(grid, aoi):
            return window, inside, False
        return window, _mask(aoi, grid, window, all_touched=True), True
    # An edge that runs along a pixel's touches the next one as well, by GDAL's word: that one may be off the window.
    wide = windows.intersection(_grown(window), Window(0, 0, grid.width, grid.height))
    touched = _mask(aoi, grid, wide, all_touched=True)
    rows, columns = (
        _span(np.any(touched, axis=axis), int(kept - start), int(length))
        for axis, kept, start, length in (
            (1, window.row_off, wide.row_off, window.height),
            (0, window.col_off, wide.col_off, window.width),
        )
    )
    found = Window(
        wide.col_off + columns.start, wide.row_off + rows.start, columns.stop - columns.start, rows.stop - rows.start
    )
    return found, touched[rows, columns], True


def pixels_beyond(grid: Any, aoi: Geometry, *, all_touched: bool, tiny: bool) -> int:
    """How many pixels of the AOI would lie off the raster, were its grid to go on.

    `tiny`: on the raster it holds no pixel's centre. If it holds none at all, it is those it touches.
    """
    endless = geometry_window(grid, [aoi], boundless=True)
    raster = Window(0, 0, grid.width, grid.height)
    if all_touched:
        endless = _grown(endless)
    elif _holds(raster, endless):
        return 0
    if endless.width * endless.height > COUNTED_CELLS:
        return _estimated_beyond(grid, aoi, all_touched=all_touched)
    counted = _mask(aoi, grid, endless, all_touched=all_touched)
    if tiny and not counted.any():
        counted = _mask(aoi, grid, endless, all_touched=True)
    rows, columns = (
        slice(*(min(max(0, int(edge - start)), int(length)) for edge in (0, end)))
        for start, length, end in (
            (endless.row_off, endless.height, grid.height),
            (endless.col_off, endless.width, grid.width),
        )
    )
    return int(np.count_nonzero(counted)) - int(np.count_nonzero(counted[rows, columns]))


def _holds_one_beyond(grid: Any, aoi: Geometry) -> bool:
    """Whether an AOI that holds no centre on the raster holds one beyond it, were the grid to go on."""
    endless = geometry_window(grid, [aoi], boundless=True)
    if _holds(Window(0, 0, grid.width, grid.height), endless):
        return False  # it would have been found
    if endless.width * endless.height > COUNTED_CELLS:
        return _estimated_beyond(grid, aoi, all_touched=False) > 0
    return bool(_mask(aoi, grid, endless, all_touched=False).any())


def _mask(aoi: Geometry, grid: Any, window: Any, *, all_touched: bool) -> NDArray[np.bool_]:
    shape_ = (int(window.height), int(window.width))
    transform = windows.transform(window, grid.transform)
    call = partial(geometry_mask, [aoi], shape_, transform, invert=True, all_touched=all_touched)
    mask: NDArray[np.bool_] = unwarned(call)
    return mask


def _grown(window: Any) -> Any:
    return Window(window.col_off - 1, window.row_off - 1, window.width + 2, window.height + 2)


def _holds(outer: Any, inner: Any) -> bool:
    return bool(
        outer.col_off <= inner.col_off
        and outer.row_off <= inner.row_off
        and inner.col_off + inner.width <= outer.col_off + outer.width
        and inner.row_off + inner.height <= outer.row_off + outer.height
    )


def _span(occupied: Any, start: int, length: int) -> slice:
    """From `start` over `length` at least, and over all that is occupied."""
    places = np.flatnonzero(occupied)
    if not places.size:
        return slice(start, start + length)
    return slice(min(start, int(places[0])), max(start + length, int(places[-1]) + 1))


def _estimated_beyond(grid: Any, aoi: Geometry, *, all_touched: bool) -> int:
    """By area: nothing of that size is made to count them."""
    inverse = ~grid.transform

    def to_pixels(places: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = places.T
        columns = inverse.a * x + inverse.b * y + inverse.c
        rows = inverse.d * x + inverse.e * y + inverse.f
        return np.column_stack((columns, rows))

    outline = make_valid(transform_shape(shape(aoi), to_pixels))
    beyond = outline.difference(box(0, 0, grid.width, grid.height))
    cells = float(beyond.area)
    if all_touched:
        # A line crosses a pixel's edge once a column and once a row; half of what it enters has its centre outside.
        cells += _steps(outline.boundary.difference(box(0, 0, grid.width, grid.height))) / 2
    return max(0, round(cells))


def _steps(lines: Any) -> float:
    """How far lines go across and down, in all."""
    pieces = getattr(lines, "geoms", (lines,))
    steps = (np.abs(np.diff(np.asarray(piece.coords), axis=0)).sum() for piece in pieces if not piece.is_empty)
    return math.fsum(float(step) for step in steps)
