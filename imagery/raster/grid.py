"""The grid that pixels are wanted on, and what a source holds on it: its own pixels, or those laid anew."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio import windows
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.enums import Resampling as Kernel
from rasterio.errors import RasterioError, WindowError
from rasterio.transform import Affine, array_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from imagery.errors import RasterUnreadable
from imagery.model.processing import Resampling
from imagery.raster.gdal import shown

_CUBIC_REACH = 2.0
"""Pixels of the coarser grid; no kernel reaches further."""

ALIGNED = 1e-6
"""Pixels by which two grids may be apart and be one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A raster without its values."""

    crs: Any
    transform: Any
    """affine.Affine of the upper left pixel corner, in `crs`."""

    width: int
    height: int

    def cut(self, window: Any) -> Grid:
        """The grid of a window of this one."""
        return Grid(
            crs=self.crs,
            transform=windows.transform(window, self.transform),
            width=int(window.width),
            height=int(window.height),
        )


def own_grid(src: Any) -> Grid:
    return Grid(crs=src.crs, transform=src.transform, width=src.width, height=src.height)


def grid_of(src: Any, resolution_m: float | None, *, href: str) -> Grid:
    """Pixels of `resolution_m` from the raster's upper left corner on, so that assets of one tile fall on one grid.

    The last row and column may reach over the raster's edge. Metres are those of the CRS: on Mercator's world map they
    are shorter on the ground. None, and the raster's own resolution, give its own grid.

    Raises RasterUnreadable where the CRS counts in degrees.
    """
    grid = own_grid(src)
    if resolution_m is None:
        return grid
    size = resolution_m / _unit_m(src.crs, href)
    across = size / math.hypot(grid.transform.a, grid.transform.d)
    down = size / math.hypot(grid.transform.b, grid.transform.e)
    if abs(across - 1) * grid.width <= ALIGNED and abs(down - 1) * grid.height <= ALIGNED:
        return grid
    return Grid(
        crs=grid.crs,
        transform=grid.transform * Affine.scale(across, down),
        width=max(1, math.ceil(grid.width / across - ALIGNED)),
        height=max(1, math.ceil(grid.height / down - ALIGNED)),
    )


def _unit_m(crs: Any, href: str) -> float:
    try:
        unit_m = float(crs.linear_units_factor[1]) if crs.is_projected else None
    except RasterioError:
        unit_m = None
    if not unit_m:
        raise RasterUnreadable(
            f"{shown(href)} counts in degrees, so it cannot be laid on a grid of metres; leave the resolution out"
        )
    return unit_m


def is_aligned(src: Any, grid: Grid) -> bool:
    """Whether the source's pixels are pixels of the grid, which may begin elsewhere."""
    if src.crs != grid.crs:
        return False
    between = ~grid.transform * src.transform
    turned = abs(between.a - 1) * src.width + abs(between.e - 1) * src.height
    turned += abs(between.b) * src.height + abs(between.d) * src.width
    off = abs(between.c - round(between.c)) + abs(between.f - round(between.f))
    return bool(turned + off <= ALIGNED)


def source_window(src: Any, target: Grid) -> Any | None:
    """The whole pixels of the source under a grid; None where it holds none of it."""
    bounds = array_bounds(target.height, target.width, target.transform)
    try:
        if src.crs != target.crs:
            bounds = transform_bounds(target.crs, src.crs, *bounds)
        if not np.isfinite(bounds).all():
            return None
        left, bottom, right, top = bounds
        corners = [~src.transform * corner for corner in ((left, top), (left, bottom), (right, top), (right, bottom))]
        columns, rows = zip(*corners, strict=True)
        start = (math.floor(min(columns) + ALIGNED), math.floor(min(rows) + ALIGNED))
        stop = (math.ceil(max(columns) - ALIGNED), math.ceil(max(rows) - ALIGNED))
        box = Window(start[0], start[1], max(0, stop[0] - start[0]), max(0, stop[1] - start[1]))
        found = windows.intersection(box, Window(0, 0, src.width, src.height))
    except (RasterioError, WindowError):
        return None
    return found if found.width >= 1 and found.height >= 1 else None


def read_onto(src: Any, target: Grid, *, nodata: float | None, resampling: Resampling) -> Any:
    """The source on the grid: a masked array of its dtype, shape (bands, height, width).

    `nodata` is what stands for no data, by the file's word or the caller's; None where nobody said. It takes no part in
    any kernel, nor does what a mask or an alpha band hides.
    """
    with WarpedVRT(
        src,
        crs=target.crs,
        transform=target.transform,
        width=target.width,
        height=target.height,
        resampling=Kernel[resampling.value],
        **_hidden(src, nodata),
        **_scale(src, target),
    ) as warped:
        return warped.read(indexes=src.indexes, masked=True)


def reach_of(src: Any, target: Grid, under: Any) -> float:
    """How many of the source's pixels a kernel reaches at most around a pixel of the target; `under`: source_window."""
    ours, theirs = target.transform, src.transform
    coarser = max(1.0, under.width / target.width, under.height / target.height)
    if src.crs == target.crs or (src.crs.is_projected and src.crs.linear_units == target.crs.linear_units):
        across = math.hypot(ours.a, ours.d) / math.hypot(theirs.a, theirs.d)
        down = math.hypot(ours.b, ours.e) / math.hypot(theirs.b, theirs.e)
        coarser = max(coarser, across, down)
    return float(_CUBIC_REACH * coarser)


def _scale(src: Any, target: Grid) -> dict[str, str]:
    """Pixels of the grid a pixel of the source, which says how far a kernel reaches.

    GDAL would take it from the sizes of the window it happens to work on, and a place would have another value in each
    AOI that holds it.
    """
    if src.crs != target.crs and not (src.crs.is_projected and src.crs.linear_units == target.crs.linear_units):
        return {}
    ours, theirs = target.transform, src.transform
    across = math.hypot(theirs.a, theirs.d) / math.hypot(ours.a, ours.d)
    down = math.hypot(theirs.b, theirs.e) / math.hypot(ours.b, ours.e)
    return {"XSCALE": repr(across), "YSCALE": repr(down)}


def _hidden(src: Any, nodata: float | None) -> dict[str, Any]:
    """How the warper is told what holds no data, and how it says so itself."""
    if ColorInterp.alpha in src.colorinterp:
        return {}
    if MaskFlags.per_dataset in src.mask_flag_enums[0]:
        return {"src_nodata": None, "add_alpha": True}
    if nodata is None and np.dtype(src.dtypes[0]).kind == "f":
        nodata = math.nan
    if nodata is None:
        return {"src_nodata": None, "add_alpha": True}
    return {"src_nodata": nodata, "nodata": nodata}
