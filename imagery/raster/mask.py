"""A clip with nodata wherever it is not clear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from imagery.errors import RasterError
from imagery.raster.clip import Clip


def masked(clip: Clip, clear: NDArray[np.bool_]) -> Clip:
    """A new clip, nodata in all bands where the AOI is not `clear` (shape (height, width), on the clip's own grid).

    A clip whose nodata nobody declared says by `valid` what is left, and its file by an internal mask; an alpha band
    becomes 0 there.
    """
    if clear.shape != clip.inside.shape:
        raise RasterError(
            f"the mask is {clear.shape[1]} x {clear.shape[0]} pixels, the clip {clip.inside.shape[1]} x "
            f"{clip.inside.shape[0]}; lay it on the clip's grid first"
        )
    cloudy = clip.inside & ~clear
    data = clip.data.copy()
    data[:, cloudy] = clip.nodata
    for index, meaning in enumerate(clip.colorinterp):
        if meaning == ColorInterp.alpha:
            data[index][cloudy] = 0
    # What lies outside the AOI stays as it was: the outline of the data there is none of the mask's business.
    valid = clip.valid & ~cloudy
    return replace(clip, data=data, valid=valid, valid_pixels=int(np.count_nonzero(valid & clip.inside)))
