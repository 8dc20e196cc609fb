"""From the processing queue to the orchestrator, as fast as the limits allow."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from imagery.errors import ImageryError
from imagery.log_context import logged_with
from imagery.model.codec import to_dict
from imagery.model.control import LimitStatus
from imagery.model.request import Request
from imagery.ports import (
    Clock,
    EventStore,
    FailureStore,
    Ledger,
    Message,
    Orchestrator,
    ProcessingQueue,
    SubscriptionStore,
)
from imagery.service.admission import Admission
from imagery.service.failing import record_failure

logger = logging.getLogger(__name__)

MAX_DELIVERIES = 10
"""After so many tries a request that cannot be started goes to the failure queue, out of the others' way.

Trouble that passes, such as a locked database, is waited out however long it takes.
"""


class _Notice:
    """Says why nothing is started once, not five times a second."""

    def __init__(self) -> None:
        self._said: str | None = None

    def say(self, why: str | None) -> None:
        if why == self._said:
            return
        self._said = why
        if why is None:
            logger.info("requests are started again")
        else:
            logger.warning("no request is started: %s", why)


@dataclass(frozen=True, kw_only=True)
class Dispatcher:
    """Starts an execution for each request whose turn has come."""

    queue: ProcessingQueue
    orchestrator: Orchestrator
    subscriptions: SubscriptionStore
    ledger: Ledger
    failures: FailureStore
    events: EventStore
    clock: Clock
    limit: int
    """Executions under way at once; those that wait for a callback do not count."""

    provider_kinds: Mapping[str, str]
    """Provider name → which branch of the workflow it takes."""

    admission: Admission | None = None
    """The pause and the limits over time. None: only `limit` holds it back."""

    _notice: _Notice = field(default_factory=_Notice, repr=False)

    def run_once(self) -> int:
        """Start what there is room for; gives how many.

        An execution is named after its request, and the message is acknowledged only once it has started: a crash in
        between delivers the message again, and starting it again does nothing.
        """
        room = self._room()
        if room <= 0:
            return 0
        messages = self.queue.receive(room)
        granted = len(messages) if self.admission is None or not messages else self.admission.take(len(messages))
        for message in messages[granted:]:
            self.queue.release(message.receipt)
        for message in messages[:granted]:
            with logged_with(**_ids(message.request)):
                self._start(message)
        return granted

    def limits(self) -> tuple[LimitStatus, ...]:
        """How the limits stand that work is started under."""
        concurrency = LimitStatus(name="concurrency", limit=self.limit, used=self.orchestrator.running())
        return (concurrency, *(self.admission.limits() if self.admission else ()))

    def _room(self) -> int:
        left = self.limit - self.orchestrator.running()
        if self.admission is None:
            return left
        why = self.admission.held_back()
        self._notice.say(why)
        return 0 if why else min(left, self.admission.room())

    def _start(self, message: Message) -> None:
        request = message.request
        kind = self.provider_kinds.get(request.provider, "unknown")
        try:
            self.orchestrator.start(request.id, {"request": to_dict(request), "provider_kind": kind})
        except ImageryError as error:
            logger.warning("not started: %s", error, extra={"error": type(error).__name__})
            if error.retryable or message.deliveries < MAX_DELIVERIES:
                return  # it comes back when its visibility timeout ends
            self._give_up(message, error)
        else:
            logger.info("started", extra={"priority": request.priority})
        self.queue.acknowledge(message.receipt)

    def _give_up(self, message: Message, error: ImageryError) -> None:
        record_failure(
            {
                "request": to_dict(message.request),
                "error": {"Error": type(error).__name__, "Cause": f"it could not be started: {error}"},
            },
            subscriptions=self.subscriptions,
            ledger=self.ledger,
            failures=self.failures,
            events=self.events,
            now=self.clock(),
        )


def _ids(request: Request) -> dict[str, object]:
    """What its lines in the log are found by; an execution is named after its request."""
    alone = request.subscription_ids[0] if len(request.subscription_ids) == 1 else None
    return {"request_id": request.id, "execution_id": request.id, "subscription_id": alone}
