"""An AOI's pixels out of one asset: the source's grid and values unless told otherwise, nodata outside the AOI."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.transform import array_bounds
from rasterio.windows import Window

from imagery.errors import RasterError, RasterUnavailable
from imagery.raster.area import Geometry, to_crs, window_of
from imagery.raster.blocks import count_window
from imagery.raster.gdal import open_raster, shown, translated
from imagery.raster.grid import Grid, grid_of, own_grid, read_onto, source_window
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

MAX_UNAVAILABLE = 3
"""AOIs of one asset that may fail for the network, one after another, before the rest are not tried any more."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clip:
    """The pixels of one asset under one AOI."""

    data: NDArray[Any]
    """The source's dtype, shape (bands, height, width); `nodata` outside the AOI and where the source has none."""

    transform: Any
    """affine.Affine of the upper left pixel corner, in `crs`; of the source's grid, or the one asked for."""

    crs: Any
    """rasterio.crs.CRS of the source."""

    nodata: int | float
    nodata_declared: bool
    """Whether the file or the caller said so; if not, `nodata` is 0 and a pixel of value 0 may be a real one."""

    inside: NDArray[np.bool_]
    """Shape (height, width): the pixels of the AOI."""

    valid: NDArray[np.bool_]
    """Shape (height, width): where any band has data, in the AOI or out of it."""

    aoi_pixels: int
    """Pixels of the AOI on the raster's grid, those beyond the raster's edge included."""

    valid_pixels: int
    """Pixels of the AOI that have data."""

    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    descriptions: tuple[str | None, ...]
    units: tuple[str | None, ...]
    colorinterp: tuple[ColorInterp, ...]

    bytes_read: int = 0
    """An estimate (see `imagery.raster.blocks`); what an earlier AOI had read of the asset is not counted again."""

    @property
    def coverage(self) -> float:
        """How much of the whole AOI has data, 0 to 1."""
        return self.valid_pixels / self.aoi_pixels

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) in `crs`."""
        height, width = self.inside.shape
        left, bottom, right, top = array_bounds(height, width, self.transform)
        return (left, bottom, right, top)

    @property
    def resolution(self) -> tuple[float, float]:
        """(width, height) of a pixel in units of `crs`."""
        return (math.hypot(self.transform.a, self.transform.d), math.hypot(self.transform.b, self.transform.e))


def clip(href: str, geometry: Geometry, *, reading: Reading) -> Clip | None:
    """The AOI's pixels; None if the raster has no data there.

    A pixel belongs to the AOI if its centre does; an AOI that holds no centre gets the pixels it touches, as every one
    does with `all_touched`. With `resolution_m` the pixels are those of `imagery.raster.grid.grid_of`.

    An AOI across the antimeridian is one piece in a UTM raster, gives its half on a raster of one side, and is
    ClipTooLarge on one that spans the world; a raster that counts longitudes on past 180 has no data for the part given
    as negative.

    Raises ClipTooLarge before any pixel is read, AssetMissing, RasterUnavailable, RasterUnreadable.
    """
    result = clip_many(href, [geometry], reading=reading)[0]
    if isinstance(result, RasterError):
        raise result
    return result


def clip_many(
    href: str,
    geometries: Sequence[Geometry],
    *,
    reading: Reading,
    keep_empty: bool = False,
) -> list[Clip | RasterError | None]:
    """As `clip_each`, all at once and in the order of the AOIs."""
    found = dict(clip_each(href, geometries, reading=reading, keep_empty=keep_empty))
    return [found[index] for index in range(len(geometries))]


def clip_each(
    href: str,
    geometries: Sequence[Geometry],
    *,
    reading: Reading,
    keep_empty: bool = False,
) -> Generator[tuple[int, Clip | RasterError | None]]:
    """As `clip` for each AOI, the asset opened once: (place of the AOI, what it gave), one by one in reading order.

    An AOI that fails gives its error. With `keep_empty` one that lies on the raster but holds no data gives a clip
    with `valid_pixels` 0, and None is left for one the raster does not reach. A clip is read when it is asked for and
    held no longer than the caller holds it.

    Raises only what keeps the asset from being opened, before the first is given. What failed for the network is tried
    once more on the asset opened anew; when several AOIs in a row fail so, the rest get a RasterUnavailable untried.
    """
    if not geometries:
        return
    attempts = partial(_attempts, geometries, href=href, reading=reading, keep_empty=keep_empty)
    failed: dict[int, RasterError] = {}
    with open_raster(href) as src:
        for index, result in attempts(src, range(len(geometries))):
            if isinstance(result, RasterUnavailable):
                failed[index] = result
            else:
                yield index, result
            del result  # else it would stay while the next one is read
    if failed:
        # GDAL does not ask again for a body that was cut short, and may keep what it got until the file is closed.
        with suppress(RasterError), open_raster(href) as src:
            for index, result in attempts(src, list(failed)):
                del failed[index]
                yield index, result
                del result
    yield from failed.items()


def _attempts(
    geometries: Sequence[Geometry],
    src: Any,
    pending: Sequence[int],
    *,
    href: str,
    reading: Reading,
    keep_empty: bool,
) -> Iterator[tuple[int, Clip | RasterError | None]]:
    """What each of the `pending` AOIs gives."""
    in_a_row = 0
    result: Clip | RasterError | None
    # Neighbours one after another, so that GDAL still holds the blocks they share.
    for index in sorted(pending, key=lambda i: _first_row(src, geometries[i])):
        if in_a_row >= MAX_UNAVAILABLE:
            yield index, RasterUnavailable(f"{shown(href)} stopped answering; not tried for this AOI")
            continue
        try:
            with translated(href):
                result = clip_open(src, geometries[index], href=href, reading=reading, keep_empty=keep_empty)
        except RasterError as error:
            result = error
        in_a_row = in_a_row + 1 if isinstance(result, RasterUnavailable) else 0
        yield index, result
        del result


def clip_open(src: Any, geometry: Geometry, *, href: str, reading: Reading, keep_empty: bool = False) -> Clip | None:
    """As `clip`, from a dataset that is open already (see `open_raster`); `keep_empty` as in `clip_each`."""
    refuse_unusable(src, href)
    grid = grid_of(src, reading.resolution_m, href=href)
    place = place_of(grid, geometry, bands=src.count, reading=reading, href=href)
    if place is None:
        return None
    fill, declared = nodata_of(src, reading.nodata)
    if grid == own_grid(src):
        under = place.window
        pixels = src.read(window=under, masked=True)
    else:
        under = source_window(src, place.grid)
        if under is None:
            return None
        refuse_too_large(under, bands=src.count, max_pixels=reading.max_pixels, href=href)
        with cleared(src, place.grid, reading.clearing, href=href, nodata=reading.nodata) as clear:
            pixels = read_onto(clear, place.grid, nodata=fill if declared else None, resampling=reading.resampling)
    bytes_read = count_window(src, under)
    valid = valid_in(hidden_in(pixels, fill if declared and src.nodata is None else None), src.colorinterp)
    if not keep_empty and not (valid & place.inside).any():
        return None
    return clip_of(src, pixels, place=place, valid=valid, nodata=fill, nodata_declared=declared, bytes_read=bytes_read)


def cleared(
    src: Any, target: Grid, clearing: Clearing | None, *, href: str, nodata: float | None
) -> AbstractContextManager[Any]:
    """The source, or what is left of it when what is not clear is hidden."""
    return nullcontext(src) if clearing is None else clearing.cleared(src, target, href=href, nodata=nodata)


def clip_of(
    src: Any,
    pixels: Any,
    *,
    place: Place,
    valid: NDArray[np.bool_],
    nodata: int | float,
    nodata_declared: bool,
    bytes_read: int,
) -> Clip:
    """The clip of what was read (masked, shape (bands, height, width), written over), described as the source is."""
    data = pixels.data
    data[np.ma.getmaskarray(pixels) | ~place.inside] = nodata
    return Clip(
        data=data,
        transform=place.grid.transform,
        crs=place.grid.crs,
        nodata=nodata,
        nodata_declared=nodata_declared,
        inside=place.inside,
        valid=valid,
        aoi_pixels=place.aoi_pixels,
        valid_pixels=int(np.count_nonzero(valid & place.inside)),
        scales=tuple(src.scales),
        offsets=tuple(src.offsets),
        descriptions=tuple(src.descriptions),
        units=tuple(src.units),
        colorinterp=tuple(src.colorinterp),
        bytes_read=bytes_read,
    )


def _first_row(src: Any, geometry: Geometry) -> tuple[int, int]:
    if src.crs is None:
        return (0, 0)
    aoi = to_crs(geometry, src.crs)
    window: Window | None = None if aoi is None else window_of(src, aoi)
    return (0, 0) if window is None else (int(window.row_off), int(window.col_off))
