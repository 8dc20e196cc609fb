"""Several clips of one grid as one clip with their bands in order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from imagery.errors import RasterError
from imagery.raster.bands import has_data, is_alpha
from imagery.raster.clip import Clip
from imagery.raster.nearest import same_grid

_WIDER: Mapping[str, str] = {"uint8": "int16", "int8": "int16", "uint16": "int32", "int16": "int32"} | {
    "uint32": "int64",
    "int32": "int64",
}
"""The next type in which every value of a type has its place and one more is free; among floats, nan always is."""


def stacked(clips: Mapping[str, Clip]) -> Clip:
    """The bands of all clips, in order; a band is called by its asset key, or key_1, key_2 … of a file of several.

    The type holds every value of every clip, nodata is one number that is no value of any of them, and an alpha band is
    left out, its word kept in nodata. Raises RasterError where the clips are not on one grid, or no type holds them.
    """
    keys, parts = list(clips), list(clips.values())
    if not parts:
        raise RasterError("there is no clip to make one file of; ask for one asset at least")
    _refuse_other_grids(clips)
    bands = [(part, index) for part in parts for index in range(part.data.shape[0]) if not is_alpha(part, index)]
    dtype, nodata = _type_and_nodata(keys, parts)
    data = np.full((len(bands), *parts[0].inside.shape), nodata, dtype=dtype)
    inside: NDArray[np.bool_] = np.logical_or.reduce([part.inside for part in parts])
    valid: NDArray[np.bool_] = np.logical_or.reduce([part.valid for part in parts])
    for place, (part, index) in enumerate(bands):
        shown = has_data(part, index)
        data[place][shown] = part.data[index][shown]
    return replace(
        parts[0],
        data=data,
        nodata=nodata,
        nodata_declared=True,
        inside=inside,
        valid=valid,
        aoi_pixels=max(part.aoi_pixels for part in parts),
        valid_pixels=int(np.count_nonzero(valid & inside)),
        scales=tuple(part.scales[index] for part, index in bands),
        offsets=tuple(part.offsets[index] for part, index in bands),
        descriptions=tuple(name for key, part in clips.items() for name in _names(key, part)),
        units=tuple(part.units[index] for part, index in bands),
        colorinterp=(ColorInterp.gray, *([ColorInterp.undefined] * (len(bands) - 1))),
        bytes_read=sum(part.bytes_read for part in parts),
    )


def _refuse_other_grids(clips: Mapping[str, Clip]) -> None:
    (first_key, first), *others = clips.items()
    for key, other in others:
        if not same_grid(first, other):
            raise RasterError(
                f"{key} ({_grid(other)}) is not on the grid of {first_key} ({_grid(first)}), so they cannot be bands "
                "of one file; ask for a common grid (`processing.resolution_m`)"
            )


def _grid(clip: Clip) -> str:
    height, width = clip.inside.shape
    return f"{width} x {height} pixels of {clip.resolution[0]:g} from {clip.bounds[0]:.8g}, {clip.bounds[3]:.8g}"


def _names(key: str, clip: Clip) -> list[str]:
    indices = [index for index in range(clip.data.shape[0]) if not is_alpha(clip, index)]
    return [key] if len(indices) == 1 else [f"{key}_{index + 1}" for index in indices]


def _type_and_nodata(keys: Sequence[str], clips: Sequence[Clip]) -> tuple[np.dtype[Any], int | float]:
    """A type without loss, and a number of it that is nobody's value: the same for the same types wherever possible."""
    dtype = np.result_type(*(clip.data.dtype for clip in clips))
    if dtype.kind == "f" and all(clip.data.dtype.kind != "f" for clip in clips):
        raise RasterError(
            f"no type of whole numbers holds all of {', '.join(keys)}; ask for them in files of their own"
        )
    for candidate in _candidates(clips, dtype):
        if not any(_may_hold(clip, candidate) for clip in clips):
            return dtype, candidate
    # Only by looking: with other pixels the number may be another one.
    for candidate in _candidates(clips, dtype):
        if not any(_holds(clip, candidate) for clip in clips):
            return dtype, candidate
    wider = _WIDER.get(dtype.name)
    if wider is None:
        raise RasterError(f"{', '.join(keys)} leave no number free for nodata; ask for them in files of their own")
    return np.dtype(wider), -1 if dtype.kind == "u" else np.iinfo(wider).min


def _candidates(clips: Sequence[Clip], dtype: np.dtype[Any]) -> list[int | float]:
    """What the clips themselves say first, then the type's own: nan, the least signed or the greatest unsigned."""
    said = [clip.nodata for clip in clips if clip.nodata_declared and _fits(clip.nodata, dtype)]
    said += [clip.nodata for clip in clips if not clip.nodata_declared and _fits(clip.nodata, dtype)]
    if dtype.kind == "f":
        return [*map(float, said), math.nan]
    limits = np.iinfo(dtype)
    return [*said, limits.min if dtype.kind == "i" else limits.max]


def _may_hold(clip: Clip, number: int | float) -> bool:
    """Whether a pixel with data could have this number, by type and declared nodata alone."""
    if math.isnan(number):
        return False
    return _fits(number, clip.data.dtype) and not (clip.nodata_declared and clip.nodata == number)


def _holds(clip: Clip, number: int | float) -> bool:
    """Whether a pixel with data does have it."""
    return _may_hold(clip, number) and any(
        bool((clip.data[index][has_data(clip, index)] == number).any())
        for index in range(clip.data.shape[0])
        if not is_alpha(clip, index)
    )


def _fits(number: int | float, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "f":
        return math.isnan(number) or float(dtype.type(number)) == number
    if not math.isfinite(number) or number != int(number):
        return False
    limits = np.iinfo(dtype)
    return bool(limits.min <= number <= limits.max)
