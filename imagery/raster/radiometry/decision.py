"""Scale and offset by what the metadata says: the table's row if there is one, else the item's own word."""

from __future__ import annotations

import pystac

from imagery.raster.radiometry.declared import declared
from imagery.raster.radiometry.landsat import landsat
from imagery.raster.radiometry.planet import planet
from imagery.raster.radiometry.sentinel2 import is_reflectance, sentinel2
from imagery.raster.radiometry.value import Radiometry


def decide(item: pystac.Item, asset_key: str) -> Radiometry | None:
    """Scale and offset by the item's metadata; None if neither the item nor its collection's rule says anything.

    No pixel is read: see `gather` and `settle` for what they have to say. What the item leaves out is the rule's, 1 or
    0 only where there is no rule. Raises RadiometryContradictory where the item's word cannot be true of its product.
    """
    asset = item.assets.get(asset_key)
    said = None if asset is None else declared(asset.extra_fields)
    if is_reflectance(item.collection_id, asset_key):
        return sentinel2(item.collection_id, asset_key, item, said)
    if asset is None:
        return None
    return planet(item, asset, asset_key) or landsat(item.collection_id, asset_key, said)
