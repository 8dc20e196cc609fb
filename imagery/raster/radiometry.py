"""What a stored number means: scale and offset of an asset, decided by collection, baseline and flag, never guessed.

The trap: Sentinel-2 products since baseline 04.00 store reflectance x 10000 + 1000. Some copies had the 1000 taken off
when they were made into COGs, and their `raster:bands` still speak of the file before that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pystac

S2_SCALE = 0.0001
S2_OFFSET = -0.1
S2_OFFSET_SINCE = (4, 0)
"""ESA's BOA_ADD_OFFSET of -1000 came with processing baseline 04.00 (January 2022)."""

S2_COLLECTION_1 = frozenset({"sentinel-2-c1-l2a"})
S2_L2A = frozenset({"sentinel-2-l2a", "sentinel-2-pre-c1-l2a", "sentinel-s2-l2a-cogs", "sentinel-s2-l2a"})
S2_REFLECTANCE = frozenset(
    {"coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "nir09", "swir16", "swir22"}
    | {"B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"}
)

_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied", "s2:boa_offset_applied")
_BASELINES = ("s2:processing_baseline", "sentinel:processing_baseline", "processing:baseline")


Pair = tuple[float, float]
"""(scale, offset)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Radiometry:
    """physical value = stored number x scale + offset."""

    scale: float | None
    """Of all bands; None where they differ."""

    offset: float | None
    source: str
    """Why these, for a person."""

    bands: tuple[Pair | None, ...] = ()
    """Of each band, in the file's order, where they differ; None: nothing is said of that one."""


def decide(item: pystac.Item, asset_key: str) -> Radiometry | None:
    """Scale and offset by the item's metadata; None if neither the item nor its collection's rule says anything."""
    asset = item.assets.get(asset_key)
    declared = None if asset is None else _declared({**asset.extra_fields})
    band, is_original = asset_key.removesuffix("-jp2"), asset_key.endswith("-jp2")
    if band not in S2_REFLECTANCE or item.collection_id not in S2_L2A | S2_COLLECTION_1:
        return declared
    scale = S2_SCALE if declared is None or declared.scale is None else declared.scale
    if item.collection_id in S2_COLLECTION_1:
        offset = S2_OFFSET if declared is None or declared.offset is None else declared.offset
        return Radiometry(scale=scale, offset=offset, source="collection 1: the offset is always to be applied")
    offset, source = _sentinel2_offset(item.properties, declared, is_original=is_original)
    return Radiometry(scale=scale, offset=offset, source=source)


def _sentinel2_offset(
    properties: Mapping[str, Any], declared: Radiometry | None, *, is_original: bool
) -> tuple[float, str]:
    text = next((str(properties[name]) for name in _BASELINES if name in properties), None)
    baseline = None if text is None else _parse_baseline(text)
    flag = next((name for name in _FLAGS if name in properties), None)
    if baseline is not None and baseline < S2_OFFSET_SINCE:
        return 0.0, f"processing baseline {text} is older than 04.00: no offset"
    if flag is not None and properties[flag] is True and not is_original:
        return 0.0, f"{flag} is true: the offset was taken off when the file was made"
    if baseline is not None:
        return S2_OFFSET, f"processing baseline {text}, {_flag_said(properties, flag, is_original)}"
    if declared is not None and declared.offset is not None:
        return declared.offset, f"{declared.source}; the processing baseline is unknown"
    return 0.0, "neither a processing baseline nor raster:bands: taken as without offset"


def _flag_said(properties: Mapping[str, Any], flag: str | None, is_original: bool) -> str:
    if is_original:
        return "the agency's own file: the offset is to be applied"
    if flag is None:
        return "no word of the offset having been applied"
    return f"{flag} is {str(properties[flag]).lower()}: the offset is to be applied"


def _parse_baseline(text: str) -> tuple[int, int] | None:
    """'05.09' → (5, 9); 'N0509' is met as well; None for anything else ('N/A')."""
    digits = text.removeprefix("N").replace(".", "")
    if len(digits) != 4 or not digits.isdigit():
        return None
    return int(digits[:2]), int(digits[2:])


def _declared(fields: Mapping[str, Any]) -> Radiometry | None:
    """raster extension v2 (a band's own word before its asset's), else v1 (`raster:bands`)."""
    of_asset = _pair(fields, "raster:")
    new = [_pair({**fields, **band}, "raster:") for band in _listed(fields.get("bands"))]
    if of_asset is not None or any(new):
        own = any(_pair(band, "raster:") for band in _listed(fields.get("bands")))
        where = "asset's bands" if own else "asset"
        return _agreed(new or [of_asset], f"raster:scale and raster:offset of the {where}")
    return _agreed([_pair(band, "") for band in _listed(fields.get("raster:bands"))], "raster:bands of the item")


def _agreed(pairs: list[Pair | None], source: str) -> Radiometry | None:
    if not any(pairs):
        return None
    first = pairs[0]
    if first is not None and pairs.count(first) == len(pairs):
        return Radiometry(scale=first[0], offset=first[1], source=source)
    return Radiometry(scale=None, offset=None, source=f"{source}, which differ", bands=tuple(pairs))


def _listed(bands: Any) -> list[Mapping[str, Any]]:
    """What is no band counts as one of which nothing is said: the places of the others must not shift."""
    return [band if isinstance(band, Mapping) else {} for band in bands] if isinstance(bands, list) else []


def _pair(place: Mapping[str, Any], prefix: str) -> Pair | None:
    """One that is left out has no effect (1 and 0)."""
    scale, offset = _number(place.get(f"{prefix}scale")), _number(place.get(f"{prefix}offset"))
    if scale is None and offset is None:
        return None
    return (1.0 if scale is None else scale), (0.0 if offset is None else offset)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
