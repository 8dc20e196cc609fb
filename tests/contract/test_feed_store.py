"""What every FeedStore promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from imagery.model.feed import FeedCursor

from .examples import NOW


def a_cursor(**changes) -> FeedCursor:
    cursor = FeedCursor(
        provider="earth-search",
        collection="sentinel-2-l2a",
        checked_through=NOW,
        seen=frozenset({"S2A_33TWM@2026-05-01T11:59:00.000000Z", "ä ☂@…"}),
        checked_at=NOW + timedelta(minutes=1),
        last_item_at=NOW,
        usual_gap=timedelta(minutes=7, microseconds=3),
    )
    return replace(cursor, **changes)


def test_there_is_no_cursor_before_the_first_read(feeds):
    assert feeds.get("earth-search", "sentinel-2-l2a") is None
    assert feeds.list() == ()


def test_a_cursor_comes_back_equal_after_a_restart(back_end, clock):
    back_end.open(clock).feeds.save(a_cursor())
    back_end.close_all()
    assert back_end.open(clock).feeds.get("earth-search", "sentinel-2-l2a") == a_cursor()


def test_a_cursor_is_saved_over_the_one_before_even_when_it_lies_behind(feeds):
    feeds.save(a_cursor())
    behind = a_cursor(checked_through=NOW - timedelta(days=1), seen=frozenset(), last_item_at=None, usual_gap=None)
    feeds.save(behind)
    assert feeds.list() == (behind,)


def test_each_provider_and_collection_has_its_own(feeds):
    cursors = {a_cursor(), a_cursor(collection="landsat-c2-l2"), a_cursor(provider="other")}
    for cursor in cursors:
        feeds.save(cursor)
    assert set(feeds.list()) == cursors
    assert feeds.get("other", "sentinel-2-l2a") == a_cursor(provider="other")
    assert feeds.get("other", "landsat-c2-l2") is None


def test_a_cursor_and_the_requests_it_led_to_are_saved_together_or_not_at_all(opened):
    from .examples import a_request

    class Halted(Exception):
        pass

    try:
        with opened.together():
            opened.queue.send([a_request("lost")])
            opened.feeds.save(a_cursor())
            raise Halted
    except Halted:
        pass
    assert opened.feeds.list() == ()
    assert sum(opened.queue.depth().values()) == 0
    with opened.together():
        opened.queue.send([a_request("kept")])
        opened.feeds.save(a_cursor())
    assert opened.feeds.list() == (a_cursor(),)
    assert sum(opened.queue.depth().values()) == 1
