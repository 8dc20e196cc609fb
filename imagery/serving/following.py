"""Watches one subscription until there is nothing more to wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from imagery.errors import ExecutionUnknown
from imagery.model.codec import to_seconds
from imagery.model.execution import Execution, ExecutionStatus
from imagery.model.outcome import OutcomeStatus
from imagery.model.subscription import Subscription
from imagery.service.looks import first_requests
from imagery.wiring import Imagery

LOOK_EVERY = timedelta(seconds=0.15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a subscription's first looks at the provider have come."""

    first_look: Execution | None
    """One that failed, or the newest window's. None: not begun, or the subscription's time lies ahead."""

    counts: Mapping[OutcomeStatus, int]
    is_finished: bool
    """The first looks have ended, older windows' too, and nothing they found is waiting."""

    @property
    def found(self) -> int:
        """Acquisitions known so far."""
        return sum(self.counts.values())

    @property
    def waiting(self) -> int:
        return self.counts[OutcomeStatus.WAITING]

    @property
    def trouble(self) -> str | None:
        """Why the first look failed; None when it did not."""
        look = self.first_look
        if look is None or look.status in (ExecutionStatus.RUNNING, ExecutionStatus.SUCCEEDED):
            return None
        return f"{look.error or look.status}: {look.cause or 'no cause was given'}"


def look_at(imagery: Imagery, subscription: Subscription) -> Progress:
    """How it stands now."""
    requests = first_requests(subscription, longest=imagery.settings.look_window)
    looks = [_execution(imagery, request.id) for request in requests]
    # The looks are read before the ledger: what ended ones have found is all there by then.
    counts = imagery.subscriptions.ledger.counts(subscription.id)
    ended = all(look is not None and look.status is not ExecutionStatus.RUNNING for look in looks)
    fine = (None, ExecutionStatus.RUNNING, ExecutionStatus.SUCCEEDED)
    failed = [look for look in looks if look is not None and look.status not in fine]
    return Progress(
        first_look=next(iter(failed or looks), None),
        counts=counts,
        is_finished=ended and not counts[OutcomeStatus.WAITING],
    )


def follow(
    imagery: Imagery,
    subscription: Subscription,
    *,
    every: timedelta = LOOK_EVERY,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Progress]:
    """How it stands, again and again; the last one is finished. Somebody else has to do the work."""
    while True:
        progress = look_at(imagery, subscription)
        yield progress
        if progress.is_finished:
            return
        sleep(to_seconds(every))


def _execution(imagery: Imagery, execution_id: str) -> Execution | None:
    try:
        return imagery.orchestrator.get(execution_id)
    except ExecutionUnknown:
        return None
