"""Removes items that a newer processing of their acquisition took the place of, once their time beside it is over."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import pystac

from imagery.errors import ImageryError, ObjectUnknown
from imagery.model.product import Product, ProductStatus
from imagery.ports import Catalog, ObjectStore, ProductStore

logger = logging.getLogger(__name__)

BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Expiry:
    """What leads to it first, then the item, so that nobody finds one whose objects are gone; the product, which names
    them, last."""

    products: ProductStore
    objects: ObjectStore
    catalog: Catalog

    def run(self, *, now: datetime) -> tuple[int, int]:
        """How many were removed, and how many could not be; those stay due. May be interrupted anywhere."""
        removed, failed = 0, 0
        stay: set[tuple[str, str, str]] = set()
        # What stays is the longest due and comes first each time: ask for so many more.
        while pending := self._pending(stay, now):
            for product in pending:
                try:
                    is_removed = self._remove(product, now)
                except ImageryError as error:
                    logger.warning(
                        "superseded item not removed: %s",
                        error,
                        extra={"subscription_id": product.subscription_id, "item_id": product.item_id},
                    )
                    failed, is_removed = failed + 1, False
                removed += is_removed
                if not is_removed:
                    stay.add(_key(product))
        return removed, failed

    def due(self, *, now: datetime, limit: int) -> tuple[Product, ...]:
        """Up to `limit` of those that `run` would remove now, doing nothing: the dry run."""
        return self.products.expired(now=now, limit=limit)

    def _pending(self, stay: set[tuple[str, str, str]], now: datetime) -> list[Product]:
        found = self.products.expired(now=now, limit=BATCH + len(stay))
        return [product for product in found if _key(product) not in stay]

    def _remove(self, product: Product, now: datetime) -> bool:
        """False when it stands again by now, or is gone."""
        siblings = self.products.of(product.subscription_id, product.acquisition)
        standing = next((each for each in siblings if _key(each) == _key(product)), None)
        if standing is None or not _is_due(standing, now):
            return False
        for other in siblings:
            self._forget(standing, other)
        self.catalog.retract(standing.collection_id, [standing.item_id])
        if not any(_shares_objects(standing, other) for other in siblings if other != standing):
            self.objects.remove_prefix(standing.prefix)
        self.products.remove(standing)
        return True

    def _forget(self, gone: Product, other: Product) -> None:
        """No link leads from what came after it to what is no longer there: neither in the catalog nor in the store."""
        published = None if other == gone else self.catalog.get(other.collection_id, other.item_id)
        links = [link for link in published.links if not _leads_to(link.rel, link.target, gone)] if published else []
        if published is None or len(links) == len(published.links):
            return
        key = f"{other.prefix}/item.json"
        with suppress(ObjectUnknown, ValueError):
            stored = json.loads(self.objects.get(key))
            stored["links"] = [link for link in stored["links"] if not _leads_to(link["rel"], link["href"], gone)]
            self.objects.put(key, json.dumps(stored).encode(), media_type=pystac.MediaType.GEOJSON)
        # The catalog last: whoever is interrupted finds the link again.
        published.links = links
        self.catalog.publish([published])


def _leads_to(rel: object, target: object, product: Product) -> bool:
    return rel == "predecessor-version" and str(target).endswith(f"/{product.item_id}")


def _key(product: Product) -> tuple[str, str, str]:
    return (product.subscription_id, product.collection_id, product.item_id)


def _is_due(product: Product, now: datetime) -> bool:
    is_superseded = product.status is ProductStatus.SUPERSEDED
    return is_superseded and product.expires_at is not None and product.expires_at <= now


def _shares_objects(product: Product, other: Product) -> bool:
    """Whether removing what lies below the one's prefix would take something of the other's."""
    return f"{other.prefix}/".startswith(f"{product.prefix}/")
