"""A coarse picture of rasters that cover the same ground: one grid for all of them, out of few blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window, from_bounds
from rasterio.windows import bounds as bounds_of
from shapely.geometry import shape

from imagery.metering import Meter, meter_in_use
from imagery.raster.area import Geometry, to_crs
from imagery.raster.blocks import HEADER_BYTES, count_window
from imagery.raster.gdal import translated

SIDE = 512
"""Pixels a side of the picture, at most."""

MAX_CELLS = 4_000_000
"""Pixels that are read for it of one asset, at most; a whole tile at 10 m has 120 million."""

LARGEST_BLOCK = 1024
"""Pixels a side of a block; larger ones (a JPEG 2000 without tiles) are cut through."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Where the picture is taken."""

    window: tuple[int, int, int, int]
    """(col_off, row_off, width, height) in pixels of the first raster."""

    bounds: tuple[float, float, float, float]
    """(left, bottom, right, top) in `crs`."""

    crs: Any
    shape: tuple[int, int]
    """(height, width) of the picture."""

    step: int
    """Pixels of the first raster to one of the picture, along each axis."""

    overview: int
    """Decimation of the first raster's overview that it comes from; 1: none."""

    whole: bool
    """Whether the window is all of the first raster."""

    @classmethod
    def nothing(cls) -> View:
        """When there was nothing to look at."""
        return cls(window=(0, 0, 0, 0), bounds=(0, 0, 0, 0), crs=None, shape=(0, 0), step=1, overview=1, whole=False)


def choose_view(first: Any, rasters: Sequence[Any], near: Geometry | None) -> View | None:
    """All of `first` if each of the open `rasters` can show it cheaply, else blocks of it around `near`.

    None if it lies on no grid that runs north to south.
    """
    if not _is_upright(first):
        return None
    whole = Window(0, 0, first.width, first.height)
    is_cheap = all(_cells(src) <= MAX_CELLS for src in rasters)
    window = whole if is_cheap else _window_near(first, near)
    step = 1
    while max(window.width, window.height) > SIDE * step:
        step *= 2
    return View(
        window=(int(window.col_off), int(window.row_off), int(window.width), int(window.height)),
        bounds=bounds_of(window, first.transform),
        crs=first.crs,
        shape=(-(-int(window.height) // step), -(-int(window.width) // step)),
        step=step,
        overview=_overview(first, step),
        whole=window == whole,
    )


def read_coarsely(src: Any, view: View, *, href: str) -> tuple[NDArray[np.int64], int] | None:
    """The first band on the view's grid by nearest neighbour, and how many bytes that read (an estimate).

    Nodata becomes 0. None if the raster does not hold whole numbers or does not cover the view. Raises as
    `open_raster`.
    """
    if not _is_upright(src) or src.crs != view.crs or np.dtype(src.dtypes[0]).kind not in "iu":
        return None
    window = from_bounds(*view.bounds, src.transform)
    if not _covers(src, window, view):
        return None
    with translated(href):
        pixels = src.read(1, window=window, out_shape=view.shape).astype(np.int64)
    if src.nodata is not None:
        pixels[pixels == src.nodata] = 0
    step = window.width / view.shape[1]
    return pixels, _count(src, window, _overview(src, step))


def _is_upright(src: Any) -> bool:
    a, b, _, d, e, _ = tuple(src.transform)[:6]
    return src.crs is not None and b == 0 and d == 0 and a > 0 > e


def _overview(src: Any, step: float) -> int:
    """Of those GDAL may take for this decimation, the coarsest; 1 if there is none.

    A hundredth over is well within what GDAL allows itself: 5490 pixels on 344 is a step of 15.96.
    """
    return max([1, *(int(factor) for factor in src.overviews(1) if factor <= step * 1.01)])


def _cells(src: Any) -> int:
    """Pixels that are read to show all of it."""
    factor = _overview(src, max(1.0, max(src.width, src.height) / SIDE))
    return int(src.width // factor) * int(src.height // factor)


def _window_near(first: Any, near: Geometry | None) -> Window:
    """The block or blocks around the middle of `near`, SIDE pixels a side or a whole block."""
    column, row = _middle(first, near)
    height, width = first.block_shapes[0]
    column_off, across = _span(column, width, first.width)
    row_off, down = _span(row, height, first.height)
    return Window(column_off, row_off, across, down)


def _span(middle: float, block: int, length: int) -> tuple[int, int]:
    """(offset, size) along one axis: on the borders of blocks, so that none is read for a strip of it."""
    unit = block if block <= LARGEST_BLOCK else 1
    size = min(max(SIDE, unit), length)
    offset = int((middle - size / 2 + unit / 2) // unit) * unit
    offset = min(max(offset, 0), (max(length - 1, 0) // unit) * unit)
    if length - offset < size // 2:
        offset = max(0, offset - unit)
    return offset, min(size, length - offset)


def _middle(first: Any, near: Geometry | None) -> tuple[float, float]:
    """(column, row), inside the raster."""
    aoi = None if near is None else to_crs(near, first.crs)
    column, row = first.width / 2, first.height / 2
    if aoi is not None:
        centre = shape(aoi).centroid
        inverse = ~first.transform
        column = inverse.a * centre.x + inverse.c
        row = inverse.e * centre.y + inverse.f
    return min(max(column, 0.0), first.width - 1.0), min(max(row, 0.0), first.height - 1.0)


def _covers(src: Any, window: Window, view: View) -> bool:
    """Whether it does, but for a pixel of the picture at the edges."""
    slack_x, slack_y = window.width / view.shape[1], window.height / view.shape[0]
    return bool(
        window.col_off >= -slack_x
        and window.row_off >= -slack_y
        and window.col_off + window.width <= src.width + slack_x
        and window.row_off + window.height <= src.height + slack_y
    )


def _count(src: Any, window: Window, overview: int) -> int:
    if overview == 1:
        return count_window(src, window)
    # The sizes of an overview's blocks are not told: no more than what comes out of them, uncompressed.
    meter = meter_in_use() or Meter()
    pixels = int(window.width / overview) * int(window.height / overview)
    counted = meter.has_read(HEADER_BYTES, once=src.name)
    return counted + meter.has_read(pixels * np.dtype(src.dtypes[0]).itemsize)
