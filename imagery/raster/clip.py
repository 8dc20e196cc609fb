"""An AOI's pixels out of one asset: the source's own grid and values, nodata outside the AOI."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.transform import array_bounds
from rasterio.windows import Window

from imagery.errors import ClipTooLarge, RasterError, RasterUnavailable, RasterUnreadable
from imagery.raster.area import Geometry, inside_of, pixels_beyond, to_crs, window_of
from imagery.raster.blocks import count_window
from imagery.raster.gdal import open_raster, shown, translated
from imagery.raster.reading import Reading

MAX_UNAVAILABLE = 3
"""AOIs of one asset that may fail for the network, one after another, before the rest are not tried any more."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clip:
    """The pixels of one asset under one AOI."""

    data: NDArray[Any]
    """The source's dtype, shape (bands, height, width); `nodata` outside the AOI and where the source has none."""

    transform: Any
    """affine.Affine of the upper left pixel corner, in `crs`; the source's grid."""

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

    A pixel belongs to the AOI if its centre does; an AOI that holds no centre gets the pixels it touches. An AOI
    across the antimeridian is one piece in a UTM raster, gives its half on a raster of one side, and is ClipTooLarge on
    one that spans the world; a raster that counts longitudes on past 180 has no data for the part given as negative.

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
    _refuse_unusable(src, href)
    aoi = to_crs(geometry, src.crs)
    window = None if aoi is None else window_of(src, aoi)
    if aoi is None or window is None:
        return None
    _refuse_too_large(src, window, reading.max_pixels, href)
    transform = src.window_transform(window)
    inside = inside_of(aoi, transform, (int(window.height), int(window.width)))
    if not inside.any():
        return None
    fill, declared = _nodata(src, reading.nodata)
    pixels = src.read(window=window, masked=True)
    bytes_read = count_window(src, window)
    valid = _valid(pixels, src.colorinterp, fill if declared and src.nodata is None else None)
    valid_pixels = int(np.count_nonzero(valid & inside))
    if valid_pixels == 0 and not keep_empty:
        return None
    data = pixels.data
    data[np.ma.getmaskarray(pixels) | ~inside] = fill
    return Clip(
        data=data,
        transform=transform,
        crs=src.crs,
        nodata=fill,
        nodata_declared=declared,
        inside=inside,
        valid=valid,
        aoi_pixels=int(np.count_nonzero(inside)) + pixels_beyond(src, aoi),
        valid_pixels=valid_pixels,
        scales=tuple(src.scales),
        offsets=tuple(src.offsets),
        descriptions=tuple(src.descriptions),
        units=tuple(src.units),
        colorinterp=tuple(src.colorinterp),
        bytes_read=bytes_read,
    )


def _refuse_unusable(src: Any, href: str) -> None:
    if src.crs is None:
        raise RasterUnreadable(f"{shown(href)} names no coordinate reference system; it cannot be laid over an AOI")
    if src.transform.is_identity or src.transform.is_degenerate:
        raise RasterUnreadable(f"{shown(href)} has no usable geotransform; it cannot be laid over an AOI")
    if any(dtype.startswith("complex") for dtype in src.dtypes):
        raise RasterUnreadable(f"{shown(href)} holds complex numbers, which are not supported")
    if len(set(src.dtypes)) > 1:
        raise RasterUnreadable(f"{shown(href)} mixes pixel types ({', '.join(src.dtypes)}), which is not supported")


def _refuse_too_large(src: Any, window: Any, max_pixels: int, href: str) -> None:
    cells = int(window.width) * int(window.height) * src.count
    if cells > max_pixels:
        raise ClipTooLarge(
            f"the AOI's box is {int(window.width)} x {int(window.height)} pixels of {src.count} band(s) "
            f"of {shown(href)}, {cells} in all; the limit is {max_pixels}. Make the AOI smaller, or split it (one "
            "across the antimeridian spans a worldwide raster from edge to edge)"
        )


def _first_row(src: Any, geometry: Geometry) -> tuple[int, int]:
    if src.crs is None:
        return (0, 0)
    aoi = to_crs(geometry, src.crs)
    window: Window | None = None if aoi is None else window_of(src, aoi)
    return (0, 0) if window is None else (int(window.row_off), int(window.col_off))


def _nodata(src: Any, fallback: float | None) -> tuple[int | float, bool]:
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


def _valid(pixels: Any, colorinterp: Sequence[ColorInterp], fallback: int | float | None) -> NDArray[np.bool_]:
    """Shape (height, width): where any band has data, by the file's own word, and that is not `fallback` or NaN."""
    mask: NDArray[np.bool_] = np.ma.getmaskarray(pixels)
    if fallback is not None and not math.isnan(fallback):
        mask = mask | (pixels.data == fallback)
    if pixels.dtype.kind == "f":
        mask = mask | np.isnan(pixels.data)
    # An alpha band has a value everywhere; it says where the others have one.
    data_bands = [index for index, meaning in enumerate(colorinterp) if meaning != ColorInterp.alpha]
    valid: NDArray[np.bool_] = np.logical_not(mask[data_bands or slice(None)].all(axis=0))
    return valid
