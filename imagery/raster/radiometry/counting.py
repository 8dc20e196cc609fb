"""What is counted in a coarse picture of an acquisition: which pixels are dark, and how dark they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagery.raster.radiometry.evidence import DARK_BELOW, BandCount, Basis, NearInfrared
from imagery.raster.radiometry.judging import MIN_PIXELS, NIR_BELOW, NIR_DARK

Pixels = NDArray[np.int64]

VEGETATION, WATER = 4, 6
"""Of Sentinel-2's scene classes, which no offset changes."""

_CLOUDS = (8, 9, 10)

CONTRAST = 1500
"""nir - red from which a pixel is taken for vegetation: 0.15 of reflectance, with the offset or without."""

DARKEST_PERCENTILE = 2

BANDS = ("blue", "red")
"""Where vegetation and water are dark."""

OFFSET = 1000
"""The offset of stored numbers that all this is about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """As `Evidence` has it."""

    basis: Basis | None
    pixels: int
    counts: Mapping[str, BandCount]
    """By role; their asset keys are the roles."""

    nir: NearInfrared | None


def usable(seen: Mapping[str, Pixels]) -> dict[str, Pixels]:
    """Of pictures of one shape (by role) the pixels that can be counted, shape (pixels,).

    They are of data and their eight neighbours are as well: overviews average zeros into what lies beside them.
    """
    bands = [seen[role] for role in (*BANDS, "nir") if role in seen]
    if not bands:
        return {}
    missing = np.any([band <= 0 for band in bands], axis=0)
    height, width = missing.shape
    around = np.pad(missing, 1)
    near = np.any([around[r : r + height, c : c + width] for r in range(3) for c in range(3)], axis=0)
    return {role: pixels[~near] for role, pixels in seen.items()}


def joined(places: Sequence[Mapping[str, Pixels]]) -> dict[str, Pixels]:
    """The pixels of several places as one; what could not be read everywhere is left out."""
    roles = [role for role in places[0] if all(role in place for place in places)] if places else []
    return {role: np.concatenate([place[role] for place in places]) for role in roles}


def count(seen: Mapping[str, Pixels]) -> Counted:
    """`seen`: by role (blue, red, nir, scl) as `usable` gives them."""
    basis, dark, pixels = _dark(seen)
    counts = {role: _count(role, seen[role][dark]) for role in BANDS if role in seen}
    return Counted(basis=basis, pixels=pixels, counts=counts, nir=_nir(seen, dark))


def _dark(seen: Mapping[str, Pixels]) -> tuple[Basis | None, NDArray[np.bool_], int]:
    """Which pixels, by the first kind of which there are enough; else no basis, and the most there were.

    Vegetation goes before water, whose numbers turbidity, glint and over-correction move about.
    """
    kinds: list[tuple[Basis, NDArray[np.bool_]]] = []
    if "scl" in seen:
        kinds.append((Basis.VEGETATION, seen["scl"] == VEGETATION))
    if "nir" in seen and "red" in seen:
        kinds.append((Basis.CONTRAST, seen["nir"] - seen["red"] >= CONTRAST))
    if "scl" in seen:
        kinds.append((Basis.WATER, np.isin(seen["scl"], (VEGETATION, WATER))))
    most = 0
    for basis, dark in kinds:
        pixels = int(np.count_nonzero(dark))
        if pixels >= MIN_PIXELS:
            return basis, dark, pixels
        most = max(most, pixels)
    size = next((pixels.size for pixels in seen.values()), 0)
    return None, np.zeros(size, bool), most


def _count(role: str, values: Pixels) -> BandCount:
    if not values.size:
        return BandCount(asset_key=role, below=0.0, darkest=0.0)
    below = float(np.count_nonzero(values < DARK_BELOW)) / values.size
    return BandCount(asset_key=role, below=below, darkest=float(np.percentile(values, DARKEST_PERCENTILE)))


def _nir(seen: Mapping[str, Pixels], dark: NDArray[np.bool_]) -> NearInfrared | None:
    if "nir" not in seen or "red" not in seen or not dark.any():
        return None
    nir, red = seen["nir"][dark], seen["red"][dark]
    everywhere = seen["nir"][~np.isin(seen["scl"], _CLOUDS)] if "scl" in seen else seen["nir"]
    lake = seen["nir"][seen["scl"] == WATER] if "scl" in seen else nir[:0]
    both = (nir + red - 2 * OFFSET).astype(np.float64)
    ndvi = np.divide(nir - red, both, out=np.full(both.shape, np.inf), where=both > 0)
    return NearInfrared(
        contrast=float(np.median(nir - red)),
        red=float(np.median(red)),
        ndvi=float(np.median(ndvi)),
        floor=float(np.percentile(nir, DARKEST_PERCENTILE)),
        pixels=int(everywhere.size),
        below=int(np.count_nonzero(everywhere < NIR_BELOW)),
        water=int(np.count_nonzero((lake >= NIR_BELOW) & (lake < NIR_DARK))),
    )
