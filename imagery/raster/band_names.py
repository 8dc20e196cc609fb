"""Which asset, and which band of it, a name in a formula means: `red`, `B04`, `nir` are words of several catalogues."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pystac

from imagery.errors import AssetMissing, FormulaInvalid
from imagery.raster.formula import Formula

_SENTINEL_2 = {
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

_PLANET = {
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
    by its equivalents in other catalogues; JPEG 2000 twins (`-jp2`) come last.

    Raises AssetMissing where the item has no such band, FormulaInvalid where the name is that of an asset without
    numbers (a thumbnail, metadata).
    """
    return {name: _band_of(item, name) for name in sorted(formula.names)}


def _band_of(item: pystac.Item, name: str) -> Found:
    if name in item.assets and not _holds_data(name, item.assets[name]):
        raise FormulaInvalid(f"{name!r} of {item.id} is no band one can reckon with; name one of {_listed(item)}")
    spoken = _spoken(item)
    for word in _words(item, name):
        if word in item.assets and _holds_data(word, item.assets[word]):
            return word, 1
        of_word = [found for said, found in spoken if said == word]
        if of_word:
            return of_word[0]
    for word in _words(item, name):
        if word + _JP2 in item.assets:
            return word + _JP2, 1
    raise AssetMissing(f"{item.id} has no band {name!r}; it has {_listed(item)}")


def _words(item: pystac.Item, name: str) -> Iterator[str]:
    """The name itself, and what else it may be called, the nearest first."""
    same = [name]
    if _is_sentinel2(item):
        keys = {word: key for key, word in _SENTINEL_2.items()}
        same += [other for other in (_SENTINEL_2.get(name), keys.get(name)) if other is not None]
    yield from same
    for word in same:
        for other in _INSTEAD.get(word, ()):
            yield from _words_of_other(item, other)


def _words_of_other(item: pystac.Item, word: str) -> Iterator[str]:
    yield word
    if _is_sentinel2(item):
        yield from (key for key, common in _SENTINEL_2.items() if common == word)


def _spoken(item: pystac.Item) -> list[tuple[str, Found]]:
    """(word, where) of every band that has one: twins last, surface reflectance first, a file of its own before one of
    several."""
    found = []
    for key, asset in item.assets.items():
        if not _holds_data(key, asset):
            continue
        bands = _bands(item, key, asset)
        for number, band in enumerate(bands, start=1):
            rank = (key.endswith(_JP2), not key.endswith("_sr"), len(bands) > 1)
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
        return _PLANET[match[1]]
    # Of the older item types only this one's bare `analytic` has four bands in this order.
    if re.fullmatch(r"analytic(?:_sr)?", key) and item.properties.get("pl:item_type") == "PSScene4Band":
        return _PLANET["4b"]
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
