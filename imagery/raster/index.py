"""Indices: numbers of several bands' physical values, laid on the finest of their grids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from imagery.errors import FormulaInvalid, RasterError
from imagery.model.processing import Index
from imagery.raster.band_names import bands_of
from imagery.raster.bands import has_data, scale_and_offset
from imagery.raster.clip import Clip
from imagery.raster.formula import Formula
from imagery.raster.nearest import laid_on
from imagery.raster.radiometry import Radiometry

__all__ = ["INDEX_NODATA", "INDEX_SCALE", "KNOWN", "bands_of", "compute"]

INDEX_SCALE = 0.0001
INDEX_NODATA = -32768
_MOST = 32767
"""Of the stored number either way: an index reaches from -3.2767 to 3.2767."""

_ROWS_AT_ONCE = 512

_SOURCES: Mapping[str, str] = {
    # Rouse et al. 1974, Monitoring vegetation systems in the Great Plains with ERTS, NASA SP-351.
    "ndvi": "(nir - red) / (nir + red)",
    # Barnes et al. 2000, Coincident detection of crop water stress, nitrogen status and canopy density.
    "ndre": "(nir - rededge1) / (nir + rededge1)",
    # McFeeters 1996, The use of the Normalized Difference Water Index in the delineation of open water features.
    "ndwi": "(green - nir) / (green + nir)",
    # Huete et al. 2002, Overview of the radiometric and biophysical performance of the MODIS vegetation indices.
    "evi": "2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)",
    # Huete 1988, A soil-adjusted vegetation index (SAVI), with L = 0.5.
    "savi": "1.5 * (nir - red) / (nir + red + 0.5)",
    # Gao 1996, NDWI: a normalized difference water index for remote sensing of vegetation liquid water.
    "ndmi": "(nir - swir16) / (nir + swir16)",
    # Key and Benson 2006, Landscape Assessment, FIREMON, USDA RMRS-GTR-164.
    "nbr": "(nir - swir22) / (nir + swir22)",
    # Gitelson et al. 1996, Use of a green channel in remote sensing of global vegetation from EOS-MODIS.
    "gndvi": "(nir - green) / (nir + green)",
}

KNOWN: Mapping[str, Index] = {name: Index(name=name, formula=formula) for name, formula in _SOURCES.items()}
"""Indices by name, of reflectance from 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Input:
    """One band on the index's grid."""

    numbers: NDArray[Any]
    shown: NDArray[np.bool_]
    scale: float
    offset: float


def compute(
    formula: Formula, bands: Mapping[str, tuple[Clip, int]], radiometry: Mapping[str, Radiometry | None]
) -> Clip:
    """The formula of the bands' physical values: int16 x 0.0001, -32768 where a band has no data or the result is no
    finite number, shape (1, height, width) on the finest band's grid; coarser ones are laid on it by nearest.

    `bands` gives for every name of the formula a clip and the band in it, from 1. A name whose radiometry is None, or
    says nothing of the band, goes by the scale and offset of the clip's file, which are 1 and 0 where it has none. A
    result beyond ±3.2767 does not fit and is nodata too; the description counts such pixels.

    A band coarser than the finest is to be read with `all_touched`, or the AOI's edge is nodata where the centre of the
    coarse pixel lies outside. Raises FormulaInvalid where a name has no band, RasterError where projections differ.
    """
    missing = sorted(formula.names - set(bands))
    if missing:
        raise FormulaInvalid(f"the formula {formula.text!r} needs {', '.join(missing)} as well")
    used = {name: bands[name] for name in sorted(formula.names)}
    finest = min((clip for clip, _ in used.values()), key=lambda clip: clip.resolution[0] * clip.resolution[1])
    inputs = {name: _input(*found, radiometry.get(name), finest) for name, found in used.items()}
    shown: NDArray[np.bool_] = np.logical_and.reduce([finest.inside, *(one.shown for one in inputs.values())])
    data = np.full((1, *finest.inside.shape), INDEX_NODATA, dtype=np.int16)
    beyond = 0
    for start in range(0, data.shape[1], _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        beyond += _fill(data[0, rows], formula, inputs, rows, shown[rows])
    return _as_clip(data, finest, shown, _description(formula, beyond))


def _input(clip: Clip, number: int, radiometry: Radiometry | None, finest: Clip) -> _Input:
    if clip.crs != finest.crs:
        raise RasterError(
            "the bands of an index lie in several projections; ask for a common grid (`processing.resolution_m`)"
        )
    if not 1 <= number <= clip.data.shape[0]:
        raise FormulaInvalid(f"band {number} was named of a file that has {clip.data.shape[0]}; name one that is there")
    index = number - 1
    scale, offset = scale_and_offset(radiometry, index) or (clip.scales[index], clip.offsets[index])
    return _Input(
        numbers=laid_on(clip.data[index], clip, finest, fill=0),
        shown=laid_on(has_data(clip, index), clip, finest, fill=False),
        scale=scale,
        offset=offset,
    )


def _fill(
    stored: NDArray[np.int16], formula: Formula, inputs: Mapping[str, _Input], rows: slice, shown: NDArray[np.bool_]
) -> int:
    """Writes these rows of the result; returns how many pixels are beyond what can be stored."""
    values = {
        name: one.numbers[rows][shown].astype(np.float64) * one.scale + one.offset for name, one in inputs.items()
    }
    numbers = np.rint(formula.evaluate(values) / INDEX_SCALE)
    finite = np.isfinite(numbers)
    # At the bound a number would look like any other; no data says that nothing is known.
    fits = finite & (np.abs(numbers) <= _MOST)
    stored[shown] = np.where(fits, numbers, INDEX_NODATA).astype(np.int16)
    return int(np.count_nonzero(finite & ~fits))


def _description(formula: Formula, beyond: int) -> str:
    left_out = f"; {beyond} pixels beyond ±{_MOST * INDEX_SCALE:.4f} are nodata: scale the formula" if beyond else ""
    return f"{formula.text}{left_out}"


def _as_clip(data: NDArray[np.int16], finest: Clip, shown: NDArray[np.bool_], description: str) -> Clip:
    valid: NDArray[np.bool_] = shown & (data[0] != INDEX_NODATA)
    return replace(
        finest,
        data=data,
        nodata=INDEX_NODATA,
        nodata_declared=True,
        # Outside the AOI nothing was computed; there the finest band says where the acquisition has data.
        valid=valid | (finest.valid & ~finest.inside),
        valid_pixels=int(np.count_nonzero(valid)),
        scales=(INDEX_SCALE,),
        offsets=(0.0,),
        descriptions=(description,),
        units=(None,),
        colorinterp=(ColorInterp.gray,),
        bytes_read=0,  # the bands' clips carry what was read
    )
