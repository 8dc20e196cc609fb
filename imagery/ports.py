"""What the house asks of its back ends. A docstring is a promise, and promises only what the weakest back end can keep.

Every method may raise the retryable error of its side (StoreUnavailable, ObjectStoreUnavailable, CatalogUnavailable,
ProviderUnavailable); only what goes beyond that is said. All of them may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

import pystac

from imagery.model.access import ApiKey
from imagery.model.control import Pause, Usage
from imagery.model.deletion import Deletion, DeletionQuery
from imagery.model.event import Attempt, Delivery, DeliveryLog, Event, EventQuery
from imagery.model.execution import Execution, ExecutionQuery, ExecutionStatus, HistoryEvent
from imagery.model.failure import Failure, FailureQuery
from imagery.model.feed import FeedCursor
from imagery.model.look import Look
from imagery.model.order import Order, OrderQuery, OrderReading, OrderStatus, OrderWish
from imagery.model.outcome import Outcome, OutcomeQuery, OutcomeStatus
from imagery.model.paging import Page
from imagery.model.product import Product
from imagery.model.request import Request, RequestKind
from imagery.model.search import Search
from imagery.model.subscription import Idempotency, Priority, Subscription, SubscriptionQuery, Webhook

Clock = Callable[[], datetime]
"""Now; aware, UTC."""

Together = Callable[[], AbstractContextManager[object]]
"""`with together():` saves what this thread writes to store, ledger, feeds, events and queue in one transaction.

A back end that has none writes in the order of the calls; so order them such that repeating the block is harmless.
"""


class SubscriptionStore(Protocol):
    """Subscriptions as their owners made them, and how far each has been checked."""

    def add(
        self, subscription: Subscription, *, idempotency: Idempotency | None = None, most: int | None = None
    ) -> Subscription:
        """Save a new one; it is durable when this returns.

        With an idempotency key this owner used before: the subscription of that time as it stands now, and nothing is
        saved. Raises IdempotencyConflict if the key came with another fingerprint; LimitReached if the owner has `most`
        active and paused ones already, however many are added at once.
        """

    def get(self, subscription_id: str) -> Subscription:
        """Raises SubscriptionUnknown."""

    def replace(self, subscription: Subscription, *, most: int | None = None) -> None:
        """Save an owner's change. Raises VersionConflict unless the stored version is one less, SubscriptionUnknown;
        LimitReached if it would become active or paused again while the owner has `most` of those.

        `checked_through` and `last_update_at` are left as stored: they belong to `mark`.
        """

    def mark(
        self, subscription_id: str, *, checked_through: datetime | None = None, last_update_at: datetime | None = None
    ) -> None:
        """Move progress forward; a time earlier than the stored one is passed over. Does nothing if it is gone."""

    def find(self, query: SubscriptionQuery) -> Page[Subscription]:
        """In order of creation. Raises CursorInvalid."""

    def feeds(self) -> tuple[tuple[str, str], ...]:
        """(provider, collection) of the active ones, each once; costs the same however many subscriptions there are."""

    def remove(self, subscription_id: str) -> None:
        """Forget it, its idempotency key and its looks. Does nothing if it is gone."""


class Ledger(Protocol):
    """One row a (subscription, source item): how that acquisition ended."""

    def record(self, outcome: Outcome) -> None:
        """Save, over what was there.

        A WAITING one replaces a final one only if its `source_updated_at` is later, or if another request
        is to make what FAILED (a replay), was skipped as INACTIVE (its subscription has been resumed) or was skipped
        BY_FILTER (its subscription has others now).
        """

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

    def counts(self, query: FailureQuery) -> Mapping[str, int]:
        """How many of each error match, whatever the query's `limit` and `cursor`; none that has no failure."""

    def remove(self, failure_id: str) -> None:
        """Forget it. Does nothing if it is gone."""


