"""What a source says of its pixels, where an AOI's lie in it, and what is refused before any is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from imagery.errors import ClipTooLarge, RasterUnreadable
from imagery.raster.area import Geometry, pixels_beyond, pixels_of, to_crs, window_of
from imagery.raster.gdal import shown
from imagery.raster.grid import Grid
from imagery.raster.reading import Reading


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Place:
    """Where an AOI lies on a grid."""

    window: Any
    """rasterio Window on the whole grid."""

    grid: Grid
    """That window as a grid of its own."""

    inside: NDArray[np.bool_]
    """Shape (height, width): the pixels of the AOI."""

    aoi_pixels: int
    """Those, and the AOI's pixels beyond the grid."""


def place_of(grid: Grid, geometry: Geometry, *, bands: int, reading: Reading, href: str) -> Place | None:
    """None where the AOI does not reach the grid. Raises ClipTooLarge."""
    aoi = to_crs(geometry, grid.crs)
    window = None if aoi is None else window_of(grid, aoi)
    if aoi is None or window is None:
        return None
    refuse_too_large(window, bands=bands, max_pixels=reading.max_pixels, href=href)
    window, inside, by_touch = pixels_of(grid, aoi, window, all_touched=reading.all_touched)
    if not inside.any():
        return None
    beyond = pixels_beyond(grid, aoi, all_touched=reading.all_touched, tiny=by_touch)
    return Place(
        window=window,
        grid=grid.cut(window),
        inside=inside,
        aoi_pixels=int(np.count_nonzero(inside)) + beyond,
    )


def refuse_unusable(src: Any, href: str) -> None:
    """Raises RasterUnreadable for what cannot be laid over an AOI or told from no data."""
    if src.crs is None:
        raise RasterUnreadable(f"{shown(href)} names no coordinate reference system; it cannot be laid over an AOI")
    if src.transform.is_identity or src.transform.is_degenerate:
        raise RasterUnreadable(f"{shown(href)} has no usable geotransform; it cannot be laid over an AOI")
    if any(dtype.startswith("complex") for dtype in src.dtypes):
        raise RasterUnreadable(f"{shown(href)} holds complex numbers, which are not supported")
    if len(set(src.dtypes)) > 1:
        raise RasterUnreadable(f"{shown(href)} mixes pixel types ({', '.join(src.dtypes)}), which is not supported")


def refuse_too_large(window: Any, *, bands: int, max_pixels: int, href: str) -> None:
    """Raises ClipTooLarge."""
    cells = int(window.width) * int(window.height) * bands
    if cells > max_pixels:
        raise ClipTooLarge(
            f"the AOI's box is {int(window.width)} x {int(window.height)} pixels of {bands} band(s) "
            f"of {shown(href)}, {cells} in all; the limit is {max_pixels}. Make the AOI smaller, or split it (one "
            "across the antimeridian spans a worldwide raster from edge to edge)"
        )


def nodata_of(src: Any, fallback: float | None) -> tuple[int | float, bool]:
    """What stands for no data, and whether anybody said so."""
    dtype = np.dtype(src.dtypes[0])
    for value in (src.nodata, fallback):
        if value is None:
            continue
        if dtype.kind == "f":
            return float(value), True
        if float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
            return int(value), True
    return (0.0 if dtype.kind == "f" else 0), False


def hidden_in(pixels: Any, fallback: int | float | None) -> NDArray[np.bool_]:
    """Shape of `pixels`: what has no data by the file's own word (its mask), or is `fallback` or NaN."""
    hidden: NDArray[np.bool_] = np.ma.getmaskarray(pixels)
    if fallback is not None and not math.isnan(fallback):
        hidden = hidden | (pixels.data == fallback)
    if pixels.dtype.kind == "f":
        hidden = hidden | np.isnan(pixels.data)
    return hidden


def valid_in(hidden: NDArray[np.bool_], colorinterp: Sequence[ColorInterp]) -> NDArray[np.bool_]:
    """Shape (height, width): where any band has data."""
    # An alpha band has a value everywhere; it says where the others have one.
    data_bands = [index for index, meaning in enumerate(colorinterp) if meaning != ColorInterp.alpha]
    valid: NDArray[np.bool_] = np.logical_not(hidden[data_bands or slice(None)].all(axis=0))
    return valid
