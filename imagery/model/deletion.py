"""What went when a subscription was removed: kept for operators after all else of it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from imagery.model.subscription import SubscriptionStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Deletion:
    """The removal of one subscription and all it led to."""

    subscription_id: str
    owner: str
    provider: str
    collection: str
    was: SubscriptionStatus
    """Why it went: ended, or marked_for_deletion."""

    began_at: datetime
    finished_at: datetime | None = None
    """None: under way; the next check goes on with it."""

    acquisitions: int = 0
    """Rows of its ledger."""

    items: int = 0
    """Of ours that were published; those superseded and still reachable among them."""

    bytes: int = 0
    """Of their assets, as measured when they were made."""

    objects: int = 0
    """At least so many: those removed right before a crash are not counted."""

    failures: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class DeletionQuery:
    """Which deletions to list, those that began last first."""

    owner: str | None = None
    finished: bool | None = None
    limit: int = 100
    cursor: str | None = None
