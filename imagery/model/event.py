"""Facts subscribers are told of: CloudEvents 1.0, named after what happened so that telling twice is telling once."""

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
    """JSON; holds no secret."""

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
