"""The pause and the limits over time: what they hold back waits, and starts when they lift."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imagery.model.control import LimitStatus, Usage
from imagery.model.request import Request, RequestKind
from imagery.model.subscription import Priority
from imagery.queues.sqlite import SqliteProcessingQueue
from imagery.service.admission import Admission
from imagery.service.dispatch import Dispatcher
from imagery.stores.sqlite.control import SqliteControlStore, SqliteUsageStore
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.events import SqliteEventStore
from imagery.stores.sqlite.failures import SqliteFailureStore
from imagery.stores.sqlite.ledger import SqliteLedger
from imagery.stores.sqlite.subscriptions import SqliteSubscriptionStore
from tests.conftest import MovableClock


@dataclass
class Starts:
    """An orchestrator whose executions end at once; remembers when each was started."""

    clock: Callable[[], datetime]
    at: dict[str, datetime] = field(default_factory=dict)

    def start(self, execution_id: str, payload: Any) -> None:
        self.at.setdefault(execution_id, self.clock())

    def running(self) -> int:
        return 0


@dataclass
class Service:
    """What a process of the service has in its hands; `restart` is what the next one has."""

    path: Path
    clock: MovableClock
    stack: ExitStack
    starts: Starts
    limits: dict[str, int]

    def __post_init__(self) -> None:
        database = self.stack.enter_context(Database(self.path))
        self.queue = SqliteProcessingQueue(database, clock=self.clock)
        self.usage = SqliteUsageStore(database)
        self.admission = Admission(
            controls=SqliteControlStore(database), usage=self.usage, clock=self.clock, **self.limits
        )
        self.dispatcher = Dispatcher(
            queue=self.queue,
            orchestrator=self.starts,  # type: ignore[arg-type]
            subscriptions=SqliteSubscriptionStore(database),
            ledger=SqliteLedger(database),
            failures=SqliteFailureStore(database),
            events=SqliteEventStore(database),
            clock=self.clock,
            limit=8,
            provider_kinds={"earth-search": "public"},
            admission=self.admission,
        )

    def restart(self) -> Service:
        self.stack.close()
        return Service(self.path, self.clock, self.stack, self.starts, self.limits)

    def ask(self, count: int) -> None:
        self.queue.send([a_request(str(n)) for n in range(count)])


Serve = Callable[..., Service]


@pytest.fixture
def serve(tmp_path: Path, clock: MovableClock) -> Iterator[Serve]:
    def serve(executions_per_minute: int = 1000, bytes_per_day: int = 1000) -> Service:
        limits = {"executions_per_minute": executions_per_minute, "bytes_per_day": bytes_per_day}
        return Service(tmp_path / "imagery.db", clock, stack, Starts(clock), limits)

    with ExitStack() as stack:
        yield serve


def a_request(name: str) -> Request:
    return Request.for_item(
        kind=RequestKind.UPDATE,
        priority=Priority.NORMAL,
        provider="earth-search",
        collection="sentinel-2-l2a",
        item_id=name,
        item_updated_at=None,
        subscription_ids=["sub_1"],
        now=datetime.fromisoformat("2026-05-01T12:00:00Z"),
    )


def test_while_paused_nothing_is_started_and_afterwards_everything_is(serve: Serve) -> None:
    service = serve()
    service.ask(5)
    service.admission.pause(by="ana", reason="disk full")

    assert service.dispatcher.run_once() == 0
    assert sum(service.queue.depth().values()) == 5
    service.admission.resume()
    assert service.dispatcher.run_once() == 5
    assert len(service.starts.at) == 5


def test_a_pause_outlives_a_restart(serve: Serve) -> None:
    service = serve()
    service.ask(1)
    service.admission.pause(by="ana")

    again = service.restart()

    assert again.dispatcher.run_once() == 0
    assert again.admission.resume() is not None
    assert again.dispatcher.run_once() == 1


def test_resuming_what_is_not_paused_says_so(serve: Serve) -> None:
    assert serve().admission.resume() is None


def test_no_minute_holds_more_executions_than_allowed_whatever_is_restarted(serve: Serve, clock: MovableClock) -> None:
    service = serve(executions_per_minute=10)
    service.ask(45)
    for trip in range(40):
        service.dispatcher.run_once()
        clock.advance(timedelta(seconds=7))
        if trip % 3 == 0:
            service = service.restart()

    at = sorted(service.starts.at.values())
    busiest = max(sum(start <= other < start + timedelta(minutes=1) for other in at) for start in at)
    assert (len(at), busiest) == (45, 10)


def test_when_the_days_bytes_are_used_up_requests_wait_for_midnight_utc(serve: Serve, clock: MovableClock) -> None:
    service = serve(bytes_per_day=1000)
    service.ask(3)
    service.usage.add(clock().date(), Usage(bytes_read=600, bytes_written=400))

    assert service.dispatcher.run_once() == 0
    clock.advance(timedelta(hours=11, minutes=59, seconds=59))
    assert service.dispatcher.run_once() == 0
    clock.advance(timedelta(seconds=1))
    assert service.dispatcher.run_once() == 3


def test_each_limit_says_how_it_stands_and_when_it_lifts(serve: Serve, clock: MovableClock) -> None:
    service = serve(executions_per_minute=2, bytes_per_day=1000)
    service.ask(3)
    service.dispatcher.run_once()
    service.usage.add(clock().date(), Usage(bytes_read=1000))

    assert service.dispatcher.limits() == (
        LimitStatus(name="concurrency", limit=8, used=0),
        LimitStatus(name="max_executions_per_minute", limit=2, used=2, lifts_at=clock() + timedelta(minutes=1)),
        LimitStatus(
            name="max_bytes_per_day", limit=1000, used=1000, lifts_at=datetime.fromisoformat("2026-05-02T00:00:00Z")
        ),
    )
    assert [limit.is_reached for limit in service.dispatcher.limits()] == [False, True, True]


def test_why_nothing_is_started_is_said_once(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    service = serve()
    caplog.set_level(logging.INFO, "imagery.service.dispatch")
    service.admission.pause(by="ana", reason="disk full")
    for _ in range(3):
        service.dispatcher.run_once()
    service.admission.resume()
    service.dispatcher.run_once()

    assert [record.getMessage() for record in caplog.records] == [
        "no request is started: paused by ana at 2026-05-01 12:00:00 UTC (disk full); `imagery resume` ends it",
        "requests are started again",
    ]
