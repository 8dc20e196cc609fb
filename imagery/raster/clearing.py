"""A source without what is not clear in it, hidden on its own grid before any kernel spreads it over another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import windows
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import MemoryFile
from rasterio.windows import Window

from imagery.raster.clip import Clip, clip_of
from imagery.raster.gdal import open_raster, translated
from imagery.raster.grid import Grid, own_grid, reach_of, source_window
from imagery.raster.pixels import Place, hidden_in, nodata_of, refuse_too_large, refuse_unusable, valid_in
from imagery.raster.quality import QualityKind, clear_pixels, on_grid

BLOCK = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class ClearedBy:
    """The quality band that says what is clear in a source. A `Clearing` of `imagery.raster.reading`."""

    href: str
    kind: QualityKind
    nodata: float | None
    """What stands for no data where the file declares nothing."""

    max_pixels: int

    @contextmanager
    def cleared(self, src: Any, target: Grid, *, href: str, nodata: float | None) -> Iterator[Any]:
        """See `Clearing`. The source itself where all that a kernel can reach is clear: nothing is copied then."""
        window = _window(src, target)
        if window is None:
            yield src
            return
        refuse_too_large(window, bands=src.count, max_pixels=self.max_pixels, href=href)
        pixels = src.read(window=window, masked=True)
        fill, declared = nodata_of(src, nodata)
        ours = _whole(src, pixels, window, fill=fill, declared=declared)
        cloudy = ~self._clear(ours) & ours.valid
        if not cloudy.any():
            yield src
            return
        with MemoryFile() as memory:
            _write(memory, src, pixels, window, cloudy, nodata=fill if declared else None)
            del pixels, ours
            with memory.open() as copy:
                yield copy

    def _clear(self, ours: Clip) -> NDArray[np.bool_]:
        """Shape (height, width), on the source's own pixels; what the quality band does not reach is not clear."""
        with open_raster(self.href) as quality, translated(self.href):
            refuse_unusable(quality, self.href)
            height, width = ours.inside.shape
            under = Grid(crs=ours.crs, transform=ours.transform, width=width, height=height)
            window = source_window(quality, under)
            if window is None:
                return np.zeros_like(ours.inside)
            refuse_too_large(window, bands=quality.count, max_pixels=self.max_pixels, href=self.href)
            fill, declared = nodata_of(quality, self.nodata)
            pixels = quality.read(window=window, masked=True)
            seen = _whole(quality, pixels, window, fill=fill, declared=declared)
        return on_grid(clear_pixels(seen, self.kind), seen, ours)


def _window(src: Any, target: Grid) -> Any | None:
    """Of the source: all that a kernel reaches for a pixel of the target, as far as there is any."""
    under = source_window(src, target)
    if under is None:
        return None
    reach = math.ceil(reach_of(src, target, under)) + 2
    wide = Window(under.col_off - reach, under.row_off - reach, under.width + 2 * reach, under.height + 2 * reach)
    return windows.intersection(wide, Window(0, 0, src.width, src.height))


def _whole(src: Any, pixels: Any, window: Any, *, fill: int | float, declared: bool) -> Clip:
    """A window as a clip, all of it inside."""
    shape = pixels.shape[1:]
    place = Place(
        window=window, grid=own_grid(src).cut(window), inside=np.ones(shape, dtype=bool), aoi_pixels=shape[0] * shape[1]
    )
    valid = valid_in(hidden_in(pixels, fill if declared and src.nodata is None else None), src.colorinterp)
    copied = np.ma.MaskedArray(pixels.data.copy(), mask=np.ma.getmaskarray(pixels))
    return clip_of(src, copied, place=place, valid=valid, nodata=fill, nodata_declared=declared, bytes_read=0)


def _write(memory: Any, src: Any, pixels: Any, window: Any, cloudy: NDArray[np.bool_], *, nodata: float | None) -> None:
    """As large as the source, on the very same grid and said the same of; holding the window alone, and no cloud."""
    data, dtype = pixels.data, np.dtype(src.dtypes[0])
    profile = {"driver": "GTiff", "dtype": dtype, "crs": src.crs, "transform": src.transform, "nodata": src.nodata}
    size = {"count": src.count, "height": src.height, "width": src.width}
    # Of what is not written nothing is held.
    layout = {"sparse_ok": True, "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "bigtiff": "if_safer"}
    has_alpha = ColorInterp.alpha in src.colorinterp
    has_mask = MaskFlags.per_dataset in src.mask_flag_enums[0] and not has_alpha
    hides_by_mask = has_mask or (nodata is None and dtype.kind != "f" and not has_alpha)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), memory.open(**profile, **size, **layout) as out:
        out.colorinterp = src.colorinterp
        if has_alpha:
            data[[index for index, meaning in enumerate(src.colorinterp) if meaning == ColorInterp.alpha]] *= ~cloudy
        elif not hides_by_mask:
            data[:, cloudy] = math.nan if nodata is None else nodata
        out.write(data, window=window)
        if hides_by_mask:
            shown = src.dataset_mask(window=window) if has_mask else np.full(cloudy.shape, 255, np.uint8)
            out.write_mask(np.where(cloudy, np.uint8(0), shown), window=window)
