"""A clip as the bytes of a Cloud-Optimized GeoTIFF: the same clip gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rasterio.shutil import copy

from imagery.raster.clip import Clip

OVERVIEWS_ABOVE = 512
"""Pixels of the longer side from which a reader gains by overviews (and rio-cogeo asks for them)."""


def encode_cog(clip: Clip, *, categorical: bool, tags: Mapping[str, str] | None = None) -> bytes:
    """Deflate, tiled, overviews when larger than 512 pixels; `categorical` values are never averaged in them.

    Where nobody declared nodata and the fill value occurs among the AOI's own pixels, an internal mask tells them apart
    instead of a nodata value.
    """
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, GDAL_NUM_THREADS="1"), MemoryFile(ext=".tif") as cog:
        # Let go before the bytes are taken out: three copies at once are one too many.
        with MemoryFile(ext=".tif") as plain:
            _write_plain(plain, clip, dict(tags or {}))
            copy(plain.name, cog.name, driver="COG", **_creation_options(clip, categorical=categorical))
        return bytes(cog.getbuffer())


def _write_plain(memory: Any, clip: Clip, tags: dict[str, str]) -> None:
    has_alpha = ColorInterp.alpha in clip.colorinterp
    nodata = nodata_written(clip)
    bands, height, width = clip.data.shape
    with memory.open(
        driver="GTiff",
        dtype=clip.data.dtype,
        count=bands,
        height=height,
        width=width,
        crs=clip.crs,
        transform=clip.transform,
        nodata=nodata,
        interleave="pixel" if bands > 1 else "band",
        # Given afterwards it holds for four bands, and is lost for two.
        **({"alpha": "YES"} if has_alpha else {}),
    ) as dst:
        dst.write(clip.data)
        dst.scales, dst.offsets = clip.scales, clip.offsets
        dst.units = [unit or "" for unit in clip.units]
        for index, description in enumerate(clip.descriptions, start=1):
            if description:
                dst.set_band_description(index, description)
        if has_alpha:
            dst.colorinterp = clip.colorinterp
        elif nodata is None:
            dst.write_mask(clip.inside & clip.valid)
        dst.update_tags(**tags)


def nodata_written(clip: Clip) -> float | None:
    """What the COG of this clip declares as nodata (may be nan); None: its alpha band or its internal mask says it."""
    if ColorInterp.alpha in clip.colorinterp:
        return None
    if not clip.nodata_declared and bool(((clip.data == clip.nodata) & clip.inside & clip.valid).any()):
        return None
    return clip.nodata


def _creation_options(clip: Clip, *, categorical: bool) -> dict[str, Any]:
    longest = max(clip.inside.shape)
    return {
        "COMPRESS": "DEFLATE",
        "LEVEL": "6",
        "PREDICTOR": "FLOATING_POINT" if np.issubdtype(clip.data.dtype, np.floating) else "STANDARD",
        "BLOCKSIZE": "512" if longest > OVERVIEWS_ABOVE else "256",
        "OVERVIEWS": "AUTO" if longest > OVERVIEWS_ABOVE else "NONE",
        "OVERVIEW_RESAMPLING": "NEAREST" if categorical else "AVERAGE",
        "RESAMPLING": "NEAREST",
        "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": "1",
    }
