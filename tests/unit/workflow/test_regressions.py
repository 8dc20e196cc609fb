"""Ways in which work was once lost, doubled or stuck. Each test failed before its mend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pystac
import pytest
from pydantic_core import PydanticSerializationError

from imagery.checkers.update import UpdateChecker
from imagery.errors import ProviderAnswerInvalid
from imagery.model.access import Caller
from imagery.model.codec import to_dict, to_json
from imagery.model.failure import FailureQuery
from imagery.model.outcome import OutcomeStatus, SkipReason
from imagery.model.search import Search
from imagery.model.subscription import Filters, Subscription, SubscriptionStatus
from imagery.service.collections import CollectionDirectory
from imagery.service.subscriptions import Limits, Subscriptions
from tests.unit.workflow.conftest import House, ProviderOfFiles
from tests.unit.workflow.test_checkers import deletions, deliver_all, delivered, updates

ANA = Caller(owner="ana")


def use_cases(house: House) -> Subscriptions:
    n = house.neighbours
    return Subscriptions(
        store=n.subscriptions,
        ledger=n.ledger,
        queue=n.queue,
        collections=CollectionDirectory(providers=n.providers, clock=n.clock),
        limits=Limits(max_aoi_km2=100, max_aoi_vertices=100, retention=timedelta(days=182)),
        clock=n.clock,
    )


def change(house: House, subscription: Subscription, **changes: Any) -> Subscription:
    return use_cases(house).change(ANA, subscription.id, changes, expected_version=None)


def row_of(house: House, subscription: Subscription, item_id: str) -> Any:
    row = house.neighbours.ledger.get(subscription.id, item_id)
    assert row is not None
    return row


def test_what_came_up_during_a_pause_is_delivered_after_it(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    updates(house).run(now=clock())
    change(house, subscription, status=SubscriptionStatus.PAUSED)
    deliver_all(house)
    assert row_of(house, subscription, "a").reason is SkipReason.INACTIVE

    clock.advance(timedelta(days=3))
    change(house, subscription, status=SubscriptionStatus.ACTIVE)
    for _ in range(2):
        deliver_all(house)

    assert delivered(house, subscription) == 1


def test_a_deletion_taken_back_loses_nothing(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    updates(house).run(now=clock())
    use_cases(house).delete(ANA, subscription.id)
    deliver_all(house)

    clock.advance(timedelta(days=3))
    use_cases(house).restore(ANA, subscription.id)
    for _ in range(2):
        deliver_all(house)

    assert delivered(house, subscription) == 1


def test_a_later_end_brings_what_was_acquired_after_the_old_one(house: House, clock: Any) -> None:
    old_end = clock() - timedelta(days=2)
    subscription = house.subscribe(end_at=old_end)
    house.provider.publish("after", datetime=old_end + timedelta(days=1), updated=clock().isoformat())
    updates(house).run(now=clock())
    clock.advance(timedelta(hours=5))

    change(house, subscription, end_at=clock() + timedelta(days=30))
    for _ in range(2):
        deliver_all(house)

    assert delivered(house, subscription) == 1


def test_a_later_end_wakes_an_ended_subscription(house: House, clock: Any) -> None:
    subscription = house.subscribe(end_at=clock() - timedelta(days=10))
    updates(house).run(now=clock())
    deletions(house).run(now=clock())

    woken = change(house, subscription, end_at=clock() + timedelta(days=30))

    assert (woken.status, woken.delete_at) == (SubscriptionStatus.ACTIVE, None)


def test_a_paused_subscription_is_never_due_for_deletion(house: House, clock: Any) -> None:
    subscription = house.subscribe(end_at=clock() - timedelta(days=10))
    updates(house).run(now=clock())
    deletions(house).run(now=clock())

    change(house, subscription, status=SubscriptionStatus.PAUSED)
    clock.advance(timedelta(days=365))

    assert deletions(house).run(now=clock()).removed == 0


def test_a_subscription_restored_while_others_are_removed_stays(house: House, clock: Any) -> None:
    doomed, saved = (
        house.subscribe(number, status=SubscriptionStatus.MARKED_FOR_DELETION, delete_at=clock()) for number in (1, 2)
    )
    checker = deletions(house)

    class RestoringStore:
        """Restores the second while the first is being removed."""

        def __getattr__(self, name: str) -> Any:
            return getattr(house.neighbours.subscriptions, name)

        def remove(self, subscription_id: str) -> None:
            house.neighbours.subscriptions.remove(subscription_id)
            if subscription_id == doomed.id:
                use_cases(house).restore(ANA, saved.id)

    replace(checker, subscriptions=RestoringStore()).run(now=clock())  # type: ignore[arg-type]

    assert house.neighbours.subscriptions.get(saved.id).status is SubscriptionStatus.ACTIVE


def test_a_slow_attempt_does_not_overwrite_a_newer_state(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    updates(house).run(now=clock())
    old = house.neighbours.queue.receive(1)[0].request
    slow = house.steps["PublicProvider"]({"request": to_dict(old)})
    newer = clock() + timedelta(days=1)
    clock.advance(timedelta(days=2))
    house.provider.publish("a", updated=newer.isoformat())
    updates(house).run(now=clock())
    deliver_all(house)

    house.steps["Register"]({"request": to_dict(old), "entries": slow["entries"]})

    row = row_of(house, subscription, "a")
    assert (row.status, row.source_updated_at) == (OutcomeStatus.DELIVERED, newer)
    assert updates(house).run(now=clock()).requested == 0


def test_a_worse_reprocessing_leaves_the_ledger_true_about_what_is_published(house: House, clock: Any) -> None:
    subscription = house.subscribe(filters=Filters(max_cloud_cover=20))
    house.provider.publish("a")
    updates(house).run(now=clock())
    deliver_all(house)
    clock.advance(timedelta(days=1))
    house.provider.publish("a", updated=clock().isoformat(), **{"eo:cloud_cover": 90.0})
    updates(house).run(now=clock())
    deliver_all(house)

    row = row_of(house, subscription, "a")
    assert row.status is OutcomeStatus.SKIPPED
    assert house.neighbours.catalog.get("sentinel-2-l2a", row.published_item_id) is not None
    assert "stays" in row.explanation


class ProviderWithAFlaw(ProviderOfFiles):
    """Its answer breaks off after the items it has."""

    def search(self, search: Search) -> Iterator[pystac.Item]:
        yield from super().search(search)
        raise ProviderAnswerInvalid("item x is no item")


def test_what_was_found_before_an_answer_broke_off_is_asked_for(house: House, clock: Any) -> None:
    house.subscribe()
    flawed = ProviderWithAFlaw(house.provider.folder)
    for name in ("a", "b", "c"):
        flawed.publish(name)
    checker = replace(updates(house), providers={"earth-search": flawed})

    assert checker.run(now=clock()).failed == 1

    assert len(house.neighbours.queue.peek(10)) == 3


def test_one_item_with_an_odd_time_does_not_stop_everybodys_checks(house: House, clock: Any) -> None:
    flawed = ProviderOfFiles(house.provider.folder)
    flawed.publish("odd", updated="n/a")
    house.provider.publish("a")
    house.subscribe(1, provider="flawed")
    fine = house.subscribe(2)
    checker = replace(updates(house), providers={"flawed": flawed, "earth-search": house.provider})

    report = checker.run(now=clock())

    assert (report.failed, report.requested) == (1, 1)
    assert house.neighbours.ledger.get(fine.id, "a") is not None


def test_a_provider_that_does_not_answer_is_asked_once_a_run(house: House, clock: Any) -> None:
    dead = ProviderThatCounts(house.provider.folder, is_down=True)
    for number in (1, 2, 3):
        house.subscribe(number, provider="dead")
    house.subscribe(4)
    house.provider.publish("a")
    checker: UpdateChecker = replace(updates(house), providers={"dead": dead, "earth-search": house.provider})

    report = checker.run(now=clock())

    assert dead.asked == 1
    assert (report.failed, report.checked) == (3, 1)


class ProviderThatCounts(ProviderOfFiles):
    """Counts how often it was asked."""

    asked = 0

    def search(self, search: Search) -> Iterator[pystac.Item]:
        self.asked += 1
        return super().search(search)


def test_a_time_without_an_offset_is_utc_wherever_the_machine_stands(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    item = house.provider.publish("a")
    item.datetime = datetime(2026, 4, 20, 10)  # noqa: DTZ001 - the point of the test

    class Naive(ProviderOfFiles):
        def search(self, search: Search) -> Iterator[pystac.Item]:
            yield item

    replace(updates(house), providers={"earth-search": Naive(house.provider.folder)}).run(now=clock())

    assert row_of(house, subscription, "a").acquired_at.isoformat() == "2026-04-20T10:00:00+00:00"


def test_a_failure_without_a_cause_can_be_read_again(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    updates(house).run(now=clock())
    request = house.neighbours.queue.peek(1)[0]
    error = {"Error": "States.Timeout", "Cause": None}
    payload = {"request": to_dict(request), "caught": error, "error": error}

    house.steps["sqs:sendMessage"]({"MessageBody": {"execution_id": request.id, "payload": payload}})

    assert house.neighbours.failures.find(FailureQuery()).values[0].cause == ""
    assert row_of(house, subscription, "a").status is OutcomeStatus.FAILED


def test_a_value_that_could_not_be_read_again_is_never_written(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    updates(house).run(now=clock())

    with pytest.raises(PydanticSerializationError):
        to_json(replace(row_of(house, subscription, "a"), explanation=5))
