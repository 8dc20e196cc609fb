"""The catalog as a publisher sees it: pystac in, pystac out, over the embedded store."""

from __future__ import annotations

from collections.abc import Sequence

import pystac

from imagery.catalogs.sqlite.geometry import PUBLISHED
from imagery.catalogs.sqlite.store import CatalogStore
from imagery.catalogs.sqlite.writing import Mode
from imagery.errors import ItemExists, ItemUnknown
from imagery.items import item_from_dict


class SqliteCatalog:
    """imagery.ports.Catalog in the process that publishes; sees every owner's items."""

    def __init__(self, store: CatalogStore) -> None:
        self._store = store

    def ensure_collection(self, collection: pystac.Collection) -> None:
        """Make it if it is not there; one that is there is left alone. Raises ItemInvalid."""
        body = collection.to_dict(include_self_link=False, transform_hrefs=False)
        try:
            self._store.put_collection(body, mode=Mode.INSERT)
        except ItemExists:
            return

    def publish(self, items: Sequence[pystac.Item]) -> None:
        """All in one transaction, over those of the same id. Raises ItemInvalid, CollectionUnknown."""
        bodies = [item.to_dict(include_self_link=False, transform_hrefs=False) for item in items]
        self._store.put_items(bodies, limits=PUBLISHED)

    def retract(self, collection_id: str, item_ids: Sequence[str]) -> None:
        """Take them out. Safe to repeat."""
        self._store.remove_items(collection_id, item_ids)

    def get(self, collection_id: str, item_id: str) -> pystac.Item | None:
        """The item as published, or None."""
        try:
            stored = self._store.get_item(collection_id, item_id)
        except ItemUnknown:
            return None
        return item_from_dict(stored.to_dict())
