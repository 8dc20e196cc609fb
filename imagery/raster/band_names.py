"""Which asset, and which band of it, a name in a formula means: `red`, `B04`, `nir` are words of several catalogues."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pystac

from imagery.errors import AssetMissing, FormulaInvalid
from imagery.raster.formula import Formula

SENTINEL_2 = {
    "B01": "coastal",
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge1",
    "B06": "rededge2",
    "B07": "rededge3",
    "B08": "nir",
    "B8A": "nir08",
    "B09": "nir09",
    "B11": "swir16",
    "B12": "swir22",
}
"""ESA's names and Earth Search's keys. Of Sentinel-2 only: Landsat's B5 is near infrared."""

_INSTEAD = {
    "nir": ("nir08",),
    "nir08": ("nir",),
    "rededge": ("rededge1", "rededge071"),
    "rededge1": ("rededge071", "rededge"),
    "rededge2": ("rededge075",),
    "rededge3": ("rededge078",),
}
"""Where a sensor has no band of the name, the nearest it has: Landsat's only near infrared is nir08 (0.87 µm), Planet's
only red edge lies at 0.705 µm as Sentinel-2's first; rededge071 and its like are the eo extension's newer words."""

PLANET = {
    "4b": ("blue", "green", "red", "nir"),
    "8b": ("coastal", "blue", "green_i", "green", "yellow", "red", "rededge", "nir"),
}
"""Planet, PlanetScope Product Specification: the order of an analytic asset's bands, which its items do not say."""

_NO_DATA_ROLES = frozenset({"thumbnail", "overview", "visual", "metadata"})
_JP2 = "-jp2"

Found = tuple[str, int]
"""(asset key, band from 1)."""


def bands_of(item: pystac.Item, formula: Formula) -> dict[str, Found]:
    """Asset key and band (from 1) of every name.

    A name is looked for as an asset's key, then as the common name or name of a band of an asset that holds data, then
    by its equivalents in other catalogues, its JPEG 2000 twin (`-jp2`) after all these; and at last as the band
    that comes nearest to it.

    Raises AssetMissing where the item has no such band, FormulaInvalid where the name is that of an asset without
    numbers (a thumbnail, metadata).
    """
    return {name: _band_of(item, name) for name in sorted(formula.names)}


def _band_of(item: pystac.Item, name: str) -> Found:
    if name in item.assets and not _holds_data(name, item.assets[name]):
        raise FormulaInvalid(f"{name!r} of {item.id} is no band one can reckon with; name one of {_listed(item)}")
    same = _same(item, name)
    instead = [word for known in same for other in _INSTEAD.get(known, ()) for word in _same(item, other)]
    for words in (same, instead):
        for is_twin in (False, True):
            found = _first_of(item, words, is_twin=is_twin)
            if found is not None:
                return found
    raise AssetMissing(f"{item.id} has no band {name!r}; it has {_listed(item)}")


def _same(item: pystac.Item, name: str) -> list[str]:
    """The name, and what else the very same band may be called."""
    if not _is_sentinel2(item):
        return [name]
    keys = {word: key for key, word in SENTINEL_2.items()}
    return [name, *(other for other in (SENTINEL_2.get(name), keys.get(name)) if other is not None)]


def _first_of(item: pystac.Item, words: Sequence[str], *, is_twin: bool) -> Found | None:
    """A JPEG 2000 twin, or else anything but one."""
    spoken = _spoken(item)
    for word in words:
        key = word + _JP2 if is_twin else word
        if key in item.assets and _holds_data(key, item.assets[key]):
            return key, 1
        for said, where in spoken:
            if said == word and where[0].endswith(_JP2) == is_twin:
                return where
    return None


def _spoken(item: pystac.Item) -> list[tuple[str, Found]]:
    """(word, where) of every band that has one: surface reflectance first, a file of its own before one of several."""
    found = []
    for key, asset in item.assets.items():
        if not _holds_data(key, asset):
            continue
        bands = _bands(item, key, asset)
        for number, band in enumerate(bands, start=1):
            rank = (not key.endswith("_sr"), len(bands) > 1)
            found += [(word, (key, number), rank) for word in _said(band)]
    return [(word, where) for word, where, _ in sorted(found, key=lambda one: one[2])]


def _said(band: Mapping[str, Any]) -> Iterable[str]:
    words = (band.get("common_name"), band.get("eo:common_name"), band.get("name"))
    return [word for word in words if isinstance(word, str)]


def _bands(item: pystac.Item, key: str, asset: pystac.Asset) -> list[Mapping[str, Any]]:
    listed = asset.extra_fields.get("eo:bands") or asset.extra_fields.get("bands")
    if not isinstance(listed, list):
        return [{"name": name} for name in _planet_order(item, key)]
    # What is no band still takes its place: the numbers of the others must not shift.
    return [band if isinstance(band, Mapping) else {} for band in listed]


def _planet_order(item: pystac.Item, key: str) -> Sequence[str]:
    """Names of a PlanetScope analytic asset's bands; none where it is not known to be one."""
    match = re.fullmatch(r"(?:ortho_)?analytic_([48]b)(?:_sr)?", key)
    if match is not None:
        return PLANET[match[1]]
    # Of the older item types only this one's bare `analytic` has four bands in this order.
    if re.fullmatch(r"analytic(?:_sr)?", key) and item.properties.get("pl:item_type") == "PSScene4Band":
        return PLANET["4b"]
    return ()


def _holds_data(key: str, asset: pystac.Asset) -> bool:
    """Whether it is a raster of numbers, and no picture made of one (`visual` has a red, too)."""
    if set(asset.roles or ()) & _NO_DATA_ROLES or "visual" in key.lower():
        return False
    return asset.media_type is None or "tiff" in asset.media_type or "jp2" in asset.media_type


def _is_sentinel2(item: pystac.Item) -> bool:
    constellation = str(item.properties.get("constellation", "")).lower()
    collection = (item.collection_id or "").lower()
    return "sentinel-2" in constellation or collection.startswith(("sentinel-2", "sentinel-s2", "sentinel2"))


def _listed(item: pystac.Item) -> str:
    """What a formula could name, for a person."""
    keys = [key for key, asset in item.assets.items() if _holds_data(key, asset) and not key.endswith(_JP2)]
    words = [word for word, (key, _) in _spoken(item) if not key.endswith(_JP2)]
    return ", ".join(dict.fromkeys([*keys, *words])) or "no band at all"
