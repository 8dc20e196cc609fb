"""An item as a collection promises it: its assets without files, to try wishes on before there is an item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pystac

_OWN_FIELDS = frozenset({"href", "type", "roles", "title", "description"})
"""Of an asset, which pystac keeps apart."""


def specimen_of(collection: pystac.Collection) -> pystac.Item | None:
    """None when the collection does not say what assets its items have."""
    declared = collection.extra_fields.get("item_assets") or dict.fromkeys(collection.item_assets)
    if not isinstance(declared, Mapping) or not declared:
        return None
    # Named after the collection: errors about an item name it.
    specimen = pystac.Item(
        id=collection.id, geometry=None, bbox=None, datetime=datetime(1970, 1, 1, tzinfo=UTC), properties={}
    )
    specimen.collection_id = collection.id
    for key, definition in declared.items():
        specimen.assets[str(key)] = _asset(definition if isinstance(definition, Mapping) else {})
    return specimen


def _asset(definition: Mapping[str, Any]) -> pystac.Asset:
    """What is of no use to anybody is left out, as it would be of an item."""
    roles, media_type = definition.get("roles"), definition.get("type")
    return pystac.Asset(
        href="",
        media_type=media_type if isinstance(media_type, str) else None,
        roles=[role for role in roles if isinstance(role, str)] if isinstance(roles, list) else None,
        extra_fields={name: value for name, value in definition.items() if name not in _OWN_FIELDS},
    )


def resolution_m(specimen: pystac.Item, asset_key: str) -> float | None:
    """Width of the pixels of an asset; None when nothing is said, or its bands differ."""
    asset = specimen.assets.get(asset_key)
    widths = set(_widths(asset.extra_fields)) if asset else set()
    return widths.pop() if len(widths) == 1 else None


_PICTURES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/svg")
_NO_IMAGES = ("text/", "video/", "application/json", "application/geo+json", "application/xml", "application/pdf")


def is_raster(specimen: pystac.Item, asset_key: str) -> bool:
    """Whether pixels can be cut from it, as far as is said: pictures for people have no place on the ground."""
    asset = specimen.assets.get(asset_key)
    if asset is None:
        return False
    if asset.media_type:
        return not asset.media_type.lower().startswith((*_PICTURES, *_NO_IMAGES))
    roles = asset.roles or []
    return "data" in roles or not {"thumbnail", "metadata"}.intersection(roles)


def holds_classes(specimen: pystac.Item, asset_key: str) -> bool:
    """Whether its numbers are said to be classes."""
    asset = specimen.assets.get(asset_key)
    fields = asset.extra_fields if asset else {}
    return "classification:classes" in fields or "classification:bitfields" in fields


def _widths(fields: Mapping[str, Any]) -> Iterator[float]:
    """The grid's own word, else the ground sample distance."""
    places = [fields, *_listed(fields.get("bands"))]
    said = [place.get("raster:spatial_resolution") for place in places]
    said += [band.get("spatial_resolution") for band in _listed(fields.get("raster:bands"))]
    yield from _positive(said) or _positive([place.get("gsd") for place in places])


def _listed(bands: Any) -> list[Mapping[str, Any]]:
    return [band for band in bands if isinstance(band, Mapping)] if isinstance(bands, list) else []


def _positive(values: list[Any]) -> list[float]:
    return [value for value in values if isinstance(value, int | float) and not isinstance(value, bool) and value > 0]
