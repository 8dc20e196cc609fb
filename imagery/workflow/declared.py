"""What a source item says of the files it names, as far as reading them needs to know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pystac

_CATEGORICAL = frozenset({"scl", "qa_pixel", "qa_radsat", "udm2", "cloud_mask"})


def declared_nodata(asset: pystac.Asset) -> float | None:
    """The item's word for nodata, for files that have none; None if its bands do not agree."""
    fields = asset.extra_fields
    listed = fields.get("raster:bands") or fields.get("bands")
    bands = [band for band in listed if isinstance(band, Mapping)] if isinstance(listed, list) else []
    values = {_as_number(band.get("nodata", fields.get("nodata"))) for band in bands or [{}]}
    said = values.pop() if len(values) == 1 else None
    return None if said is None else float(said)


def is_categorical(item: pystac.Item, key: str) -> bool:
    """Whether an asset's values are classes, which must never be averaged."""
    asset = item.assets[key]
    return key.lower().removesuffix("-jp2") in _CATEGORICAL or any(
        name in asset.extra_fields for name in ("classification:classes", "classification:bitfields")
    )


def _as_number(value: Any) -> str | None:
    """Spelled one way, which makes nan equal to nan; None if it is no number."""
    try:
        return None if value is None else repr(float(value))
    except (TypeError, ValueError):
        return None
