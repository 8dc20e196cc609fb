"""What the house asks of its back ends. A docstring is a promise, and promises only what the weakest back end can keep.

Every method may raise the retryable error of its side (StoreUnavailable, ObjectStoreUnavailable, CatalogUnavailable,
ProviderUnavailable); only what goes beyond that is said. All of them may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import pystac

from imagery.model.access import ApiKey
from imagery.model.execution import Execution, ExecutionQuery, HistoryEvent
from imagery.model.failure import Failure, FailureQuery
from imagery.model.outcome import Outcome, OutcomeQuery, OutcomeStatus
from imagery.model.paging import Page
from imagery.model.request import Request
from imagery.model.search import Search
from imagery.model.subscription import Idempotency, Priority, Subscription, SubscriptionQuery

Clock = Callable[[], datetime]
"""Now; aware, UTC."""


class SubscriptionStore(Protocol):
    """Subscriptions as their owners made them, and how far each has been checked."""

    def add(self, subscription: Subscription, *, idempotency: Idempotency | None = None) -> Subscription:
        """Save a new one; it is durable when this returns.

        With an idempotency key this owner used before: the subscription of that time as it stands now, and nothing is
        saved. Raises IdempotencyConflict if the key came with another fingerprint.
        """

    def get(self, subscription_id: str) -> Subscription:
        """Raises SubscriptionUnknown."""

    def replace(self, subscription: Subscription) -> None:
        """Save an owner's change. Raises VersionConflict unless the stored version is one less, SubscriptionUnknown.

        `checked_through` and `last_update_at` are left as stored: they belong to `mark`.
        """

    def mark(
        self, subscription_id: str, *, checked_through: datetime | None = None, last_update_at: datetime | None = None
    ) -> None:
        """Move progress forward; a time earlier than the stored one is passed over. Does nothing if it is gone."""

    def find(self, query: SubscriptionQuery) -> Page[Subscription]:
        """In order of creation. Raises CursorInvalid."""

    def remove(self, subscription_id: str) -> None:
        """Forget it and its idempotency key. Does nothing if it is gone."""


class Ledger(Protocol):
    """One row a (subscription, source item): how that acquisition ended."""

    def record(self, outcome: Outcome) -> None:
        """Save, over what was there. A WAITING one replaces a final one only if its `source_updated_at` is later."""

    def get(self, subscription_id: str, item_id: str) -> Outcome | None:
        """The row, or None."""

    def find(self, query: OutcomeQuery) -> Page[Outcome]:
        """Newest acquisition first. Raises CursorInvalid."""

    def counts(self, subscription_id: str) -> Mapping[OutcomeStatus, int]:
        """How many rows of a subscription stand at each status; every status is there, with 0 when there are none."""

    def remove(self, subscription_id: str) -> None:
        """Forget every row of a subscription. Safe to repeat."""


class FailureStore(Protocol):
    """The failure queue, as a resource."""

    def add(self, failure: Failure) -> None:
        """Keep it; one of the same id is replaced."""

    def get(self, failure_id: str) -> Failure:
        """Raises FailureUnknown."""

    def find(self, query: FailureQuery) -> Page[Failure]:
        """Newest first. Raises CursorInvalid."""

    def remove(self, failure_id: str) -> None:
        """Forget it. Does nothing if it is gone."""


class KeyStore(Protocol):
    """API keys, hashed."""

    def add(self, key: ApiKey) -> None:
        """Save a new one."""

    def get(self, key_id: str) -> ApiKey:
        """Raises KeyUnknown. A revoked key is given, with its `revoked_at`."""

    def list(self) -> tuple[ApiKey, ...]:
        """All of them, oldest first."""

    def revoke(self, key_id: str, *, now: datetime) -> None:
        """It opens nothing from now on. Raises KeyUnknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A request in somebody's hands."""

    request: Request
    receipt: str
    """Names this delivery of it; a later delivery has another."""

    deliveries: int = 1
    """How often it was handed out, this time included: one that grows means a request nobody can finish."""


