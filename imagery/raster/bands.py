"""One band of a clip: where it has data of its own, and what its numbers mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from imagery.raster.clip import Clip
from imagery.raster.radiometry import Radiometry


def has_data(clip: Clip, index: int) -> NDArray[np.bool_]:
    """Shape (height, width): the AOI's pixels of which this band (from 0) has data; other bands may differ."""
    band: NDArray[Any] = clip.data[index]
    shown: NDArray[np.bool_] = clip.inside & clip.valid
    if band.dtype.kind == "f":
        shown = shown & ~np.isnan(band)
    # Without a declared nodata the fill value may be a real one, and an alpha band's 0 is a value.
    if not clip.nodata_declared or math.isnan(clip.nodata) or is_alpha(clip, index):
        return shown
    other: NDArray[np.bool_] = band != clip.nodata
    return shown & other


def is_alpha(clip: Clip, index: int) -> bool:
    """Whether this band (from 0) says where the others have data, and is no measurement itself."""
    return index < len(clip.colorinterp) and clip.colorinterp[index] == ColorInterp.alpha


def scale_and_offset(radiometry: Radiometry | None, index: int) -> tuple[float, float] | None:
    """Of one band (from 0); None where nothing is said of it, or a scale of 0 says nonsense."""
    if radiometry is None:
        return None
    scale, offset = radiometry.scale, radiometry.offset
    if scale is None and index < len(radiometry.bands):
        scale, offset = radiometry.bands[index] or (None, None)
    if scale is None or scale == 0 or not math.isfinite(scale):
        return None
    return scale, 0.0 if offset is None else offset
