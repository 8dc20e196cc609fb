"""How one acquisition over one AOI ended: the ledger's rows, and the answer to "why is there no image of 3 May?"."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class OutcomeStatus(StrEnum):
    """WAITING until the work on it ends in one of the others."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    SKIPPED = "skipped"
    FAILED = "failed"


class SkipReason(StrEnum):
    """Why an acquisition was not delivered though nothing went wrong."""

    CLOUDY = "cloudy"
    OUTSIDE = "outside"
    """The AOI holds no pixel of the scene's valid data."""

    COVERAGE = "coverage"
    """Less of the AOI is shown than the subscriber asked for."""

    UNCLEAR = "unclear"
    """Less of the AOI is shown clear than the subscriber asked for."""

    SUPERSEDED = "superseded"
    """Another tile or processing of the same acquisition is in the product instead."""

    INACTIVE = "inactive"
    """The subscription was paused, ended or deleted before the work began."""


BY_FILTER = frozenset({SkipReason.CLOUDY, SkipReason.COVERAGE, SkipReason.UNCLEAR})
"""Skipped as the subscription's filters were at the time: with others it might be delivered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One row a (subscription, source item)."""

    subscription_id: str
    item_id: str
    """The source item's id at the provider."""

    collection: str
    acquisition: str = ""
    """Which acquisition it is part of: the same for all tiles and processings of one datatake. Empty: not known."""

    status: OutcomeStatus
    acquired_at: datetime
    source_updated_at: datetime | None = None
    """The source item's `updated` this outcome is about: a later one is work again."""

    reason: SkipReason | None = None
    """When skipped."""

    error: str | None = None
    """Class name, when failed."""

    explanation: str = ""
    """One sentence for a person."""

    numbers: dict[str, float] = field(default_factory=dict)
    """What was measured: coverage, clear, cloud, shadow, snow, water, unknown (fractions of the AOI), cloud_cover
    (percent), pixels, bytes."""

    published_item_id: str | None = None
    """Id of our item, when delivered, or when superseded by one; stays while a changed source item is worked on, and if
    that is not delivered."""

    published_collection: str | None = None
    request_id: str
    updated_at: datetime

    @property
    def is_final(self) -> bool:
        """Whether no work on it is under way."""
        return self.status is not OutcomeStatus.WAITING


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeQuery:
    """Which rows of a subscription's ledger, newest acquisition first."""

    subscription_id: str
    status: OutcomeStatus | None = None
    acquired_from: datetime | None = None
    acquired_to: datetime | None = None
    limit: int = 100
    cursor: str | None = None
