"""What every SubscriptionStore promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from imagery.errors import (
    Conflict,
    CursorInvalid,
    IdempotencyConflict,
    InvalidInput,
    SubscriptionUnknown,
    VersionConflict,
)
from imagery.model.subscription import Idempotency, Subscription, SubscriptionQuery, SubscriptionStatus

from .examples import NOW, a_subscription, an_aoi

KEY = Idempotency(key="spring", fingerprint="f1")


def ids(store, **query) -> list[str]:
    return [each.id for each in store.find(SubscriptionQuery(**query)).values]


def walk(store, query: SubscriptionQuery) -> list[Subscription]:
    """All pages."""
    page = store.find(query)
    found = list(page.values)
    while page.next_cursor:
        page = store.find(replace(query, cursor=page.next_cursor))
        found += page.values
    return found


def test_a_saved_subscription_comes_back_equal_after_a_restart(back_end, clock):
    saved = a_subscription(end_at=NOW, checked_through=NOW, last_update_at=NOW, delete_at=NOW)
    back_end.open(clock).subscriptions.add(saved)
    back_end.close_all()
    assert back_end.open(clock).subscriptions.get(saved.id) == saved


def test_those_that_are_over_are_found_by_their_end(subscriptions):
    subscriptions.add(a_subscription(1))
    over = subscriptions.add(a_subscription(2, end_at=NOW))
    subscriptions.add(a_subscription(3, end_at=NOW + timedelta(seconds=1)))
    subscriptions.add(a_subscription(4, end_at=NOW, status=SubscriptionStatus.ENDED))
    active = frozenset({SubscriptionStatus.ACTIVE})
    assert ids(subscriptions, end_before=NOW, statuses=active) == [over.id]
    assert ids(subscriptions, end_before=NOW, owner="eva") == []
    subscriptions.replace(over.changed(now=NOW, end_at=None))
    assert ids(subscriptions, end_before=NOW, statuses=active) == []


def test_an_unknown_subscription_is_said_to_be_unknown(subscriptions):
    with pytest.raises(SubscriptionUnknown):
        subscriptions.get("sub_nobody")


def test_two_subscriptions_cannot_have_one_id(subscriptions):
    subscriptions.add(a_subscription())
    with pytest.raises(Conflict):
        subscriptions.add(a_subscription(owner="eva"))
    assert subscriptions.get(a_subscription().id).owner == "ana"


def test_the_same_idempotency_key_gives_the_first_subscription_as_it_stands_now(subscriptions):
    first = subscriptions.add(a_subscription(1), idempotency=KEY)
    paused = first.changed(now=NOW, status=SubscriptionStatus.PAUSED)
    subscriptions.replace(paused)
    assert subscriptions.add(a_subscription(2), idempotency=KEY) == paused
    assert ids(subscriptions) == [first.id]


def test_the_same_idempotency_key_with_another_body_is_a_conflict(subscriptions):
    subscriptions.add(a_subscription(1), idempotency=KEY)
    with pytest.raises(IdempotencyConflict):
        subscriptions.add(a_subscription(2), idempotency=replace(KEY, fingerprint="f2"))
    assert len(ids(subscriptions)) == 1


def test_owners_do_not_share_idempotency_keys(subscriptions):
    subscriptions.add(a_subscription(1), idempotency=KEY)
    subscriptions.add(a_subscription(2, owner="eva"), idempotency=KEY)
    assert len(ids(subscriptions)) == 2


def test_an_idempotency_key_is_remembered_after_a_restart(back_end, clock):
    first = back_end.open(clock).subscriptions.add(a_subscription(1), idempotency=KEY)
    back_end.close_all()
    assert back_end.open(clock).subscriptions.add(a_subscription(2), idempotency=KEY) == first


def test_threads_that_race_with_one_idempotency_key_get_one_subscription(back_end, clock):
    stores = [back_end.open(clock).subscriptions for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda n: stores[n % 2].add(a_subscription(n), idempotency=KEY).id, range(1, 25)))
    assert len(set(added)) == 1
    assert ids(stores[0]) == added[:1]


def test_processes_that_race_with_one_idempotency_key_get_one_subscription(back_end, opened):
    script = """
