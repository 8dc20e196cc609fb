"""The update and delete checkers: what they ask for, what they remove, and that they may be interrupted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from imagery.checkers.delete import DeleteChecker
from imagery.checkers.update import UpdateChecker
from imagery.errors import CatalogUnavailable, SubscriptionUnknown
from imagery.model.codec import to_dict
from imagery.model.outcome import OutcomeStatus
from imagery.model.subscription import Subscription, SubscriptionStatus
from imagery.ports import Catalog
from tests.unit.workflow.conftest import House

LATE = timedelta(days=3)


def updates(house: House) -> UpdateChecker:
    n = house.neighbours
    return UpdateChecker(
        subscriptions=n.subscriptions, providers=n.providers, ledger=n.ledger, queue=n.queue, late_arrivals=LATE
    )


def deletions(house: House, catalog: Catalog | None = None) -> DeleteChecker:
    n = house.neighbours
    return DeleteChecker(
        subscriptions=n.subscriptions,
        ledger=n.ledger,
        failures=n.failures,
        objects=n.objects,
        catalog=catalog or n.catalog,
        retention=timedelta(days=182),
        late_arrivals=LATE,
    )


def deliver_all(house: House) -> None:
    for message in house.neighbours.queue.receive(100):
        payload = {"request": to_dict(message.request)}
        answer = house.steps["PublicProvider"](payload)
        house.steps["Register"]({**payload, "entries": answer["entries"]})
        house.neighbours.queue.acknowledge(message.receipt)


def delivered(house: House, subscription: Subscription) -> int:
    return house.neighbours.ledger.counts(subscription.id).get(OutcomeStatus.DELIVERED, 0)


def test_a_repeated_check_asks_for_nothing_new(house: House, clock: Any) -> None:
    house.subscribe()
    house.provider.publish("a")

    assert updates(house).run(now=clock()).requested == 1
    deliver_all(house)
    clock.advance(timedelta(minutes=5))

    assert updates(house).run(now=clock()).requested == 0


def test_an_item_acquired_long_ago_and_published_now_is_found(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    updates(house).run(now=clock())
    clock.advance(timedelta(days=30))
    house.provider.publish("late", updated=(clock() - timedelta(minutes=1)).isoformat())

    assert updates(house).run(now=clock()).requested == 1
    deliver_all(house)
    assert delivered(house, subscription) == 1


def test_an_item_that_became_searchable_a_while_after_its_stamp_is_found(house: House, clock: Any) -> None:
    house.subscribe()
    stamp = clock() - timedelta(minutes=20)
    updates(house).run(now=clock())
    house.provider.publish("slow", updated=stamp.isoformat())
    clock.advance(timedelta(minutes=5))

    assert updates(house).run(now=clock()).requested == 1


def test_a_failed_search_is_covered_by_the_next_check(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    house.provider.is_down = True
    report = updates(house).run(now=clock())
    house.provider.is_down = False
    house.provider.publish("a")

    assert report.failed == 1
    assert house.neighbours.subscriptions.get(subscription.id).checked_through is None
    assert updates(house).run(now=clock()).requested == 1


def test_a_new_subscription_is_left_to_its_own_first_request(house: House, clock: Any) -> None:
    house.subscribe(created_at=clock())
    house.provider.publish("a")

    assert updates(house).run(now=clock()).checked == 0
    clock.advance(timedelta(minutes=11))
    assert updates(house).run(now=clock()).requested == 1


def test_paused_and_marked_subscriptions_are_not_searched_for(house: House, clock: Any) -> None:
    house.subscribe(1, status=SubscriptionStatus.PAUSED)
    house.subscribe(2, status=SubscriptionStatus.MARKED_FOR_DELETION, delete_at=clock() + timedelta(days=1))

    updates(house).run(now=clock())

    assert house.provider.searches == []


def test_a_subscription_is_searched_for_late_arrivals_and_then_no_more(house: House, clock: Any) -> None:
    house.subscribe(end_at=clock())
    for _ in range(10):
        clock.advance(timedelta(days=1))
        updates(house).run(now=clock())

    assert len(house.provider.searches) == 4


def test_a_subscription_whose_time_is_over_ends_and_is_kept_for_the_retention(house: House, clock: Any) -> None:
    subscription = house.subscribe(end_at=clock() - timedelta(days=10))
    updates(house).run(now=clock())

    assert deletions(house).run(now=clock()).ended == 1

    ended = house.neighbours.subscriptions.get(subscription.id)
    assert ended.status is SubscriptionStatus.ENDED
    assert ended.delete_at == clock() + timedelta(days=182)


def test_a_subscription_with_work_under_way_does_not_end(house: House, clock: Any) -> None:
    subscription = house.subscribe(end_at=clock() - timedelta(days=5))
    house.provider.publish("a", datetime=clock() - timedelta(days=6))
    updates(house).run(now=clock())

    deletions(house).run(now=clock())

    assert house.neighbours.subscriptions.get(subscription.id).status is SubscriptionStatus.ACTIVE


def marked_with_delivery(house: House, number: int, delete_at: datetime) -> Subscription:
    subscription = house.subscribe(number)
    updates(house).check(subscription, now=house.neighbours.clock())
    deliver_all(house)
    now = house.neighbours.clock()
    marked = subscription.changed(now=now, status=SubscriptionStatus.MARKED_FOR_DELETION, delete_at=delete_at)
    house.neighbours.subscriptions.replace(marked)
    return marked


def test_after_the_retention_a_subscription_goes_with_all_it_led_to(house: House, clock: Any) -> None:
    house.provider.publish("a")
    gone = marked_with_delivery(house, 1, clock())
    kept = marked_with_delivery(house, 2, clock() + timedelta(days=1))

    report = deletions(house).run(now=clock())

    assert (report.removed, report.items, report.objects) == (1, 1, 4)
    with pytest.raises(SubscriptionUnknown):
        house.neighbours.subscriptions.get(gone.id)
    assert house.neighbours.catalog.get("sentinel-2-l2a", f"a--{gone.id}") is None
    assert {key.split("/")[0] for key in house.objects()} == {kept.id}
    assert delivered(house, kept) == 1


class CatalogThatIsDown:
    """A catalog that cannot be reached."""

    def ensure_collection(self, collection: Any) -> None:
        raise CatalogUnavailable("down")

    def publish(self, items: Any) -> None:
        raise CatalogUnavailable("down")

    def retract(self, collection_id: str, item_ids: Any) -> None:
        raise CatalogUnavailable("down")

    def get(self, collection_id: str, item_id: str) -> None:
        raise CatalogUnavailable("down")


def test_a_removal_that_failed_is_finished_by_the_next_check(house: House, clock: Any) -> None:
    house.provider.publish("a")
    subscription = marked_with_delivery(house, 1, clock())

    assert deletions(house, CatalogThatIsDown()).run(now=clock()).failed == 1
    assert house.neighbours.subscriptions.get(subscription.id).delete_at == clock()
    assert deletions(house).run(now=clock()).removed == 1
    assert house.objects() == []


def test_no_item_is_found_whose_objects_are_gone(house: House, clock: Any) -> None:
    house.provider.publish("a")
    subscription = marked_with_delivery(house, 1, clock())

    deletions(house, CatalogThatIsDown()).run(now=clock())

    published = house.neighbours.catalog.get("sentinel-2-l2a", f"a--{subscription.id}")
    assert published is not None
    assert len(house.objects()) == 4
