"""An AOI's pixels out of several tiles of one acquisition, as one clip on the first one's grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.enums import Resampling as Kernel
from rasterio.features import geometry_mask
from rasterio.merge import merge
from rasterio.transform import array_bounds
from rasterio.warp import transform
from rasterio.windows import Window
from shapely import segmentize
from shapely.geometry import Polygon, box, mapping

from imagery.errors import RasterUnavailable, RasterUnreadable
from imagery.model.processing import Resampling
from imagery.raster.area import Geometry
from imagery.raster.blocks import count_window
from imagery.raster.clip import Clip, cleared, clip_of
from imagery.raster.gdal import open_raster, shown, translated, unwarned
from imagery.raster.grid import ALIGNED, Grid, grid_of, is_aligned, read_onto, source_window
from imagery.raster.pixels import (
    Place,
    hidden_in,
    nodata_of,
    place_of,
    refuse_too_large,
    refuse_unusable,
    valid_in,
)
from imagery.raster.reading import Clearing, Reading

Source = tuple[str, float | None]
"""(href, what stands for no data where the file declares nothing)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Tile:
    src: Any
    href: str
    fill: int | float
    declared: bool
    clearing: Clearing | None = None
    shift: float = 0.0
    """Added to its numbers."""

    def moved(self, data: NDArray[Any]) -> NDArray[Any]:
        """Shape as given, a new array where there is something to add; what does not fit becomes what nearly does."""
        if not self.shift:
            return data
        moved = data.astype(np.float64) + self.shift
        if data.dtype.kind in "ui":
            limits = np.iinfo(data.dtype)
            moved = np.clip(np.rint(moved), limits.min, limits.max)
            # Beside the value for no data, which no pixel with data may take.
            moved[moved == self.fill] += 1.0 if self.fill < limits.max else -1.0
        return moved.astype(data.dtype)

    def cleared(self, grid: Grid) -> AbstractContextManager[Any]:
        """Its pixels without those that are not clear, where it is laid anew."""
        nodata = float(self.fill) if self.declared else None
        return cleared(self.src, grid, self.clearing, href=self.href, nodata=nodata)

    def says_as(self, other: _Tile) -> bool:
        """Whether both have one value for no data."""
        return self.fill == other.fill or (math.isnan(self.fill) and math.isnan(other.fill))

    def lies_on(self, grid: Grid) -> bool:
        """Whether `rasterio.merge` can lay it: one CRS, north up, pixels of one size."""
        own, wanted = self.src.transform, grid.transform
        as_large = math.isclose(own.a, wanted.a, rel_tol=1e-9) and math.isclose(own.e, wanted.e, rel_tol=1e-9)
        upright = own.b == own.d == wanted.b == wanted.d == 0 and own.a > 0 > own.e
        return bool(self.src.crs == grid.crs and as_large and upright)


class _Canvas:
    """Pixels laid down so far; what was laid first stays."""

    def __init__(self, first: _Tile, place: Place) -> None:
        shape = (first.src.count, *place.inside.shape)
        self.place = place
        self.data: NDArray[Any] = np.full(shape, first.fill, dtype=first.src.dtypes[0])
        self.hidden: NDArray[np.bool_] = np.ones(shape, dtype=bool)
        self.colorinterp = tuple(first.src.colorinterp)

    def lay(self, pixels: Any, tile: _Tile, *, row: int = 0, column: int = 0) -> None:
        """A masked array, shape (bands, height, width), into the holes, from this pixel on."""
        hidden = hidden_in(pixels, tile.fill if tile.declared and tile.src.nodata is None else None)
        # An alpha band comes from where its pixel comes from.
        alpha = [index for index, meaning in enumerate(self.colorinterp) if meaning == ColorInterp.alpha]
        hidden[alpha] = ~valid_in(hidden, self.colorinterp)
        here = (slice(None), slice(row, row + hidden.shape[1]), slice(column, column + hidden.shape[2]))
        fills = self.hidden[here] & ~hidden
        np.copyto(self.data[here], tile.moved(pixels.data), where=fills)
        self.hidden[here] &= hidden

    @property
    def is_full(self) -> bool:
        return not self.hidden[:, self.place.inside].any()


def mosaic(
    sources: Sequence[Source],
    geometry: Geometry,
    *,
    reading: Reading,
    keep_empty: bool = False,
    clearings: Sequence[Clearing] = (),
    shifts: Sequence[float] = (),
) -> Clip | None:
    """The AOI's pixels of all the tiles on the first one's grid: the first on top, its holes filled by the next.

    Laid by `rasterio.merge`; tiles of another CRS or pixel size are laid anew with `reading.resampling`. A tile is read
    only if the ones before have left a hole in the AOI. Scale, offset and names are the first one's: the tiles are
    taken to be of one acquisition and one processing. `clearings` hide what is not clear, one a source or none at all,
    in those that are laid anew. `shifts`, one a source or none at all, are added to the numbers. `keep_empty` as in
    `clip_each`; what failed for the network is tried once more.

    Raises ClipTooLarge before any pixel is read, AssetMissing, RasterUnavailable, RasterUnreadable (also for tiles that
    differ in bands or pixel type).
    """
    if not sources:
        return None
    attempt = partial(
        _mosaic, sources, geometry, reading=reading, keep_empty=keep_empty, clearings=clearings, shifts=shifts
    )
    try:
        return attempt()
    except RasterUnavailable:
        # On files opened anew: GDAL may keep what came cut short until they are closed.
        return attempt()