from imagery.model.subscription import Idempotency
print("ready", flush=True)
first = int(sys.stdin.readline())
for n in range(first, first + 20):
    idempotency = Idempotency(key=f"key {n % 20}", fingerprint="f")
    print(opened.subscriptions.add(examples.a_subscription(n), idempotency=idempotency).id)
"""
    processes = [back_end.start(script) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for n, process in enumerate(processes, start=1):
        process.stdin.write(f"{100 * n}\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert answers[0] == answers[1] == answers[2]
    assert sorted(ids(opened.subscriptions)) == sorted(answers[0])


def test_a_change_is_saved_when_the_version_is_one_more(subscriptions):
    first = subscriptions.add(a_subscription())
    changed = first.changed(now=NOW, owner="eva", labels={"a": "b"}, status=SubscriptionStatus.PAUSED)
    subscriptions.replace(changed)
    assert subscriptions.get(first.id) == changed
    assert ids(subscriptions, owner="eva", statuses=frozenset({SubscriptionStatus.PAUSED})) == [first.id]
    assert ids(subscriptions, owner="ana") == []


@pytest.mark.parametrize("version", [1, 3, 0])
def test_a_change_of_another_version_than_the_stored_one_is_a_conflict(subscriptions, version):
    first = subscriptions.add(a_subscription())
    with pytest.raises(VersionConflict):
        subscriptions.replace(replace(first, owner="eva", version=version))
    assert subscriptions.get(first.id) == first


def test_an_unknown_subscription_cannot_be_replaced(subscriptions):
    with pytest.raises(SubscriptionUnknown):
        subscriptions.replace(a_subscription(version=2))


def test_of_changes_that_race_one_wins(back_end, clock):
    stores = [back_end.open(clock).subscriptions for _ in range(2)]
    first = stores[0].add(a_subscription())

    def won(n: int) -> bool:
        try:
            stores[n % 2].replace(first.changed(now=NOW, labels={"n": str(n)}))
        except VersionConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(won, range(16))) == 1


def test_a_change_leaves_progress_as_stored(subscriptions):
    first = subscriptions.add(a_subscription())
    subscriptions.mark(first.id, checked_through=NOW, last_update_at=NOW)
    subscriptions.replace(first.changed(now=NOW, checked_through=None, last_update_at=NOW + timedelta(days=1)))
    stored = subscriptions.get(first.id)
    assert (stored.checked_through, stored.last_update_at) == (NOW, NOW)


def test_progress_moves_only_forward_and_not_the_version(subscriptions):
    first = subscriptions.add(a_subscription())
    later = NOW + timedelta(microseconds=1)
    subscriptions.mark(first.id, checked_through=later)
    subscriptions.mark(first.id, checked_through=NOW, last_update_at=NOW)
    subscriptions.mark(first.id)
    assert subscriptions.get(first.id) == replace(first, checked_through=later, last_update_at=NOW)


def test_marking_one_that_is_gone_does_nothing(subscriptions):
    subscriptions.mark("sub_nobody", checked_through=NOW)
    assert ids(subscriptions) == []


def test_subscriptions_are_listed_in_order_of_creation(subscriptions):
    for n in (1, 2, 3):
        subscriptions.add(a_subscription(n, status=[*SubscriptionStatus][-n]))
    assert ids(subscriptions) == [a_subscription(n).id for n in (1, 2, 3)]


def test_every_filter_must_match(subscriptions):
    active, paused = SubscriptionStatus.ACTIVE, SubscriptionStatus.PAUSED
    subscriptions.add(a_subscription(1))
    subscriptions.add(a_subscription(2, owner="eva"))
    subscriptions.add(a_subscription(3, provider="planet", status=paused))
    one, two, three = ids(subscriptions)
    assert ids(subscriptions, owner="ana") == [one, three]
    assert ids(subscriptions, statuses=frozenset({active})) == [one, two]
    assert ids(subscriptions, statuses=frozenset({active, paused})) == [one, two, three]
    assert ids(subscriptions, provider="planet") == [three]
    assert ids(subscriptions, owner="ana", statuses=frozenset({active}), provider="earth-search") == [one]
    assert ids(subscriptions, owner="eva", provider="planet") == []


def test_those_due_for_deletion_are_found(subscriptions):
    subscriptions.add(a_subscription(1))
    subscriptions.add(a_subscription(2, delete_at=NOW))
    subscriptions.add(a_subscription(3, delete_at=NOW + timedelta(days=1)))
    assert ids(subscriptions, delete_before=NOW) == [a_subscription(2).id]
    assert ids(subscriptions, delete_before=NOW - timedelta(microseconds=1)) == []


@pytest.mark.parametrize(
    ("bbox", "is_found"),
    [
        ((14.05, 46.05, 14.06, 46.06), True),
        ((14.1, 46.1, 15.0, 47.0), True),
        ((-180.0, -90.0, 180.0, 90.0), True),
        ((14.1000001, 46.0, 15.0, 47.0), False),
        ((13.0, 45.0, 13.9999999, 47.0), False),
        ((14.0, 46.1000001, 14.1, 47.0), False),
        ((14.0, 45.0, 14.1, 45.9999999), False),
        ((15.0, 46.0, 14.05, 46.1), True),
        ((15.0, 46.0, 13.0, 46.1), False),
    ],
)
def test_a_bbox_finds_what_it_touches_and_nothing_a_centimetre_away(subscriptions, bbox, is_found):
    subscriptions.add(a_subscription())
    assert bool(ids(subscriptions, bbox=bbox)) is is_found
    assert bool(ids(subscriptions, bbox=bbox, owner="ana", statuses=frozenset({SubscriptionStatus.ACTIVE}))) is is_found
    assert ids(subscriptions, bbox=bbox, owner="eva") == []


@pytest.mark.parametrize(
    ("bbox", "is_found"),
    [
        ((179.5, -17.0, 180.0, -16.0), True),
        ((-180.0, -17.0, -179.5, -16.0), True),
        ((175.0, -17.0, -175.0, -16.0), True),
        ((0.0, -17.0, 178.0, -16.0), False),
        ((-178.0, -17.0, 0.0, -16.0), False),
        ((179.5, 16.0, -179.5, 17.0), False),
    ],
)
def test_an_aoi_over_the_antimeridian_is_found_on_both_sides_and_only_there(subscriptions, bbox, is_found):
    subscriptions.add(a_subscription(aoi=an_aoi(179.0, -17.5, -179.0, -15.5)))
    assert len(ids(subscriptions, bbox=bbox)) == int(is_found)


def test_a_moved_aoi_is_found_where_it_is_now(subscriptions):
    first = subscriptions.add(a_subscription(aoi=an_aoi(179.0, -17.5, -179.0, -15.5)))
    subscriptions.replace(first.changed(now=NOW, aoi=an_aoi(1.0, 1.0, 2.0, 2.0)))
    assert ids(subscriptions, bbox=(1.5, 1.5, 1.6, 1.6)) == [first.id]
    assert ids(subscriptions, bbox=(175.0, -20.0, -175.0, -10.0)) == []


@pytest.mark.parametrize(
    "query",
    [
        SubscriptionQuery(),
        SubscriptionQuery(owner="ana"),
        SubscriptionQuery(statuses=frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.PAUSED})),
        SubscriptionQuery(bbox=(10.0, 40.0, 20.0, 50.0)),
        SubscriptionQuery(delete_before=NOW + timedelta(days=1)),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_pages_together_hold_every_subscription_once(subscriptions, query, limit):
    statuses = [SubscriptionStatus.ACTIVE, SubscriptionStatus.PAUSED]
    saved = [subscriptions.add(a_subscription(n, status=statuses[n % 2], delete_at=NOW)) for n in range(1, 8)]
    assert walk(subscriptions, replace(query, limit=limit)) == saved


def test_a_page_goes_on_where_the_last_ended_though_things_came_and_went(subscriptions):
    for n in range(1, 6):
        subscriptions.add(a_subscription(n))
    page = subscriptions.find(SubscriptionQuery(limit=2))
    subscriptions.remove(a_subscription(2).id)
    subscriptions.remove(a_subscription(5).id)
    subscriptions.add(a_subscription(6))
    found = [each.id for each in subscriptions.find(SubscriptionQuery(limit=9, cursor=page.next_cursor)).values]
    assert found == [a_subscription(n).id for n in (3, 4, 6)]


@pytest.mark.parametrize("cursor", ["", "x", "é", "bnVsbA", "W10", "W1tdXQ", "W" * 100_000, "e30", "\ud800", "[]\x00"])
def test_a_cursor_that_was_not_given_out_is_refused(subscriptions, cursor):
    with pytest.raises(CursorInvalid):
        subscriptions.find(SubscriptionQuery(cursor=cursor))


def test_a_cursor_of_another_query_is_refused(subscriptions):
    for n in (1, 2):
        subscriptions.add(a_subscription(n))
    cursor = subscriptions.find(SubscriptionQuery(owner="ana", limit=1)).next_cursor
    with pytest.raises(CursorInvalid):
        subscriptions.find(SubscriptionQuery(owner="eva", limit=1, cursor=cursor))


def test_a_cursor_holds_in_another_process(back_end, opened):
    for n in (1, 2, 3):
        opened.subscriptions.add(a_subscription(n))
    asked = "SubscriptionQuery(limit={}, statuses=frozenset(SubscriptionStatus), cursor={!r})"
    cursor = opened.subscriptions.find(SubscriptionQuery(limit=1, statuses=frozenset(SubscriptionStatus))).next_cursor
    process = back_end.start(
        "from imagery.model.subscription import *\n"
        f"print(*[each.id for each in opened.subscriptions.find({asked.format(5, cursor)}).values])"
    )
    assert process.communicate(timeout=60)[0].split() == [a_subscription(n).id for n in (2, 3)]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_page_holds_at_least_one(subscriptions, limit):
    with pytest.raises(InvalidInput):
        subscriptions.find(SubscriptionQuery(limit=limit))


def test_a_list_is_filtered_by_collection(subscriptions):
    for number, collection in enumerate(("sentinel-2-l2a", "landsat-c2-l2", "sentinel-2-l2a"), start=1):
        subscriptions.add(a_subscription(number, collection=collection))
    everywhere = (-180.0, -90.0, 180.0, 90.0)
    for more in ({}, {"provider": "earth-search"}, {"bbox": everywhere}, {"owner": "ana"}):
        found = ids(subscriptions, collection="sentinel-2-l2a", **more)
        assert found == [a_subscription(1).id, a_subscription(3).id]
    assert ids(subscriptions, collection="landsat-c2-l2", provider="other") == []


def test_the_feeds_are_those_of_active_subscriptions_each_once(subscriptions):
    for number in (1, 2):
        subscriptions.add(a_subscription(number))
    subscriptions.add(a_subscription(3, collection="landsat-c2-l2"))
    subscriptions.add(a_subscription(4, provider="other"))
    subscriptions.add(a_subscription(5, provider="paused", status=SubscriptionStatus.PAUSED))
    three = {("earth-search", "sentinel-2-l2a"), ("earth-search", "landsat-c2-l2"), ("other", "sentinel-2-l2a")}
    assert set(subscriptions.feeds()) == three and len(subscriptions.feeds()) == 3
    subscriptions.replace(a_subscription(4, provider="other").changed(now=NOW, status=SubscriptionStatus.ENDED))
    assert ("other", "sentinel-2-l2a") not in subscriptions.feeds()


def test_a_removed_subscription_is_forgotten_with_its_idempotency_key(subscriptions):
    first = subscriptions.add(a_subscription(1), idempotency=KEY)
    subscriptions.remove(first.id)
    subscriptions.remove(first.id)
    with pytest.raises(SubscriptionUnknown):
        subscriptions.get(first.id)
    assert ids(subscriptions, bbox=(-180.0, -90.0, 180.0, 90.0)) == []
    second = a_subscription(2)
    assert subscriptions.add(second, idempotency=KEY) == second


def test_many_threads_and_processes_write_at_once_and_nothing_is_lost(back_end, opened):
    script = """
for n in range({0}, {0} + 25):
    opened.subscriptions.add(examples.a_subscription(n))
    opened.subscriptions.mark(examples.a_subscription(n).id, checked_through=examples.NOW)
"""
    processes = [back_end.start(script.format(first)) for first in (1000, 2000)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: opened.subscriptions.add(a_subscription(n)), range(1, 51)))
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    found = walk(opened.subscriptions, SubscriptionQuery(limit=30))
    assert len({each.id for each in found}) == len(found) == 100
    assert sum(each.checked_through == NOW for each in found) == 50
