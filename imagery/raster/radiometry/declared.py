"""What an item itself says of scale and offset: the raster extension, in either version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagery.raster.radiometry.value import Pair, Radiometry, agreed


def declared(fields: Mapping[str, Any]) -> Radiometry | None:
    """raster extension v2 (a band's own word before its asset's), else v1 (`raster:bands`); None if neither speaks."""
    of_asset = _pair(fields, "raster:")
    new = [_pair({**fields, **band}, "raster:") for band in listed(fields.get("bands"))]
    if of_asset is not None or any(new):
        own = any(_pair(band, "raster:") for band in listed(fields.get("bands")))
        where = "asset's bands" if own else "asset"
        return agreed(new or [of_asset], f"raster:scale and raster:offset of the {where}")
    return agreed([_pair(band, "") for band in listed(fields.get("raster:bands"))], "raster:bands of the item")


def listed(bands: Any) -> list[Mapping[str, Any]]:
    """What is no band counts as one of which nothing is said: the places of the others must not shift."""
    return [band if isinstance(band, Mapping) else {} for band in bands] if isinstance(bands, list) else []


def number(value: Any) -> float | None:
    """As a float; None if it is no number (`true` is none)."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _pair(place: Mapping[str, Any], prefix: str) -> Pair | None:
    """One that is left out has no effect (1 and 0)."""
    scale, offset = number(place.get(f"{prefix}scale")), number(place.get(f"{prefix}offset"))
    if scale is None and offset is None:
        return None
    return (1.0 if scale is None else scale), (0.0 if offset is None else offset)
