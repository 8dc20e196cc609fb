"""Sentinel-2's rows: by collection, processing baseline and the flag of the step that made the COGs.

The trap: products since baseline 04.00 store reflectance x 10000 + 1000. Some copies had the 1000 taken off when they
were made into COGs, and their `raster:bands` still speak of the file before that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from imagery.raster.radiometry.table import RULES, S2_OFFSET, S2_SCALE
from imagery.raster.radiometry.value import Radiometry

S2_OFFSET_SINCE = (4, 0)
"""ESA's BOA_ADD_OFFSET of -1000 came with processing baseline 04.00 (January 2022)."""

S2_COLLECTION_1 = frozenset({"sentinel-2-c1-l2a"})
S2_L2A = frozenset({"sentinel-2-l2a", "sentinel-2-pre-c1-l2a", "sentinel-s2-l2a-cogs", "sentinel-s2-l2a"})
S2_L1C = frozenset({"sentinel-2-l1c", "sentinel-s2-l1c"})
S2_REFLECTANCE = frozenset(
    {"coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "nir09", "swir16", "swir22"}
    | {"B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"}
)
_L1C_ONLY = frozenset({"cirrus", "B10"})
"""Not in L2A: the atmosphere is gone there."""

ORIGINAL = "-jp2"
"""Ending of the keys of the agency's own files, beside the COGs made of them."""

_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied", "s2:boa_offset_applied")
_BASELINES = ("s2:processing_baseline", "sentinel:processing_baseline", "processing:baseline")
_PRODUCTS = ("s2:product_uri", "sentinel:product_id", "s2:product_id")
_IN_PRODUCT = re.compile(r"_N(\d{4})_R\d{3}_")


def is_reflectance(collection_id: str | None, asset_key: str) -> bool:
    """Whether the asset holds reflectance by one of Sentinel-2's rows."""
    band = asset_key.removesuffix(ORIGINAL)
    if collection_id in S2_L1C:
        return band in S2_REFLECTANCE | _L1C_ONLY
    return band in S2_REFLECTANCE and collection_id in S2_L2A | S2_COLLECTION_1


def sentinel2(
    collection_id: str | None, asset_key: str, properties: Mapping[str, Any], said: Radiometry | None
) -> Radiometry:
    """Of an asset that `is_reflectance`; `said` is what the item's raster extension says."""
    scale = S2_SCALE if said is None or said.scale is None else said.scale
    if collection_id in S2_COLLECTION_1:
        offset = RULES["s2-c1"].offset if said is None or said.offset is None else said.offset
        return Radiometry(scale=scale, offset=offset, source="collection 1: the offset is always to be applied")
    is_original = asset_key.endswith(ORIGINAL) or collection_id in S2_L1C
    offset, source = _offset(properties, said, is_original=is_original)
    return Radiometry(scale=scale, offset=offset, source=source)


def _offset(properties: Mapping[str, Any], said: Radiometry | None, *, is_original: bool) -> tuple[float, str]:
    text = _baseline_text(properties)
    baseline = None if text is None else _parse_baseline(text)
    flag = next((name for name in _FLAGS if name in properties), None)
    if baseline is not None and baseline < S2_OFFSET_SINCE:
        return 0.0, f"processing baseline {text} is older than 04.00: no offset"
    if flag is not None and _is_true(properties[flag]) and not is_original:
        return 0.0, f"{flag} is true: the offset was taken off when the file was made"
    if baseline is not None:
        return S2_OFFSET, f"processing baseline {text}, {_flag_said(properties, flag, is_original)}"
    if said is not None and said.offset is not None:
        return said.offset, f"{said.source}; the processing baseline is unknown"
    return 0.0, "neither a processing baseline nor raster:bands: taken as without offset"


def _flag_said(properties: Mapping[str, Any], flag: str | None, is_original: bool) -> str:
    if is_original:
        return "the agency's own file: the offset is to be applied"
    if flag is None:
        return "no word of the offset having been applied"
    return f"{flag} is {str(properties[flag]).lower()}: the offset is to be applied"


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def _baseline_text(properties: Mapping[str, Any]) -> str | None:
    """The baseline's own field, else what the name of ESA's product says (`..._N0400_R022_...`)."""
    named = [str(properties[name]) for name in _BASELINES if properties.get(name) is not None]
    products = (_IN_PRODUCT.search(str(properties.get(name, ""))) for name in _PRODUCTS)
    candidates = named + [found.group(1) for found in products if found is not None]
    return next((text for text in candidates if _parse_baseline(text) is not None), named[0] if named else None)


def _parse_baseline(text: str) -> tuple[int, int] | None:
    """'05.09' → (5, 9); 'N0509' is met as well; None for anything else ('N/A')."""
    digits = text.removeprefix("N").replace(".", "")
    if len(digits) != 4 or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits[:2]), int(digits[2:])
