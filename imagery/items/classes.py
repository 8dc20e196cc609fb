"""What the numbers of a classified asset mean: kept from the source, or known of Sentinel-2's scene classification."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from imagery.items.checks import Check, is_count, is_flag, is_like, is_list_of, is_text

_NAME = re.compile(r"[0-9A-Za-z_-]+")

# Names and colours as Copernicus shows the scene classification layer (Sen2Cor).
_SCL = (
    ("no_data", "No data", "000000"),
    ("saturated_or_defective", "Saturated or defective", "FF0000"),
    ("dark_area", "Dark area or topographic shadow", "2F2F2F"),
    ("cloud_shadow", "Cloud shadow", "643200"),
    ("vegetation", "Vegetation", "00A000"),
    ("not_vegetated", "Not vegetated", "FFE65A"),
    ("water", "Water", "0000FF"),
    ("unclassified", "Unclassified", "808080"),
    ("cloud_medium_probability", "Cloud, medium probability", "C0C0C0"),
    ("cloud_high_probability", "Cloud, high probability", "FFFFFF"),
    ("thin_cirrus", "Thin cirrus", "64C8FF"),
    ("snow", "Snow or ice", "FF96FF"),
)

_OPTIONAL: Mapping[str, Check] = {
    "title": is_text,
    "description": is_text,
    "color_hint": is_like(r"[0-9A-Fa-f]{6}"),
    "nodata": is_flag,
}
"""Counts and percentages of classes were measured over the whole scene."""


def scl_classes() -> list[dict[str, Any]]:
    """The twelve classes of Sentinel-2's `scl`."""
    classes: list[dict[str, Any]] = [
        {"value": value, "name": name, "description": description, "color_hint": colour}
        for value, (name, description, colour) in enumerate(_SCL)
    ]
    classes[0]["nodata"] = True
    return classes


def classification_of(source: Mapping[str, Any]) -> dict[str, Any]:
    """`classification:*` of a source asset (or of its only band), in the words of version 2; empty if it has none."""
    bands = source.get("bands") or source.get("raster:bands")
    of_band = bands[0] if isinstance(bands, list) and len(bands) == 1 and isinstance(bands[0], Mapping) else {}
    said = {**of_band, **source}
    classes = _classes(said.get("classification:classes"))
    bitfields = _bitfields(said.get("classification:bitfields"))
    return {
        **({"classification:classes": classes} if classes else {}),
        **({"classification:bitfields": bitfields} if bitfields else {}),
    }


def _classes(said: object) -> list[dict[str, Any]]:
    """All of them or none: a legend with holes misleads."""
    if not isinstance(said, list):
        return []
    classes = [_class(part) for part in said]
    return [] if None in classes else [part for part in classes if part is not None]


def _class(said: object) -> dict[str, Any] | None:
    if not isinstance(said, Mapping):
        return None
    value = said.get("value")
    name = _name(said.get("name"), said.get("description"), fallback=f"class_{value}")
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    colour = said.get("color_hint", said.get("color-hint"))
    described = {**said, "color_hint": colour.lstrip("#") if isinstance(colour, str) else None}
    return {"value": value, "name": name} | {
        k: described[k] for k, check in _OPTIONAL.items() if check(described.get(k))
    }


def _bitfields(said: object) -> list[dict[str, Any]]:
    if not isinstance(said, list):
        return []
    fields = [_bitfield(part) for part in said]
    return [] if None in fields else [part for part in fields if part is not None]


def _bitfield(said: object) -> dict[str, Any] | None:
    if not isinstance(said, Mapping):
        return None
    offset, length, classes = said.get("offset"), said.get("length"), _classes(said.get("classes"))
    if not (offset == 0 or is_count(offset)) or not is_count(length) or not classes:
        return None
    field: dict[str, Any] = {"offset": offset, "length": length, "classes": classes}
    if is_text(said.get("name")) or is_text(said.get("description")):
        field["name"] = _name(said.get("name"), said.get("description"), fallback=f"bits_{offset}")
    if is_text(said.get("description")):
        field["description"] = said["description"]
    if is_list_of(is_text)(said.get("roles")):
        field["roles"] = said["roles"]
    return field


def _name(name: object, description: object, *, fallback: str) -> str:
    """Version 2 wants a name of plain letters; version 1 asked for a description only."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    text = name if is_text(name) else description
    return re.sub(r"[^0-9A-Za-z_-]+", "_", text).strip("_").lower() or fallback if isinstance(text, str) else fallback
