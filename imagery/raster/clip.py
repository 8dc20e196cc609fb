"""An AOI's pixels out of one asset: the source's own grid and values, nodata outside the AOI."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError, WindowError
from rasterio.features import geometry_mask, geometry_window
from rasterio.transform import array_bounds
from rasterio.warp import transform_geom
from rasterio.windows import Window
from shapely import make_valid
from shapely import transform as transform_shape
from shapely.geometry import box, shape

from imagery.errors import ClipTooLarge, RasterError, RasterUnavailable, RasterUnreadable
from imagery.raster.blocks import count_window
from imagery.raster.gdal import open_raster, shown, translated, unwarned

Geometry = Mapping[str, Any]
"""GeoJSON Polygon or MultiPolygon in EPSG:4326."""

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


def clip(href: str, geometry: Geometry, *, nodata: float | None = None, max_pixels: int) -> Clip | None:
    """The AOI's pixels; None if the raster has no data there.

    A pixel belongs to the AOI if its centre does; an AOI that holds no centre gets the pixels it touches. `nodata` is
    used when the file declares none. An AOI across the antimeridian is one piece in a UTM raster, gives its half on a
    raster of one side, and is ClipTooLarge on one that spans the world; a raster that counts longitudes on past 180 has
    no data for the part given as negative.

    Raises ClipTooLarge before any pixel is read, AssetMissing, RasterUnavailable, RasterUnreadable.
    """
    result = clip_many(href, [geometry], nodata=nodata, max_pixels=max_pixels)[0]
    if isinstance(result, RasterError):
        raise result
    return result


def clip_many(
    href: str, geometries: Sequence[Geometry], *, nodata: float | None = None, max_pixels: int
) -> list[Clip | RasterError | None]:
    """As `clip` for each AOI in turn, the asset opened once; an AOI that fails leaves its error in its place.

    Raises only what keeps the asset from being opened. What failed for the network is tried once more on the asset
    opened anew; when several AOIs in a row fail so, the rest get a RasterUnavailable untried.
    """
    results: list[Clip | RasterError | None] = [None] * len(geometries)
    if not geometries:
        return results
    fill_in = partial(_clip_each, geometries, results, href=href, nodata=nodata, max_pixels=max_pixels)
    with open_raster(href) as src:
        fill_in(src, range(len(geometries)))
    again = [index for index, result in enumerate(results) if isinstance(result, RasterUnavailable)]
    if again:
        # GDAL does not ask again for a body that was cut short, and may keep what it got until the file is closed.
        with suppress(RasterError), open_raster(href) as src:
            fill_in(src, again)
    return results


def _clip_each(
    geometries: Sequence[Geometry],
    results: list[Clip | RasterError | None],
    src: Any,
    pending: Sequence[int],
    *,
    href: str,
    nodata: float | None,
    max_pixels: int,
) -> None:
    """Fill the `pending` places of `results`."""
    in_a_row = 0
    # Neighbours one after another, so that GDAL still holds the blocks they share.
    for index in sorted(pending, key=lambda i: _first_row(src, geometries[i])):
        if in_a_row >= MAX_UNAVAILABLE:
            results[index] = RasterUnavailable(f"{shown(href)} stopped answering; not tried for this AOI")
            continue
        try:
            with translated(href):
                results[index] = clip_open(src, geometries[index], href=href, nodata=nodata, max_pixels=max_pixels)
            in_a_row = 0
        except RasterError as error:
            results[index] = error
            in_a_row = in_a_row + 1 if isinstance(error, RasterUnavailable) else 0


def clip_open(src: Any, geometry: Geometry, *, href: str, nodata: float | None, max_pixels: int) -> Clip | None:
    """As `clip`, from a dataset that is open already (see `open_raster`)."""
    _refuse_unusable(src, href)
    aoi = _to_crs(geometry, src.crs)
    window = None if aoi is None else _window(src, aoi)
    if aoi is None or window is None:
        return None
    _refuse_too_large(src, window, max_pixels, href)
    transform = src.window_transform(window)
    inside = _inside(aoi, transform, (int(window.height), int(window.width)))
    if not inside.any():
        return None
    fill, declared = _nodata(src, nodata)
    pixels = src.read(window=window, masked=True)
    bytes_read = count_window(src, window)
    valid = _valid(pixels, src.colorinterp, fill if declared and src.nodata is None else None)
    valid_pixels = int(np.count_nonzero(valid & inside))
    if valid_pixels == 0:
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
        aoi_pixels=int(np.count_nonzero(inside)) + _pixels_beyond(src, aoi),
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


def _to_crs(geometry: Geometry, crs: Any) -> dict[str, Any] | None:
    """The AOI in the raster's CRS; None where that CRS does not reach it."""
    try:
        aoi: dict[str, Any] = transform_geom("EPSG:4326", crs, dict(geometry))
    except RasterioError:
        return None
    return aoi if np.isfinite(shape(aoi).bounds).all() else None


def _window(src: Any, aoi: Geometry) -> Any | None:
    try:
        window = geometry_window(src, [aoi])
    except WindowError:
        return None
    return window if window.width >= 1 and window.height >= 1 else None


def _first_row(src: Any, geometry: Geometry) -> tuple[int, int]:
    if src.crs is None:
        return (0, 0)
    aoi = _to_crs(geometry, src.crs)
    window: Window | None = None if aoi is None else _window(src, aoi)
    return (0, 0) if window is None else (int(window.row_off), int(window.col_off))


def _inside(aoi: Geometry, transform: Any, shape_: tuple[int, int]) -> NDArray[np.bool_]:
    """Shape (height, width): pixels whose centre is in the AOI, else those it touches."""
    by_centre, by_touch = (
        partial(geometry_mask, [aoi], shape_, transform, invert=True, all_touched=touched) for touched in (False, True)
    )
    inside: NDArray[np.bool_] = unwarned(by_centre)
    return inside if inside.any() else unwarned(by_touch)


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


def _pixels_beyond(src: Any, aoi: Geometry) -> int:
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
