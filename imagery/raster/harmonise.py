"""Numbers whose offset was taken off, so that number x scale is the physical value whatever the processing baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagery.raster.bands import has_data, is_alpha, scale_and_offset
from imagery.raster.clip import Clip
from imagery.raster.radiometry import Radiometry


def harmonised(clip: Clip, radiometry: Radiometry | None) -> tuple[Clip, Radiometry]:
    """Number + offset / scale in every band that has an offset, and the radiometry that holds for the result.

    Whole numbers are rounded to the nearest (half a number at most is lost, nothing where offset / scale is whole, as
    it is for Sentinel-2) and kept within what the type can hold. Nodata stays nodata, and a pixel with data never
    becomes nodata: next to a nodata of 0 the least unsigned number is 1. What was clamped is counted in `source`. Where
    scale and offset are not known the clip is left as it is, and `source` says so.
    """
    if radiometry is None:
        return clip, Radiometry(
            scale=None, offset=None, source="nothing says what the numbers mean: left as they are, not harmonised"
        )
    pairs = [
        None if is_alpha(clip, index) else scale_and_offset(radiometry, index) for index in range(clip.data.shape[0])
    ]
    shifted = {index: pair for index, pair in enumerate(pairs) if pair is not None and pair[1] != 0}
    if not shifted:
        known = any(pair is not None for pair in pairs)
        why = "there is no offset to take off" if known else "no scale is known: left as they are, not harmonised"
        return clip, replace(radiometry, source=f"{radiometry.source}; {why}")
    data, clamped = clip.data.copy(), 0
    for index, (scale, offset) in shifted.items():
        clamped += _shift(data[index], has_data(clip, index), offset / scale, clip)
    result = replace(clip, data=data, scales=_scales(clip, shifted), offsets=_offsets(clip, shifted))
    return result, _without_offset(radiometry, shifted, clamped)


def _shift(band: NDArray[Any], shown: NDArray[np.bool_], shift: float, clip: Clip) -> int:
    """Adds it to the band in place; returns how many pixels could not hold the result."""
    values = band[shown].astype(np.float64) + shift
    if band.dtype.kind == "f":
        moved = values.astype(band.dtype)
        moved[moved == clip.nodata] = np.nextafter(moved.dtype.type(clip.nodata), moved.dtype.type(np.inf))
        band[shown] = moved
        return 0
    limits = np.iinfo(band.dtype)
    wanted = np.rint(values)
    whole = np.clip(wanted, limits.min, limits.max)
    away = 1.0 if clip.nodata < limits.max else -1.0
    whole[whole == clip.nodata] += away
    band[shown] = whole.astype(band.dtype)
    return int(np.count_nonzero(whole != wanted))


def _scales(clip: Clip, shifted: dict[int, tuple[float, float]]) -> tuple[float, ...]:
    return tuple(shifted[index][0] if index in shifted else scale for index, scale in enumerate(clip.scales))


def _offsets(clip: Clip, shifted: dict[int, tuple[float, float]]) -> tuple[float, ...]:
    return tuple(0.0 if index in shifted else offset for index, offset in enumerate(clip.offsets))


def _without_offset(radiometry: Radiometry, shifted: dict[int, tuple[float, float]], clamped: int) -> Radiometry:
    offsets = ", ".join(sorted({f"{offset:g}" for _, offset in shifted.values()}))
    source = f"{radiometry.source}; the offset ({offsets}) was taken off the numbers"
    if clamped:
        source += f", {clamped} of which were clamped to what their type can hold beside nodata"
    if radiometry.scale is not None:
        return replace(radiometry, offset=0.0, source=source)
    bands = tuple(None if pair is None else (pair[0], 0.0) for pair in radiometry.bands)
    return replace(radiometry, bands=bands, source=source)
