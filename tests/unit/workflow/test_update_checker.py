"""The update checker: one feed a collection, and each item served exactly once whatever the feed does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pystac
import pytest

from imagery.errors import ProviderRefused, ProviderUnavailable
from imagery.model.outcome import OutcomeStatus, SkipReason
from imagery.model.request import RequestKind
from imagery.model.subscription import Priority, Subscription, SubscriptionStatus
from imagery.service import discovery
from imagery.service.arrivals import Arrivals
from imagery.service.discovery import Asker
from imagery.service.feeds import feeds_health
from tests.unit.workflow.conftest import LATE, OVERLAP, House, square

CHECK = timedelta(minutes=5)


def check(house: House, clock: Any, *, after: timedelta = CHECK) -> int:
    """(item, subscription) pairs asked for."""
    clock.advance(after)
    return house.update_checker.run(now=clock()).requested


def publish(house: House, item_id: str, at: datetime, **properties: Any) -> pystac.Item:
    return house.provider.publish(item_id, updated=at.isoformat(), **properties)


def delivered(house: House, subscription: Subscription) -> int:
    return house.neighbours.ledger.counts(subscription.id)[OutcomeStatus.DELIVERED]


def in_queue(house: House) -> list[tuple[str, ...]]:
    return [request.item_ids for request in house.neighbours.queue.peek(1000)]


# One feed


def test_an_item_is_one_request_however_many_subscriptions_it_is_for(house: House, clock: Any) -> None:
    made = [house.subscribe(number, aoi=square(number, number, 5)) for number in range(1, 31)]
    publish(house, "a", clock())

    assert check(house, clock) == 30
    assert [request.subscription_ids for request in house.neighbours.queue.peek(10)] == [tuple(s.id for s in made)]
    assert len(house.provider.reads) == 1
    assert house.provider.searches == []


def test_a_repeated_check_asks_for_nothing_new(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    publish(house, "a", clock())

    assert [check(house, clock) for _ in range(3)] == [1, 0, 0]
    house.work()
    assert check(house, clock, after=timedelta(hours=3)) == 0
    assert delivered(house, subscription) == 1


@pytest.mark.parametrize("age", [timedelta(hours=5), timedelta(days=4), timedelta(days=300)])
def test_an_item_acquired_long_ago_and_published_now_is_found(house: House, clock: Any, age: timedelta) -> None:
    house.subscribe(start_at=clock() - timedelta(days=400))
    check(house, clock)
    clock.advance(timedelta(days=30))
    publish(house, "late", clock(), datetime=clock() - age)

    assert check(house, clock) == 1
    assert check(house, clock) == 0


def test_an_item_that_became_visible_a_while_after_its_stamp_is_found(house: House, clock: Any) -> None:
    house.subscribe()
    stamp = clock() - timedelta(minutes=20)
    publish(house, "quick", clock())
    check(house, clock)
    publish(house, "slow", stamp)

    assert check(house, clock) == 1
    assert check(house, clock) == 0


def test_a_reprocessed_item_is_made_again_and_only_once(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    publish(house, "a", clock())
    check(house, clock)
    house.work()
    clock.advance(timedelta(days=40))
    publish(house, "a", clock())

    assert [check(house, clock) for _ in range(2)] == [1, 0]
    assert len(house.work()) == 1
    row = house.neighbours.ledger.get(subscription.id, "a")
    assert row is not None and row.source_updated_at == house.provider.items["a"].common_metadata.updated


def test_many_items_of_the_same_instant_are_each_served_once(house: House, clock: Any) -> None:
    house.subscribe()
    for number in range(250):
        house.provider.items[f"i{number:03}"] = _copy(publish(house, "model", clock()), f"i{number:03}")
    del house.provider.items["model"]

    assert [check(house, clock) for _ in range(2)] == [250, 0]
    assert len(set(in_queue(house))) == 250


def test_a_feed_that_was_down_for_three_days_is_read_from_where_it_was_left(house: House, clock: Any) -> None:
    house.subscribe()
    publish(house, "before", clock())
    check(house, clock)
    house.provider.is_down = True
    for day in range(3):
        clock.advance(timedelta(days=1))
        publish(house, f"day-{day}", clock())
        assert house.update_checker.run(now=clock()).failed == 1
    house.provider.is_down = False

    assert [check(house, clock) for _ in range(2)] == [3, 0]
    assert sorted(in_queue(house)) == [("before",), ("day-0",), ("day-1",), ("day-2",)]


class Scripted:
    """A feed that gives what it is told to, in that order; an exception is raised where it stands."""

    def __init__(self, house: House, *script: pystac.Item | Exception) -> None:
        self._house = house
        self.script: list[pystac.Item | Exception] = list(script)

    def changes(self, collection_id: str, *, since: datetime) -> Iterator[pystac.Item]:
        for one in self.script:
            if isinstance(one, Exception):
                raise one
            if (one.common_metadata.updated or since) >= since:
                yield one.clone()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._house.provider, name)


def read(house: House, provider: Any, clock: Any) -> int:
    clock.advance(CHECK)
    reader = house.update_checker.reader
    return reader.read(provider, name="earth-search", collection="sentinel-2-l2a", now=clock()).requested


def _copy(item: pystac.Item, item_id: str, **properties: Any) -> pystac.Item:
    copy = item.clone()
    copy.id = item_id
    copy.properties |= properties
    return copy


def test_duplicates_in_one_answer_are_one(house: House, clock: Any) -> None:
    house.subscribe()
    item = publish(house, "a", clock())

    assert read(house, Scripted(house, item, item, item), clock) == 1


def test_items_out_of_order_are_all_taken_and_a_broken_read_forgets_none(house: House, clock: Any) -> None:
    house.subscribe()
    start = clock()
    items = [publish(house, f"i{hours}", start + timedelta(hours=hours)) for hours in (9, 1, 7, 3, 5)]
    clock.advance(timedelta(hours=10))
    feed = Scripted(house, *items[:3], ProviderUnavailable("the line broke"), *items[3:])

    with pytest.raises(ProviderUnavailable):
        read(house, feed, clock)
    feed.script = list(items)

    assert read(house, feed, clock) == 5
    assert read(house, feed, clock) == 0


def test_a_read_that_breaks_goes_on_from_the_last_page_that_was_saved(house: House, clock: Any) -> None:
    house.subscribe()
    start = clock()
    model = publish(house, "model", start)
    items = [
        _copy(model, f"i{n:03}", updated=(start + timedelta(minutes=n)).isoformat()) for n in range(discovery.BATCH * 2)
    ]
    clock.advance(timedelta(days=1))
    broken = Scripted(house, *items[: discovery.BATCH + 10], ProviderUnavailable("the line broke"))

    with pytest.raises(ProviderUnavailable):
        read(house, broken, clock)

    saved = house.feeds.get("earth-search", "sentinel-2-l2a")
    assert saved is not None and saved.checked_through == start + timedelta(minutes=discovery.BATCH - 1)
    assert read(house, Scripted(house, *items), clock) == discovery.BATCH
    assert len(in_queue(house)) == len(set(in_queue(house))) == discovery.BATCH * 2


def test_a_stamp_in_the_future_does_not_deafen_the_feed(house: House, clock: Any) -> None:
    house.subscribe()
    publish(house, "prophecy", clock() + timedelta(days=9000))
    assert [check(house, clock) for _ in range(2)] == [1, 0]
    publish(house, "news", clock())

    assert [check(house, clock) for _ in range(3)] == [1, 0, 0]


def test_the_cursor_keeps_no_more_than_the_overlap(house: House, clock: Any) -> None:
    house.subscribe()
    for number in range(20):
        publish(house, f"i{number}", clock())
        check(house, clock, after=timedelta(minutes=30))

    cursor = house.feeds.get("earth-search", "sentinel-2-l2a")
    assert cursor is not None and len(cursor.seen) == 3


def test_an_item_that_cannot_be_placed_holds_up_nobody(house: House, clock: Any) -> None:
    house.subscribe()
    homeless = _copy(publish(house, "a", clock()), "homeless")
    homeless.geometry, homeless.bbox = None, None
    fine = house.provider.items["a"]

    assert read(house, Scripted(house, homeless, fine), clock) == 1


# Who gets it


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1),
        ({"status": SubscriptionStatus.PAUSED}, 0),
        ({"status": SubscriptionStatus.MARKED_FOR_DELETION}, 0),
        ({"provider": "somebody-else"}, 0),
        ({"collection": "landsat-c2-l2"}, 0),
        ({"start_at": datetime(2026, 4, 20, 10, 0, 1, tzinfo=UTC)}, 0),
        ({"start_at": datetime(2026, 4, 20, 10, tzinfo=UTC)}, 1),
        ({"end_at": datetime(2026, 4, 20, 9, 59, tzinfo=UTC)}, 0),
        ({"end_at": datetime(2026, 4, 29, tzinfo=UTC)}, 1),
        ({"end_at": datetime(2026, 4, 28, tzinfo=UTC)}, 0),
    ],
)
def test_an_item_is_for_active_subscriptions_of_its_collection_and_time(
    house: House, clock: Any, changes: dict[str, Any], expected: int
) -> None:
    """The last two: three days of late arrivals after the end, by the time of publication."""
    house.subscribe(1, **changes)
    house.subscribe(2, aoi=square(9000, 9000, 10))
    publish(house, "a", clock())

    assert check(house, clock) == expected


def test_a_footprint_is_met_exactly_and_not_by_its_box(house: House, clock: Any) -> None:
    corner = house.subscribe(1, aoi=square(2, 2, 5))
    house.subscribe(2, aoi=square(93, 93, 5))
    item = publish(house, "a", clock())
    bottom_left, _, top_right, top_left, _ = square(0, 0, 100)["geometry"]["coordinates"][0]
    item.geometry = {"type": "Polygon", "coordinates": [[bottom_left, top_right, top_left, bottom_left]]}

    check(house, clock)

    assert [request.subscription_ids for request in house.neighbours.queue.peek(5)] == [(corner.id,)]


@pytest.mark.parametrize(
    "ring",
    [
        [[179.0, -17.0], [181.0, -17.0], [181.0, -16.0], [179.0, -16.0], [179.0, -17.0]],
        [[179.0, -17.0], [-179.0, -17.0], [-179.0, -16.0], [179.0, -16.0], [179.0, -17.0]],
        [[-181.0, -17.0], [-179.0, -17.0], [-179.0, -16.0], [-181.0, -16.0], [-181.0, -17.0]],
    ],
)
def test_an_item_over_the_antimeridian_is_for_both_its_sides_and_nobody_else(
    house: House, clock: Any, ring: list[list[float]]
) -> None:
    def field(west: float, east: float) -> dict[str, Any]:
        outline = [[west, -16.55], [east, -16.55], [east, -16.5], [west, -16.5], [west, -16.55]]
        return {"type": "Polygon", "coordinates": [outline]}

    near = [
        house.subscribe(1, aoi=field(179.4, 179.5)),
        house.subscribe(2, aoi=field(-179.5, -179.4)),
        house.subscribe(3, aoi=field(179.95, 180.05)),
    ]
    house.subscribe(4, aoi=field(178.0, 178.1))
    house.subscribe(5, aoi=field(0.0, 0.1))
    item = publish(house, "a", clock())
    item.geometry = {"type": "Polygon", "coordinates": [ring]}

    assert check(house, clock) == 3
    assert house.neighbours.queue.peek(1)[0].subscription_ids == tuple(s.id for s in near)


def test_a_request_takes_the_highest_priority_among_those_it_serves(house: House, clock: Any) -> None:
    for number, priority in enumerate((Priority.LOW, Priority.HIGH, Priority.NORMAL), start=1):
        house.subscribe(number, priority=priority)
    publish(house, "a", clock())
    check(house, clock)

    assert [request.priority for request in house.neighbours.queue.peek(10)] == [Priority.HIGH]


def small_requests(house: House, per_request: int) -> Asker:
    return replace(house.neighbours.looker.asker, per_request=per_request)


def test_more_subscriptions_than_one_request_serves_are_split_by_id(house: House, clock: Any) -> None:
    ids = [house.subscribe(number).id for number in range(1, 8)]
    item = publish(house, "a", clock())
    arrivals = Arrivals(joiner=house.joiner, asker=small_requests(house, 3))

    assert arrivals.take([item], provider="earth-search", now=clock()) == 7
    split = [request.subscription_ids for request in house.neighbours.queue.peek(10)]
    assert split == [tuple(ids[:3]), tuple(ids[3:6]), tuple(ids[6:])]


def test_fields_too_large_to_be_in_memory_together_get_requests_of_their_own(house: House, clock: Any) -> None:
    for number in range(1, 4):
        subscription = house.subscribe(number)
        large = replace(subscription.aoi, area_km2=6_000.0)
        house.neighbours.subscriptions.replace(subscription.changed(now=clock(), aoi=large))
    publish(house, "a", clock())

    assert check(house, clock) == 3
    assert len(in_queue(house)) == 3


# Push, first looks and the feed together


def test_what_was_pushed_is_not_asked_for_by_the_feed_nor_the_other_way_round(house: House, clock: Any) -> None:
    house.subscribe()
    arrivals = Arrivals(joiner=house.joiner, asker=house.neighbours.looker.asker)
    first, second = publish(house, "a", clock()), publish(house, "b", clock())

    assert arrivals.take([first], provider="earth-search", now=clock()) == 1
    assert check(house, clock) == 1
    assert arrivals.take([first, second], provider="earth-search", now=clock()) == 0
    assert sorted(in_queue(house)) == [("a",), ("b",)]


def test_an_item_published_between_creation_and_first_look_is_served_once(house: House, clock: Any) -> None:
    old = house.subscribe(1)
    check(house, clock)
    new = house.subscribe(2, created_at=clock())
    house.lookback.begin(new)
    clock.advance(timedelta(seconds=20))
    publish(house, "a", clock(), datetime=clock() - timedelta(seconds=5))

    check(house, clock, after=timedelta(seconds=5))
    house.work()
    check(house, clock)
    house.work()

    assert (delivered(house, old), delivered(house, new)) == (1, 1)
    assert house.neighbours.ledger.counts(new.id)[OutcomeStatus.WAITING] == 0


def test_a_feed_never_read_begins_before_the_oldest_subscription(house: House, clock: Any) -> None:
    house.subscribe(1, created_at=clock() - timedelta(days=2))
    house.subscribe(2, created_at=clock())

    check(house, clock)

    assert house.provider.reads == [clock() - CHECK - timedelta(days=2) - OVERLAP]


def test_a_first_look_that_failed_is_stepped_in_for(house: House, clock: Any) -> None:
    subscription = house.subscribe(created_at=clock())
    house.lookback.begin(subscription)
    publish(house, "a", clock() - timedelta(days=20))

    assert check(house, clock) == 0
    assert check(house, clock, after=timedelta(minutes=11)) == 1
    assert house.neighbours.subscriptions.get(subscription.id).checked_through == subscription.created_at
    assert len(house.work()) == 2  # the look's own request finds nothing more to ask for


def test_a_look_the_provider_refuses_keeps_no_other_from_being_done(house: House, clock: Any) -> None:
    made = [house.subscribe(number, created_at=clock()) for number in (1, 2)]
    for one in made:
        house.lookback.begin(one)
    refused = made[0].aoi
    search = house.provider.search

    def refusing(asked: Any) -> Iterator[pystac.Item]:
        if asked.aoi == refused:
            raise ProviderRefused("no such place")
        return search(asked)

    moved = made[1].changed(now=clock(), aoi=replace(refused, area_km2=2.0))
    house.neighbours.subscriptions.replace(moved)
    house.provider.search = refusing  # type: ignore[method-assign]
    clock.advance(timedelta(minutes=11))

    assert house.update_checker.run(now=clock()).failed == 1
    assert house.neighbours.subscriptions.get(made[1].id).checked_through is not None


# Looking back


def test_a_long_look_back_is_cut_into_windows_newest_first(house: House, clock: Any) -> None:
    subscription = house.subscribe(start_at=clock() - timedelta(days=400), created_at=clock())
    house.lookback.begin(subscription)
    for days in (1, 100, 200, 395):
        publish(house, f"d{days:03}", clock() - timedelta(days=30), datetime=clock() - timedelta(days=days))

    looks = house.neighbours.looker.looks.of(subscription.id)
    done = house.work()

    assert [look.kind for look in looks] == [RequestKind.INITIAL, *[RequestKind.BACKFILL] * 4]
    assert all(look.window.end_at - look.window.start_at <= timedelta(days=90) for look in looks)
    assert [request.item_ids[0] for request in done if request.item_ids] == ["d001", "d100", "d200", "d395"]
    assert [request.priority for request in done if request.item_ids] == [Priority.HIGH, *[Priority.LOW] * 3]
    assert all(look.done_at == clock() for look in house.neighbours.looker.looks.of(subscription.id))
    assert delivered(house, subscription) == 4


def test_the_newest_window_is_delivered_before_the_older_ones_are_looked_at(house: House, clock: Any) -> None:
    subscription = house.subscribe(start_at=clock() - timedelta(days=400), created_at=clock())
    house.lookback.begin(subscription)
    publish(house, "new", clock() - timedelta(days=1), datetime=clock() - timedelta(days=1))

    done = house.work()

    assert [bool(request.item_ids) for request in done] == [False, True, False, False, False, False]


def change(house: House, clock: Any, subscription: Subscription, **changes: Any) -> None:
    """As the service saves an owner's change."""
    before = house.neighbours.subscriptions.get(subscription.id)
    after = before.changed(now=clock(), **changes)
    house.neighbours.subscriptions.replace(after)
    house.lookback.changed(before, after)


