"""Create, read, change, delete and restore subscriptions; a caller meets only their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from imagery.errors import StatusConflict, SubscriptionInvalid, SubscriptionUnknown, VersionConflict
from imagery.model.access import Caller
from imagery.model.aoi import Aoi, parse_aoi
from imagery.model.codec import to_dict
from imagery.model.day import is_shown
from imagery.model.event import Event, endpoint_of
from imagery.model.identity import new_id
from imagery.model.look import Look
from imagery.model.outcome import Outcome, OutcomeQuery, OutcomeStatus
from imagery.model.paging import Page, walk
from imagery.model.processing import Processing
from imagery.model.subscription import (
    Filters,
    Idempotency,
    Priority,
    Subscription,
    SubscriptionQuery,
    SubscriptionStatus,
)
from imagery.ports import Clock, EventStore, Ledger, Outbox, ProcessingQueue, SubscriptionStore, Together
from imagery.service import facts
from imagery.service.collections import CollectionDirectory
from imagery.service.fingerprint import fingerprint_of
from imagery.service.looks import Lookback
from imagery.service.processing import check_options
from imagery.service.webhooks import Webhooks

_DESTINATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")

CHANGEABLE = frozenset({"end_at", "filters", "priority", "labels", "status", "assets", "webhook", "processing"})
"""What an owner may change. Another AOI, provider, collection or start is another subscription."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a subscription may not exceed."""

    max_aoi_km2: float
    max_aoi_vertices: int
    retention: timedelta
    max_per_owner: int | None = None
    """Active and paused ones. None: as many as they like."""

    max_clip_pixels: int | None = None
    """Of the area in one asset. None: as many as there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewSubscription:
    """What a caller asks for; the rest is ours to fill in."""

    aoi: object
    """GeoJSON as it came, unchecked."""

    provider: str
    collection: str
    assets: tuple[str, ...] = ()
    """Empty: the collection's usual ones."""

    start_at: datetime | None = None
    """None: now."""

    end_at: datetime | None = None
    filters: Filters = field(default_factory=Filters)
    processing: Processing = field(default_factory=Processing)
    priority: Priority = Priority.NORMAL
    destination: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    webhook_url: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Created:
    """A subscription, and what was mended in its AOI."""

    subscription: Subscription
    remarks: tuple[str, ...]
    is_repeat: bool = False
    """Whether the idempotency key had made it before, and nothing was saved now."""


