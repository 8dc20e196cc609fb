"""What happened, put into the words subscribers are told: bounded, and without a secret."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from imagery.model.codec import format_instant
from imagery.model.event import Event, EventType
from imagery.model.failure import Failure
from imagery.model.outcome import Outcome
from imagery.model.subscription import Subscription

MAX_CAUSE_CHARS = 1000


def created(subscription: Subscription) -> Event:
    """Somebody subscribed."""
    return _of_subscription(EventType.SUBSCRIPTION_CREATED, subscription)


def updated(subscription: Subscription, *, changed: Iterable[str]) -> Event:
    """Its owner changed it, or took the mark of deletion off."""
    return _of_subscription(EventType.SUBSCRIPTION_UPDATED, subscription, changed=sorted(changed))


def deleted(subscription: Subscription) -> Event:
    """It was marked for deletion; until `delete_at` it can be restored."""
    return _of_subscription(EventType.SUBSCRIPTION_DELETED, subscription)


def failed(failure: Failure, subscription: Subscription) -> Event:
    """A request failed for good: what it was about does not reach this subscription unless it is replayed."""
    return Event.of(
        EventType.SUBSCRIPTION_FAILED,
        owner=subscription.owner,
        subscription_id=subscription.id,
        subject=subscription.id,
        state=failure.request.id,
        at=failure.failed_at,
        data={
            "failure_id": failure.id,
            "error": failure.error,
            "cause": failure.cause[:MAX_CAUSE_CHARS],
            "state": failure.state,
            "retryable": failure.retryable,
            "request_id": failure.request.id,
            "source_item_ids": list(failure.request.item_ids[:100]),
        },
    )


def published(outcome: Outcome, *, owner: str, at: datetime) -> Event:
    """An item can be found in the catalog; one whose source has a later state is told again."""
    item_id, collection = outcome.published_item_id or "", outcome.published_collection or outcome.collection
    state = format_instant(outcome.source_updated_at) if outcome.source_updated_at else ""
    return Event.of(
        EventType.ITEM_PUBLISHED,
        owner=owner,
        subscription_id=outcome.subscription_id,
        subject=item_id,
        state=state,
        at=at,
        data={
            "item_id": item_id,
            "collection": collection,
            "item_path": f"/stac/collections/{quote(collection, safe='')}/items/{quote(item_id, safe='')}",
            "source_item_id": outcome.item_id,
            "acquired_at": format_instant(outcome.acquired_at),
            "source_updated_at": state or None,
            "numbers": dict(outcome.numbers),
            "request_id": outcome.request_id,
        },
    )


def _of_subscription(type_: EventType, subscription: Subscription, **more: Any) -> Event:
    return Event.of(
        type_,
        owner=subscription.owner,
        subscription_id=subscription.id,
        subject=subscription.id,
        state=str(subscription.version),
        at=subscription.updated_at,
        data={
            "status": str(subscription.status),
            "version": subscription.version,
            "provider": subscription.provider,
            "collection": subscription.collection,
            "bbox": list(subscription.aoi.bbox),
            "start_at": format_instant(subscription.start_at),
            "end_at": format_instant(subscription.end_at) if subscription.end_at else None,
            "delete_at": format_instant(subscription.delete_at) if subscription.delete_at else None,
            "labels": dict(subscription.labels),
            **more,
        },
    )
