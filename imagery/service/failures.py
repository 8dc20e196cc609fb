"""The failure queue: requests that failed for good, kept until somebody deals with them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from imagery.errors import ExecutionUnknown, FailureUnknown
from imagery.model.access import Caller
from imagery.model.execution import ExecutionStatus
from imagery.model.failure import Failure, FailureQuery
from imagery.model.outcome import OutcomeStatus
from imagery.model.paging import Page
from imagery.model.request import Request
from imagery.ports import Clock, FailureStore, Ledger, Orchestrator, ProcessingQueue, Together
from imagery.service.failing import as_failure, is_retryable, record_failure

__all__ = ["Failures", "Replay", "Replays", "as_failure", "is_retryable", "record_failure"]

logger = logging.getLogger(__name__)

Leave = Callable[[], float]
"""Asked before each replay: 0.0 is leave to go on, anything else the seconds until there is."""


def at_once() -> float:
    """Leave, always."""
    return 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """A failure tried again."""

    failure_id: str
    request_id: str
    """Of the new attempt."""

    is_repeat: bool = False
    """Whether this attempt was under way already, and nothing was asked for now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replays:
    """What a replay of many came to."""

    replays: tuple[Replay, ...]
    left: int
    """Failures that match and were not replayed: beyond the limit, or the rate."""

    retry_after_s: float = 0.0
    """When the rate was the reason, until it gives leave again."""


@dataclass(frozen=True, kw_only=True)
class Failures:
    """What a caller may see of the failure queue, and do with it: with their own part of it."""

    store: FailureStore
    ledger: Ledger
    queue: ProcessingQueue
    orchestrator: Orchestrator
    together: Together
    clock: Clock

    def find(self, caller: Caller, query: FailureQuery) -> Page[Failure]:
        """Newest first."""
        return self.store.find(replace(query, owner=caller.scope))

    def counts(self, caller: Caller, query: FailureQuery) -> Mapping[str, int]:
        """How many of each error."""
        return self.store.counts(replace(query, owner=caller.scope))

    def get(self, caller: Caller, failure_id: str) -> Failure:
        """Raises FailureUnknown, for another owner's too."""
        # One sentence for both, so that nobody learns which ids others have.
        refusal = FailureUnknown(f"there is no failure {failure_id}; it may have been replayed or deleted")
        try:
            failure = self.store.get(failure_id)
        except FailureUnknown:
            raise refusal from None
        if caller.scope not in (None, failure.owner):
            raise refusal
        return failure

    def delete(self, caller: Caller, failure_id: str) -> None:
        """Forget it; the ledger goes on saying that the acquisition failed. Raises FailureUnknown."""
        self.get(caller, failure_id)
        self.store.remove(failure_id)
        logger.info("failure deleted", extra={"failure_id": failure_id})

    def replay(self, caller: Caller, failure_id: str, *, dry_run: bool = False) -> Replay:
        """Try it again, at its old priority; the ledger says `waiting` again. Raises FailureUnknown.

        The attempt is named after the work and counted, so that replaying twice asks once. The failure goes when the
        attempt is registered, or is replaced by the attempt's own.
        """
        with self.together():
            # Read inside: what ends meanwhile must not be brought back.
            failure = self.get(caller, failure_id)
            request = self._next_attempt(failure)
            replay = Replay(failure_id=failure_id, request_id=request.id, is_repeat=failure.replay_id == request.id)
            if not dry_run and not self._has_begun(request.id):
                # A repeat too: without transactions the first may have come no further than its mark.
                self.store.add(replace(failure, replay_id=request.id))
                self.queue.send([request])
                self._wait_again(request)
        if not dry_run:
            logger.info("failure replayed", extra={"failure_id": failure_id, "request_id": request.id})
        return replay

    def replay_many(
        self, caller: Caller, query: FailureQuery, *, dry_run: bool = False, leave: Leave = at_once
    ) -> Replays:
        """Up to `query.limit` of those that match, newest first; those under way already are passed over.

        Stops early when `leave` is not given.
        """
        query = replace(query, replayed=False, cursor=None)
        matching = sum(self.counts(caller, query).values())
        failures = self.find(caller, query).values
        done = self.replay_each(caller, [one.id for one in failures], dry_run=dry_run, leave=leave)
        return replace(done, left=max(0, matching - len(done.replays)))

    def replay_each(
        self, caller: Caller, failure_ids: Sequence[str], *, dry_run: bool = False, leave: Leave = at_once
    ) -> Replays:
        """These, in this order; those that are gone are passed over. Stops early when `leave` is not given."""
        replays: list[Replay] = []
        for number, failure_id in enumerate(failure_ids):
            wait_s = 0.0 if dry_run else leave()
            if wait_s > 0:
                return Replays(replays=tuple(replays), left=len(failure_ids) - number, retry_after_s=wait_s)
            try:
                replays.append(self.replay(caller, failure_id, dry_run=dry_run))
            except FailureUnknown:
                continue
        return Replays(replays=tuple(replays), left=0)

    def _next_attempt(self, failure: Failure) -> Request:
        """The first attempt that has not ended: one that ended and left the failure as it was has been lost."""
        request = failure.request.replayed(now=self.clock())
        while self._has_ended(request.id):
            request = request.replayed(now=self.clock())
        return request

    def _has_ended(self, execution_id: str) -> bool:
        return self._status(execution_id) not in (None, ExecutionStatus.RUNNING)

    def _has_begun(self, execution_id: str) -> bool:
        return self._status(execution_id) is not None

    def _status(self, execution_id: str) -> ExecutionStatus | None:
        try:
            return self.orchestrator.get(execution_id).status
        except ExecutionUnknown:
            return None

    def _wait_again(self, request: Request) -> None:
        for subscription_id in request.subscription_ids:
            for item_id in request.item_ids:
                row = self.ledger.get(subscription_id, item_id)
                if row is None or row.status is not OutcomeStatus.FAILED:
                    continue
                waiting = replace(
                    row,
                    status=OutcomeStatus.WAITING,
                    error=None,
                    explanation="it failed before; it is being tried again",
                    request_id=request.id,
                    updated_at=request.created_at,
                )
                self.ledger.record(waiting)