def _mosaic(
    sources: Sequence[Source],
    geometry: Geometry,
    *,
    reading: Reading,
    keep_empty: bool,
    clearings: Sequence[Clearing],
    shifts: Sequence[float],
) -> Clip | None:
    with ExitStack() as stack:
        tiles = [
            _tile(stack.enter_context(open_raster(source[0])), source, reading, clearing, shift or 0.0)
            for source, clearing, shift in zip_longest(sources, clearings, shifts)
        ]
        first = tiles[0]
        _refuse_unlike(tiles)
        grid = _grid_over(tiles, grid_of(first.src, reading.resolution_m, href=first.href))
        place = place_of(grid, geometry, bands=first.src.count, reading=reading, href=first.href)
        if place is None:
            return None
        canvas = _Canvas(first, place)
        bytes_read = reached = 0
        for tile in tiles:
            under = source_window(tile.src, place.grid)
            if under is not None and not canvas.is_full:
                refuse_too_large(under, bands=tile.src.count, max_pixels=reading.max_pixels, href=tile.href)
                with translated(tile.href):
                    _lay(tile, canvas, reading.resampling)
                bytes_read += count_window(tile.src, under)
                reached += 1
        valid = valid_in(canvas.hidden, canvas.colorinterp)
        if not reached or not (keep_empty or (valid & place.inside).any()):
            return None
        return clip_of(
            first.src,
            np.ma.MaskedArray(canvas.data, mask=canvas.hidden),
            place=place,
            valid=valid,
            nodata=first.fill,
            # A tile's own value for no data is a real one in a neighbour that has another.
            nodata_declared=all(tile.declared and tile.says_as(first) for tile in tiles),
            bytes_read=bytes_read,
        )


def _tile(src: Any, source: Source, reading: Reading, clearing: Clearing | None, shift: float) -> _Tile:
    href, nodata = source
    refuse_unusable(src, href)
    fill, declared = nodata_of(src, reading.nodata if nodata is None else nodata)
    return _Tile(src=src, href=href, fill=fill, declared=declared, clearing=clearing, shift=shift)


def _refuse_unlike(tiles: Sequence[_Tile]) -> None:
    first = tiles[0]
    for tile in tiles[1:]:
        ours, theirs = ((each.src.count, each.src.dtypes[0]) for each in (first, tile))
        if ours != theirs:
            raise RasterUnreadable(
                f"{shown(tile.href)} has {theirs[0]} band(s) of {theirs[1]} and {shown(first.href)} has {ours[0]} of "
                f"{ours[1]}; they make no mosaic"
            )


def _grid_over(tiles: Sequence[_Tile], grid: Grid) -> Grid:
    """The first tile's grid, gone on over all of them along its own lines."""
    left, top, right, bottom = 0.0, 0.0, float(grid.width), float(grid.height)
    for tile in tiles[1:]:
        columns, rows = ~grid.transform * np.asarray(_outline(tile.src, grid.crs).exterior.coords).T
        if np.isfinite(columns).all() and np.isfinite(rows).all():
            left, right = min(left, columns.min()), max(right, columns.max())
            top, bottom = min(top, rows.min()), max(bottom, rows.max())
    column, row = math.floor(left + ALIGNED), math.floor(top + ALIGNED)
    width, height = math.ceil(right - ALIGNED) - column, math.ceil(bottom - ALIGNED) - row
    return grid.cut(Window(column, row, width, height))


def _outline(src: Any, crs: Any) -> Polygon:
    """The tile's edge in another CRS, where its sides are no longer straight."""
    edge = segmentize(box(0, 0, src.width, src.height), max(src.width, src.height) / 20)
    columns, rows = np.asarray(edge.exterior.coords).T
    x, y = src.transform * (columns, rows)
    if src.crs != crs:
        x, y = transform(src.crs, crs, x, y)[:2]
    return Polygon(np.column_stack((x, y)))


def _lay(tile: _Tile, canvas: _Canvas, resampling: Resampling) -> None:
    grid = canvas.place.grid
    if not tile.lies_on(grid):
        nodata = tile.fill if tile.declared else None
        with tile.cleared(grid) as src:
            pixels = read_onto(src, grid, nodata=nodata, resampling=resampling)
        if resampling is Resampling.AVERAGE:
            pixels[:, _beyond(tile, grid)] = np.ma.masked
        canvas.lay(pixels, tile)
        return
    if not _reaches(tile.src, grid):
        return

    def lay(_data: Any, pixels: Any, *_masks: Any, roff: int, coff: int, **_other: Any) -> None:
        canvas.lay(pixels, tile, row=roff, column=coff)

    aligned = is_aligned(tile.src, grid)
    with nullcontext(tile.src) if aligned else tile.cleared(grid) as src:
        merge(
            [src],
            bounds=array_bounds(grid.height, grid.width, grid.transform),
            res=(grid.transform.a, -grid.transform.e),
            nodata=tile.fill,
            resampling=Kernel[(Resampling.NEAREST if aligned else resampling).value],
            method=lay,
        )


def _reaches(src: Any, grid: Grid) -> bool:
    """Whether half a pixel or more of it lies on the grid: of less, `merge` asks GDAL for nothing at all and fails."""
    column, row = ~grid.transform * (src.transform.c, src.transform.f)
    across = min(grid.width, column + src.width) - max(0.0, column)
    down = min(grid.height, row + src.height) - max(0.0, row)
    return bool(across >= 0.5 and down >= 0.5)


def _beyond(tile: _Tile, grid: Grid) -> NDArray[np.bool_]:
    """Shape (height, width): pixels off the tile; GDAL averages its edge into those that only touch it."""
    outline = mapping(_outline(tile.src, grid.crs))
    mask: NDArray[np.bool_] = unwarned(partial(geometry_mask, [outline], (grid.height, grid.width), grid.transform))
    return mask
