"""From the processing queue to the orchestrator, as fast as the concurrency limit allows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from imagery.model.codec import to_dict
from imagery.ports import Orchestrator, ProcessingQueue

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Dispatcher:
    """Starts an execution for each request whose turn has come."""

    queue: ProcessingQueue
    orchestrator: Orchestrator
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
            request = message.request
            kind = self.provider_kinds.get(request.provider, "unknown")
            self.orchestrator.start(request.id, {"request": to_dict(request), "provider_kind": kind})
            self.queue.acknowledge(message.receipt)
            logger.info("started", extra={"request_id": request.id, "priority": request.priority})
        return len(messages)
