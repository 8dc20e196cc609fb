"""The dispatcher: never more than the limit, the urgent first, nothing lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagery.errors import ImageryError, InvalidInput, StoreUnavailable
from imagery.model.execution import Execution, ExecutionQuery, HistoryEvent
from imagery.model.failure import FailureQuery
from imagery.model.paging import Page
from imagery.model.request import Request, RequestKind
from imagery.model.subscription import Priority
from imagery.ports import VISIBILITY_TIMEOUT
from imagery.service.dispatch import MAX_DELIVERIES, Dispatcher
from tests.unit.workflow.conftest import House


class OrchestratorOfNames:
    """Remembers what was started; everything stays under way until `finish`."""

    def __init__(self) -> None:
        self.started: dict[str, Mapping[str, Any]] = {}
        self.under_way = 0
        self.trouble: ImageryError | None = None

    def start(self, execution_id: str, payload: Mapping[str, Any]) -> None:
        if self.trouble:
            raise self.trouble
        if execution_id not in self.started:
            self.started[execution_id] = payload
            self.under_way += 1

    def finish(self, count: int) -> None:
        self.under_way -= count

    def running(self) -> int:
        return self.under_way

    def get(self, execution_id: str) -> Execution:
        raise NotImplementedError

    def history(self, execution_id: str) -> tuple[HistoryEvent, ...]:
        raise NotImplementedError

    def find(self, query: ExecutionQuery) -> Page[Execution]:
        raise NotImplementedError


def dispatcher(house: House, orchestrator: OrchestratorOfNames, limit: int = 2) -> Dispatcher:
    n = house.neighbours
    return Dispatcher(
        queue=n.queue,
        orchestrator=orchestrator,
        subscriptions=n.subscriptions,
        ledger=n.ledger,
        failures=n.failures,
        events=n.events,
        clock=n.clock,
        limit=limit,
        provider_kinds={"earth-search": "public"},
    )


def a_request(house: House, name: str, priority: Priority, provider: str = "earth-search") -> Request:
    return Request.for_item(
        kind=RequestKind.UPDATE,
        priority=priority,
        provider=provider,
        collection="sentinel-2-l2a",
        item_id=name,
        item_updated_at=None,
        subscription_ids=["sub_1"],
        now=house.neighbours.clock(),
    )


def test_no_more_is_started_than_the_limit_has_room_for(house: House) -> None:
    orchestrator = OrchestratorOfNames()
    house.neighbours.queue.send([a_request(house, str(n), Priority.NORMAL) for n in range(5)])

    assert [dispatcher(house, orchestrator).run_once() for _ in range(2)] == [2, 0]
    orchestrator.finish(1)
    assert dispatcher(house, orchestrator).run_once() == 1


def test_the_urgent_are_started_first(house: House) -> None:
    orchestrator = OrchestratorOfNames()
    requests = [a_request(house, p, p) for p in (Priority.LOW, Priority.NORMAL, Priority.HIGH)]
    house.neighbours.queue.send(requests)

    dispatcher(house, orchestrator, limit=10).run_once()

    assert [p["request"]["priority"] for p in orchestrator.started.values()] == ["high", "normal", "low"]


def test_a_request_that_could_not_be_started_comes_back(house: House, clock: Any) -> None:
    orchestrator = OrchestratorOfNames()
    house.neighbours.queue.send([a_request(house, "a", Priority.NORMAL)])
    orchestrator.trouble = InvalidInput("the payload is too large")
    dispatcher(house, orchestrator).run_once()

    orchestrator.trouble = None
    clock.advance(VISIBILITY_TIMEOUT)
    dispatcher(house, orchestrator).run_once()

    assert len(orchestrator.started) == 1
    assert sum(house.neighbours.queue.depth().values()) == 0


def test_a_request_that_can_never_be_started_ends_in_the_failure_queue(house: House, clock: Any) -> None:
    orchestrator = OrchestratorOfNames()
    orchestrator.trouble = InvalidInput("the payload is too large")
    house.neighbours.queue.send([a_request(house, "a", Priority.NORMAL)])

    for _ in range(MAX_DELIVERIES):
        dispatcher(house, orchestrator).run_once()
        clock.advance(VISIBILITY_TIMEOUT)

    failures = house.neighbours.failures.find(FailureQuery()).values
    assert [f.error for f in failures] == ["InvalidInput"]
    assert sum(house.neighbours.queue.depth().values()) == 0


def test_a_locked_database_is_waited_out(house: House, clock: Any) -> None:
    orchestrator = OrchestratorOfNames()
    orchestrator.trouble = StoreUnavailable("the database is locked")
    house.neighbours.queue.send([a_request(house, "a", Priority.NORMAL)])

    for _ in range(3 * MAX_DELIVERIES):
        dispatcher(house, orchestrator).run_once()
        clock.advance(VISIBILITY_TIMEOUT)

    assert house.neighbours.failures.find(FailureQuery()).values == ()
    assert sum(house.neighbours.queue.depth().values()) == 1


def test_a_provider_nobody_set_up_takes_the_branch_of_the_unknown(house: House) -> None:
    orchestrator = OrchestratorOfNames()
    house.neighbours.queue.send([a_request(house, "a", Priority.NORMAL, provider="moonshots")])

    dispatcher(house, orchestrator).run_once()

    assert [p["provider_kind"] for p in orchestrator.started.values()] == ["unknown"]
