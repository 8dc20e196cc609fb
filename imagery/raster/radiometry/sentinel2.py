"""Sentinel-2's rows: by collection, processing baseline and the flag of the step that made the COGs.

The trap: products since baseline 04.00 store reflectance x 10000 + 1000. Some copies had the 1000 taken off when they
were made into COGs, and their `raster:bands` still speak of the file before that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isclose
from typing import Any

import pystac

from imagery.errors import RadiometryContradictory
from imagery.raster.radiometry.declared import Declared, Half
from imagery.raster.radiometry.table import S2_OFFSET, S2_SCALE
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
_TIMES = ("s2:generation_time", "sentinel:generation_time", "start_datetime", "end_datetime")
_IN_PRODUCT = re.compile(r"_N(\d{4})_R\d{3}_")
_WITH_POINT = re.compile(r"([0-9]{1,2})(?:\.([0-9]{1,2}))?")
_FOUR_DIGITS = re.compile(r"([0-9]{1,2})([0-9]{2})")
_YES_OR_NO = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}

OFFSET_SINCE = datetime(2022, 1, 25, tzinfo=UTC)
"""Since then what is processed has baseline 04.00 or later."""

_ASK = "Ask the provider what its numbers mean, and replay the request when the item says it"


def is_reflectance(collection_id: str | None, asset_key: str) -> bool:
    """Whether the asset holds reflectance by one of Sentinel-2's rows."""
    band = asset_key.removesuffix(ORIGINAL)
    if collection_id in S2_L1C:
        return band in S2_REFLECTANCE | _L1C_ONLY
    return band in S2_REFLECTANCE and collection_id in S2_L2A | S2_COLLECTION_1


def sentinel2(collection_id: str | None, asset_key: str, item: pystac.Item, said: Declared | None) -> Radiometry:
    """Of an asset that `is_reflectance`; `said` is what the item's raster extension says.

    Raises RadiometryContradictory where that is nothing Sentinel-2 has ever been stored as.
    """
    own = None if said is None else _own_offset(asset_key, said)
    if collection_id in S2_COLLECTION_1:
        offset = S2_OFFSET if own is None else own
        return Radiometry(scale=S2_SCALE, offset=offset, source="collection 1: the offset is always to be applied")
    is_original = asset_key.endswith(ORIGINAL) or collection_id in S2_L1C
    offset, source = _offset(item, own, "" if said is None else said.where, is_original=is_original)
    return Radiometry(scale=S2_SCALE, offset=offset, source=source)


def baseline_of(item: pystac.Item) -> tuple[int, int] | None:
    """The processing baseline, (5, 11) for 05.11; None where the item does not tell."""
    text = _baseline_text(item.properties)
    return None if text is None else _parse_baseline(text)


def _own_offset(asset_key: str, said: Declared) -> float | None:
    """0 or -0.1 as the item says; None if it says nothing of it."""
    found = {_known(asset_key, half, said) for half in said.bands if half is not None} - {None}
    if len(found) > 1:
        raise RadiometryContradictory(f"{asset_key}: {said.where} says two offsets of one band. {_ASK}")
    return found.pop() if found else None


def _known(asset_key: str, half: Half, said: Declared) -> float | None:
    scale, offset = half
    is_whole = said.data_type is None or said.data_type.startswith(("uint", "int"))
    # 1 and 0 on whole numbers are what software writes that was told nothing.
    if scale == 1 and offset in (None, 0) and is_whole:
        return None
    if scale is not None and not isclose(scale, S2_SCALE, rel_tol=1e-6):
        raise _unknown(asset_key, "scale", scale, said)
    if offset is None:
        return None
    for known, meant in ((0.0, 0.0), (S2_OFFSET, S2_OFFSET), (S2_OFFSET / S2_SCALE, S2_OFFSET)):
        if isclose(offset, known, rel_tol=1e-6, abs_tol=1e-9):
            return meant
    raise _unknown(asset_key, "offset", offset, said)


