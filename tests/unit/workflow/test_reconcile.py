"""The reconciliation: what the feed never told, and work that was lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from imagery.checkers.reconcile import PATIENCE, Reconciler
from imagery.errors import ExecutionUnknown
from imagery.model.execution import Execution, ExecutionStatus
from imagery.model.outcome import OutcomeStatus
from imagery.model.request import RequestKind
from imagery.model.subscription import Subscription
from tests.unit.workflow.conftest import OVERLAP, House, square
from tests.unit.workflow.test_update_checker import check, delivered, in_queue, publish


class Executions:
    """An orchestrator of which only the statuses are asked."""

    def __init__(self) -> None:
        self.statuses: dict[str, ExecutionStatus] = {}

    def get(self, execution_id: str) -> Execution:
        if execution_id not in self.statuses:
            raise ExecutionUnknown(execution_id)
        return Execution(
            id=execution_id, status=self.statuses[execution_id], input={}, started_at=datetime(2026, 5, 1, tzinfo=UTC)
        )

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


@pytest.fixture
def executions() -> Executions:
    return Executions()


def sweep(house: House, executions: Any, clock: Any, *, after: timedelta = timedelta(days=1)) -> Any:
    clock.advance(after)
    n = house.neighbours
    reconciler = Reconciler(
        subscriptions=n.subscriptions,
        providers=n.providers,
        looks=n.looker.looks,
        looker=n.looker,
        lookback=house.lookback,
        joiner=house.joiner,
        asker=n.looker.asker,
        queue=n.queue,
        orchestrator=executions,
        window=timedelta(days=30),
    )
    return reconciler.run(now=clock())


def drop_queue(house: House) -> None:
    while messages := house.neighbours.queue.receive(100):
        for message in messages:
            house.neighbours.queue.acknowledge(message.receipt)


def row_status(house: House, subscription: Subscription, item_id: str) -> OutcomeStatus | None:
    row = house.neighbours.ledger.get(subscription.id, item_id)
    return row.status if row else None


def test_an_item_the_feed_never_told_of_is_found_once(house: House, clock: Any, executions: Executions) -> None:
    subscription = house.subscribe(checked_through=clock())
    publish(house, "news", clock())
    check(house, clock)
    publish(house, "hidden", clock() - OVERLAP - timedelta(days=2))
    assert check(house, clock) == 0

    assert [sweep(house, executions, clock).requested for _ in range(2)] == [1, 0]
    house.work()
    assert delivered(house, subscription) == 2


def test_neighbours_are_compared_in_one_search(house: House, clock: Any, executions: Executions) -> None:
    made = [house.subscribe(n, aoi=square(3 * n, 3 * n, 5), checked_through=clock()) for n in range(1, 11)]
    publish(house, "a", clock() - timedelta(days=5))

    report = sweep(house, executions, clock)

    assert (report.groups, report.requested, len(house.provider.searches)) == (1, 10, 1)
    assert house.neighbours.queue.peek(1)[0].subscription_ids == tuple(one.id for one in made)


def test_what_was_acquired_before_the_window_is_left_alone(house: House, clock: Any, executions: Executions) -> None:
    house.subscribe(start_at=clock() - timedelta(days=300), checked_through=clock())
    publish(house, "old", clock() - timedelta(days=2), datetime=clock() - timedelta(days=60))

    assert sweep(house, executions, clock).requested == 0


@pytest.mark.parametrize(
    ("status", "asked_again"),
    [(ExecutionStatus.RUNNING, 0), (ExecutionStatus.ABORTED, 1), (ExecutionStatus.SUCCEEDED, 1), (None, 1)],
)
def test_what_waits_for_an_execution_that_has_ended_is_asked_for_again(
    house: House, clock: Any, executions: Executions, status: ExecutionStatus | None, asked_again: int
) -> None:
    subscription = house.subscribe(checked_through=clock())
    publish(house, "a", clock())
    check(house, clock)
    request = house.neighbours.queue.peek(1)[0]
    drop_queue(house)
    if status is not None:
        executions.statuses[request.id] = status

    assert sweep(house, executions, clock, after=PATIENCE - timedelta(minutes=1)).requested == 0
    assert sweep(house, executions, clock, after=timedelta(minutes=2)).requested == asked_again

    assert len(in_queue(house)) == asked_again
    assert request.id not in [one.id for one in house.neighbours.queue.peek(5)]
    assert row_status(house, subscription, "a") is OutcomeStatus.WAITING


def test_what_waits_in_the_queue_is_left_there(house: House, clock: Any, executions: Executions) -> None:
    house.subscribe(checked_through=clock())
    publish(house, "a", clock())
    check(house, clock)

    assert sweep(house, executions, clock, after=timedelta(days=20)).requested == 0
    assert in_queue(house) == [("a",)]


def test_windows_never_looked_through_are_taken_up(house: House, clock: Any, executions: Executions) -> None:
    subscription = house.subscribe(start_at=clock() - timedelta(days=250), created_at=clock())
    house.lookback.begin(subscription)
    publish(house, "old", clock() - timedelta(days=99), datetime=clock() - timedelta(days=200))
    requests = house.neighbours.queue.peek(10)
    drop_queue(house)
    executions.statuses[requests[2].id] = ExecutionStatus.FAILED

    report = sweep(house, executions, clock, after=PATIENCE + timedelta(minutes=1))

    looks = house.neighbours.looker.looks.of(subscription.id)
    assert report.looks == 3
    assert [look.done_at is not None for look in looks] == [False, False, True]
    waiting = house.neighbours.queue.peek(10)
    assert sorted(r.id for r in waiting if r.window) == sorted(r.id for r in requests[:2])
    assert [(r.kind, r.item_ids) for r in waiting if r.item_ids] == [(RequestKind.BACKFILL, ("old",))]


def test_a_subscription_never_looked_at_gets_its_first_look(house: House, clock: Any, executions: Executions) -> None:
    subscription = house.subscribe(created_at=clock())
    publish(house, "a", clock() - timedelta(days=10))

    sweep(house, executions, clock)
    house.work()

    assert delivered(house, subscription) == 1
    assert house.neighbours.subscriptions.get(subscription.id).checked_through == subscription.created_at


def test_a_provider_that_is_down_is_asked_by_the_next_sweep(house: House, clock: Any, executions: Executions) -> None:
    house.subscribe(checked_through=clock())
    publish(house, "a", clock())
    house.provider.is_down = True
    assert sweep(house, executions, clock).failed == 1
    house.provider.is_down = False

    assert sweep(house, executions, clock).requested == 1
