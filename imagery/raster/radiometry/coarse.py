"""A coarse picture of rasters that cover the same ground: one grid for all of them, out of few blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window, from_bounds
from rasterio.windows import bounds as bounds_of

from imagery.metering import Meter, meter_in_use
from imagery.raster.blocks import HEADER_BYTES, count_window
from imagery.raster.gdal import translated

SIDE = 512
"""Pixels a side of the picture, at most."""

MAX_CELLS = 4_000_000
"""Pixels that are read for it of one asset, at most; a whole tile at 10 m has 120 million."""

_PLACES = ((0.5, 0.5), (0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
"""Fractions of width and height: the middle, then the middles of the four quarters."""

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


def choose_views(first: Any, rasters: Sequence[Any]) -> Iterator[View]:
    """All of `first` if each of the open `rasters` can show it cheaply, else its middle, then those of its quarters.

    The places are the scene's own: what is seen does not depend on who asks. Nothing if it lies on no grid that
    runs north to south.
    """
    if not _is_upright(first):
        return
    if all(_cells(src) <= MAX_CELLS for src in rasters):
        yield _view(first, Window(0, 0, first.width, first.height))
        return
    seen: set[tuple[int, int]] = set()
    for across, down in _PLACES:
        height, width = first.block_shapes[0]
        column, columns = span(across * first.width, width, first.width)
        row, rows = span(down * first.height, height, first.height)
        if (column, row) not in seen:
            seen.add((column, row))
            yield _view(first, Window(column, row, columns, rows))


def _view(first: Any, window: Window) -> View:
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
        whole=(window.width, window.height) == (first.width, first.height),
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


def span(middle: float, block: int, length: int) -> tuple[int, int]:
    """(offset, size) along one axis around `middle`, about SIDE: on the borders of blocks, so that none is read for a
    strip of it. The last block of a raster may be a strip itself: then with the one before it.
    """
    unit = block if block <= LARGEST_BLOCK else 1
    count, total = -(-SIDE // unit), -(-length // unit)
    first = int(middle / unit - (count - 1) / 2)
    first = min(max(first, 0), max(total - count, 0))
    if first > 0 and length - first * unit < SIDE // 2:
        first -= 1
        count += 1
    return first * unit, min(count * unit, length - first * unit)


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
