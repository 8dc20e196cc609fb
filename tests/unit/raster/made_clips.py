"""Clips made on the spot, of arrays alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from imagery.raster.clip import Clip


def clip_of(data: Any, *, width_m: float = 10.0, nodata: float = 0, declared: bool = True, **changed: Any) -> Clip:
    """Shape (bands, height, width) or (height, width), all of it in the AOI; valid where a declared nodata says so."""
    data = np.asarray(data)
    data = data[np.newaxis] if data.ndim == 2 else data
    inside = changed.get("inside", np.ones(data.shape[1:], dtype=bool))
    told = declared and not math.isnan(nodata)
    valid = changed.get("valid", (data != nodata).any(axis=0) if told else np.ones(data.shape[1:], dtype=bool))
    fields: dict[str, Any] = {
        "transform": Affine(width_m, 0, 500_000, 0, -width_m, 5_100_000),
        "crs": CRS.from_epsg(32633),
        "inside": inside,
        "valid": valid,
        "aoi_pixels": int(inside.sum()),
        "valid_pixels": int((inside & valid).sum()),
        "scales": (1.0,) * len(data),
        "offsets": (0.0,) * len(data),
        "descriptions": (None,) * len(data),
        "units": (None,) * len(data),
        "colorinterp": (ColorInterp.gray,) * len(data),
    }
    return Clip(data=data, nodata=nodata, nodata_declared=declared, **{**fields, **changed})
