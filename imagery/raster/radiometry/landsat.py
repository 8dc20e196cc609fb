"""Landsat Collection 2 Level-2's rows: the same numbers for every scene since 1982."""

from __future__ import annotations

from imagery.raster.radiometry.table import RULES, Rule
from imagery.raster.radiometry.value import Radiometry

_COLLECTIONS = frozenset({"landsat-c2-l2", "landsat-c2l2-sr", "landsat-c2l2-st"})
_REFLECTANCE = frozenset({"coastal", "blue", "green", "red", "nir08", "swir16", "swir22"})
_THERMAL = frozenset({"lwir", "lwir11", "ST_B6", "ST_B10"})


def landsat(collection_id: str | None, asset_key: str, said: Radiometry | None) -> Radiometry | None:
    """By Landsat's rows, the item's own word first; None if they say nothing of this asset."""
    rule = _rule(collection_id, asset_key)
    if rule is None or said is not None:
        return said
    source = f"Landsat Collection 2 Level-2, {rule.quantity}: the scale and offset of the USGS guide"
    return Radiometry(scale=rule.scale, offset=rule.offset, source=source)


def _rule(collection_id: str | None, asset_key: str) -> Rule | None:
    if collection_id not in _COLLECTIONS:
        return None
    if asset_key in _THERMAL:
        return RULES["landsat-st"]
    is_file = asset_key.startswith("SR_B") and asset_key.removeprefix("SR_B") in {"1", "2", "3", "4", "5", "6", "7"}
    return RULES["landsat-sr"] if asset_key in _REFLECTANCE or is_file else None
