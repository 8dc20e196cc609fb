"""One clip's pixels laid on another clip's grid: each target pixel takes the source pixel its centre lies in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.warp import transform as transform_points

from imagery.raster.clip import Clip

_EDGE = 1e-6
"""Pixels: a centre this near to an edge lies on it, and belongs to the pixel right of it or below."""

_ROWS_AT_ONCE = 256


def laid_on(values: NDArray[Any], source: Clip, target: Clip, *, fill: Any) -> NDArray[Any]:
    """`values`, shape (height, width) of the source's grid, on the target's; `fill` where the source does not reach."""
    if same_grid(source, target):
        return values.copy()
    height, width = target.inside.shape
    laid = np.full((height, width), fill, dtype=values.dtype)
    for start in range(0, height, _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, height)
        rows, columns = _pixels_under(source, target, start, stop)
        reached = (rows >= 0) & (rows < values.shape[0]) & (columns >= 0) & (columns < values.shape[1])
        laid[start:stop][reached] = values[rows[reached], columns[reached]]
    return laid


def same_grid(one: Clip, other: Clip) -> bool:
    """Whether every pixel of the one lies exactly on the pixel of the other at the same place in the array."""
    width = min(one.resolution + other.resolution)
    return (
        one.crs == other.crs
        and one.inside.shape == other.inside.shape
        and bool(np.allclose(tuple(one.transform)[:6], tuple(other.transform)[:6], rtol=0.0, atol=_EDGE * width))
    )


def _pixels_under(source: Clip, target: Clip, start: int, stop: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(rows, columns) of the source below the centres of the target's rows from `start` to `stop`."""
    rows, columns = np.mgrid[start:stop, 0 : target.inside.shape[1]] + 0.5
    x, y = target.transform * (columns, rows)
    if source.crs != target.crs:
        flat = transform_points(target.crs, source.crs, x.ravel(), y.ravel())
        x, y = (np.asarray(line, dtype=np.float64).reshape(rows.shape) for line in flat)
    # Beyond the other projection's world a point comes back infinite; it lies in no pixel.
    known = np.isfinite(x) & np.isfinite(y)
    columns, rows = ~source.transform * (np.where(known, x, 0.0), np.where(known, y, 0.0))
    found_rows = np.where(known, np.floor(rows + _EDGE), -1).astype(np.intp)
    found_columns = np.where(known, np.floor(columns + _EDGE), -1).astype(np.intp)
    return found_rows, found_columns