class ProcessingQueue(Protocol):
    """Requests waiting for their turn: durable, at least once, three priorities."""

    def send(self, requests: Sequence[Request]) -> None:
        """All of them, durably, or none. One whose id is in the queue already is passed over."""

    def receive(self, limit: int) -> tuple[Message, ...]:
        """Up to `limit` of the most urgent, hidden from others until acknowledged or their visibility timeout ends.

        HIGH before NORMAL before LOW, oldest first, with aging: a request is overtaken by those of the next rank only
        if they came within AGING_INTERVAL after it (two ranks, two intervals). So nothing waits for ever.
        """

    def acknowledge(self, receipt: str) -> None:
        """It is done; never deliver it again. Does nothing if its timeout ended and another holds it now."""

    def release(self, receipt: str) -> None:
        """Give it back at once. Does nothing if another holds it now."""

    def depth(self) -> Mapping[Priority, int]:
        """Requests in the queue by priority, those in somebody's hands included. May lag a little."""

    def peek(self, limit: int) -> tuple[Request, ...]:
        """What would come next, taking nothing; for people, and approximate."""


class Orchestrator(Protocol):
    """Runs the workflow, durably."""

    def start(self, execution_id: str, payload: Mapping[str, Any]) -> None:
        """Start it, or do nothing if an execution with this id was ever started. Durable when it returns."""

    def get(self, execution_id: str) -> Execution:
        """Raises ExecutionUnknown."""

    def history(self, execution_id: str) -> tuple[HistoryEvent, ...]:
        """What it went through, oldest first. Raises ExecutionUnknown."""

    def find(self, query: ExecutionQuery) -> Page[Execution]:
        """Newest first. Raises CursorInvalid."""

    def running(self) -> int:
        """Executions with work under way or about to be: what the concurrency limit counts.

        Those that wait for a task token, for a time or for their next try hold no place.
        """


class TaskTokens(Protocol):
    """How the outside resumes a paused execution. TaskTokenUnknown: a token that is used or timed out."""

    def resume(self, task_token: str, output: Mapping[str, Any]) -> None:
        """The task has succeeded. Durable when it returns."""

    def fail(self, task_token: str, *, error: str, cause: str) -> None:
        """The task has failed. Durable when it returns."""

    def heartbeat(self, task_token: str) -> None:
        """The task is still under way."""


class Engine(Protocol):
    """The embedded orchestrator's inside: what the worker switches on and off. AWS needs none."""

    def start_working(self) -> None:
        """Take up all unfinished executions. Raises AlreadyRunning if another process is at work on them."""

    def forget(self, before: datetime) -> int:
        """Drop the histories of executions that ended before this; gives how many. None of them can start again."""

    def close(self, timeout_s: float) -> None:
        """Begin nothing new, give what is under way so long, then stop; the rest goes on at the next start."""


class Provider(Protocol):
    """Somebody with imagery. Beyond ProviderUnavailable: ProviderThrottled, ProviderRefused, ProviderAnswerInvalid."""

    def search(self, search: Search) -> Iterator[pystac.Item]:
        """Every matching item once, hrefs absolute, in no promised order.

        Raises when the search could not be finished: a partial answer is never passed off as a whole one.
        """

    def get(self, collection_id: str, item_id: str) -> pystac.Item:
        """The item as it is now. Raises ItemUnknown."""

    def get_collection(self, collection_id: str) -> pystac.Collection:
        """Raises CollectionUnknown."""


class ObjectStore(Protocol):
    """Bytes by key. Keys are relative, `/`-separated and never end in `/`."""

    def put(self, key: str, body: bytes, *, media_type: str) -> str:
        """Store whole or not at all, over what was there; gives the object's href (`file://…` or `s3://…`)."""

    def get(self, key: str) -> bytes:
        """Raises ObjectUnknown."""

    def href(self, key: str) -> str:
        """Where the object of this key is or will be."""

    def remove_prefix(self, prefix: str) -> int:
        """Remove every object below `prefix/`; gives how many. Safe to repeat."""


class Catalog(Protocol):
    """The STAC catalog, as a publisher sees it. Analysts see its STAC API."""

    def ensure_collection(self, collection: pystac.Collection) -> None:
        """Make it if it is not there; one that is there is left alone."""

    def publish(self, items: Sequence[pystac.Item]) -> None:
        """Put each in its collection, over one of the same id; all are found by searches when this returns.

        Safe to repeat. Raises ItemInvalid, CollectionUnknown.
        """

    def retract(self, collection_id: str, item_ids: Sequence[str]) -> None:
        """Take them out. Safe to repeat."""

    def get(self, collection_id: str, item_id: str) -> pystac.Item | None:
        """The item as published, or None."""


VISIBILITY_TIMEOUT = timedelta(seconds=60)
"""How long a received request stays hidden: a worker that dies delays its requests by no more."""

AGING_INTERVAL = timedelta(minutes=15)
"""The head start a rank of priority gives."""
