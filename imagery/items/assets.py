"""A cut file and the source asset it came from → the published asset."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from imagery.items.bands import bands_of, numbered, scaled_bands, values_of
from imagery.items.checks import Check, is_list_of, is_positive, is_text
from imagery.items.classes import classification_of, scl_classes
from imagery.items.cut import CutAsset

_KEPT: Mapping[str, Check] = {"title": is_text, "description": is_text, "gsd": is_positive}

_NOT_REFLECTANCE = frozenset({"scl", "aot", "wvp", "cld", "snw", "cloud", "snow"})
"""Earth Search gives some of these the role `reflectance`."""

_DATA_TYPES = frozenset(
    {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"}
)
_OTHER_DATA_TYPES = {"complex64": "cfloat32", "complex128": "cfloat64", "complex_int16": "cint16", "bool": "uint8"}

_SAID_OF_BANDS = (
    "gsd",
    "unit",
    "raster:sampling",
    "raster:bits_per_sample",
    "classification:classes",
    "classification:bitfields",
)
"""What may be said of a band as well as of an asset."""

_MULTIHASH_SHA256 = "1220"
"""Code of SHA-256, then its length of 32 bytes."""


def published_asset(cut: CutAsset, sources: Mapping[str, Mapping[str, Any]], *, sentinel_2: bool) -> dict[str, Any]:
    """`sources` are the source's assets as JSON of any STAC version, by key; those it has none of are not in it."""
    described = _described(cut, sources, sentinel_2=sentinel_2)
    if cut.band_scales:
        described["bands"] = scaled_bands(described.get("bands", []), cut.band_scales)
    own = {"title": cut.title, "description": cut.description, "roles": list(cut.roles) if cut.roles else None}
    return (
        {"href": cut.href, "type": cut.media_type}
        | described
        | {name: value for name, value in own.items() if value}
        | _pixels(cut)
        | _place(cut)
        | _file(cut)
    )


def _described(cut: CutAsset, sources: Mapping[str, Mapping[str, Any]], *, sentinel_2: bool) -> dict[str, Any]:
    if cut.formula is not None:
        return {"title": cut.key, "description": cut.formula, "roles": ["data", "index"]}
    if cut.band_sources:
        return stacked_asset(cut.band_sources, sources, names=cut.band_names, sentinel_2=sentinel_2)
    return described_asset(cut.key, sources.get(cut.key, {}), band_names=cut.band_names, sentinel_2=sentinel_2)


def described_asset(
    key: str, source: Mapping[str, Any], *, band_names: tuple[str, ...] = (), sentinel_2: bool
) -> dict[str, Any]:
    """What is true of an asset whatever was cut from it: words, roles, bands, classes; for items and item_assets."""
    asset: dict[str, Any] = {name: source[name] for name, check in _KEPT.items() if check(source.get(name))}
    asset["roles"] = _roles(key, source)
    bands = bands_of(source, band_names)
    if bands:
        asset["bands"] = bands
    asset |= values_of(source)
    asset |= classification_of(source)
    if sentinel_2 and _kind(key) == "scl" and "classification:classes" not in asset:
        asset["classification:classes"] = scl_classes()
    return asset


def stacked_asset(
    keys: Sequence[str], sources: Mapping[str, Mapping[str, Any]], *, names: Sequence[str], sentinel_2: bool
) -> dict[str, Any]:
    """Of one file made of several assets' bands: `keys` says the asset of each, `names` what to call it (empty: so).

    What all of them say is said of the asset, the rest of each band.
    """
    of_assets = {key: described_asset(key, sources.get(key, {}), sentinel_2=sentinel_2) for key in keys}
    alike = [set(asset["roles"]) for asset in of_assets.values()]
    first = next(iter(of_assets.values()))
    common = {
        name: first[name]
        for name in _SAID_OF_BANDS
        if name in first and all(asset.get(name) == first[name] for asset in of_assets.values())
    }
    bands = []
    for i, key in enumerate(keys):
        said = of_assets[key].get("bands", [])
        nth = list(keys[:i]).count(key)
        band = said[nth] if nth < len(said) else {}
        own = {name: of_assets[key][name] for name in _SAID_OF_BANDS if name in of_assets[key] and name not in common}
        bands.append({**_words(of_assets[key]), **own, **band, "name": names[i] if len(names) == len(keys) else key})
    roles = [role for role in first["roles"] if all(role in others for others in alike)]
    return {"title": "All bands in one file", "roles": roles or ["data"], "bands": numbered(bands), **common}


def _words(asset: Mapping[str, Any]) -> dict[str, Any]:
    words = asset.get("description") or asset.get("title")
    return {"description": words} if words else {}


def published_thumbnail(cut: CutAsset, *, item_has_code: bool) -> dict[str, Any]:
    """A picture for people. It has no place on the grid, so the item's `proj:code` is taken back for it."""
    asset = {"href": cut.href, "type": cut.media_type, "title": "Thumbnail", "roles": ["thumbnail"]} | _file(cut)
    return asset | ({"proj:code": None} if item_has_code else {})


def _roles(key: str, source: Mapping[str, Any]) -> list[str]:
    said = source.get("roles")
    roles: list[str] = list(said) if isinstance(said, list) and is_list_of(is_text)(said) else []
    if _kind(key) in _NOT_REFLECTANCE:
        roles = [role for role in roles if role != "reflectance"]
    return roles or ["data"]


def _kind(key: str) -> str:
    return key.lower().removesuffix("-jp2")


def _pixels(cut: CutAsset) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if cut.dtype is not None:
        fields["data_type"] = cut.dtype if cut.dtype in _DATA_TYPES else _OTHER_DATA_TYPES.get(cut.dtype, "other")
    if cut.nodata is not None:
        fields["nodata"] = _nodata(cut.nodata)
    if cut.scale is not None:
        fields["raster:scale"] = float(cut.scale)
    if cut.offset is not None:
        fields["raster:offset"] = float(cut.offset)
    if cut.radiometry is not None:
        fields["imagery:radiometry"] = cut.radiometry
    if cut.resolution_m is not None:
        fields["raster:spatial_resolution"] = float(cut.resolution_m)
    return fields


def _nodata(value: float) -> float | int | str:
    """JSON knows no nan and no infinity; STAC spells them."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return int(value) if float(value).is_integer() else float(value)


def _place(cut: CutAsset) -> dict[str, Any]:
    if cut.shape is None and cut.crs is None:
        return {}
    fields: dict[str, Any] = {"proj:code": cut.crs}
    if cut.shape is not None:
        fields["proj:shape"] = [int(side) for side in cut.shape]
    if cut.transform is not None:
        fields["proj:transform"] = [float(number) for number in cut.transform]
    if cut.bounds is not None:
        fields["proj:bbox"] = [float(side) for side in cut.bounds]
    return fields


def _file(cut: CutAsset) -> dict[str, Any]:
    return {"file:size": int(cut.body_size), "file:checksum": _MULTIHASH_SHA256 + cut.sha256.lower()}
