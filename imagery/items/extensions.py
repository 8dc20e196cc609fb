"""Which extensions an item or a collection declares: those it uses, and whose schema it satisfies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_VERSIONS = {
    "classification": "v2.0.0",  # v1.1.0 as published asks for the URL of v1.0.0, so nothing can satisfy it
    "eo": "v2.0.0",
    "file": "v2.1.0",
    "grid": "v1.1.0",
    "landsat": "v2.0.0",
    "mgrs": "v1.0.0",
    "processing": "v1.2.0",
    "product": "v1.0.0",
    "proj": "v2.0.0",
    "raster": "v2.0.0",
    "s2": "v1.0.0",
    "sar": "v1.0.0",
    "sat": "v1.2.0",
    "view": "v1.1.0",
}
"""Prefix of its fields → version we write."""

_UNPREFIXED = {
    "version": "version/v1.2.0",
    "deprecated": "version/v1.2.0",
    "expires": "timestamps/v1.1.0",
}
"""Properties without a prefix → extension."""

_NAMES = {"proj": "projection", "s2": "sentinel-2"}

_REQUIRED = {
    "landsat": frozenset(
        {
            "landsat:scene_id",
            "landsat:collection_category",
            "landsat:collection_number",
            "landsat:wrs_type",
            "landsat:wrs_path",
            "landsat:wrs_row",
            "landsat:cloud_cover_land",
            "landsat:correction",
        }
    ),
    "mgrs": frozenset({"mgrs:latitude_band", "mgrs:grid_square"}),
    "sar": frozenset({"sar:instrument_mode", "sar:frequency_band", "sar:polarizations", "sar:product_type"}),
}
"""Fields without which an extension may not be declared; the ones that are there stay, undeclared."""


def used_extensions(item: Mapping[str, Any]) -> list[str]:
    """URLs of the schemas an item (as JSON) has to declare, in order of their names."""
    names = set(_field_names(item))
    prefixed = (prefix for prefix in _prefixes(names) if _REQUIRED.get(prefix, frozenset()) <= names)
    return sorted({*_urls(prefixed), *(_url(_UNPREFIXED[name]) for name in item["properties"] if name in _UNPREFIXED)})


def used_in_item_assets(item_assets: Mapping[str, Any]) -> list[str]:
    """URLs of the schemas a collection has to declare for its `item_assets`."""
    names = {name for asset in item_assets.values() for name in _asset_names(asset)}
    return _urls(_prefixes(names))


def _prefixes(names: set[str]) -> set[str]:
    return {name.partition(":")[0] for name in names if ":" in name} & _VERSIONS.keys()


def _urls(prefixes: Any) -> list[str]:
    return sorted(_url(f"{_NAMES.get(prefix, prefix)}/{_VERSIONS[prefix]}") for prefix in prefixes)


def _url(version: str) -> str:
    return f"https://stac-extensions.github.io/{version}/schema.json"


def _field_names(item: Mapping[str, Any]) -> Iterator[str]:
    yield from item["properties"]
    for asset in item["assets"].values():
        yield from _asset_names(asset)


def _asset_names(asset: Mapping[str, Any]) -> Iterator[str]:
    yield from asset
    for band in asset.get("bands", ()):
        yield from band
