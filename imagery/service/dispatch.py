"""From the processing queue to the orchestrator, as fast as the concurrency limit allows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from imagery.errors import ImageryError
from imagery.model.codec import to_dict
from imagery.ports import Clock, FailureStore, Ledger, Message, Orchestrator, ProcessingQueue, SubscriptionStore
from imagery.service.failures import record_failure

logger = logging.getLogger(__name__)

MAX_DELIVERIES = 10
"""After so many tries a request that cannot be started goes to the failure queue, out of the others' way.

Trouble that passes, such as a locked database, is waited out however long it takes.
"""


@dataclass(frozen=True, kw_only=True)
class Dispatcher:
    """Starts an execution for each request whose turn has come."""

    queue: ProcessingQueue
    orchestrator: Orchestrator
    subscriptions: SubscriptionStore
    ledger: Ledger
    failures: FailureStore
    clock: Clock
    limit: int
    """Executions under way at once; those that wait for a callback do not count."""

    provider_kinds: Mapping[str, str]
    """Provider name → which branch of the workflow it takes."""

    def run_once(self) -> int:
        """Start what there is room for; gives how many.

        An execution is named after its request, and the message is acknowledged only once it has started: a crash in
        between delivers the message again, and starting it again does nothing.
        """
        room = self.limit - self.orchestrator.running()
        if room <= 0:
            return 0
        messages = self.queue.receive(room)
        for message in messages:
            self._start(message)
        return len(messages)

    def _start(self, message: Message) -> None:
        request = message.request
        kind = self.provider_kinds.get(request.provider, "unknown")
        try:
            self.orchestrator.start(request.id, {"request": to_dict(request), "provider_kind": kind})
        except ImageryError as error:
            logger.warning("not started: %s", error, extra={"request_id": request.id, "error": type(error).__name__})
            if error.retryable or message.deliveries < MAX_DELIVERIES:
                return  # it comes back when its visibility timeout ends
            self._give_up(message, error)
        else:
            logger.info("started", extra={"request_id": request.id, "priority": request.priority})
        self.queue.acknowledge(message.receipt)

    def _give_up(self, message: Message, error: ImageryError) -> None:
        record_failure(
            message.request.id,
            {
                "request": to_dict(message.request),
                "error": {"Error": type(error).__name__, "Cause": f"it could not be started: {error}"},
            },
            subscriptions=self.subscriptions,
            ledger=self.ledger,
            failures=self.failures,
            now=self.clock(),
        )
