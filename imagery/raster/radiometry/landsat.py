"""Landsat Collection 2 Level-2's rows: the same numbers for every scene since 1982."""

from __future__ import annotations

from dataclasses import replace
from math import isclose

from imagery.errors import RadiometryContradictory
from imagery.raster.radiometry.declared import Declared, Half
from imagery.raster.radiometry.table import RULES, Rule
from imagery.raster.radiometry.value import Radiometry

_COLLECTIONS = frozenset({"landsat-c2-l2", "landsat-c2l2-sr", "landsat-c2l2-st"})
_REFLECTANCE = frozenset({"coastal", "blue", "green", "red", "nir08", "swir16", "swir22"})
_THERMAL = frozenset({"lwir", "lwir11", "ST_B6", "ST_B10"})


def landsat(collection_id: str | None, asset_key: str, said: Declared | None) -> Radiometry | None:
    """By Landsat's rows, the item's own word first; None if they say nothing of this asset.

    What the item leaves out is the rule's. Raises RadiometryContradictory where it says one half of a pair and that
    is not the rule's: the other half is then nobody's.
    """
    rule = _rule(collection_id, asset_key)
    if rule is None:
        return None if said is None else said.as_said()
    if said is None or all(half in (None, (1.0, None), (1.0, 0.0)) for half in said.bands):
        return _by(rule)
    return replace(said, bands=tuple(_completed(half, rule, asset_key) for half in said.bands)).as_said()


def _by(rule: Rule) -> Radiometry:
    source = f"Landsat Collection 2 Level-2, {rule.quantity}: the scale and offset of the USGS guide"
    return Radiometry(scale=rule.scale, offset=rule.offset, source=source)


def _completed(half: Half | None, rule: Rule, asset_key: str) -> Half | None:
    if half is None or None not in half:
        return half
    for name, own, known in (("scale", half[0], rule.scale), ("offset", half[1], rule.offset)):
        if own is not None and known is not None and not isclose(own, known, rel_tol=1e-3):
            raise RadiometryContradictory(
                f"{asset_key}: the item says {name} {own:g} and leaves the other half out; of {rule.quantity} the USGS "
                f"guide says scale {rule.scale:g} and offset {rule.offset:g}. Ask the provider what its numbers mean, "
                "and replay the request when the item says both"
            )
    return rule.scale, rule.offset


def _rule(collection_id: str | None, asset_key: str) -> Rule | None:
    if collection_id not in _COLLECTIONS:
        return None
    if asset_key in _THERMAL:
        return RULES["landsat-st"]
    is_file = asset_key.startswith("SR_B") and asset_key.removeprefix("SR_B") in {"1", "2", "3", "4", "5", "6", "7"}
    return RULES["landsat-sr"] if asset_key in _REFLECTANCE or is_file else None
