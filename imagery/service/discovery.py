"""From what a provider has to requests for it: each item of each subscription is asked for once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pystac

from imagery.errors import ProviderAnswerInvalid
from imagery.model.outcome import Outcome, OutcomeStatus, SkipReason
from imagery.model.request import Request, RequestKind, attempt_of
from imagery.model.search import Search
from imagery.model.subscription import Priority, Subscription
from imagery.ports import Ledger, ProcessingQueue, Provider

logger = logging.getLogger(__name__)

BATCH = 100
"""Requests sent at once: a search over years is not held in memory, and a crash repeats little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Discovery:
    """What a look at the provider came to."""

    found: int
    """Items that match."""

    requested: int
    """Those of them that were new, or newer than what was delivered."""


def discover(
    subscription: Subscription,
    *,
    search: Search,
    kind: RequestKind,
    provider: Provider,
    ledger: Ledger,
    queue: ProcessingQueue,
    now: datetime,
) -> Discovery:
    """Ask for every item of `search` that this subscription has not had.

    Safe to repeat: requests are named after item and subscription, so one that is under way is not doubled, and one
    that was lost between ledger and queue is sent again. If the search raises, what was found so far stays asked for.
    """
    priority = Priority.HIGH if kind is RequestKind.INITIAL else subscription.priority
    asked = _Asked(subscription=subscription, kind=kind, priority=priority, ledger=ledger, queue=queue, now=now)
    try:
        for item in provider.search(search):
            asked.take(item)
    finally:
        asked.send()
    logger.info(
        "discovery finished",
        extra={"subscription_id": subscription.id, "found": asked.found, "requested": asked.requested},
    )
    return Discovery(found=asked.found, requested=asked.requested)


@dataclass(kw_only=True)
class _Asked:
    """Items on their way into the queue, a batch at a time."""

    subscription: Subscription
    kind: RequestKind
    priority: Priority
    ledger: Ledger
    queue: ProcessingQueue
    now: datetime
    found: int = 0
    requested: int = 0
    batch: list[Request] = field(default_factory=list)

    def take(self, item: pystac.Item) -> None:
        """Put it in the batch if the subscription has not had it."""
        self.found += 1
        earlier = self.ledger.get(self.subscription.id, item.id)
        if not _is_new(item, earlier):
            return
        request = self._request(item, attempt=_attempt(item, earlier))
        self.ledger.record(_waiting(item, self.subscription, request, earlier=earlier, now=self.now))
        self.batch.append(request)
        if len(self.batch) == BATCH:
            self.send()

    def send(self) -> None:
        """Empty the batch into the queue."""
        self.queue.send(self.batch)
        self.requested += len(self.batch)
        self.batch = []

    def _request(self, item: pystac.Item, *, attempt: int) -> Request:
        return Request.for_item(
            kind=self.kind,
            priority=self.priority,
            provider=self.subscription.provider,
            collection=self.subscription.collection,
            item_id=item.id,
            item_updated_at=updated_at(item),
            subscription_ids=[self.subscription.id],
            now=self.now,
            attempt=attempt,
        )


def updated_at(item: pystac.Item) -> datetime | None:
    """When the provider last changed the item; None when it does not say. Raises ProviderAnswerInvalid."""
    return _instant(item, lambda: item.common_metadata.updated or item.common_metadata.created)


def acquired_at(item: pystac.Item) -> datetime:
    """The item's nominal instant. Raises ProviderAnswerInvalid when it has none."""
    instant = _instant(item, lambda: item.datetime or item.common_metadata.start_datetime)
    if instant is None:
        raise ProviderAnswerInvalid(f"item {item.id} has neither datetime nor start_datetime")
    return instant


def _instant(item: pystac.Item, read: Callable[[], datetime | None]) -> datetime | None:
    try:
        instant = read()
    except (ValueError, TypeError, OverflowError) as error:
        raise ProviderAnswerInvalid(f"item {item.id} has a time that is none: {error}") from error
    # STAC says UTC; one without an offset is taken at that word, not as the time of this machine's zone.
    return instant.replace(tzinfo=UTC) if instant is not None and instant.tzinfo is None else instant


def _is_new(item: pystac.Item, earlier: Outcome | None) -> bool:
    """Whether it is work: never asked for, not finished, passed over while nobody wanted it, or changed since."""
    if earlier is None or not earlier.is_final or earlier.reason is SkipReason.INACTIVE:
        return True
    updated = updated_at(item)
    if updated is None or earlier.source_updated_at is None:
        return False
    return updated > earlier.source_updated_at


def _attempt(item: pystac.Item, earlier: Outcome | None) -> int:
    """A request's id is used once: work on the same state of the item that was passed over needs another."""
    if earlier is None or earlier.source_updated_at != updated_at(item):
        return 1
    return attempt_of(earlier.request_id) + (1 if earlier.is_final else 0)


def _waiting(
    item: pystac.Item, subscription: Subscription, request: Request, *, earlier: Outcome | None, now: datetime
) -> Outcome:
    return Outcome(
        subscription_id=subscription.id,
        item_id=item.id,
        collection=subscription.collection,
        status=OutcomeStatus.WAITING,
        acquired_at=acquired_at(item),
        source_updated_at=updated_at(item),
        explanation="found at the provider; waiting for its turn",
        published_item_id=earlier.published_item_id if earlier else None,
        published_collection=earlier.published_collection if earlier else None,
        request_id=request.id,
        updated_at=now,
    )


def search_for(subscription: Subscription, *, since: datetime | None, now: datetime) -> Search | None:
    """The question to ask the provider about a subscription now; None while its window has not begun."""
    until = now if subscription.end_at is None else min(now, subscription.end_at)
    if until < subscription.start_at:
        return None
    return Search(
        collection=subscription.collection,
        aoi=subscription.aoi,
        acquired_from=subscription.start_at,
        acquired_to=until,
        updated_since=since,
    )
