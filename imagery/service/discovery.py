"""From what a provider has to requests for it: each item of each subscription is asked for once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import pystac

from imagery.errors import ProviderAnswerInvalid
from imagery.model.outcome import Outcome, OutcomeStatus
from imagery.model.request import Request, RequestKind
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
    found = requested = 0
    priority = Priority.HIGH if kind is RequestKind.INITIAL else subscription.priority
    items = provider.search(search)
    while batch := tuple(islice(items, BATCH)):
        found += len(batch)
        wanted = [item for item in batch if _is_new(item, subscription, ledger)]
        requests = [_request(item, subscription, kind=kind, priority=priority, now=now) for item in wanted]
        for item, request in zip(wanted, requests, strict=True):
            ledger.record(_waiting(item, subscription, request, now))
        queue.send(requests)
        requested += len(requests)
    logger.info(
        "discovery finished", extra={"subscription_id": subscription.id, "found": found, "requested": requested}
    )
    return Discovery(found=found, requested=requested)


def updated_at(item: pystac.Item) -> datetime | None:
    """When the provider last changed the item; None when it does not say."""
    return item.common_metadata.updated or item.common_metadata.created


def acquired_at(item: pystac.Item) -> datetime:
    """The item's nominal instant. Raises ProviderAnswerInvalid when it has none."""
    instant = item.datetime or item.common_metadata.start_datetime
    if instant is None:
        raise ProviderAnswerInvalid(f"item {item.id} has neither datetime nor start_datetime")
    return instant


def _is_new(item: pystac.Item, subscription: Subscription, ledger: Ledger) -> bool:
    outcome = ledger.get(subscription.id, item.id)
    if outcome is None or not outcome.is_final:
        return True
    updated = updated_at(item)
    if updated is None or outcome.source_updated_at is None:
        return False
    return updated > outcome.source_updated_at


def _request(
    item: pystac.Item, subscription: Subscription, *, kind: RequestKind, priority: Priority, now: datetime
) -> Request:
    return Request.for_item(
        kind=kind,
        priority=priority,
        provider=subscription.provider,
        collection=subscription.collection,
        item_id=item.id,
        item_updated_at=updated_at(item),
        subscription_ids=[subscription.id],
        now=now,
    )


def _waiting(item: pystac.Item, subscription: Subscription, request: Request, now: datetime) -> Outcome:
    return Outcome(
        subscription_id=subscription.id,
        item_id=item.id,
        collection=subscription.collection,
        status=OutcomeStatus.WAITING,
        acquired_at=acquired_at(item),
        source_updated_at=updated_at(item),
        explanation="found at the provider; waiting for its turn",
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
