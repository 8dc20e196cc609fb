"""What every EventStore promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from imagery.errors import CursorInvalid, EventUnknown, InvalidInput
from imagery.model.event import DeliveryLog, EventQuery, EventType

from .examples import NOW, a_subscription, a_webhook, an_event


def found(events, **query) -> list[str]:
    return [each.id for each in events.find(EventQuery(**query)).values]


def test_a_kept_event_comes_back_equal_after_a_restart(back_end, clock):
    event = an_event()
    back_end.open(clock).events.add([event])
    back_end.close_all()
    assert back_end.open(clock).events.get(event.id) == event


def test_an_event_told_twice_is_kept_once_as_told_first(events):
    events.add([an_event(1), an_event(1, at=NOW + timedelta(hours=1))])
    events.add([an_event(1, owner="eva"), an_event(2)])
    assert found(events) == ["evt_2", "evt_1"]
    assert events.get("evt_1") == an_event(1)


def test_an_unknown_event_is_said_to_be_unknown(events):
    with pytest.raises(EventUnknown):
        events.get("evt_nobody")


def test_the_newest_comes_first_and_every_filter_must_match(events):
    events.add(
        [
            an_event(1),
            an_event(2, owner="eva", subscription_id="sub_2"),
            an_event(3, type=EventType.SUBSCRIPTION_FAILED),
        ]
    )
    assert found(events) == ["evt_3", "evt_2", "evt_1"]
    assert found(events, owner="ana") == ["evt_3", "evt_1"]
    assert found(events, subscription_id="sub_2") == ["evt_2"]
    assert found(events, subscription_id="sub_2", owner="ana") == []
    assert found(events, type=EventType.ITEM_PUBLISHED) == ["evt_2", "evt_1"]
    assert found(events, owner="ana", type=EventType.ITEM_PUBLISHED) == ["evt_1"]


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_pages_together_hold_every_event_once_even_of_one_instant(events, limit):
    events.add([an_event(n, at=NOW) for n in range(7)])
    page = events.find(EventQuery(limit=limit, owner="ana"))
    ids = [each.id for each in page.values]
    while page.next_cursor:
        page = events.find(EventQuery(limit=limit, owner="ana", cursor=page.next_cursor))
        ids += [each.id for each in page.values]
    assert ids == [f"evt_{n}" for n in reversed(range(7))]


def test_a_cursor_of_another_query_or_none_is_refused(events):
    events.add([an_event(n) for n in range(2)])
    cursor = events.find(EventQuery(limit=1)).next_cursor
    for query in (EventQuery(owner="ana", cursor=cursor), EventQuery(cursor="garbage")):
        with pytest.raises(CursorInvalid):
            events.find(query)
    with pytest.raises(InvalidInput):
        events.find(EventQuery(limit=0))


def test_what_happened_too_long_ago_is_forgotten_with_its_delivery(opened, clock):
    opened.subscriptions.add(a_subscription(webhook=a_webhook()))
    opened.events.add([an_event(n) for n in range(1, 4)])
    assert opened.events.prune(before=NOW + timedelta(seconds=3)) == 2
    assert found(opened.events) == ["evt_3"]
    assert opened.outbox.log("evt_1") == DeliveryLog(delivery=None)
    later = NOW + timedelta(hours=1)
    assert [d.event.id for d in opened.outbox.due(now=later, limit=9)] == ["evt_3"]


def test_more_events_than_one_transaction_takes_are_forgotten_too(events):
    events.add([an_event(n, at=NOW) for n in range(2500)])
    assert events.prune(before=NOW + timedelta(seconds=1)) == 2500
    assert found(events) == []


def test_an_event_told_by_many_threads_at_once_is_kept_once(back_end, clock):
    stores = [back_end.open(clock).events for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: stores[n % 2].add([an_event(n // 2)]), range(40)))
    assert len(found(stores[0])) == 20


def test_pages_go_on_where_they_were_though_events_are_forgotten(events):
    events.add([an_event(n) for n in range(5)])
    page = events.find(EventQuery(limit=2))
    events.prune(before=NOW + timedelta(seconds=2))
    rest = events.find(replace(EventQuery(limit=2), cursor=page.next_cursor))
    assert [each.id for each in rest.values] == ["evt_2"]
