"""Replaying failures: once however often it is asked for, and the ledger knows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from imagery.errors import ExecutionUnknown, FailureUnknown
from imagery.model.access import Caller
from imagery.model.codec import to_dict
from imagery.model.execution import Execution, ExecutionStatus
from imagery.model.failure import Failure, FailureQuery
from imagery.model.outcome import OutcomeStatus, SkipReason
from imagery.model.request import Request, RequestKind
from imagery.model.subscription import Priority, Subscription, SubscriptionStatus
from imagery.service.failures import Failures
from tests.unit.workflow.conftest import House

ANA = Caller(owner="ana")


@dataclass
class Executions:
    """An orchestrator as far as replays ask it."""

    statuses: dict[str, ExecutionStatus] = field(default_factory=dict)
    clock: Any = None

    def get(self, execution_id: str) -> Execution:
        if execution_id not in self.statuses:
            raise ExecutionUnknown(execution_id)
        return Execution(id=execution_id, status=self.statuses[execution_id], started_at=self.clock())


@dataclass(frozen=True)
class Desk:
    """The failure queue of a house, and the executions behind it."""

    house: House
    failures: Failures
    executions: Executions

    def fail(self, item_id: str, *subscriptions: Subscription, error: str = "RasterUnreadable") -> Failure:
        """As the workflow does when an item cannot be made."""
        n = self.house.neighbours
        request = Request.for_item(
            kind=RequestKind.UPDATE,
            priority=Priority.LOW,
            provider="earth-search",
            collection="sentinel-2-l2a",
            item_id=item_id,
            item_updated_at=None,
            subscription_ids=[one.id for one in subscriptions],
            now=n.clock(),
        )
        for subscription in subscriptions:
            n.ledger.record(_waiting(self.house, subscription, item_id, request))
        self.end(request, error)
        return n.failures.get(request.root)

    def end(self, request: Request, error: str) -> None:
        """An execution of it has failed."""
        payload = {
            "request": to_dict(request),
            "provider_kind": "public",
            "caught": {},
            "error": {"Error": error, "Cause": f"the file of {request.item_ids[0]} is Damaged"},
        }
        self.house.steps["sqs:sendMessage"]({"MessageBody": {"execution_id": request.id, "payload": payload}})
        self.executions.statuses[request.id] = ExecutionStatus.FAILED

    def carry_out(self, request: Request) -> None:
        """An execution of it has come through."""
        answer = self.house.steps["PublicProvider"]({"request": to_dict(request)})
        self.house.steps["Register"]({"request": to_dict(request), "entries": answer["entries"]})
        self.executions.statuses[request.id] = ExecutionStatus.SUCCEEDED

    def waiting(self) -> list[Request]:
        return list(self.house.neighbours.queue.peek(100))

    def status(self, subscription: Subscription, item_id: str) -> OutcomeStatus:
        row = self.house.neighbours.ledger.get(subscription.id, item_id)
        assert row is not None
        return row.status


def _waiting(house: House, subscription: Subscription, item_id: str, request: Request) -> Any:
    from tests.contract.examples import an_outcome

    return an_outcome(
        item_id,
        subscription_id=subscription.id,
        status=OutcomeStatus.WAITING,
        source_updated_at=None,
        request_id=request.id,
    )


@pytest.fixture
def desk(house: House, clock: Any) -> Desk:
    n, executions = house.neighbours, Executions(clock=clock)
    failures = Failures(
        store=n.failures,
        ledger=n.ledger,
        queue=n.queue,
        orchestrator=executions,  # type: ignore[arg-type]
        together=n.together,
        clock=clock,
    )
    return Desk(house, failures, executions)


def test_a_replay_asks_again_at_the_old_priority_and_the_ledger_waits(desk: Desk) -> None:
    subscription = desk.house.subscribe()
    failure = desk.fail("a", subscription)

    replay = desk.failures.replay(ANA, failure.id)

    (request,) = desk.waiting()
    assert (request.id, request.attempt, request.priority) == (f"{failure.id}-2", 2, Priority.LOW)
    assert replay.request_id == request.id
    assert desk.status(subscription, "a") is OutcomeStatus.WAITING
    assert desk.failures.get(ANA, failure.id).replay_id == request.id


def test_replaying_twice_asks_once_whether_it_waits_or_runs(desk: Desk) -> None:
    failure = desk.fail("a", desk.house.subscribe())

    desk.failures.replay(ANA, failure.id)
    assert desk.failures.replay(ANA, failure.id).is_repeat
    (message,) = desk.house.neighbours.queue.receive(10)
    desk.house.neighbours.queue.acknowledge(message.receipt)
    desk.executions.statuses[message.request.id] = ExecutionStatus.RUNNING

    assert desk.failures.replay(ANA, failure.id).request_id == message.request.id
    assert desk.waiting() == []


def test_a_failure_goes_when_its_replay_is_registered(desk: Desk) -> None:
    subscription = desk.house.subscribe()
    desk.house.provider.publish("a")
    failure = desk.fail("a", subscription)
    desk.failures.replay(ANA, failure.id)

    desk.carry_out(desk.waiting()[0])

    assert desk.status(subscription, "a") is OutcomeStatus.DELIVERED
    with pytest.raises(FailureUnknown):
        desk.failures.get(ANA, failure.id)


def test_a_replay_that_fails_takes_the_failures_place_and_can_be_replayed(desk: Desk) -> None:
    subscription = desk.house.subscribe()
    failure = desk.fail("a", subscription)
    desk.failures.replay(ANA, failure.id)
    desk.end(desk.waiting()[0], "AssetMissing")

    (again,) = desk.failures.find(ANA, FailureQuery()).values
    assert (again.id, again.error, again.request.attempt, again.replay_id) == (failure.id, "AssetMissing", 2, None)
    assert desk.status(subscription, "a") is OutcomeStatus.FAILED
    assert desk.failures.replay(ANA, failure.id).request_id == f"{failure.id}-3"


def test_a_failure_told_again_late_does_not_hide_the_replay_under_way(desk: Desk) -> None:
    subscription = desk.house.subscribe()
    failure = desk.fail("a", subscription)
    desk.failures.replay(ANA, failure.id)

    desk.end(failure.request, failure.error)  # its execution was killed before it knew it had told

    assert desk.failures.get(ANA, failure.id).replay_id is not None
    assert desk.status(subscription, "a") is OutcomeStatus.WAITING


def test_an_attempt_that_was_lost_is_followed_by_the_next(desk: Desk) -> None:
    failure = desk.fail("a", desk.house.subscribe())
    lost = desk.failures.replay(ANA, failure.id).request_id
    desk.executions.statuses[lost] = ExecutionStatus.ABORTED

    assert desk.failures.replay(ANA, failure.id).request_id == f"{failure.id}-3"


def test_an_attempt_that_never_reached_the_queue_is_sent_by_the_next_call(desk: Desk) -> None:
    subscription = desk.house.subscribe()
    failure = desk.fail("a", subscription)
    desk.house.neighbours.failures.add(replace(failure, replay_id=f"{failure.id}-2"))

    assert desk.failures.replay(ANA, failure.id).is_repeat
    assert [request.id for request in desk.waiting()] == [f"{failure.id}-2"]
    assert desk.status(subscription, "a") is OutcomeStatus.WAITING


def test_shares_that_failed_apart_are_replayed_apart(desk: Desk) -> None:
    fine = desk.house.subscribe(1)
    wrong = [desk.house.subscribe(n, assets=("swir16",)) for n in (2, 3)]
    desk.house.provider.publish("a")
    request = Request.for_item(
        kind=RequestKind.UPDATE,
        priority=Priority.NORMAL,
        provider="earth-search",
        collection="sentinel-2-l2a",
        item_id="a",
        item_updated_at=None,
        subscription_ids=[fine.id, *(one.id for one in wrong)],
        now=desk.house.neighbours.clock(),
    )
    desk.carry_out(request)

    done = desk.failures.replay_many(ANA, FailureQuery())

    assert len({one.request_id for one in done.replays}) == 2
    assert sorted(r.subscription_ids for r in desk.waiting()) == [(wrong[0].id,), (wrong[1].id,)]
    assert desk.status(fine, "a") is OutcomeStatus.DELIVERED


def test_of_a_shared_replay_what_fails_again_is_kept_and_what_comes_through_is_not(desk: Desk) -> None:
    fine, wrong = desk.house.subscribe(1), desk.house.subscribe(2, assets=("swir16",))
    desk.house.provider.publish("a")
    failure = desk.fail("a", fine, wrong, error="ProviderUnavailable")
    desk.failures.replay(ANA, failure.id)

    desk.carry_out(desk.waiting()[0])

    (left,) = desk.failures.find(ANA, FailureQuery()).values
    assert (left.request.subscription_ids, left.error) == ((wrong.id,), "AssetMissing")
    assert desk.status(fine, "a") is OutcomeStatus.DELIVERED


def test_a_dry_run_says_what_would_be_replayed_and_asks_for_nothing(desk: Desk) -> None:
    subscription = desk.house.subscribe()
    failure = desk.fail("a", subscription)

    done = desk.failures.replay_many(ANA, FailureQuery(), dry_run=True)

    assert [one.request_id for one in done.replays] == [f"{failure.id}-2"]
    assert desk.waiting() == []
    assert desk.status(subscription, "a") is OutcomeStatus.FAILED
    assert desk.failures.get(ANA, failure.id).replay_id is None


def test_many_are_replayed_up_to_a_limit_and_those_under_way_are_passed_over(desk: Desk) -> None:
    subscription = desk.house.subscribe()
    for n in range(5):
        desk.fail(f"item {n}", subscription)

    first = desk.failures.replay_many(ANA, FailureQuery(limit=3))
    second = desk.failures.replay_many(ANA, FailureQuery(limit=3))
    third = desk.failures.replay_many(ANA, FailureQuery(limit=3))

    assert [(len(one.replays), one.left) for one in (first, second, third)] == [(3, 2), (2, 0), (0, 0)]
    assert len(desk.waiting()) == 5


def test_many_are_replayed_only_as_fast_as_leave_is_given(desk: Desk) -> None:
    subscription = desk.house.subscribe()
    for n in range(5):
        desk.fail(f"item {n}", subscription)
    waits = iter([0.0, 0.0, 7.5])

    done = desk.failures.replay_many(ANA, FailureQuery(), leave=lambda: next(waits))

    assert (len(done.replays), done.left, done.retry_after_s) == (2, 3, 7.5)


def test_only_what_matches_is_replayed(desk: Desk) -> None:
    subscription = desk.house.subscribe()
    desk.fail("a", subscription)
    passing = desk.fail("b", subscription, error="ProviderUnavailable")

    done = desk.failures.replay_many(ANA, FailureQuery(retryable=True))

    assert [one.failure_id for one in done.replays] == [passing.id]
    assert desk.failures.counts(ANA, FailureQuery()) == {"ProviderUnavailable": 1, "RasterUnreadable": 1}


def test_another_owner_can_neither_replay_nor_delete(desk: Desk) -> None:
    failure = desk.fail("a", desk.house.subscribe())
    ben = Caller(owner="ben")

    for act in (desk.failures.replay, desk.failures.delete):
        with pytest.raises(FailureUnknown):
            act(ben, failure.id)
    assert desk.failures.replay_many(ben, FailureQuery()).replays == ()
    assert desk.waiting() == []


def test_a_deleted_failure_stays_failed_in_the_ledger(desk: Desk) -> None:
    subscription = desk.house.subscribe()
    failure = desk.fail("a", subscription)

    desk.failures.delete(ANA, failure.id)

    assert desk.failures.find(ANA, FailureQuery()).values == ()
    assert desk.status(subscription, "a") is OutcomeStatus.FAILED


def test_what_failed_before_its_subscription_ended_can_still_be_made(desk: Desk, clock: Any) -> None:
    subscription = desk.house.subscribe()
    desk.house.provider.publish("a")
    failure = desk.fail("a", subscription)
    ended = subscription.changed(now=clock(), status=SubscriptionStatus.ENDED, delete_at=clock() + timedelta(days=182))
    desk.house.neighbours.subscriptions.replace(ended)
    desk.failures.replay(ANA, failure.id)

    desk.carry_out(desk.waiting()[0])

    assert desk.status(subscription, "a") is OutcomeStatus.DELIVERED


def test_what_failed_before_its_subscription_was_marked_is_not_made(desk: Desk, clock: Any) -> None:
    subscription = desk.house.subscribe()
    desk.house.provider.publish("a")
    failure = desk.fail("a", subscription)
    marked = subscription.changed(now=clock(), status=SubscriptionStatus.MARKED_FOR_DELETION, delete_at=clock())
    desk.house.neighbours.subscriptions.replace(marked)
    desk.failures.replay(ANA, failure.id)

    desk.carry_out(desk.waiting()[0])

    row = desk.house.neighbours.ledger.get(subscription.id, "a")
    assert row is not None and row.reason is SkipReason.INACTIVE
