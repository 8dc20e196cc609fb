"""Evidence of an offset, out of an acquisition's own pixels: a coarse look at blue and red where the land is dark."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pystac
from numpy.typing import NDArray

from imagery.errors import AssetMissing, RasterUnreadable
from imagery.raster.area import Geometry
from imagery.raster.gdal import open_raster
from imagery.raster.radiometry.coarse import View, choose_view, read_coarsely
from imagery.raster.radiometry.evidence import DARK_BELOW, MIN_PIXELS, BandCount, Basis, Evidence, judge
from imagery.raster.radiometry.sentinel2 import S2_COLLECTION_1, S2_L2A, S2_REFLECTANCE

logger = logging.getLogger(__name__)

Pixels = NDArray[np.int64]

VEGETATION, WATER = 4, 6
"""Of Sentinel-2's scene classes, which no offset changes."""

CONTRAST = 1500
"""nir - red from which a pixel is taken for vegetation: 0.15 of reflectance, with the offset or without."""

DARKEST_PERCENTILE = 2

_BANDS = ("blue", "red")
"""Where vegetation and water are dark."""

_WANTED: Mapping[str, tuple[str, ...]] = {
    "blue": ("blue", "B02"),
    "red": ("red", "B04"),
    "nir": ("nir", "B08"),
    "scl": ("scl", "SCL"),
}
"""What is looked at → its asset keys: Earth Search v1's, then those of v0."""


def gather(item: pystac.Item, asset_keys: Sequence[str], *, near: Geometry | None) -> Evidence | None:
    """Evidence for those of the assets that are Sentinel-2 surface reflectance made into COGs; None if there are none.

    Blue and red are read over the whole scene, at most 512 pixels a side, from their overviews; nir and the scene
    classes to know what is dark. From large files without overviews only blocks around `near` (the scene's middle
    without it) are read. An asset that is gone or no raster is left out, and the evidence says so.

    Raises RasterUnavailable when one of them could not be read just now: without evidence, waiting is better.
    """
    if item.collection_id not in S2_L2A | S2_COLLECTION_1 or not S2_REFLECTANCE.intersection(asset_keys):
        return None
    with ExitStack() as stack:
        opened: list[_Opened] = []
        for role, known in _WANTED.items():
            key = next((key for key in known if key in item.assets), None)
            src = None if key is None else _open(stack, item.assets[key].href)
            if key is not None and src is not None:
                opened.append(_Opened(role=role, key=key, href=item.assets[key].href, src=src))
        return _look(opened, near)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Opened:
    """One asset, as long as it is looked at."""

    role: str
    """blue, red, nir or scl."""

    key: str
    href: str
    src: Any
    """A rasterio dataset."""


def _open(stack: ExitStack, href: str) -> Any | None:
    try:
        return stack.enter_context(open_raster(href))
    except (AssetMissing, RasterUnreadable) as error:
        _left_out(error)
        return None


def _left_out(error: Exception) -> None:
    logger.info("an asset is not used as evidence of the offset", extra={"reason": str(error)})


def _look(opened: Sequence[_Opened], near: Geometry | None) -> Evidence:
    by_role = {one.role: one for one in opened}
    first = by_role.get("red") or by_role.get("blue")
    view = None if first is None else choose_view(first.src, [one.src for one in opened], near)
    seen, bytes_read = ({}, 0) if view is None else _read(opened, view)
    bands = {role: seen[role] for role in _BANDS if role in seen}
    basis, dark, pixels = _dark(seen, bands)
    counts = tuple(_count(by_role[role].key, band, dark) for role, band in bands.items())
    contrast = _contrast(seen, dark) if basis is not None else None
    view = view or View.nothing()
    return Evidence(
        verdict=judge(basis, counts, contrast),
        basis=basis,
        pixels=pixels,
        counts=counts,
        contrast=contrast,
        assets=tuple(by_role[role].key for role in seen),
        unread=tuple(role for role in _WANTED if role not in seen),
        window=view.window,
        step=view.step,
        overview=view.overview,
        whole=view.whole,
        bytes_read=bytes_read,
    )


def _read(opened: Sequence[_Opened], view: View) -> tuple[dict[str, Pixels], int]:
    """By role, each of the view's shape; and bytes."""
    seen: dict[str, Pixels] = {}
    bytes_read = 0
    for one in opened:
        try:
            found = read_coarsely(one.src, view, href=one.href)
        except (AssetMissing, RasterUnreadable) as error:
            _left_out(error)
            continue
        if found is not None:
            seen[one.role], size = found
            bytes_read += size
    return seen, bytes_read


def _dark(seen: Mapping[str, Pixels], bands: Mapping[str, Pixels]) -> tuple[Basis | None, NDArray[np.bool_], int]:
    """Which pixels, by the first kind of which there are enough; else no basis, and the most there were.

    Vegetation goes before water, whose numbers turbidity, glint and over-correction move about.
    """
    if not bands:
        return None, np.zeros((0, 0), bool), 0
    usable = _away_from_nodata([seen[role] for role in ("blue", "red", "nir") if role in seen])
    kinds: list[tuple[Basis, NDArray[np.bool_]]] = []
    if "scl" in seen:
        kinds.append((Basis.VEGETATION, usable & (seen["scl"] == VEGETATION)))
    if "nir" in seen and "red" in seen:
        kinds.append((Basis.CONTRAST, usable & (seen["nir"] - seen["red"] >= CONTRAST)))
    if "scl" in seen:
        kinds.append((Basis.WATER, usable & np.isin(seen["scl"], (VEGETATION, WATER))))
    most = 0
    for basis, dark in kinds:
        pixels = int(np.count_nonzero(dark))
        if pixels >= MIN_PIXELS:
            return basis, dark, pixels
        most = max(most, pixels)
    return None, np.zeros_like(usable), most


def _away_from_nodata(bands: Sequence[Pixels]) -> NDArray[np.bool_]:
    """Pixels of data whose eight neighbours are data as well: overviews average zeros into what lies beside them."""
    missing = np.any([band <= 0 for band in bands], axis=0)
    height, width = missing.shape
    around = np.pad(missing, 1)
    near = np.any([around[r : r + height, c : c + width] for r in range(3) for c in range(3)], axis=0)
    usable: NDArray[np.bool_] = ~near
    return usable


def _contrast(seen: Mapping[str, Pixels], dark: NDArray[np.bool_]) -> float | None:
    if "nir" not in seen or "red" not in seen:
        return None
    return float(np.median((seen["nir"] - seen["red"])[dark]))


def _count(key: str, band: Pixels, dark: NDArray[np.bool_]) -> BandCount:
    values = band[dark]
    if not values.size:
        return BandCount(asset_key=key, below=0.0, darkest=0.0)
    below = float(np.count_nonzero(values < DARK_BELOW)) / values.size
    return BandCount(asset_key=key, below=below, darkest=float(np.percentile(values, DARKEST_PERCENTILE)))
