"""A source item and what was cut from it → the STAC item and the collection we publish. No file, socket or clock."""

from imagery.items.collection import collection_for
from imagery.items.cut import CutAsset
from imagery.items.item import make_item
from imagery.items.names import published_collection_id, published_item_id

__all__ = ["CutAsset", "collection_for", "make_item", "published_collection_id", "published_item_id"]
