"""A source item and what was cut from it → the STAC item and the collection we publish. No file, socket or clock."""

from imagery.items.collection import collection_for
from imagery.items.cut import CutAsset
from imagery.items.item import make_item
from imagery.items.names import product_name, published_collection_id, published_item_id
from imagery.items.versions import item_from_dict, superseded

__all__ = [
    "CutAsset",
    "collection_for",
    "item_from_dict",
    "make_item",
    "product_name",
    "published_collection_id",
    "published_item_id",
    "superseded",
]
