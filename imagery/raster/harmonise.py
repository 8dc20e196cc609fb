"""Numbers whose offset was taken off, so that number x scale is the physical value whatever the processing baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pystac
from numpy.typing import NDArray

from imagery.raster.bands import has_data, is_alpha, scale_and_offset
from imagery.raster.clip import Clip
from imagery.raster.radiometry import Pair, Radiometry
from imagery.raster.radiometry.landsat import landsat
from imagery.raster.radiometry.sentinel2 import is_reflectance as of_sentinel2
from imagery.raster.radiometry.table import RULES

_TOO_HIGH = "without its offset it would not fit into its type: left as it is, not harmonised"


def harmonised(clip: Clip, radiometry: Radiometry | None) -> tuple[Clip, Radiometry]:
    """Number + offset / scale in every band that has an offset, and the radiometry that holds for the result.

    Whole numbers are rounded to the nearest (half a number at most is lost, nothing where offset / scale is whole, as
    it is for Sentinel-2), and those below what the type can hold become its least. Nodata stays nodata; one with data
    never becomes nodata: next to a nodata of 0 the least unsigned number is 1. What was clamped is counted in
    `source`. A band that would not fit into its type above is left as it is, and so is the clip where scale and offset
    are not known; `source` says so.
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
    fitting = {index: pair for index, pair in shifted.items() if _fits(clip, index, pair[1] / pair[0])}
    if not fitting:
        return clip, replace(radiometry, source=f"{radiometry.source}; {_TOO_HIGH}")
    data, clamped = clip.data.copy(), 0
    for index, (scale, offset) in fitting.items():
        clamped += _shift(data[index], has_data(clip, index), offset / scale, clip)
    result = replace(clip, data=data, scales=_scales(clip, fitting), offsets=_offsets(clip, fitting))
    left = {index: pair for index, pair in shifted.items() if index not in fitting}
    return result, _without_offset(radiometry, pairs, fitting, left, clamped)


def left_as_it_is(radiometry: Radiometry) -> Radiometry:
    """Of what is no reflectance: a temperature's offset is 0 °C or so, and its numbers without it would not fit."""
    return replace(radiometry, source=f"{radiometry.source}; no reflectance by its item's word, not harmonised")


def is_reflectance(item: pystac.Item, asset_key: str) -> bool:
    """Whether an asset holds reflectance: by the row of its collection, else by its role."""
    if of_sentinel2(item.collection_id, asset_key):
        return True
    row = landsat(item.collection_id, asset_key, None)
    if row is not None:
        return row.scale == RULES["landsat-sr"].scale
    return asset_key in item.assets and "reflectance" in (item.assets[asset_key].roles or ())


def _fits(clip: Clip, index: int, shift: float) -> bool:
    band = clip.data[index]
    shown = band[has_data(clip, index)]
    if band.dtype.kind == "f" or shift <= 0 or not shown.size:
        return True
    most = np.iinfo(band.dtype).max
    return bool(round(float(shown.max()) + shift) <= (most - 1 if clip.nodata == most else most))


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


def _without_offset(
    radiometry: Radiometry,
    pairs: Sequence[Pair | None],
    shifted: dict[int, Pair],
    left: dict[int, Pair],
    clamped: int,
) -> Radiometry:
    offsets = ", ".join(sorted({f"{offset:g}" for _, offset in shifted.values()}))
    source = f"{radiometry.source}; the offset ({offsets}) was taken off the numbers"
    if clamped:
        source += f", {clamped} of which were clamped to what their type can hold beside nodata"
    if left:
        source += f"; of band {', '.join(str(index + 1) for index in left)} {_TOO_HIGH}"
    if radiometry.scale is not None and not left:
        return replace(radiometry, offset=0.0, source=source)
    of = radiometry.bands or tuple(pairs)
    bands = tuple(None if pair is None else (pair[0], left.get(index, (0.0, 0.0))[1]) for index, pair in enumerate(of))
    return replace(radiometry, scale=None, offset=None, bands=bands, source=source)