class LookStore(Protocol):
    """Which windows of acquisition time are still to be searched for a subscription, and which were."""

    def plan(self, looks: Sequence[Look]) -> None:
        """Keep them; one whose request is known already is left as it stands. Their subscriptions must be there."""

    def done(self, request_id: str, *, now: datetime) -> None:
        """All it found has been asked for. The first time counts; does nothing if there is no such look."""

    def of(self, subscription_id: str) -> tuple[Look, ...]:
        """All of a subscription's, the newest window first."""

    def pending(
        self, kind: RequestKind, *, planned_before: datetime, limit: int, after: Look | None = None
    ) -> tuple[Look, ...]:
        """Up to `limit` of a kind that are not done, in the order they were planned, from behind `after`."""


class OrderDesk(Protocol):
    """Where a provider that delivers later is ordered from. Its errors are those of Provider.

    Among what is refused: CredentialsRefused, QuotaExhausted.
    """

    def place(self, name: str, wish: OrderWish, *, webhook_url: str | None) -> OrderReading:
        """Order it, whatever was ordered before. After ProviderUnavailable the order may have been placed."""

    def named(self, name: str) -> OrderReading | None:
        """The newest order of exactly this name; None: there is none, or it is so new that it is not listed yet."""

    def get(self, order_id: str) -> OrderReading | None:
        """As it stands now, with links that work; None when the provider does not know it."""


class OrderStore(Protocol):
    """Orders placed at providers, and those about to be."""

    def save(self, order: Order) -> None:
        """Over what was there of this name. Durable when it returns."""

    def get(self, name: str) -> Order | None:
        """The order, or None."""

    def by_webhook_key(self, webhook_key: str) -> Order | None:
        """The order whose URL ends so, or None; takes the same time for either."""

    def due(self, *, now: datetime, limit: int) -> tuple[Order, ...]:
        """Up to `limit` whose `look_at` lies at or before now, the longest due first."""

    def of_item(self, provider: str, item_id: str) -> tuple[Order, ...]:
        """Every order that holds it, the newest first."""

    def find(self, query: OrderQuery) -> Page[Order]:
        """Newest first. Raises CursorInvalid."""

    def hectares(self, day: date) -> float:
        """Of all orders placed, or about to be, on that day (UTC)."""

    def counts(self) -> Mapping[OrderStatus, int]:
        """How many there are of each status; every status is there."""


class ProductStore(Protocol):
    """What has been made of each acquisition: which item of ours stands, and which it has taken the place of."""

    def save(self, product: Product) -> None:
        """Over what was there of this item."""

    def of(self, subscription_id: str, acquisition: str) -> tuple[Product, ...]:
        """All that were made of one acquisition, the oldest version first."""

    def all_of(self, subscription_id: str) -> Iterator[Product]:
        """Every product of a subscription, of any status."""

    def expired(self, *, now: datetime, limit: int) -> tuple[Product, ...]:
        """Up to `limit` superseded ones whose `expires_at` lies at or before now, the longest due first."""

    def remove(self, product: Product) -> None:
        """Forget it. Safe to repeat."""

    def forget(self, subscription_id: str) -> None:
        """Forget every product of a subscription. Safe to repeat."""


class DeletionStore(Protocol):
    """What was removed, and when."""

    def save(self, deletion: Deletion) -> None:
        """Over what was there of this subscription."""

    def get(self, subscription_id: str) -> Deletion | None:
        """The deletion, or None."""

    def find(self, query: DeletionQuery) -> Page[Deletion]:
        """Those that began last first. Raises CursorInvalid."""


class FeedStore(Protocol):
    """How far each provider's feed has been read."""

    def get(self, provider: str, collection: str) -> FeedCursor | None:
        """The cursor, or None before the first read."""

    def save(self, cursor: FeedCursor) -> None:
        """Over what was there."""

    def list(self) -> tuple[FeedCursor, ...]:
        """All of them."""


