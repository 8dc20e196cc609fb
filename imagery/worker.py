"""What runs by itself: the dispatcher, the schedules, and the engine they feed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from imagery.errors import ImageryError
from imagery.model.codec import to_seconds
from imagery.wiring import Imagery

logger = logging.getLogger(__name__)

DISPATCH_EVERY = timedelta(seconds=0.2)
NOTIFY_EVERY = timedelta(seconds=0.2)
ORDERS_EVERY = timedelta(seconds=1)
"""How often orders that are due are looked for; a webhook of this process is looked into at once."""

PRUNE_EVENTS_EVERY = timedelta(hours=1)
SETTLE = timedelta(minutes=10)
"""After the start, before the first reconciliation: what was waiting goes first."""

DRAIN = timedelta(seconds=20)
"""How long work under way is given when the service stops; what is not done by then is done again at the next start."""

HISTORY_KEPT = timedelta(days=90)
"""What an execution went through is kept as long as Step Functions keeps it; that it ran is kept for ever."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Threads that live as long as the service does. A trip that fails is logged, and the next one comes."""

    imagery: Imagery
    _stopping: threading.Event = field(default_factory=threading.Event, repr=False)
    _threads: list[threading.Thread] = field(default_factory=list, repr=False)

    def start(self) -> None:
        """Raises AlreadyRunning if another process works on the same data directory."""
        imagery, settings = self.imagery, self.imagery.settings
        imagery.engine.start_working()
        self._every("dispatcher", DISPATCH_EVERY, self._dispatch)
        self._every("update-checker", settings.update_check_every, self._check_updates)
        self._every("notifier", NOTIFY_EVERY, self._notify)
        self._every("event-retention", PRUNE_EVENTS_EVERY, self._prune_events)
        if imagery.planet is not None:
            if imagery.planet.orders.webhook_url is None:
                logger.warning("Planet cannot call this service: orders are only polled; set IMAGERY_PUBLIC_URL")
            self._every("orders", timedelta(0), self._look_at_orders)
        settle = min(SETTLE, settings.reconcile_every)
        self._every("reconciler", settings.reconcile_every, self._reconcile, after=settle)
        self._every("delete-checker", settings.delete_check_every, self._check_deletions)

    def stop(self, *, drain: timedelta = DRAIN) -> None:
        """Take no new work, let what is under way finish within `drain`, and come to rest."""
        self._stopping.set()
        deadline = time.monotonic() + to_seconds(drain)
        # The engine first: a check that waits for a slow provider must not use up what the work under way is given.
        self.imagery.engine.close(max(0.0, deadline - time.monotonic()))
        self.imagery.deliverer.close(max(0.0, deadline - time.monotonic()))
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def _every(
        self, name: str, interval: timedelta, trip: Callable[[], None], *, after: timedelta = timedelta(0)
    ) -> None:
        def loop() -> None:
            self._stopping.wait(to_seconds(after))
            while not self._stopping.is_set():
                try:
                    trip()
                except ImageryError as error:
                    logger.warning("%s: %s; trying again in %s", name, error, interval)
                except Exception:
                    # A schedule must outlive any one trip; what was left undone is found by the next.
                    logger.exception("%s failed; trying again in %s", name, interval)
                self._stopping.wait(to_seconds(interval))

        thread = threading.Thread(target=loop, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _dispatch(self) -> None:
        self.imagery.dispatcher.run_once()

    def _notify(self) -> None:
        self.imagery.deliverer.run_once()

    def _look_at_orders(self) -> None:
        """A trip waits for what it may be called by, instead of the pause between two."""
        planet = self.imagery.planet
        if planet is not None:
            read = 0
            try:
                read = planet.orders.look()
            finally:
                if not read:
                    planet.orders.wait_for_hint(ORDERS_EVERY)

    def _prune_events(self) -> None:
        self.imagery.deliverer.prune()

    def _check_updates(self) -> None:
        self.imagery.update_checker.run(now=self.imagery.clock())

    def _reconcile(self) -> None:
        self.imagery.reconciler.run(now=self.imagery.clock())

    def _check_deletions(self) -> None:
        if self.imagery.admission.paused() is not None:
            return  # whoever pressed the stop wants to find things as they are
        now = self.imagery.clock()
        self.imagery.delete_checker.run(now=now)
        self.imagery.engine.forget(now - HISTORY_KEPT)
