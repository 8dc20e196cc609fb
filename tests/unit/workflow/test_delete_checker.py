"""The delete checker: what ends, what goes, who may still take it back, and that it may be killed anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from imagery.checkers.delete import DeleteChecker
from imagery.checkers.expiry import Expiry
from imagery.checkers.removal import AT_REST, Removal
from imagery.errors import CatalogUnavailable
from imagery.model.codec import to_dict
from imagery.model.deletion import DeletionQuery
from imagery.model.event import EventQuery
from imagery.model.failure import FailureQuery
from imagery.model.look import Look
from imagery.model.outcome import Outcome, OutcomeQuery, OutcomeStatus
from imagery.model.request import Request, RequestKind, Window
from imagery.model.subscription import Priority, Subscription, SubscriptionQuery, SubscriptionStatus
from imagery.service.failing import as_failure
from imagery.service.looks import Progress
from imagery.stores.sqlite.deletions import SqliteDeletionStore
from imagery.stores.sqlite.failures import SqliteFailureStore
from imagery.stores.sqlite.products import SqliteProductStore
from tests.unit.workflow.conftest import House

RETENTION = timedelta(days=182)


class Crashes(Exception):
    """The process dies here."""


class Crashing:
    """A port behind which the process dies after the n-th call, as told by a shared countdown."""

    def __init__(self, port: Any, countdown: list[int]) -> None:
        self._port = port
        self._countdown = countdown

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            answer = method(*args, **kwargs)
            self._countdown[0] -= 1
            if self._countdown[0] == 0:
                raise Crashes
            return answer

        return call


def checker(house: House, wrap: Callable[[Any], Any] = lambda port: port, **changes: Any) -> DeleteChecker:
    n = house.neighbours
    ports: dict[str, Any] = {
        "subscriptions": n.subscriptions,
        "ledger": n.ledger,
        "failures": n.failures,
        "deletions": deletions(house),
        "products": products(house),
        "objects": n.objects,
        "catalog": n.catalog,
    }
    ports = {name: wrap(port) for name, port in (ports | changes).items()}
    return DeleteChecker(
        subscriptions=ports["subscriptions"],
        ledger=ports["ledger"],
        progress=Progress(feeds=house.feeds, looks=n.looker.looks),
        events=n.events,
        removal=Removal(**ports, together=database(house).write),
        expiry=Expiry(products=ports["products"], objects=ports["objects"], catalog=ports["catalog"]),
        retention=RETENTION,
        late_arrivals=timedelta(days=3),
    )


def database(house: House) -> Any:
    store = house.neighbours.failures
    assert isinstance(store, SqliteFailureStore)
    return store._database


def deletions(house: House) -> SqliteDeletionStore:
    return SqliteDeletionStore(database(house))


def products(house: House) -> SqliteProductStore:
    return SqliteProductStore(database(house))


def deliver(house: House, item_id: str, *subscriptions: Subscription) -> Request:
    request = request_for(house, item_id, *subscriptions)
    register(house, request, cut(house, request))
    return request


def request_for(house: House, item_id: str, *subscriptions: Subscription) -> Request:
    return Request.for_item(
        kind=RequestKind.UPDATE,
        priority=Priority.NORMAL,
        provider="earth-search",
        collection="sentinel-2-l2a",
        item_id=item_id,
        item_updated_at=None,
        subscription_ids=[one.id for one in subscriptions],
        now=house.neighbours.clock(),
    )


def cut(house: House, request: Request) -> Any:
    return house.steps["PublicProvider"]({"request": to_dict(request)})


def register(house: House, request: Request, answer: Any) -> None:
    house.steps["Register"]({"request": to_dict(request), "entries": answer["entries"]})


def mark(house: House, subscription: Subscription, *, delete_at: datetime) -> Subscription:
    marked = subscription.changed(
        now=house.neighbours.clock(), status=SubscriptionStatus.MARKED_FOR_DELETION, delete_at=delete_at
    )
    house.neighbours.subscriptions.replace(marked)
    return marked


def marked_with_delivery(house: House, clock: Any, number: int = 1, *, after: timedelta = AT_REST) -> Subscription:
    """Due in `after`."""
    if "a" not in house.provider.items:
        house.provider.publish("a")
    subscription = house.subscribe(number)
    deliver(house, "a", subscription)
    return mark(house, subscription, delete_at=clock() + after)


def traces(house: House, subscription_id: str) -> list[str]:
    """Everything of it that is left anywhere."""
    n = house.neighbours
    left = [key for key in house.objects() if subscription_id in key]
    left += [f"ledger {row.item_id}" for row in n.ledger.find(OutcomeQuery(subscription_id=subscription_id)).values]
    left += [f"failure {one.id}" for one in n.failures.find(FailureQuery(subscription_id=subscription_id)).values]
    left += [f"product {one.item_id}" for one in products(house).all_of(subscription_id)]
    left += [f"item {i}" for i in "abc" if n.catalog.get("sentinel-2-l2a", f"{i}--{subscription_id}") is not None]
    left += [f"row {one.id}" for one in n.subscriptions.find(SubscriptionQuery()).values if one.id == subscription_id]
    return left


def test_a_subscription_whose_time_is_over_ends_and_is_kept_for_the_retention(house: House, clock: Any) -> None:
    over = house.subscribe(1, end_at=clock() - timedelta(days=10), checked_through=clock())
    lasting = house.subscribe(2, end_at=clock() - timedelta(days=2), checked_through=clock())

    unseen = house.subscribe(3, end_at=clock() - timedelta(days=10))
    busy = house.subscribe(4, end_at=clock() - timedelta(days=10), checked_through=clock())
    house.neighbours.ledger.record(waiting(busy, now=clock()))
    looking = house.subscribe(5, end_at=clock() - timedelta(days=10), checked_through=clock())
    house.neighbours.looker.looks.plan([backfill(looking, now=clock())])

    assert checker(house).run(now=clock()).ended == 1

    for one in (unseen, busy, looking):
        assert house.neighbours.subscriptions.get(one.id).status is SubscriptionStatus.ACTIVE
    ended = house.neighbours.subscriptions.get(over.id)
    assert (ended.status, ended.delete_at) == (SubscriptionStatus.ENDED, clock() + RETENTION)
    assert house.neighbours.subscriptions.get(lasting.id).status is SubscriptionStatus.ACTIVE
    (told,) = house.neighbours.events.find(EventQuery()).values
    assert (told.subscription_id, told.data["status"], told.data["changed"]) == (over.id, "ended", ["status"])


def waiting(subscription: Subscription, *, now: datetime) -> Outcome:
    return Outcome(
        subscription_id=subscription.id,
        item_id="w",
        collection="sentinel-2-l2a",
        status=OutcomeStatus.WAITING,
        acquired_at=now,
        request_id="req_w",
        updated_at=now,
    )


def backfill(subscription: Subscription, *, now: datetime) -> Look:
    return Look(
        request_id="req_back",
        subscription_id=subscription.id,
        kind=RequestKind.BACKFILL,
        window=Window(start_at=subscription.start_at, end_at=now),
        planned_at=now,
    )


def test_after_the_retention_a_subscription_goes_with_all_it_led_to(house: House, clock: Any) -> None:
    gone = marked_with_delivery(house, clock, 1)
    kept = marked_with_delivery(house, clock, 2, after=timedelta(days=1))
    clock.advance(AT_REST)

    report = checker(house).run(now=clock())

    assert (report.removed, report.items, report.objects) == (1, 1, 4)
    assert traces(house, gone.id) == []
    assert len(traces(house, kept.id)) == 4 + 4


def test_what_went_is_kept_for_operators(house: House, clock: Any) -> None:
    gone = marked_with_delivery(house, clock)
    clock.advance(AT_REST)
    checker(house).run(now=clock())

    (deletion,) = deletions(house).find(DeletionQuery(owner="ana")).values

    assert (deletion.subscription_id, deletion.was) == (gone.id, SubscriptionStatus.MARKED_FOR_DELETION)
    assert (deletion.acquisitions, deletion.items, deletion.objects) == (1, 1, 4)
    assert deletion.bytes > 0
    assert deletion.finished_at == clock()


def test_a_dry_run_says_what_would_go_and_removes_nothing(house: House, clock: Any) -> None:
    due = marked_with_delivery(house, clock)
    over = house.subscribe(2, end_at=clock() - timedelta(days=10), checked_through=clock())
    clock.advance(AT_REST)
    before = traces(house, due.id)

    found = list(checker(house).due(now=clock()))

    assert [(one.subscription.id, one.ends, one.tally.items) for one in found] == [
        (over.id, True, 0),
        (due.id, False, 1),
    ]
    assert traces(house, due.id) == before
    assert house.neighbours.subscriptions.get(over.id).status is SubscriptionStatus.ACTIVE


def test_belongings_of_other_kinds_are_forgotten_too(house: House, clock: Any) -> None:
    due = marked_with_delivery(house, clock)
    clock.advance(AT_REST)
    told: list[str] = []
    removal = replace(checker(house).removal, belongings=(told.append,))

    removal.remove(due, now=clock())

    assert told == [due.id]


def test_while_work_may_be_under_way_the_last_traces_wait_for_the_next_check(house: House, clock: Any) -> None:
    due = marked_with_delivery(house, clock, after=timedelta())

    first = checker(house).run(now=clock())
    assert (first.removed, first.begun) == (0, 1)
    assert house.objects() == []
    assert house.neighbours.subscriptions.get(due.id).status is SubscriptionStatus.DELETING

    clock.advance(AT_REST)
    assert checker(house).run(now=clock()).removed == 1
    assert traces(house, due.id) == []


def test_an_execution_that_cuts_while_its_subscription_is_removed_leaves_nothing(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    house.provider.publish("b")
    request = Request.for_item(
        kind=RequestKind.UPDATE,
        priority=Priority.NORMAL,
        provider="earth-search",
        collection="sentinel-2-l2a",
        item_id="b",
        item_updated_at=None,
        subscription_ids=[subscription.id],
        now=clock(),
    )
    answer = cut(house, request)  # its objects are written
    mark(house, subscription, delete_at=clock())
    checker(house).run(now=clock())
    cut_again = cut(house, request)  # tried again, as after a kill
    written_late = house.neighbours.objects.put(f"{subscription.prefix}/late/red.tif", b"late", media_type="image/tiff")

    register(house, request, answer)
    clock.advance(AT_REST)
    checker(house).run(now=clock())

    assert cut_again["entries"] == []
    assert written_late
    assert traces(house, subscription.id) == []


def test_an_execution_that_registers_after_the_removal_undoes_itself(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    house.provider.publish("b")
    request = request_for(house, "b", subscription)
    answer = cut(house, request)
    mark(house, subscription, delete_at=clock())
    clock.advance(AT_REST)
    checker(house).run(now=clock())
    # The objects of a cut that outlived the removal.
    house.neighbours.objects.put(answer["entries"][0]["item_key"], b"{}", media_type="application/json")

    register(house, request, answer)

    assert traces(house, subscription.id) == []
    assert house.objects() == []


def test_a_failure_shared_with_others_stays_theirs(house: House, clock: Any) -> None:
    due, other = marked_with_delivery(house, clock, 1), house.subscribe(2)
    request = deliver(house, "a", other)
    row = house.neighbours.ledger.get(other.id, "a")
    assert row is not None
    shared = as_failure(row, request, owner="ana")
    both = replace(shared.request, subscription_ids=(due.id, other.id))
    house.neighbours.failures.add(replace(shared, request=both))
    clock.advance(AT_REST)

    checker(house).run(now=clock())

    (left,) = house.neighbours.failures.find(FailureQuery()).values
    assert left.request.subscription_ids == (other.id,)


class CatalogThatIsDown:
    """A catalog that cannot be reached."""

    def retract(self, collection_id: str, item_ids: Any) -> None:
        raise CatalogUnavailable("down")


def test_no_item_is_found_whose_objects_are_gone(house: House, clock: Any) -> None:
    due = marked_with_delivery(house, clock)
    clock.advance(AT_REST)

    assert checker(house, catalog=CatalogThatIsDown()).run(now=clock()).failed == 1

    assert house.neighbours.catalog.get("sentinel-2-l2a", f"a--{due.id}") is not None
    assert len(house.objects()) == 4
    assert checker(house).run(now=clock()).removed == 1
    assert traces(house, due.id) == []


def due_with_everything(house: House, clock: Any) -> Subscription:
    """Three acquisitions, and a failure of each of the later two."""
    due = marked_with_delivery(house, clock)
    for item_id in ("b", "c"):
        house.provider.publish(item_id)
        request = deliver(house, item_id, house.neighbours.subscriptions.get(due.id))
        row = house.neighbours.ledger.get(due.id, item_id)
        assert row is not None
        house.neighbours.failures.add(as_failure(row, request, owner="ana"))
    clock.advance(AT_REST)
    return due


def run_until_killed(house: House, clock: Any, calls: int) -> bool:
    """Whether it was: after so many calls of any port."""
    countdown = [calls]
    try:
        checker(house, wrap=lambda port: Crashing(port, countdown)).run(now=clock())
    except Crashes:
        return True
    return False


def assert_gone(house: House, clock: Any, due: Subscription) -> None:
    assert traces(house, due.id) == []
    assert house.objects() == []
    (deletion,) = deletions(house).find(DeletionQuery()).values
    assert (deletion.finished_at, deletion.acquisitions, deletion.items) == (clock(), 3, 1)


CALLS = 32
"""Of ports, in a removal that nothing disturbs, and some more."""


@pytest.mark.parametrize("calls", range(1, CALLS + 1))
def test_a_removal_killed_after_any_call_of_any_port_is_finished_by_the_next_check(
    house: House, clock: Any, calls: int
) -> None:
    due = due_with_everything(house, clock)

    if run_until_killed(house, clock, calls):
        checker(house).run(now=clock())

    assert_gone(house, clock, due)


def test_the_calls_tried_above_are_all_there_are(house: House, clock: Any) -> None:
    due_with_everything(house, clock)

    assert not run_until_killed(house, clock, CALLS)


def test_a_removal_killed_again_and_again_comes_to_the_same_end(house: House, clock: Any) -> None:
    due = due_with_everything(house, clock)
    killed = [run_until_killed(house, clock, calls) for calls in range(1, CALLS + 1)]

    assert sum(killed) > 5
    assert_gone(house, clock, due)


def test_a_restore_that_came_first_wins_wholly(house: House, clock: Any) -> None:
    due = marked_with_delivery(house, clock)
    clock.advance(AT_REST)
    house.neighbours.subscriptions.replace(due.changed(now=clock(), status=SubscriptionStatus.ACTIVE, delete_at=None))

    assert checker(house).removal.remove(due, now=clock()) is None  # as read before

    assert len(traces(house, due.id)) == 4 + 4
    assert deletions(house).find(DeletionQuery()).values == ()
