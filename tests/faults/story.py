"""A story the service lives through, told so that it can be broken off anywhere and told again from the beginning.

Run as a program, this file is the nursery: it imports everything once, then forks a process for each line it is given.
That process runs the service, tells the story and is killed where the line says.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

from imagery.errors import SubscriptionUnknown
from imagery.model.codec import format_instant
from imagery.model.event import DeliveryStatus, Event, EventQuery
from imagery.model.execution import ExecutionQuery, ExecutionStatus
from imagery.model.failure import Failure, FailureQuery
from imagery.model.outcome import OutcomeStatus
from imagery.model.subscription import SubscriptionStatus
from imagery.service.subscriptions import NewSubscription
from imagery.settings import Settings
from imagery.wiring import Imagery, build
from imagery.worker import Worker
from tests.faults.house import ANA, BEGIN, FastClock, until
from tests.faults.nursery import raise_lives

SPEED = 20
RETENTION = timedelta(hours=2)
COLLECTION = "sentinel-2-l2a"
NAMES = ("staying", "too large", "leaving")
"""Of the subscriptions; the second's clips are larger than allowed."""

MAX_CLIP_PIXELS = 5_000

LONG_AGO = datetime.min.replace(tzinfo=UTC)

PHASES = {
    "request": ("imagery/service/subscriptions.py",),
    "discovery": ("imagery/service/discovery.py", "imagery/service/looks.py", "imagery/checkers/feed.py"),
    "dispatch": ("imagery/service/dispatch.py",),
    "execution": ("imagery/orchestrators/embedded/pump.py",),
    "delivery": ("imagery/workflow/delivery.py",),
    "registration": ("imagery/workflow/steps.py",),
    "notification": ("imagery/service/deliverer.py",),
    "deletion": ("imagery/checkers/delete.py", "imagery/checkers/removal.py"),
}
"""Phase → files of which one must be on the stack."""

OUTSIDE = frozenset(
    {"execute", "executemany", "put", "delete", "fsync", "rename", "unlink", "rmdir", "sendall", "send", "recv"}
)
"""What a process does to the world outside it: functions in C of sqlite3, obstore, os and sockets."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """Right after the `number`-th thing done to the outside world in a phase."""

    phase: str
    number: int


@dataclass(frozen=True, kw_only=True)
class Telling:
    """One process's try to tell the story to its end."""

    data_dir: str
    sandbox_url: str
    world_url: str
    """Receives webhooks at /hooks, and puts scenes on the shelf at /publish/{scene}."""

    fields: dict[str, Any]
    """Name → GeoJSON polygon."""

    scenes: list[str]
    """Ids: two are there from the beginning, the third comes later, the first again, the fourth while one is paused."""

    origin: float
    point: Point | None = None
    after_s: float | None = None
    """Killed by another process after so long. None: not so."""


def tell(telling: Telling) -> None:
    """Run the service and tell the story to its end. Every step may have been done before."""
    clock = Clock(FastClock(speed=SPEED, origin=telling.origin), Path(telling.data_dir) / "jumped")
    settings = Settings(
        data_dir=Path(telling.data_dir),
        stac_providers={"earth-search": telling.sandbox_url},
        update_check_every=timedelta(seconds=0.2),
        delete_check_every=timedelta(seconds=0.2),
        retention=RETENTION,
        look_window=timedelta(days=20),
        max_clip_pixels=MAX_CLIP_PIXELS,
        concurrency=4,
        webhook_allow_http=True,
        webhook_allow_private=True,
    )
    with build(settings, clock=clock, sleep=clock.fast.sleep) as imagery:
        worker = Worker(imagery=imagery)
        worker.start()
        _Story(imagery=imagery, telling=telling, clock=clock).tell()
        worker.stop(drain=timedelta(seconds=2))


@dataclass
class Clock:
    """Runs fast, and can jump over the time for which deleted subscriptions are kept: once, for every process."""

    fast: FastClock
    marker: Path

    def __post_init__(self) -> None:
        self.jumped = self.marker.exists()

    def __call__(self) -> datetime:
        return self.fast() + (2 * RETENTION if self.jumped else timedelta(0))

    def jump(self) -> None:
        self.marker.touch()
        self.jumped = True