class EventStore(Protocol):
    """What happened, until its subscribers have been told and for a while after."""

    def add(self, events: Sequence[Event]) -> None:
        """Keep them; one of the same id is passed over. Those of a subscription with a webhook are due at once."""

    def get(self, event_id: str) -> Event:
        """Raises EventUnknown."""

    def find(self, query: EventQuery) -> Page[Event]:
        """Newest first. Raises CursorInvalid."""

    def prune(self, *, before: datetime) -> int:
        """Forget those that happened before, with their deliveries; gives how many went."""


class Outbox(Protocol):
    """Which events have yet to be told to whom. Each is told at least once, unless a day of trying was in vain."""

    def due(self, *, now: datetime, limit: int, busy: Collection[Delivery] = ()) -> tuple[Delivery, ...]:
        """Up to `limit` whose time has come, `busy` ones left out; no other process may be at work on them.

        Fair to receivers: counted with the busy ones, at most one a subscription (its oldest that is due), a few an
        endpoint, and some an owner; none of an endpoint that failed until its pause is over.
        """

    def settle(self, delivery: Delivery, attempt: Attempt | None = None, *, paused_until: datetime | None) -> None:
        """Save how it stands after an attempt, or after none was made; its endpoint rests until `paused_until`.

        An attempt that failed also ends what its endpoint has been refused for longer than DELIVER_FOR. Does nothing
        if the event is gone.
        """

    def log(self, event_id: str) -> DeliveryLog:
        """Empty for an event nobody was to be told of."""

    def redeliver(self, delivery: Delivery) -> None:
        """Make it due at `next_at`, whether or not it was delivered, and end its endpoint's pause."""

    def retarget(self, subscription_id: str, endpoint: str | None, *, now: datetime) -> None:
        """What is pending of this subscription goes to another endpoint, now; None: to nobody, it is canceled."""


class Notifier(Protocol):
    """Tells one receiver one thing, once."""

    def check(self, url: str) -> None:
        """Raises AddressRefused if this service may not send there."""

    def send(self, webhook: Webhook, event: Event, *, now: datetime) -> Attempt:
        """Deliver it, signed. Whatever goes wrong is in the attempt; takes no longer than ATTEMPT_TIMEOUT."""


class ControlStore(Protocol):
    """The global stop, one for all processes."""

    def pause(self, pause: Pause) -> Pause:
        """Save it, unless there is one already; gives the one in force. Durable when it returns."""

    def resume(self) -> None:
        """End it. Does nothing if there is none."""

    def paused(self) -> Pause | None:
        """The one in force."""


class UsageStore(Protocol):
    """What is used up of the limits, by all processes together."""

    def admit(self, wanted: int, *, limit: int, span: timedelta, now: datetime) -> int:
        """Take up to `wanted` starts; gives how many. No span of this length ever holds more than `limit`.

        Nor does a clock set back by hours stop starts for hours: what was taken beyond `now` + `span` is forgotten.
        """

    def admitted(self, *, span: timedelta, now: datetime) -> tuple[int, datetime | None]:
        """Starts taken in the last `span`, and when the first of them was."""

    def add(self, day: date, used: Usage) -> None:
        """On top of what that day (UTC) has."""

    def on(self, day: date) -> Usage:
        """Of that day (UTC)."""

    def total(self) -> Usage:
        """Of all days."""


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

    def oldest(self) -> Mapping[Priority, datetime]:
        """When the oldest request of each priority was sent, of those `depth` counts; none where there is none."""

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

    def counts(self) -> Mapping[ExecutionStatus, int]:
        """How many executions ever started stand at each status; every status is there. May lag a little."""


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

    def changes(self, collection_id: str, *, since: datetime) -> Iterator[pystac.Item]:
        """Items of the collection whose `updated` lies at or after `since`, oldest `updated` first.

        Raises when it could not be finished, like `search`; FeedUnsupported when it cannot answer this at all.
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

DELIVER_FOR = timedelta(hours=24)
"""How long an event is offered to a receiver that does not take it."""

ATTEMPT_TIMEOUT = timedelta(seconds=20)
"""How long one try to deliver an event may take in all."""

AGING_INTERVAL = timedelta(minutes=15)
"""The head start a rank of priority gives."""
