"""Reads again what was published for a subscription, and says what is not as it was made. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pystac

from imagery.errors import ObjectUnknown
from imagery.items import published_collection_id
from imagery.items.versions import item_from_dict
from imagery.model.outcome import OutcomeQuery
from imagery.model.paging import walk
from imagery.model.product import Product, ProductStatus
from imagery.ports import Catalog, Ledger, ObjectStore, ProductStore
from imagery.raster.agreement import disagreements

PUBLISH_AGAIN = "put the stored item.json into the catalog again with the STAC API's PUT of this item"
MAKE_ANEW = (
    "restore the object from a backup, or subscribe the same area for this one day: it is then made anew, as an item "
    "of that subscription"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One thing that is not as it was published."""

    subscription_id: str
    item_id: str
    asset: str | None = None
    """None: the item itself."""

    href: str
    """Of what differs."""

    what: str
    """In words, after the asset's or the item's name."""

    remedy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """One item that was read again, with all its assets."""

    item_id: str
    assets: int = 0
    bytes: int = 0
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Holds the catalog, the items stored beside their objects, and the objects against one another.

    Objects that no item names are not found: an object store lists nothing.
    """

    ledger: Ledger
    products: ProductStore
    catalog: Catalog
    objects: ObjectStore

    def verify(self, subscription_id: str) -> Iterator[Verified]:
        """Every item of it that stands, superseded ones too, one after another; one object in memory at a time.

        What is published, superseded or removed meanwhile is no difference: an item that seems to differ is looked at
        once more as it stands by then.
        """
        names: set[str] = set()
        for product in self.products.all_of(subscription_id):
            names.add(product.item_id)
            if product.status is not ProductStatus.MAKING:
                yield self._settled(product)
        query = OutcomeQuery(subscription_id=subscription_id, limit=500)
        for row in walk(lambda cursor: self.ledger.find(replace(query, cursor=cursor))):
            # Delivered before products were kept: only the catalog says what there is.
            if row.published_item_id is not None and row.published_item_id not in names:
                names.add(row.published_item_id)
                collection_id = row.published_collection or published_collection_id(row.collection)
                yield self._in_catalog(subscription_id, collection_id, row.published_item_id)

    def _settled(self, product: Product) -> Verified:
        found = self._as_made(product)
        if not found.differences:
            return found
        siblings = self.products.of(product.subscription_id, product.acquisition)
        now = next((one for one in siblings if one.item_id == product.item_id), None)
        if now is None or now.status is ProductStatus.MAKING:
            return Verified(item_id=product.item_id)
        return found if now == product else self._as_made(now)

    def _as_made(self, product: Product) -> Verified:
        key = f"{product.prefix}/item.json"
        teller = _Teller(product.subscription_id, product.item_id, self.objects.href(key))
        published = self.catalog.get(product.collection_id, product.item_id)
        stored = self._stored(key)
        found: list[Difference] = []
        if stored is None:
            found.append(teller.item("is gone from the store, or is no STAC item", MAKE_ANEW))
        if published is None:
            found.append(teller.item("is not in the catalog", PUBLISH_AGAIN if stored else MAKE_ANEW))
        # A superseded one was given its successor, and new times, when it was published again.
        is_current = product.status is ProductStatus.CURRENT
        if stored and published and is_current and not _are_same(stored, published):
            found.append(teller.item(f"differs from the stored one in {_where(stored, published)}", PUBLISH_AGAIN))
        item = stored or published
        return self._with_assets(item, teller, found) if item else teller.verified(found)

    def _in_catalog(self, subscription_id: str, collection_id: str, item_id: str) -> Verified:
        teller = _Teller(subscription_id, item_id, f"{collection_id}/{item_id}")
        item = self.catalog.get(collection_id, item_id)
        if item is None:
            return teller.verified([teller.item("is not in the catalog", MAKE_ANEW)])
        return self._with_assets(item, teller, [])

    def _with_assets(self, item: pystac.Item, teller: _Teller, found: list[Difference]) -> Verified:
        size = 0
        for key, asset in item.assets.items():
            body = self._body(asset.href)
            size += len(body or b"")
            wrong = ["is gone"] if body is None else disagreements(body, asset)
            found += [teller.asset(key, asset.href, what) for what in wrong]
            del body  # else it would stay while the next one is read
        return replace(teller.verified(found), assets=len(item.assets), bytes=size)

    def _stored(self, key: str) -> pystac.Item | None:
        try:
            return item_from_dict(json.loads(self.objects.get(key)))
        except (ObjectUnknown, ValueError, TypeError, KeyError, pystac.STACError):
            return None

    def _body(self, href: str) -> bytes | None:
        """None where there is none, or where the href leads out of our store."""
        root = self.objects.href("x").removesuffix("x")
        try:
            return self.objects.get(href.removeprefix(root)) if href.startswith(root) else None
        except ObjectUnknown:
            return None


@dataclass(frozen=True, slots=True)
class _Teller:
    subscription_id: str
    item_id: str
    href: str

    def item(self, what: str, remedy: str) -> Difference:
        return Difference(
            subscription_id=self.subscription_id, item_id=self.item_id, href=self.href, what=what, remedy=remedy
        )

    def asset(self, key: str, href: str, what: str) -> Difference:
        return replace(self.item(what, MAKE_ANEW), asset=key, href=href)

    def verified(self, differences: list[Difference]) -> Verified:
        return Verified(item_id=self.item_id, differences=tuple(differences))


def _are_same(stored: pystac.Item, published: pystac.Item) -> bool:
    return _plain(stored) == _plain(published)


def _where(stored: pystac.Item, published: pystac.Item) -> str:
    """The top-level members, and of the properties which."""
    one, other = _plain(stored), _plain(published)
    names = [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
    if "properties" in names:
        names.remove("properties")
        before, after = one["properties"], other["properties"]
        names += [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    return ", ".join(names[:10])


def _plain(item: pystac.Item) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(item.to_dict(include_self_link=False, transform_hrefs=False)))
    return plain
