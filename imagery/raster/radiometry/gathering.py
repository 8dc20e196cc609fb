"""Evidence of an offset, out of an acquisition's own pixels: a coarse look at blue and red where the land is dark."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pystac

from imagery.errors import AssetMissing, ChecksumMismatch, RangesUnsupported, RasterUnreadable
from imagery.raster.gdal import open_raster
from imagery.raster.radiometry.coarse import View, choose_views, read_coarsely
from imagery.raster.radiometry.counting import Counted, Pixels, count, joined, usable
from imagery.raster.radiometry.evidence import Evidence, Verdict
from imagery.raster.radiometry.judging import judge
from imagery.raster.radiometry.sentinel2 import S2_COLLECTION_1, S2_L2A, S2_REFLECTANCE
from imagery.raster.whole import MAX_UNASKED_BYTES, fetch_whole

logger = logging.getLogger(__name__)

_WANTED: Mapping[str, tuple[str, ...]] = {
    "blue": ("blue", "B02"),
    "red": ("red", "B04"),
    "nir": ("nir", "B08"),
    "scl": ("scl", "SCL"),
}
"""What is looked at → its asset keys: Earth Search v1's, then those of v0."""

_UNUSABLE = (AssetMissing, RasterUnreadable, ChecksumMismatch)


def gather(item: pystac.Item, asset_keys: Sequence[str], *, folder: Path | None = None) -> Evidence | None:
    """Evidence for those of the assets that are Sentinel-2 surface reflectance made into COGs; None if there are none.

    Blue and red are read over the whole scene, at most 512 pixels a side, from their overviews; nir and the scene
    classes to know what is dark. Of large files without overviews the scene's middle is read, and those of its
    quarters as long as it is not certain that the offset was taken off. The same item gives the same evidence, whoever
    asks. An asset that is gone, no raster or not the file its checksum is of is left out, and the evidence says so.

    Where a server gives no parts of its files they are read whole (MAX_UNASKED_BYTES each, at most) into `folder`;
    without one they are left out.

    Raises RasterUnavailable when one of them could not be read just now: without evidence, waiting is better.
    """
    if item.collection_id not in S2_L2A | S2_COLLECTION_1 or not S2_REFLECTANCE.intersection(asset_keys):
        return None
    with ExitStack() as stack:
        opened: list[_Opened] = []
        for role, known in _WANTED.items():
            key = next((key for key in known if key in item.assets), None)
            found = None if key is None else _open(stack, item.assets[key], folder)
            if key is not None and found is not None:
                opened.append(_Opened(role=role, key=key, href=found[0], src=found[1]))
        return _look(opened)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Opened:
    """One asset, as long as it is looked at."""

    role: str
    """blue, red, nir or scl."""

    key: str
    href: str
    src: Any
    """A rasterio dataset."""


def _open(stack: ExitStack, asset: pystac.Asset, folder: Path | None) -> tuple[str, Any] | None:
    """Where it is read from, and the open dataset."""
    try:
        try:
            return asset.href, stack.enter_context(open_raster(asset.href))
        except RangesUnsupported:
            if folder is None:
                raise
        href = str(_whole(asset, folder))
        return href, stack.enter_context(open_raster(href))
    except _UNUSABLE as error:
        _left_out(error)
        return None


def _whole(asset: pystac.Asset, folder: Path) -> Path:
    checksum, size = asset.extra_fields.get("file:checksum"), asset.extra_fields.get("file:size")
    return fetch_whole(
        asset.href,
        folder,
        checksum=checksum if isinstance(checksum, str) else None,
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        max_bytes=MAX_UNASKED_BYTES,
    )


def _left_out(error: Exception) -> None:
    logger.info("an asset is not used as evidence of the offset", extra={"reason": str(error)})


def _look(opened: Sequence[_Opened]) -> Evidence:
    by_role = {one.role: one for one in opened}
    first = by_role.get("red") or by_role.get("blue")
    evidence = _evidence({}, by_role, ())
    if first is None:
        return evidence
    views: list[View] = []
    places: list[dict[str, Pixels]] = []
    bytes_read = 0
    for view in choose_views(first.src, [one.src for one in opened]):
        seen, size = _read(opened, view)
        views.append(view)
        places.append(usable(seen))
        bytes_read += size
        evidence = _evidence(joined(places), by_role, views)
        if evidence.verdict is Verdict.TAKEN_OFF:
            break
    return replace(evidence, bytes_read=bytes_read)


def _evidence(seen: Mapping[str, Pixels], by_role: Mapping[str, _Opened], views: Sequence[View]) -> Evidence:
    found: Counted = count(seen)
    counts = tuple(replace(one, asset_key=by_role[role].key) for role, one in found.counts.items())
    return Evidence(
        verdict=judge(found.basis, counts, found.nir),
        basis=found.basis,
        pixels=found.pixels,
        counts=counts,
        nir=found.nir,
        assets=tuple(by_role[role].key for role in seen),
        unread=tuple(role for role in _WANTED if role not in seen),
        windows=tuple(view.window for view in views),
        step=views[0].step if views else 1,
        overview=views[0].overview if views else 1,
        whole=bool(views) and views[0].whole,
    )


def _read(opened: Sequence[_Opened], view: View) -> tuple[dict[str, Pixels], int]:
    """By role, each of the view's shape; and bytes."""
    seen: dict[str, Pixels] = {}
    bytes_read = 0
    for one in opened:
        try:
            found = read_coarsely(one.src, view, href=one.href)
        except _UNUSABLE as error:
            _left_out(error)
            continue
        if found is not None:
            seen[one.role], size = found
            bytes_read += size
    return seen, bytes_read
