"""A source asset's bands in any spelling (STAC 1.1 `bands`, `eo:bands`, `raster:bands`) → `bands` with eo v2 names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imagery.items.checks import Check, is_count, is_one_of, is_positive, is_text, is_within

_COMMON_NAMES = (
    "pan",
    "coastal",
    "blue",
    "green",
    "green05",
    "yellow",
    "red",
    "rededge",
    "rededge071",
    "rededge075",
    "rededge078",
    "nir",
    "nir08",
    "nir09",
    "cirrus",
    "swir16",
    "swir22",
    "lwir",
    "lwir11",
    "lwir12",
)

_OF_A_BAND: Mapping[str, tuple[str, Check]] = {
    "description": ("description", is_text),
    "common_name": ("eo:common_name", is_one_of(*_COMMON_NAMES)),
    "center_wavelength": ("eo:center_wavelength", is_positive),
    "full_width_half_max": ("eo:full_width_half_max", is_positive),
    "solar_illumination": ("eo:solar_illumination", is_within(0, float("inf"))),
}
"""Old spelling → new one, and what the value must be."""

_OF_ITS_VALUES: Mapping[str, tuple[str, Check]] = {
    "unit": ("unit", lambda value: is_text(value) and value != "none"),
    "sampling": ("raster:sampling", is_one_of("area", "point")),
    "bits_per_sample": ("raster:bits_per_sample", is_count),
}
"""Said of an asset when all its bands agree. Statistics and histograms were measured over the whole scene."""


def bands_of(source: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """Bands of a clip in its file's order.

    `names` are those of the file's bands (empty: not known). Where the source describes as many bands as the file has,
    they are taken in order; else by name.
    """
    described = [_band(band) for band in _listed(source, "bands") or _listed(source, "eo:bands")]
    if not names or len(names) == len(described):
        return [
            {**band, "name": band.get("name") or (names[i] if names else f"b{i + 1}")}
            for i, band in enumerate(described)
        ] or [{"name": name} for name in names]
    by_name = {band["name"]: band for band in described if "name" in band}
    return [by_name.get(name, {"name": name}) for name in names]


def scaled_bands(
    bands: Sequence[Mapping[str, Any]], scales: Sequence[tuple[float, float] | None]
) -> list[dict[str, Any]]:
    """A band for each of `scales`, with its own scale and offset: unnamed ones if others are described."""
    described = bands if len(bands) == len(scales) else [{"name": f"b{i + 1}"} for i in range(len(scales))]
    return [
        {**band, **({} if pair is None else {"raster:scale": float(pair[0]), "raster:offset": float(pair[1])})}
        for band, pair in zip(described, scales, strict=True)
    ]


def numbered(bands: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same with each name once: what is there a second time gets `_2`."""
    taken: set[str] = set()
    named = []
    for band in bands:
        name, count = band["name"], 1
        while name in taken:
            count += 1
            name = f"{band['name']}_{count}"
        taken.add(name)
        named.append({**band, "name": name})
    return named


def values_of(source: Mapping[str, Any]) -> dict[str, Any]:
    """What the source says of an asset's pixel values that holds for all its bands, and for any part of it."""
    of_bands = _listed(source, "raster:bands") or _listed(source, "bands")
    said: dict[str, Any] = {}
    for old, (new, check) in _OF_ITS_VALUES.items():
        values = [_either(part, old, new) for part in of_bands] or [None]
        value = values[0] if values.count(values[0]) == len(values) else None
        value = source.get(new, value)
        if check(value):
            said[new] = value
    return said


def _band(band: Mapping[str, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {"name": band["name"]} if is_text(band.get("name")) else {}
    for old, (new, check) in _OF_A_BAND.items():
        value = _either(band, old, new)
        if check(value):
            named[new] = value
    return named


def _either(fields: Mapping[str, Any], old: str, new: str) -> Any:
    return fields[new] if new in fields else fields.get(old)


def _listed(source: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    bands = source.get(key)
    return [band for band in bands if isinstance(band, Mapping)] if isinstance(bands, list) else []