@dataclass(frozen=True, kw_only=True)
class _Story:
    imagery: Imagery
    telling: Telling
    clock: Clock

    def tell(self) -> None:
        staying, large, leaving = (self._subscribed(name) for name in NAMES)
        if not self.clock.jumped:
            self._imagery_arrives(staying, large, leaving)
            self._a_failure_is_replayed(large)
            self._imagery_arrives_while_paused(staying, large, leaving)
            self.imagery.subscriptions.delete(ANA, leaving)
            self._until_at_rest()
            self.clock.jump()
        until(lambda: self._is_gone(leaving), "the deleted subscription is gone")
        self._until_at_rest()

    def _imagery_arrives(self, staying: str, large: str, leaving: str) -> None:
        first, second, late, _ = self.telling.scenes
        for item in (first, second):
            self._until_ended(item, (staying, leaving), large)
        self._publish(late, "arrives")
        self._until_ended(late, (staying, leaving), large)
        again = self._publish(first, "comes again")
        self._until_ended(first, (staying, leaving), large, since=again)

    def _a_failure_is_replayed(self, large: str) -> None:
        """The one of the late scene, once; it fails again."""

        def failure() -> Failure | None:
            found = self.imagery.failures.find(ANA, FailureQuery(subscription_id=large)).values
            return next((one for one in found if one.request.item_ids == (self.telling.scenes[2],)), None)

        asked = failure()
        if asked is not None and asked.request.attempt == 1:
            self.imagery.failures.replay(ANA, asked.id)
        until(lambda: (now := failure()) is not None and now.request.attempt == 2, "the replay has failed again")

    def _imagery_arrives_while_paused(self, staying: str, large: str, leaving: str) -> None:
        last = self.telling.scenes[3]
        subscriptions = self.imagery.subscriptions
        if not subscriptions.get(ANA, staying).labels:
            paused = {"status": SubscriptionStatus.PAUSED, "labels": {"was": "paused"}}
            subscriptions.change(ANA, staying, paused, expected_version=None)
        self._publish(last, "arrives while one is paused")
        self._until_ended(last, (leaving,), large)
        if subscriptions.get(ANA, staying).status is SubscriptionStatus.PAUSED:
            subscriptions.change(ANA, staying, {"status": SubscriptionStatus.ACTIVE}, expected_version=None)
        self._until_ended(last, (staying, leaving), large)

    def _subscribed(self, name: str) -> str:
        """Its id. Not created again once it may be gone, for its idempotency key goes with it."""
        known = Path(self.telling.data_dir) / f"{name}.id"
        if not self.clock.jumped:
            new = NewSubscription(
                aoi=self.telling.fields[name],
                provider="earth-search",
                collection=COLLECTION,
                assets=("red",),
                start_at=BEGIN - timedelta(days=60),
                webhook_url=f"{self.telling.world_url}/hooks",
            )
            known.write_text(self.imagery.subscriptions.create(ANA, new, idempotency_key=name).subscription.id)
        return known.read_text()

    def _publish(self, scene: str, occasion: str) -> datetime:
        """When it was published: the first time this was asked for."""
        answer = httpx.post(
            f"{self.telling.world_url}/publish/{scene}",
            params={"occasion": occasion, "now": format_instant(self.clock())},
            trust_env=False,
        )
        return datetime.fromisoformat(answer.raise_for_status().json()["at"])

    def _until_ended(self, item: str, served: tuple[str, ...], failing: str, *, since: datetime = LONG_AGO) -> None:
        """Until all have had this state of it."""

        def ended(subscription: str, status: OutcomeStatus) -> bool:
            row = self.imagery.subscriptions.ledger.get(subscription, item)
            return row is not None and row.status is status and (row.source_updated_at or BEGIN) >= since

        until(
            lambda: all(ended(one, OutcomeStatus.DELIVERED) for one in served) and ended(failing, OutcomeStatus.FAILED),
            f"{item} has come to its end for all",
        )

    def _is_gone(self, subscription: str) -> bool:
        try:
            self.imagery.subscriptions.store.get(subscription)
        except SubscriptionUnknown:
            return True
        return False

    def _until_at_rest(self) -> None:
        until(lambda: is_at_rest(self.imagery), "nothing is queued, under way or untold")


def is_at_rest(imagery: Imagery) -> bool:
    """Nothing is queued, under way or untold."""
    executions = imagery.orchestrator.find(ExecutionQuery(limit=500)).values
    return (
        not sum(imagery.queue.depth().values())
        and all(one.status is not ExecutionStatus.RUNNING for one in executions)
        and all(status is not DeliveryStatus.PENDING for status in deliveries(imagery).values())
    )


def events_of(imagery: Imagery) -> list[Event]:
    return list(imagery.notifications.events.find(EventQuery(limit=1000)).values)


def deliveries(imagery: Imagery) -> dict[str, DeliveryStatus]:
    """Event id → how the telling of it stands."""
    logs = {event.id: imagery.notifications.outbox.log(event.id).delivery for event in events_of(imagery)}
    return {event_id: delivery.status for event_id, delivery in logs.items() if delivery is not None}


@dataclass
class Witness:
    """Sees, as a profiler does, what is done to the outside world; ends the process right after a point of it."""

    point: Point | None
    phases: dict[str, tuple[str, ...]] = field(default_factory=lambda: PHASES)
    """Phase → files of which one must be on the stack."""

    counts: Counter[str] = field(default_factory=Counter)
    _known: dict[str, str | None] = field(default_factory=dict)
    _changes: dict[int, int] = field(default_factory=dict)
    """Connection → rows changed by the end of its last transaction."""

    def watch(self) -> None:
        threading.setprofile(self)
        sys.setprofile(self)

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event != "c_return" or arg.__name__ not in OUTSIDE or not self._has_effect(arg.__self__):
            return
        phase = self._phase(frame)
        if phase is None:
            return
        self.counts[phase] += 1
        if self.point is not None and self.point.phase == phase and self.counts[phase] >= self.point.number:
            os.kill(os.getpid(), signal.SIGKILL)

    def _phase(self, frame: FrameType | None) -> str | None:
        """The innermost."""
        while frame is not None:
            name = frame.f_code.co_filename
            if name not in self._known:
                self._known[name] = next(
                    (phase for phase, files in self.phases.items() if name.endswith(files)),
                    None,
                )
            if self._known[name] is not None:
                return self._known[name]
            frame = frame.f_back
        return None

    def _has_effect(self, owner: Any) -> bool:
        """Of SQLite, a row changed or a commit of changes: nothing is to be learnt from dying after a read."""
        connection = owner.connection if isinstance(owner, sqlite3.Cursor) else owner
        if not isinstance(connection, sqlite3.Connection):
            return True
        before = self._changes.setdefault(id(connection), 0)
        if connection.in_transaction:
            return connection.total_changes > before
        self._changes[id(connection)] = connection.total_changes
        return connection.total_changes > before


def _live(given: dict[str, Any]) -> None:
    point = given.pop("point", None)
    telling = Telling(**given, point=Point(**point) if point else None)
    witness = Witness(point=telling.point)
    witness.watch()
    tell(telling)
    Path(telling.data_dir, "counts.json").write_text(json.dumps(witness.counts))


if __name__ == "__main__":
    raise_lives(_live)
