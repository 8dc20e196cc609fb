"""The whole service against a sandbox that can be told to misbehave, on a clock that runs fast."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pystac_client import Client

from imagery.model.access import Caller
from imagery.model.execution import Execution, ExecutionQuery, ExecutionStatus
from imagery.model.failure import Failure, FailureQuery
from imagery.model.outcome import Outcome, OutcomeQuery, OutcomeStatus
from imagery.model.subscription import Subscription
from imagery.sandbox.earth_search import create_app
from imagery.sandbox.faults import Faults, Rule
from imagery.sandbox.scenes import Scenes
from imagery.sandbox.serving import serving
from imagery.sandbox.shelf import Shelf
from imagery.service.subscriptions import NewSubscription
from imagery.settings import Settings
from imagery.wiring import Imagery, build
from imagery.worker import Worker
from imagery.workflow import read_definition

BEGIN = datetime(2026, 5, 1, 12, tzinfo=UTC)
ANA = Caller(owner="ana")
SPEED = 200
"""A retry after a minute comes in a third of a second."""

PATIENCE_S = 60.0


@dataclass(frozen=True)
class FastClock:
    """Begins at BEGIN and runs `speed` times as fast as the real one; the same in every process that has `origin`."""

    speed: float = SPEED
    origin: float = field(default_factory=time.time)
    """Seconds since the epoch."""

    def __call__(self) -> datetime:
        return BEGIN + timedelta(seconds=(time.time() - self.origin) * self.speed)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self.speed)


@dataclass(frozen=True, kw_only=True)
class House:
    """A running service, and the sandbox it takes from."""

    imagery: Imagery
    shelf: Shelf
    faults: Faults
    scenes: Scenes

    def break_with(self, *rules: Rule) -> None:
        for rule in rules:
            self.faults.add(rule)

    def subscribe(self, *assets: str, **changes: Any) -> Subscription:
        fields: dict[str, Any] = {
            "aoi": self.scenes.aoi,
            "provider": "earth-search",
            "collection": self.scenes.main_collection,
            "assets": assets or ("red",),
            "start_at": BEGIN - timedelta(days=60),
        }
        return self.imagery.subscriptions.create(ANA, NewSubscription(**{**fields, **changes})).subscription

    def ledger(self, subscription: Subscription) -> dict[str, Outcome]:
        query = OutcomeQuery(subscription_id=subscription.id, limit=500)
        return {outcome.item_id: outcome for outcome in self.imagery.subscriptions.ledger.find(query).values}

    def statuses(self, subscription: Subscription) -> dict[str, OutcomeStatus]:
        return {item_id: outcome.status for item_id, outcome in self.ledger(subscription).items()}

    def failures(self) -> list[Failure]:
        return list(self.imagery.failures.find(ANA, FailureQuery()).values)

    def executions(self) -> list[Execution]:
        return list(self.imagery.orchestrator.find(ExecutionQuery(limit=500)).values)

    def published(self, subscription: Subscription) -> list[str]:
        """Ids of the items in the catalog, as one who searches it finds them."""
        found = self.imagery.stac_app(lambda _request: ANA)
        return sorted(_search(found, subscription))

    def settle(self) -> None:
        """Until nothing is queued or under way."""
        until(lambda: bool(self.executions()) and self._is_at_rest(), "nothing is under way")

    def _is_at_rest(self) -> bool:
        queued = sum(self.imagery.queue.depth().values())
        return not queued and all(one.status is not ExecutionStatus.RUNNING for one in self.executions())


def until(holds: Callable[[], bool], what: str, *, within_s: float = PATIENCE_S) -> None:
    """Wait for it. Raises AssertionError."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"waited {within_s:g} s in vain until {what}"
        time.sleep(0.05)


def impatient_workflow() -> str:
    """Ours, giving up after minutes where it would try for half a day: even a fast clock has no time for that."""
    document = json.loads(read_definition())
    for state in document["States"].values():
        for retrier in state.get("Retry", ()):
            most = 0 if "States.Timeout" in retrier["ErrorEquals"] else 6
            retrier["MaxAttempts"] = min(retrier["MaxAttempts"], most)
            retrier["IntervalSeconds"] = min(retrier["IntervalSeconds"], 30)
            retrier["MaxDelaySeconds"] = min(retrier.get("MaxDelaySeconds", 60), 60)
    return json.dumps(document)


@contextmanager
def open_house(data_dir: Path, scenes: Scenes, *rules: Rule, **settings: Any) -> Iterator[House]:
    """Running, for as long as the block lasts. `rules` hold from the start."""
    shelf, faults, clock = Shelf(scenes), Faults(*rules), FastClock()
    with serving(create_app(shelf, faults=faults)) as url:
        chosen = {
            "data_dir": data_dir,
            "stac_providers": {"earth-search": url},
            "update_check_every": timedelta(seconds=0.3),
            "provider_timeout_s": 1.0,
            "concurrency": 4,
        }
        everything = Settings(**{**chosen, **settings})
        with build(everything, clock=clock, sleep=clock.sleep, workflow=impatient_workflow()) as imagery:
            worker = Worker(imagery=imagery)
            worker.start()
            try:
                yield House(imagery=imagery, shelf=shelf, faults=faults, scenes=scenes)
            finally:
                worker.stop(drain=timedelta(seconds=2))


def _search(app: Any, subscription: Subscription) -> Iterator[str]:
    with serving(app) as url:
        for item in Client.open(url).search(collections=[subscription.collection], limit=50).items():
            if item.properties["imagery:subscription_id"] == subscription.id:
                yield item.id
