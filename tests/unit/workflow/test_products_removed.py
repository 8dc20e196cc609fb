"""Products at their end: superseded ones whose time is over, and all of a subscription that is removed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pystac
import pytest

from imagery.checkers.removal import AT_REST
from imagery.errors import ObjectStoreUnavailable
from imagery.items.versions import sibling_link
from imagery.model.product import Product, ProductStatus
from imagery.model.subscription import SubscriptionStatus
from tests.unit.workflow.conftest import ACQUIRED, House
from tests.unit.workflow.test_delete_checker import (
    Crashes,
    Crashing,
    checker,
    deletions,
    mark,
    marked_with_delivery,
    products,
)

COLLECTION = "sentinel-2-l2a"


def publish(house: House, clock: Any, number: int, **changes: Any) -> Product:
    """A product with its item and one object; all numbers are versions of one acquisition."""
    n = house.neighbours
    product = Product(
        subscription_id="sub_x",
        acquisition="datatake",
        item_id=f"made-{number}",
        collection_id=COLLECTION,
        prefix=f"sub_x/made-{number}",
        sources=("a",),
        numbers={"bytes": 10.0},
        version=number,
        status=ProductStatus.CURRENT,
        updated_at=clock(),
    )
    product = replace(product, **changes)
    box = {"type": "Polygon", "coordinates": [[[15, 46], [15.1, 46], [15.1, 46.1], [15, 46]]]}
    item = pystac.Item(product.item_id, box, [15, 46, 15.1, 46.1], ACQUIRED, {}, collection=COLLECTION)
    n.catalog.ensure_collection(house.provider.get_collection(COLLECTION))
    n.catalog.publish([item])
    n.objects.put(f"{product.prefix}/red.tif", b"pixels", media_type="image/tiff")
    products(house).save(product)
    return product


def supersede(house: House, clock: Any, number: int, *, days: int, **changes: Any) -> Product:
    """Due that many days from now."""
    due = {"status": ProductStatus.SUPERSEDED, "successor": "made-9", "expires_at": clock() + timedelta(days=days)}
    return publish(house, clock, number, **due, **changes)


def is_there(house: House, product: Product) -> tuple[bool, bool, bool]:
    """(item, object, product)"""
    kept = products(house).of(product.subscription_id, product.acquisition)
    return (
        house.neighbours.catalog.get(COLLECTION, product.item_id) is not None,
        f"{product.prefix}/red.tif" in house.objects(),
        product.item_id in [one.item_id for one in kept],
    )


GONE, WHOLE = (False, False, False), (True, True, True)


def test_superseded_items_go_when_their_time_is_over_and_no_others(house: House, clock: Any) -> None:
    old, due = supersede(house, clock, 1, days=-3), supersede(house, clock, 2, days=0)
    later, current = supersede(house, clock, 3, days=1), publish(house, clock, 4)

    report = checker(house).run(now=clock())

    assert (report.expired, report.failed, report.removed) == (2, 0, 0)
    assert [is_there(house, one) for one in (old, due, later, current)] == [GONE, GONE, WHOLE, WHOLE]
    assert checker(house).run(now=clock()).expired == 0


def test_a_dry_run_names_them_and_removes_nothing(house: House, clock: Any) -> None:
    due = supersede(house, clock, 1, days=-3)
    supersede(house, clock, 2, days=1)

    assert checker(house).expiry.due(now=clock(), limit=10) == (due,)

    assert is_there(house, due) == WHOLE


class StoreWithOneBadPrefix:
    """An object store that cannot remove what lies below one prefix."""

    def __init__(self, store: Any, prefix: str) -> None:
        self._store, self._prefix = store, prefix

    def remove_prefix(self, prefix: str) -> int:
        if prefix == self._prefix:
            raise ObjectStoreUnavailable("access denied")
        removed: int = self._store.remove_prefix(prefix)
        return removed


def test_one_that_cannot_be_removed_stops_no_other_and_is_tried_again(house: House, clock: Any) -> None:
    bad, good = supersede(house, clock, 1, days=-3), supersede(house, clock, 2, days=-2)
    store = StoreWithOneBadPrefix(house.neighbours.objects, bad.prefix)

    report = checker(house, objects=store).run(now=clock())

    assert (report.expired, report.failed) == (1, 1)
    assert is_there(house, good) == GONE
    assert is_there(house, bad) == (False, True, True)
    assert checker(house).run(now=clock()).expired == 1
    assert is_there(house, bad) == GONE


def test_objects_that_a_later_version_uses_stay(house: House, clock: Any) -> None:
    due = supersede(house, clock, 1, days=-1, prefix="sub_x/shared")
    current = publish(house, clock, 2, prefix="sub_x/shared")

    assert checker(house).run(now=clock()).expired == 1

    assert is_there(house, current) == WHOLE
    assert is_there(house, due) == (False, True, False)


@pytest.mark.parametrize("calls", range(1, 12))
def test_a_check_killed_after_any_call_is_finished_by_the_next(house: House, clock: Any, calls: int) -> None:
    due = [supersede(house, clock, number, days=-number) for number in (1, 2)]
    countdown = [calls]
    expiry = checker(house, wrap=lambda port: Crashing(port, countdown)).expiry

    try:
        expiry.run(now=clock())
    except Crashes:
        checker(house).run(now=clock())

    assert [is_there(house, one) for one in due] == [GONE, GONE]


def with_products(house: House, clock: Any) -> Any:
    """A subscription marked for deletion: one acquisition from before products, one with two versions."""
    marked = marked_with_delivery(house, clock)
    ours = {"subscription_id": marked.id}
    publish(house, clock, 2, prefix=f"{marked.prefix}/made-2", **ours)
    supersede(house, clock, 1, days=9, prefix=f"{marked.prefix}/made-1", **ours)
    publish(house, clock, 3, prefix=f"{marked.prefix}/made-3", status=ProductStatus.MAKING, **ours)
    clock.advance(AT_REST)
    return marked


def test_a_removed_subscription_goes_with_every_version_of_its_products(house: House, clock: Any) -> None:
    marked = with_products(house, clock)
    other = publish(house, clock, 7)

    tally = checker(house).removal.tally(marked.id)
    report = checker(house).run(now=clock())

    found = [one.item_id for one in products(house).all_of(marked.id)]
    old = checker(house).ledger.get(marked.id, "a")
    assert (report.removed, report.failed, found, old) == (1, 0, [], None)
    assert tally.items >= 3
    assert [house.neighbours.catalog.get(COLLECTION, f"made-{number}") for number in (1, 2, 3)] == [None] * 3
    assert is_there(house, other) == WHOLE
    assert [key for key in house.objects() if marked.id in key] == []
    deletion = deletions(house).get(marked.id)
    assert deletion is not None
    assert deletion.items == tally.items


@pytest.mark.parametrize("calls", range(1, 25))
def test_a_removal_with_products_killed_anywhere_is_finished_by_the_next(house: House, clock: Any, calls: int) -> None:
    marked = with_products(house, clock)
    countdown = [calls]

    try:
        checker(house, wrap=lambda port: Crashing(port, countdown)).run(now=clock())
    except Crashes:
        checker(house).run(now=clock())

    assert list(products(house).all_of(marked.id)) == []
    assert [house.neighbours.catalog.get(COLLECTION, f"made-{number}") for number in (1, 2, 3)] == [None] * 3
    assert house.objects() == []


def test_while_work_may_be_under_way_products_are_remembered(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    publish(house, clock, 1, subscription_id=subscription.id, prefix=f"{subscription.prefix}/made-1")
    mark(house, subscription, delete_at=clock())

    checker(house).run(now=clock())

    assert house.neighbours.subscriptions.get(subscription.id).status is SubscriptionStatus.DELETING
    assert len(list(products(house).all_of(subscription.id))) == 1
    assert house.objects() == []


def test_no_link_leads_to_what_was_removed(house: House, clock: Any) -> None:
    n = house.neighbours
    old = supersede(house, clock, 1, days=0)
    new = publish(house, clock, 9)
    item = n.catalog.get(COLLECTION, new.item_id)
    assert item is not None
    item.add_link(sibling_link("predecessor-version", old.item_id))
    item.add_link(pystac.Link("license", "https://example.com/licence"))
    n.catalog.publish([item])
    stored = json.dumps(item.to_dict(include_self_link=False, transform_hrefs=False)).encode()
    n.objects.put(f"{new.prefix}/item.json", stored, media_type=pystac.MediaType.GEOJSON)

    report = checker(house).run(now=clock())

    assert (report.expired, report.failed) == (1, 0)
    left = n.catalog.get(COLLECTION, new.item_id)
    kept = json.loads(n.objects.get(f"{new.prefix}/item.json"))
    assert left is not None
    assert "predecessor-version" not in {link.rel for link in left.links} | {link["rel"] for link in kept["links"]}
    assert left.get_links("license") and [link["rel"] for link in kept["links"]].count("license") == 1