def _unknown(asset_key: str, name: str, value: float, said: Declared) -> RadiometryContradictory:
    typed = "" if said.data_type is None else f" of {said.data_type}"
    return RadiometryContradictory(
        f"{asset_key}: {said.where} says {name} {value:g}{typed}, but Sentinel-2 reflectance has scale {S2_SCALE:g} "
        f"and offset 0 or {S2_OFFSET:g}. {_ASK}"
    )


def _offset(item: pystac.Item, own: float | None, where: str, *, is_original: bool) -> tuple[float, str]:
    text = _baseline_text(item.properties)
    baseline = None if text is None else _parse_baseline(text)
    flag = None if is_original else _flag(item.properties)
    if baseline is not None and baseline < S2_OFFSET_SINCE:
        return 0.0, f"processing baseline {text} is older than 04.00: no offset"
    if flag is not None and flag[1]:
        return 0.0, f"{flag[0]} is true: the offset was taken off when the file was made"
    if baseline is not None:
        return S2_OFFSET, f"processing baseline {text}, {_why(flag, is_original)}"
    return _without_baseline(item, own, where, flag, is_original)


def _without_baseline(
    item: pystac.Item, own: float | None, where: str, flag: tuple[str, bool] | None, is_original: bool
) -> tuple[float, str]:
    """By the item's own word, else by when it was made; a flag that is false was made after 04.00 where none is known.

    Before 04.00 items did not tell their baseline (cirrus-earth-search issue 21).
    """
    if own is not None and (flag is None or own != 0):
        return own, f"{where}; the processing baseline is unknown"
    made_at = _made_at(item)
    if made_at is not None and made_at < OFFSET_SINCE:
        return 0.0, f"no processing baseline, but of {made_at:%Y-%m-%d}, before 04.00: no offset"
    if made_at is None and flag is None:
        return 0.0, "neither a processing baseline, a flag, raster:bands nor a time: taken as without offset"
    when = "" if made_at is None else f" of {made_at:%Y-%m-%d}, taken as 04.00 or later,"
    return S2_OFFSET, f"no processing baseline;{when} {_why(flag, is_original)}"


def _why(flag: tuple[str, bool] | None, is_original: bool) -> str:
    if is_original:
        return "the agency's own file: the offset is to be applied"
    if flag is None:
        return "no word of the offset having been applied"
    return f"{flag[0]} is false: the offset is to be applied"


def _flag(properties: Mapping[str, Any]) -> tuple[str, bool] | None:
    """The first spelling that says yes or no; null and nonsense are passed over."""
    for name in _FLAGS:
        said = _YES_OR_NO.get(str(properties.get(name)).strip().lower())
        if said is not None:
            return name, said
    return None


def _made_at(item: pystac.Item) -> datetime | None:
    """The latest of acquisition and processing: an old scene may have been processed anew."""
    said = [item.properties.get(name) for name in _TIMES]
    found = [parsed for parsed in map(_parse_time, said) if parsed is not None]
    if item.datetime is not None:
        found.append(_in_utc(item.datetime))
    return max(found, default=None)


def _parse_time(text: Any) -> datetime | None:
    try:
        return _in_utc(datetime.fromisoformat(text)) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None


def _in_utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _baseline_text(properties: Mapping[str, Any]) -> str | None:
    """The baseline's own field, else what the name of ESA's product says (`..._N0400_R022_...`)."""
    named = [str(properties[name]) for name in _BASELINES if properties.get(name) is not None]
    products = (_IN_PRODUCT.search(str(properties.get(name, ""))) for name in _PRODUCTS)
    candidates = named + [found.group(1) for found in products if found is not None]
    return next((text for text in candidates if _parse_baseline(text) is not None), None)


def _parse_baseline(text: str) -> tuple[int, int] | None:
    """'05.09', '5.9', 'N0509', '0509' → (5, 9); '4' → (4, 0); None for anything else ('N/A')."""
    digits = text.strip().upper().removeprefix("N")
    found = _WITH_POINT.fullmatch(digits) or _FOUR_DIGITS.fullmatch(digits)
    return None if found is None else (int(found[1]), int(found[2] or 0))
