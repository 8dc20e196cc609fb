"""Planet's rows: surface reflectance, the `toar` tool's output, and radiance with its coefficients."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pystac

from imagery.raster.radiometry.declared import listed, number
from imagery.raster.radiometry.table import RULES
from imagery.raster.radiometry.value import Radiometry, agreed

COEFFICIENTS = "imagery:reflectance_coefficients"
"""Asset field: a list of numbers, one a band in the file's order, for those who have read the metadata XML."""

TOAR_SCALE_FACTOR = "imagery:toar_scale_factor"
"""Asset field or item property: the order's `scale_factor`, where it is not 10000."""

_COLLECTIONS = frozenset({"psscene", "psscene4band", "psscene3band"})
_SURFACE = re.compile(r"(?:ortho_)?analytic(?:_[348]b)?_sr")
_RADIANCE = re.compile(r"(?:ortho_|basic_)?analytic(?:_[348]b)?")
_TOAR = re.compile(r"(?:^|_)toar(?=[_.]|$)")
_OF_A_BAND = ("reflectanceCoefficient", "reflectance_coefficient", "pl:reflectance_coefficient")
_XML_BAND = re.compile(
    r"<(?:ps:)?bandNumber>\s*(\d+)\s*</.*?<(?:ps:)?reflectanceCoefficient>\s*([0-9.eE+-]+)\s*</", re.DOTALL
)


def planet(item: pystac.Item, asset: pystac.Asset, asset_key: str) -> Radiometry | None:
    """By Planet's rows; None if the item is not Planet's or they say nothing of this asset."""
    if not _is_planets(item, asset):
        return None
    if _SURFACE.fullmatch(asset_key):
        return _of_rule("planet-sr", 10_000.0, f"{asset_key} is surface reflectance x 10000")
    if not _RADIANCE.fullmatch(asset_key):
        return None
    if _TOAR.search(urlsplit(asset.href).path.rpartition("/")[2].lower()):
        factor = _toar_factor(item, asset)
        return _of_rule("planet-toar", factor, f"the file went through toar: reflectance x {factor:g}")
    coefficients = _coefficients(asset.extra_fields)
    if coefficients is None:
        return None
    pairs = [None if value is None else (value, 0.0) for value in coefficients]
    return agreed(list(pairs), "radiance; the reflectanceCoefficient of each band makes it reflectance")


def parse_coefficients(metadata_xml: str) -> tuple[float, ...]:
    """The reflectanceCoefficient of each band of Planet's `*_metadata.xml`, by band number; () if it has none.

    Read as text: the few numbers needed are not worth an XML parser that can be made to expand what others wrote.
    """
    found = {int(band): float(value) for band, value in _XML_BAND.findall(metadata_xml) if _is_number(value)}
    if sorted(found) != list(range(1, len(found) + 1)):
        return ()
    return tuple(found[band] for band in sorted(found))


def _is_planets(item: pystac.Item, asset: pystac.Asset) -> bool:
    return (
        "pl:item_type" in item.properties
        or (item.collection_id or "").lower() in _COLLECTIONS
        or any(name in asset.extra_fields for name in ("pl:type", "pl:asset_type"))
    )


def _of_rule(key: str, factor: float, source: str) -> Radiometry:
    return Radiometry(scale=1.0 / factor, offset=RULES[key].offset, source=source)


def _toar_factor(item: pystac.Item, asset: pystac.Asset) -> float:
    for place in (asset.extra_fields, item.properties):
        factor = number(place.get(TOAR_SCALE_FACTOR))
        if factor is not None and factor > 0:
            return factor
    return 10_000.0


def _coefficients(fields: Mapping[str, Any]) -> list[float | None] | None:
    """In the file's order; None if no band has one."""
    own = fields.get(COEFFICIENTS)
    if isinstance(own, list):
        found = [_positive(value) for value in own]
    else:
        places = next((listed(fields[name]) for name in ("bands", "raster:bands", "eo:bands") if fields.get(name)), [])
        found = [
            next((_positive(band[name]) for name in _OF_A_BAND if _positive(band.get(name)) is not None), None)
            for band in places
        ]
    return found if any(value is not None for value in found) else None


def _positive(value: Any) -> float | None:
    parsed = number(value)
    return parsed if parsed is not None and parsed > 0 else None


def _is_number(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False
