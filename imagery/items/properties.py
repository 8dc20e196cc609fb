"""Which properties of a source item stay true for a clip: kept where known and well formed, left out where not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imagery.items.checks import (
    Check,
    is_count,
    is_flag,
    is_like,
    is_list_of,
    is_number,
    is_one_of,
    is_plain,
    is_positive,
    is_text,
    is_within,
    to_rfc3339,
)

_PERCENT = is_within(0, 100)
_ANGLE = is_within(0, 360)

KEPT: Mapping[str, Check] = {
    "platform": is_text,
    "constellation": is_text,
    "mission": is_text,
    "instruments": is_list_of(is_text),
    "gsd": is_positive,
    "license": is_like(r"[\w\-.+]+"),
    # The scene's estimate, not the clip's: it is what subscriptions filter on and what analysts know it as.
    "eo:cloud_cover": _PERCENT,
    "eo:snow_cover": _PERCENT,
    "view:off_nadir": is_within(0, 90),
    "view:incidence_angle": is_within(0, 90),
    "view:azimuth": _ANGLE,
    "view:sun_azimuth": _ANGLE,
    "view:sun_elevation": is_within(-90, 90),
    "sat:platform_international_designator": is_text,
    "sat:orbit_state": is_one_of("ascending", "descending", "geostationary", "crossing"),
    "sat:absolute_orbit": is_count,
    "sat:relative_orbit": is_count,
    "sat:orbit_cycle": is_count,
    "sar:instrument_mode": is_text,
    "sar:frequency_band": is_one_of("P", "L", "S", "C", "X", "Ku", "K", "Ka"),
    "sar:center_frequency": is_number,
    "sar:polarizations": is_list_of(is_one_of("HH", "VV", "HV", "VH")),
    "sar:product_type": is_text,
    "sar:resolution_range": is_positive,
    "sar:resolution_azimuth": is_positive,
    "sar:pixel_spacing_range": is_positive,
    "sar:pixel_spacing_azimuth": is_positive,
    "sar:looks_range": is_count,
    "sar:looks_azimuth": is_count,
    "sar:looks_equivalent_number": is_positive,
    "sar:observation_direction": is_one_of("left", "right"),
    "grid:code": is_like(r"[A-Z0-9]+-[-_.A-Za-z0-9]+"),
    "mgrs:utm_zone": lambda value: is_count(value) and is_within(1, 60)(value),
    "mgrs:latitude_band": is_text,
    "mgrs:grid_square": is_text,
    "product:type": is_text,
    "product:acquisition_type": is_one_of("nominal", "calibration", "other"),
    "processing:level": is_text,
    "processing:facility": is_text,
    "processing:version": is_text,
    "s2:product_uri": is_text,
    "s2:product_type": is_text,
    "s2:tile_id": is_text,
    "s2:granule_id": is_text,
    "s2:datatake_id": is_text,
    "s2:datatake_type": is_text,
    "s2:datastrip_id": is_text,
    "s2:processing_baseline": is_like(r"\d\d\.\d\d"),
    "s2:reflectance_conversion_factor": is_number,
    "landsat:scene_id": is_like(r"L[CEMOT][1-9]\d{6}\d{7}[A-Z]{3}\d\d"),
    "landsat:collection_category": is_one_of("A1", "A2", "T1", "T2", "RT"),
    "landsat:collection_number": is_one_of("01", "02"),
    "landsat:wrs_type": is_one_of("1", "2"),
    "landsat:wrs_path": is_like(r"\d{3}"),
    "landsat:wrs_row": is_like(r"\d{3}"),
    "landsat:correction": is_one_of("L1TP", "L1GT", "L1GS", "L2SR", "L2SP"),
    # The scene's estimate as well; its extension insists on it.
    "landsat:cloud_cover_land": is_within(-1, 100),
    "earthsearch:boa_offset_applied": is_flag,
}
"""Property → what its value must be to be repeated."""

_ESTIMATES = frozenset({"eo:cloud_cover", "eo:snow_cover"})

_KEPT_INSTANTS = ("sat:anx_datetime", "s2:generation_time", "landsat:product_generated")

_KEPT_PREFIXES = ("s1:", "naip:", "pl:", "sandbox:")
"""Fields of these have no schema we declare; plain values are repeated."""

_OF_THE_SCENE = frozenset(
    {
        "s1:shape",
        "pl:anomalous_pixels",
        "pl:black_fill",
        "pl:columns",
        "pl:origin_x",
        "pl:origin_y",
        "pl:pixel_count",
        "pl:rows",
        "pl:usable_data",
    }
)
"""Measured over the whole scene, so not true of a part. Anything in percent is as well."""

_OLD_NAMES = {
    "sentinel:boa_offset_applied": "earthsearch:boa_offset_applied",
    "sentinel:grid_square": "mgrs:grid_square",
    "sentinel:latitude_band": "mgrs:latitude_band",
    "sentinel:processing_baseline": "s2:processing_baseline",
    "sentinel:product_id": "s2:product_uri",
    "sentinel:utm_zone": "mgrs:utm_zone",
}
"""Earth Search v0 → v1."""


def kept_properties(source: Mapping[str, Any]) -> dict[str, Any]:
    """What of a source item's properties (of any STAC version) may be said of a clip; instants as RFC 3339 in UTC."""
    renamed = {new: source[old] for old, new in _OLD_NAMES.items() if old in source}
    named = {**renamed, **source}
    kept = {name: named[name] for name, check in KEPT.items() if name in named and check(named[name])}
    instants = {name: to_rfc3339(named[name]) for name in _KEPT_INSTANTS if name in named}
    kept.update({name: text for name, text in instants.items() if text is not None})
    kept.update({name: value for name, value in named.items() if _is_unknown_but_true(name, value)})
    zone, band, square = (kept.get(f"mgrs:{part}") for part in ("utm_zone", "latitude_band", "grid_square"))
    if "grid:code" not in kept and zone and band and square:
        kept["grid:code"] = f"MGRS-{zone}{band}{square}"
    return kept


def common_properties(sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What may be said of a clip of all of them: what they agree on, and the first one's estimates of its scene."""
    first, *others = [kept_properties(source) for source in sources]
    return {
        name: value
        for name, value in first.items()
        if name in _ESTIMATES or all(other.get(name) == value for other in others)
    }


def is_sentinel_2(source: Mapping[str, Any]) -> bool:
    """Whether these are the properties of a Sentinel-2 item, by any of the names that has gone by."""
    named = (source.get("constellation"), source.get("platform"))
    return any(isinstance(name, str) and name.lower().startswith("sentinel-2") for name in named) or any(
        name.startswith("s2:") for name in source
    )


def _is_unknown_but_true(name: str, value: object) -> bool:
    of_scene = name in _OF_THE_SCENE or name.endswith(("_percent", "_percentage"))
    return name.startswith(_KEPT_PREFIXES) and not of_scene and is_plain(value)
