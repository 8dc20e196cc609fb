"""What an owner's change makes worth another look: an end that moved, filters that take more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from imagery.model.outcome import Outcome, OutcomeStatus, SkipReason
from imagery.model.processing import Processing
from imagery.model.request import RequestKind
from imagery.model.subscription import Filters, Subscription, SubscriptionStatus
from tests.unit.workflow.conftest import LATE, House
from tests.unit.workflow.test_update_checker import change, check, publish

HOUR = timedelta(hours=1)


def row(house: House, subscription: Subscription, item_id: str = "a") -> Outcome:
    found = house.neighbours.ledger.get(subscription.id, item_id)
    assert found is not None
    return found


def worked(house: House, clock: Any) -> list[tuple[str, ...]]:
    """Items that were made, or looked at, in an hour of work."""
    clock.advance(HOUR)
    return [request.item_ids for request in house.work() if request.item_ids]


@pytest.mark.parametrize("status", [SubscriptionStatus.ACTIVE, SubscriptionStatus.ENDED])
@pytest.mark.parametrize("further", [None, timedelta(days=1)], ids=["for ever", "a day"])
def test_what_was_processed_anew_after_the_end_is_found_when_the_end_moves(
    house: House, clock: Any, status: SubscriptionStatus, further: timedelta | None
) -> None:
    ending = clock() - timedelta(days=5)
    subscription = house.subscribe(end_at=ending, created_at=clock() - timedelta(days=20))
    publish(house, "a", clock() - timedelta(days=10))
    publish(house, "b", clock() - timedelta(days=10))
    house.lookback.begin(subscription)
    assert worked(house, clock) == [("a",), ("b",)]
    clock.advance(LATE)
    publish(house, "a", clock())
    assert check(house, clock) == 0, "nothing is processed anew after the end"
    assert worked(house, clock) == []
    if status is SubscriptionStatus.ENDED:
        change(house, clock, subscription, status=status)

    clock.advance(HOUR)
    end_at = None if further is None else ending + further
    change(house, clock, subscription, end_at=end_at, status=SubscriptionStatus.ACTIVE)

    assert worked(house, clock) == [("a",)]
    assert row(house, subscription).source_updated_at == house.provider.items["a"].common_metadata.updated
    assert worked(house, clock) == []


def test_an_end_that_moves_there_and_back_is_looked_up_to_each_time(house: House, clock: Any) -> None:
    early, late = clock() - timedelta(days=9), clock() - timedelta(days=8)
    subscription = house.subscribe(end_at=early, created_at=clock() - timedelta(days=20))
    for _ in range(2):
        clock.advance(HOUR)
        change(house, clock, subscription, end_at=late)
        house.work()
        clock.advance(HOUR)
        change(house, clock, subscription, end_at=early)

    assert len(house.provider.searches) == 2


CLOUDY: dict[str, Any] = {"eo:cloud_cover": 80.0}


def skipped(house: House, clock: Any, **changes: Any) -> Subscription:
    """A subscription for which scene `a`, 80 % cloud, was skipped."""
    subscription = house.subscribe(**{"filters": Filters(max_cloud_cover=20), "created_at": clock()} | changes)
    publish(house, "a", clock(), **CLOUDY)
    house.lookback.begin(subscription)
    assert worked(house, clock) == [("a",)]
    assert row(house, subscription).reason is SkipReason.CLOUDY
    clock.advance(HOUR)
    return subscription


def test_what_a_filter_skipped_is_delivered_when_it_is_loosened(house: House, clock: Any) -> None:
    subscription = skipped(house, clock)

    change(house, clock, subscription, filters=Filters(max_cloud_cover=95))
    looks = house.neighbours.queue.peek(10)

    assert [look.kind for look in looks] == [RequestKind.BACKFILL]
    assert worked(house, clock) == [("a",)]
    assert row(house, subscription).status is OutcomeStatus.DELIVERED
    assert worked(house, clock) == []


def test_what_is_skipped_again_is_judged_once_a_change(house: House, clock: Any) -> None:
    subscription = skipped(house, clock)

    change(house, clock, subscription, filters=Filters(max_cloud_cover=50))
    again = house.neighbours.queue.peek(1)[0]
    assert worked(house, clock) == [("a",)]
    assert row(house, subscription).reason is SkipReason.CLOUDY
    assert "up to 50 %" in row(house, subscription).explanation
    house.neighbours.queue.send([again])

    assert worked(house, clock) == [], "the same look, once more"


@pytest.mark.parametrize(
    ("before", "after", "is_looked"),
    [
        ({}, {"filters": Filters()}, True),
        ({}, {"filters": Filters(max_cloud_cover=20, min_coverage=0.5)}, False),
        ({}, {"filters": Filters(max_cloud_cover=10)}, False),
        ({"filters": Filters(max_cloud_cover=20, min_coverage=0.5)}, {"filters": Filters(max_cloud_cover=20)}, True),
        ({}, {"processing": Processing(buffer_m=-10)}, True),
        ({}, {"processing": Processing(harmonise=True)}, False),
        ({}, {"labels": {"crop": "maize"}}, False),
    ],
)
def test_only_a_change_that_may_let_more_pass_looks_again(
    house: House, clock: Any, before: dict[str, Any], after: dict[str, Any], is_looked: bool
) -> None:
    subscription = skipped(house, clock, **before)

    change(house, clock, subscription, **after)

    assert bool(house.neighbours.queue.peek(1)) is is_looked
    assert worked(house, clock) == ([("a",)] if is_looked else [])


def test_filters_loosened_during_a_pause_are_looked_by_when_it_ends(house: House, clock: Any) -> None:
    subscription = skipped(house, clock)
    change(house, clock, subscription, status=SubscriptionStatus.PAUSED)
    change(house, clock, subscription, filters=Filters())
    assert worked(house, clock) == []

    change(house, clock, subscription, status=SubscriptionStatus.ACTIVE)

    assert worked(house, clock) == [("a",)]
    assert row(house, subscription).status is OutcomeStatus.DELIVERED


def test_what_was_delivered_stays_as_it_is_when_filters_change(house: House, clock: Any) -> None:
    subscription = skipped(house, clock)
    publish(house, "b", clock())
    check(house, clock)
    worked(house, clock)
    before = row(house, subscription, "b")
    assert before.status is OutcomeStatus.DELIVERED

    change(house, clock, subscription, filters=Filters())

    assert worked(house, clock) == [("a",)]
    assert replace(row(house, subscription, "b"), updated_at=before.updated_at) == before
