"""What a subscriber asked for, and how it stands. No clock, no socket."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from imagery.model.aoi import Aoi
from imagery.model.processing import Processing


class Priority(StrEnum):
    """How soon a request is due; each outranks the ones below it."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class SubscriptionStatus(StrEnum):
    """active → paused → active; active → ended; active, paused or ended → marked_for_deletion → active (restored).

    ended or marked_for_deletion → deleting → gone.
    """

    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"
    MARKED_FOR_DELETION = "marked_for_deletion"
    DELETING = "deleting"
    """Being removed: nobody sees it any more, no work is done for it, and there is no way back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """Which acquisitions are wanted; one that fails a filter is `skipped` in the ledger, with the number."""

    max_cloud_cover: float | None = None
    """Percent of what the acquisition shows of the AOI, 0 to 100; of the scene (STAC `eo:cloud_cover`) where there is
    no quality band. None: any."""

    min_clear_fraction: float | None = None
    """Least fraction of the AOI that is shown clear, 0 to 1. None: any."""

    min_coverage: float | None = None
    """Least fraction of the AOI that the acquisition shows, 0 to 1. None: any that shows some."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """Where a subscriber wants to be told of events."""

    url: str
    secret: str = field(repr=False)
    """`whsec_` and base64 of 24 to 64 random bytes (Standard Webhooks); shown to its owner once."""

    earlier_secret: str | None = field(default=None, repr=False)
    """The one before, with which deliveries are signed too until `earlier_until`: a receiver can change over."""

    earlier_until: datetime | None = None
    disabled_at: datetime | None = None
    """When its receiver answered 410 Gone: nothing is sent until its owner sets a webhook again. None: in use."""

    def rotated(self, secret: str, *, earlier_until: datetime) -> Webhook:
        """The same receiver with a new secret."""
        return replace(self, secret=secret, earlier_secret=self.secret, earlier_until=earlier_until)

    def secrets_at(self, now: datetime) -> tuple[str, ...]:
        """What a delivery is signed with, newest first."""
        is_over = self.earlier_until is None or now >= self.earlier_until
        return (self.secret,) if self.earlier_secret is None or is_over else (self.secret, self.earlier_secret)


@dataclass(frozen=True, kw_only=True, slots=True)
class Idempotency:
    """A caller's promise that two creates with the same key are one."""

    key: str
    fingerprint: str
    """SHA-256 of the body it came with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """A standing request for imagery of one AOI from one collection of one provider."""

    id: str
    """`sub_` and 26 letters and digits that sort by time of creation."""

    owner: str
    aoi: Aoi
    provider: str
    collection: str
    """Collection id at the provider."""

    assets: tuple[str, ...]
    """Asset keys to deliver, as the provider's items name them."""

    start_at: datetime
    """First instant of acquisition wanted; aware, UTC."""

    end_at: datetime | None = None
    """Last instant of acquisition wanted. None: until it is deleted."""

    filters: Filters = field(default_factory=Filters)
    processing: Processing = field(default_factory=Processing)
    priority: Priority = Priority.NORMAL
    """Of its updates; the first request of a subscription is always HIGH."""

    destination: str | None = None
    """Prefix under the installation's object store. None: the subscription's id."""

    webhook: Webhook | None = None
    """None: events are kept, and told to nobody."""

    labels: dict[str, str] = field(default_factory=dict)
    """The subscriber's own words, kept and given back; not searched."""

    status: SubscriptionStatus = SubscriptionStatus.ACTIVE
    delete_at: datetime | None = None
    """When the delete checker may remove it and all it led to. None: not while it is active."""

    checked_through: datetime | None = None
    """Everything the provider published up to here has been looked at. None: never checked."""

    last_update_at: datetime | None = None
    """When an item was last delivered."""

    created_at: datetime
    updated_at: datetime
    """Last change by its owner; checks do not move it."""

    version: int = 1
    """Counts the owner's changes; the ETag."""

    @property
    def prefix(self) -> str:
        """Where its objects lie, without a slash at either end."""
        return f"{self.destination}/{self.id}" if self.destination else self.id

    def changed(self, *, now: datetime, **changes: object) -> Subscription:
        """This subscription after its owner's change."""
        return replace(self, **changes, updated_at=now, version=self.version + 1)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriptionQuery:
    """Which subscriptions to list; every field given must match."""

    owner: str | None = None
    statuses: frozenset[SubscriptionStatus] = frozenset()
    """Empty: any."""

    provider: str | None = None
    collection: str | None = None
    bbox: tuple[float, float, float, float] | None = None
    """(west, south, east, north) in degrees; those whose AOI's bbox touches it. west > east: over the antimeridian."""

    delete_before: datetime | None = None
    """Those whose `delete_at` lies at or before this."""

    end_before: datetime | None = None
    """Those whose `end_at` lies at or before this."""

    limit: int = 100
    cursor: str | None = None
