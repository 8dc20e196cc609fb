"""The catalog as a publisher sees it: pystac in, pystac out, over the embedded store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pystac

from imagery.catalogs.sqlite.geometry import PUBLISHED
from imagery.catalogs.sqlite.store import CatalogStore
from imagery.catalogs.sqlite.writing import Mode
from imagery.errors import ItemExists, ItemUnknown


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
        return _without_warning(stored.to_dict())


def _without_warning(body: dict[str, Any]) -> pystac.Item:
    """pystac warns of an item that is deprecated; a publisher knows, and filters of warnings are every thread's."""
    said = body["properties"].pop("deprecated", None)
    item = pystac.Item.from_dict(body)
    if said is not None:
        item.properties["deprecated"] = said
    return item
