"""What an item itself says of scale and offset: the raster extension, in either version; what is left out stays so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imagery.raster.radiometry.value import Pair, Radiometry, agreed

Half = tuple[float | None, float | None]
"""(scale, offset); None: not said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """What is said of each band; one for all where only the asset speaks."""

    bands: tuple[Half | None, ...]
    """None: nothing is said of that one."""

    where: str
    data_type: str | None
    """As the item names it; None: not said."""

    def as_said(self) -> Radiometry:
        """By the extension's own rule: one that is left out has no effect (1 and 0)."""
        pairs: list[Pair | None] = [
            None if half is None else (1.0 if half[0] is None else half[0], 0.0 if half[1] is None else half[1])
            for half in self.bands
        ]
        found = agreed(pairs, self.where)
        assert found is not None, "made only where something is said of a band"
        return found


def declared(fields: Mapping[str, Any]) -> Declared | None:
    """raster extension v2 (a band's own word before its asset's), else v1 (`raster:bands`); None if neither speaks."""
    of_asset = _half(fields, "raster:")
    bands = listed(fields.get("bands"))
    new = [_half({**fields, **band}, "raster:") for band in bands]
    if of_asset is not None or any(new):
        where = "asset's bands" if any(_half(band, "raster:") for band in bands) else "asset"
        return Declared(
            bands=tuple(new or [of_asset]),
            where=f"raster:scale and raster:offset of the {where}",
            data_type=_data_type([fields, *bands]),
        )
    old = listed(fields.get("raster:bands"))
    halves = tuple(_half(band, "") for band in old)
    if not any(halves):
        return None
    return Declared(bands=halves, where="raster:bands of the item", data_type=_data_type(old))


def listed(bands: Any) -> list[Mapping[str, Any]]:
    """What is no band counts as one of which nothing is said: the places of the others must not shift."""
    return [band if isinstance(band, Mapping) else {} for band in bands] if isinstance(bands, list) else []


def number(value: Any) -> float | None:
    """As a float; None if it is no number (`true` is none)."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _half(place: Mapping[str, Any], prefix: str) -> Half | None:
    half = number(place.get(f"{prefix}scale")), number(place.get(f"{prefix}offset"))
    return None if half == (None, None) else half


def _data_type(places: list[Mapping[str, Any]]) -> str | None:
    return next((str(place["data_type"]) for place in places if place.get("data_type") is not None), None)