def test_what_was_published_during_a_pause_is_looked_for_when_it_ends(house: House, clock: Any) -> None:
    subscription = house.subscribe(created_at=clock())
    house.lookback.begin(subscription)
    house.subscribe(2)  # keeps the feed going meanwhile
    house.work()
    check(house, clock)
    paused_at = clock()
    change(house, clock, subscription, status=SubscriptionStatus.PAUSED)
    clock.advance(timedelta(days=5))
    publish(house, "a", clock())
    check(house, clock)
    house.work()

    change(house, clock, subscription, status=SubscriptionStatus.ACTIVE)
    house.work()

    assert delivered(house, subscription) == 1
    assert house.provider.searches[-1].updated_since == paused_at - OVERLAP


def test_an_item_whose_turn_came_during_a_pause_is_made_after_it(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    publish(house, "a", clock())
    check(house, clock)
    change(house, clock, subscription, status=SubscriptionStatus.PAUSED)
    house.work()
    row = house.neighbours.ledger.get(subscription.id, "a")
    assert row is not None and row.reason is SkipReason.INACTIVE

    clock.advance(timedelta(hours=1))
    change(house, clock, subscription, status=SubscriptionStatus.ACTIVE)
    house.work()

    assert delivered(house, subscription) == 1


def test_a_subscription_paused_before_its_first_look_has_it_afterwards(house: House, clock: Any) -> None:
    subscription = house.subscribe(created_at=clock())
    house.lookback.begin(subscription)
    publish(house, "a", clock() - timedelta(days=3))
    change(house, clock, subscription, status=SubscriptionStatus.PAUSED)
    house.work()
    clock.advance(timedelta(days=1))
    change(house, clock, subscription, status=SubscriptionStatus.ACTIVE)

    assert check(house, clock) == 1


def test_a_later_end_is_looked_back_to(house: House, clock: Any) -> None:
    subscription = house.subscribe(end_at=clock() - timedelta(days=15), created_at=clock() - timedelta(days=20))
    publish(house, "a", clock() - timedelta(days=8), datetime=clock() - timedelta(days=9))

    change(house, clock, subscription, end_at=None)
    house.work()

    assert delivered(house, subscription) == 1


# Where there is no feed


def test_without_a_feed_neighbours_are_searched_for_together(house: House, clock: Any) -> None:
    house.provider.has_feed = False
    made = [house.subscribe(n, aoi=square(3 * n, 3 * n, 5), checked_through=clock()) for n in range(1, 9)]
    far = house.subscribe(9, aoi=square(30_000, 9000, 10), checked_through=clock())
    publish(house, "a", clock())

    assert check(house, clock) == 8
    assert len(house.provider.searches) == 2
    assert house.neighbours.queue.peek(1)[0].subscription_ids == tuple(s.id for s in made)
    assert house.neighbours.subscriptions.get(far.id).checked_through == clock()
    assert check(house, clock) == 0


def test_without_a_feed_a_failed_search_is_covered_by_the_next_check(house: House, clock: Any) -> None:
    house.provider.has_feed = False
    subscription = house.subscribe()
    house.provider.is_down = True
    clock.advance(CHECK)
    report = house.update_checker.run(now=clock())
    house.provider.is_down = False
    publish(house, "a", clock())

    assert report.failed == 1
    assert house.neighbours.subscriptions.get(subscription.id).checked_through is None
    assert check(house, clock) == 1


def test_without_a_feed_a_new_subscription_is_left_to_its_own_first_request(house: House, clock: Any) -> None:
    house.provider.has_feed = False
    house.subscribe(created_at=clock())
    publish(house, "a", clock())

    assert check(house, clock) == 0
    assert check(house, clock, after=timedelta(minutes=11)) == 1


def test_without_a_feed_a_subscription_is_searched_for_late_arrivals_and_then_no_more(house: House, clock: Any) -> None:
    house.provider.has_feed = False
    house.subscribe(end_at=clock())
    for _ in range(10):
        check(house, clock, after=timedelta(days=1))

    assert len(house.provider.searches) == LATE.days + 1


# Health


def test_a_feed_that_has_gone_quiet_for_longer_than_usual_is_stale(
    house: House, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    house.subscribe()
    for number in range(10):
        publish(house, f"i{number}", clock())
        check(house, clock, after=timedelta(hours=2))
    for _ in range(3):
        check(house, clock, after=timedelta(hours=2))

    def is_stale() -> bool:
        return feeds_health(house.feeds, house.neighbours.subscriptions, now=clock())[0].is_stale

    assert not is_stale()
    with caplog.at_level(logging.WARNING):
        check(house, clock, after=timedelta(hours=2))
        check(house, clock, after=timedelta(hours=2))
    assert is_stale()
    assert "nothing new for 10.0 hours" in caplog.text
    publish(house, "news", clock())
    check(house, clock)
    assert not is_stale()


def test_a_feed_that_cannot_be_read_is_stale_and_a_long_outage_does_not_become_usual(house: House, clock: Any) -> None:
    house.subscribe()
    publish(house, "a", clock())
    check(house, clock)
    publish(house, "b", clock())
    check(house, clock, after=timedelta(hours=1))
    before = house.feeds.get("earth-search", "sentinel-2-l2a")
    house.provider.is_down = True
    check(house, clock, after=timedelta(days=3))

    health = feeds_health(house.feeds, house.neighbours.subscriptions, now=clock())[0]
    house.provider.is_down = False
    publish(house, "c", clock())
    check(house, clock)
    after = house.feeds.get("earth-search", "sentinel-2-l2a")

    assert health.is_stale and "not read to its end for" in health.explanation
    assert before is not None and after is not None and before.usual_gap == after.usual_gap