@dataclass(frozen=True, kw_only=True)
class Subscriptions:
    """The use cases of a subscription's life."""

    store: SubscriptionStore
    ledger: Ledger
    queue: ProcessingQueue
    collections: CollectionDirectory
    limits: Limits
    webhooks: Webhooks
    events: EventStore
    outbox: Outbox
    together: Together
    """Of store, events and outbox: what is told of has happened, and what has happened is told of."""

    lookback: Lookback
    clock: Clock

    def create(self, caller: Caller, new: NewSubscription, *, idempotency_key: str | None = None) -> Created:
        """Save it, and with it the requests for what its time already holds.

        Raises AoiInvalid, SubscriptionInvalid, FormulaInvalid, IdempotencyConflict, LimitReached.
        """
        now = self.clock()
        aoi, remarks = parse_aoi(
            new.aoi, max_vertices=self.limits.max_aoi_vertices, max_area_km2=self.limits.max_aoi_km2
        )
        subscription = self._filled_in(caller, new, aoi=aoi, now=now)
        # The parsed area, not the text: another spelling of one area is the same wish, and its size is bounded.
        asked = replace(new, aoi=aoi.geometry)
        idempotency = (
            Idempotency(key=idempotency_key, fingerprint=fingerprint_of(to_dict(asked))) if idempotency_key else None
        )
        with self.together():
            saved = self.store.add(subscription, idempotency=idempotency, most=self.limits.max_per_owner)
            if saved.id == subscription.id:
                self.events.add([facts.created(saved)])
            if saved.checked_through is None:
                self.lookback.begin(saved)
        return Created(subscription=saved, remarks=remarks, is_repeat=saved.id != subscription.id)

    def get(self, caller: Caller, subscription_id: str) -> Subscription:
        """Raises SubscriptionUnknown, for another owner's too, and for one that is being removed."""
        subscription = self._get(caller, subscription_id)
        if subscription.status is SubscriptionStatus.DELETING:
            raise SubscriptionUnknown(f"there is no subscription {subscription_id}")
        return self._as_checked(subscription)

    def _get(self, caller: Caller, subscription_id: str) -> Subscription:
        # One sentence for both, so that nobody learns which ids others have.
        refusal = SubscriptionUnknown(f"there is no subscription {subscription_id}")
        try:
            subscription = self.store.get(subscription_id)
        except SubscriptionUnknown:
            raise refusal from None
        if caller.scope not in (None, subscription.owner):
            raise refusal
        return subscription

    def find(self, caller: Caller, query: SubscriptionQuery) -> Page[Subscription]:
        """The caller's subscriptions that match, oldest first."""
        statuses = (query.statuses or frozenset(SubscriptionStatus)) - {SubscriptionStatus.DELETING}
        if not statuses:
            return Page(values=())
        return self.store.find(replace(query, owner=caller.scope, statuses=statuses)).map(self._as_checked)

    def change(
        self, caller: Caller, subscription_id: str, changes: Mapping[str, Any], *, expected_version: int | None
    ) -> Subscription:
        """Put new values on CHANGEABLE fields. Raises VersionConflict when it is not the version the caller saw."""
        subscription = self.get(caller, subscription_id)
        self._refuse_stale(subscription, expected_version)
        if subscription.status is SubscriptionStatus.MARKED_FOR_DELETION:
            raise StatusConflict("the subscription is marked for deletion; restore it first")
        if not changes:
            return subscription
        unchangeable = sorted(set(changes) - CHANGEABLE)
        if unchangeable:
            raise SubscriptionInvalid(
                f"{unchangeable[0]} cannot be changed; create another subscription instead. "
                f"What can: {', '.join(sorted(CHANGEABLE))}",
                field=f"/{unchangeable[0]}",
            )
        if "webhook" in changes:
            changes = {**changes, "webhook": self.webhooks.changed(subscription.webhook, changes["webhook"])}
        changed = subscription.changed(now=self.clock(), **changes)
        if changed.status not in (subscription.status, SubscriptionStatus.ACTIVE, SubscriptionStatus.PAUSED):
            raise SubscriptionInvalid("status can be set to active or paused; use DELETE to delete", field="/status")
        if "assets" in changes:
            changed = replace(changed, assets=self._checked_assets(changed))
        if "processing" in changes or "assets" in changes or _asks_more(changed.filters, subscription.filters):
            self._check_options(changed)
        _refuse_empty_window(changed)
        if changed.status is SubscriptionStatus.ENDED and _goes_further(subscription, changed):
            # Even where its new end is behind us: what lies before it is looked for, then the checker ends it again.
            changed = replace(changed, status=SubscriptionStatus.ACTIVE)
        if changed.status is not SubscriptionStatus.ENDED:
            changed = replace(changed, delete_at=None)
        self._save(changed, facts.updated(changed, changed=changes), most=self.limits.max_per_owner)
        return changed

    def delete(self, caller: Caller, subscription_id: str, *, expected_version: int | None = None) -> Subscription:
        """Mark it; it and all it led to goes after the retention. Repeating it changes nothing."""
        subscription = self.get(caller, subscription_id)
        self._refuse_stale(subscription, expected_version)
        if subscription.status is SubscriptionStatus.MARKED_FOR_DELETION:
            return subscription
        now = self.clock()
        marked = subscription.changed(
            now=now, status=SubscriptionStatus.MARKED_FOR_DELETION, delete_at=now + self.limits.retention
        )
        self._save(marked, facts.deleted(marked))
        return marked

    def restore(self, caller: Caller, subscription_id: str) -> Subscription:
        """Take the mark off; what was published while it was marked is caught up with.

        Until the last moment: raises StatusConflict once its removal has begun.
        """
        while True:
            subscription = self._get(caller, subscription_id)
            if subscription.status is SubscriptionStatus.DELETING:
                raise StatusConflict("its removal has begun and cannot be undone; create another subscription")
            if subscription.status is not SubscriptionStatus.MARKED_FOR_DELETION:
                raise StatusConflict(f"the subscription is {subscription.status}, not marked for deletion")
            restored = subscription.changed(now=self.clock(), status=SubscriptionStatus.ACTIVE, delete_at=None)
            try:
                self._save(restored, facts.updated(restored, changed=["status"]), most=self.limits.max_per_owner)
            except VersionConflict:
                continue  # it was changed this moment; as it stands now decides
            return restored

    def rotate_secret(self, caller: Caller, subscription_id: str) -> Subscription:
        """Give its webhook a new secret; deliveries are signed with both for a day. Raises StatusConflict."""
        subscription = self.get(caller, subscription_id)
        webhook = self.webhooks.rotated(subscription.webhook)
        rotated = subscription.changed(now=self.clock(), webhook=webhook)
        self._save(rotated, facts.updated(rotated, changed=["webhook"]))
        return rotated

    def outcomes(self, caller: Caller, query: OutcomeQuery) -> Page[Outcome]:
        """The ledger of one subscription, newest acquisition first."""
        self.get(caller, query.subscription_id)
        return self.ledger.find(query)

    def progress(self, caller: Caller, subscription_id: str) -> Mapping[OutcomeStatus, int]:
        """How many acquisitions ended how."""
        self.get(caller, subscription_id)
        return self.ledger.counts(subscription_id)

    def images(self, caller: Caller, subscription_id: str) -> int:
        """Items of ours that stand: tiles and processings of one acquisition come to one. Reads the whole ledger."""
        self.get(caller, subscription_id)
        query = OutcomeQuery(subscription_id=subscription_id, limit=500)
        rows = walk(lambda cursor: self.ledger.find(replace(query, cursor=cursor)))
        return len({(row.published_collection, row.published_item_id) for row in rows if is_shown(row)})

    def looks_of(self, subscription: Subscription) -> tuple[Look, ...]:
        """How far it has looked back: windows planned and done, newest first."""
        return self.lookback.looks.of(subscription.id)

    def _as_checked(self, subscription: Subscription) -> Subscription:
        return replace(subscription, checked_through=self.lookback.progress.checked_through(subscription))

    def _save(self, changed: Subscription, event: Event, *, most: int | None = None) -> None:
        webhook = changed.webhook
        endpoint = endpoint_of(changed.owner, webhook.url) if webhook and webhook.disabled_at is None else None
        with self.together():
            before = self.store.get(changed.id)
            self.store.replace(changed, most=most)
            self.lookback.changed(before, changed)
            if "webhook" in event.data.get("changed", ()):
                self.outbox.retarget(changed.id, endpoint, now=changed.updated_at)
            self.events.add([event])

    def _filled_in(self, caller: Caller, new: NewSubscription, *, aoi: Aoi, now: datetime) -> Subscription:
        if new.destination is not None and not _DESTINATION.fullmatch(new.destination):
            raise SubscriptionInvalid(
                "destination is a prefix such as farms/north: letters, digits and . _ - between slashes",
                field="/destination",
            )
        subscription = Subscription(
            id=new_id("sub", now=now),
            owner=caller.owner,
            aoi=aoi,
            provider=new.provider,
            collection=new.collection,
            assets=new.assets,
            start_at=(new.start_at or now).astimezone(UTC),
            end_at=new.end_at.astimezone(UTC) if new.end_at else None,
            filters=new.filters,
            processing=new.processing,
            priority=new.priority,
            destination=f"{caller.owner}/{new.destination}" if new.destination else None,
            labels=new.labels,
            webhook=self.webhooks.new(new.webhook_url) if new.webhook_url is not None else None,
            created_at=now,
            updated_at=now,
        )
        _refuse_empty_window(subscription)
        subscription = replace(subscription, assets=self._checked_assets(subscription))
        self._check_options(subscription)
        return subscription

    def _check_options(self, subscription: Subscription) -> None:
        specimen = self.collections.specimen(provider=subscription.provider, collection=subscription.collection)
        limits = self.limits
        check_options(subscription, specimen, max_aoi_km2=limits.max_aoi_km2, max_clip_pixels=limits.max_clip_pixels)

    def _checked_assets(self, subscription: Subscription) -> tuple[str, ...]:
        return self.collections.check(
            provider=subscription.provider, collection=subscription.collection, assets=subscription.assets
        )

    def _refuse_stale(self, subscription: Subscription, expected_version: int | None) -> None:
        if expected_version is not None and expected_version != subscription.version:
            saw = f"you saw {expected_version}" if expected_version else "the ETag you sent is none of it"
            raise VersionConflict(
                f"the subscription is at version {subscription.version}, {saw}; read it again and repeat your change"
            )


def _goes_further(before: Subscription, after: Subscription) -> bool:
    return before.end_at is not None and (after.end_at is None or after.end_at > before.end_at)


def _refuse_empty_window(subscription: Subscription) -> None:
    if subscription.end_at is not None and subscription.end_at < subscription.start_at:
        raise SubscriptionInvalid(
            f"end_at {subscription.end_at.isoformat()} lies before start_at {subscription.start_at.isoformat()}",
            field="/end_at",
        )


def _asks_more(filters: Filters, before: Filters) -> bool:
    """Whether there is something new to check."""
    return filters != before and filters.min_clear_fraction is not None
