"""Facts subscribers are told of, named after what happened so that telling twice is telling once; and the telling."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    """What happened."""

    SUBSCRIPTION_CREATED = "imagery.subscription.created"
    SUBSCRIPTION_UPDATED = "imagery.subscription.updated"
    SUBSCRIPTION_DELETED = "imagery.subscription.deleted"
    SUBSCRIPTION_FAILED = "imagery.subscription.failed"
    """One of its requests failed for good."""

    ITEM_PUBLISHED = "imagery.item.published"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One fact about one subscription."""

    id: str
    """`evt_` and a hash of what happened: the same fact always has the same id."""

    type: EventType
    owner: str
    subscription_id: str
    subject: str
    """What it is about: a subscription's id, or a published item's."""

    at: datetime
    data: dict[str, Any] = field(default_factory=dict)
    """JSON; holds no secret. `item_path` is made a URL where the service's own address is known."""

    @classmethod
    def of(
        cls, type_: EventType, *, owner: str, subscription_id: str, subject: str, state: str, at: datetime, data: Any
    ) -> Event:
        """`state` tells one such fact about the subject from the next: a version, the source's `updated`, a request."""
        name = "\x1f".join((type_, subscription_id, subject, state))
        return cls(
            id="evt_" + hashlib.sha256(name.encode()).hexdigest()[:32],
            type=type_,
            owner=owner,
            subscription_id=subscription_id,
            subject=subject,
            at=at,
            data=data,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EventQuery:
    """Which events to list, newest first."""

    owner: str | None = None
    subscription_id: str | None = None
    type: EventType | None = None
    limit: int = 100
    cursor: str | None = None


class DeliveryStatus(StrEnum):
    """PENDING until it ends in one of the others."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Tried for a day, or refused for good."""

    CANCELED = "canceled"
    """The webhook was removed, disabled or replaced by none before it was told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """The telling of one event to one receiver, as it stands."""

    event: Event
    endpoint: str
    """Owner and URL of the webhook, as `endpoint_of` gives it; not for logs, its query may hold a secret."""

    status: DeliveryStatus = DeliveryStatus.PENDING
    tries: int = 0
    """Since it was last asked for."""

    asked_at: datetime
    """When the event was added, or its redelivery was asked for."""

    next_at: datetime | None = None
    """When it is due; None when it is not pending."""

    refusals: int = 0
    """Of its endpoint, in a row, whatever was sent there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try to deliver an event: a line of the delivery log."""

    at: datetime
    url: str
    """Where to, without its query: that may hold a secret."""

    took_s: float
    status_code: int | None = None
    """None: there was no answer."""

    error: str | None = None
    """Why it did not count; None when it did."""

    snippet: str = ""
    """How the answer's body began, printable and bounded."""

    retry_after_s: float | None = None
    """What the receiver asked for."""

    @property
    def is_success(self) -> bool:
        """Whether the receiver has it."""
        return self.error is None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryLog:
    """How the telling of one event has gone."""

    delivery: Delivery | None
    """None: there was nobody to tell."""

    attempts: tuple[Attempt, ...] = ()
    """Oldest first; of many the newest are kept."""


def endpoint_of(owner: str, url: str) -> str:
    """What is retried with one rhythm: one owner's subscriptions with one webhook, and nobody else's."""
    return f"{owner} {url}"
