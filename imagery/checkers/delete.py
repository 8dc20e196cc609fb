"""Ends subscriptions whose time is over, removes those whose retention is, and items superseded long enough."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from imagery.checkers.expiry import Expiry
from imagery.checkers.removal import Removal, Tally
from imagery.errors import ImageryError, SubscriptionUnknown, VersionConflict
from imagery.model.outcome import OutcomeStatus
from imagery.model.paging import walk
from imagery.model.subscription import Subscription, SubscriptionQuery, SubscriptionStatus
from imagery.ports import EventStore, Ledger, SubscriptionStore
from imagery.service import facts
from imagery.service.looks import Progress

logger = logging.getLogger(__name__)

REMOVABLE = frozenset({SubscriptionStatus.ENDED, SubscriptionStatus.MARKED_FOR_DELETION, SubscriptionStatus.DELETING})


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteReport:
    """What a check came to."""

    ended: int = 0
    removed: int = 0
    begun: int = 0
    """Removals that wait for work under way to come to rest; a later check finishes them."""

    items: int = 0
    objects: int = 0
    expired: int = 0
    """Items removed because a newer one took their place long enough ago; not among `items`."""

    failed: int = 0
    """Subscriptions and superseded items of which something could not be removed; the next check goes on with them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """What a check would do to one subscription."""

    subscription: Subscription
    ends: bool
    """True: it would be ended, and kept for the retention; False: removed."""

    tally: Tally


@dataclass(frozen=True, kw_only=True)
class DeleteChecker:
    """Finds what is over and what is due; `removal` does the removing."""

    subscriptions: SubscriptionStore
    ledger: Ledger
    progress: Progress
    events: EventStore
    removal: Removal
    expiry: Expiry
    retention: timedelta
    late_arrivals: timedelta

    def run(self, *, now: datetime) -> DeleteReport:
        """End what is over, remove what is due."""
        report = DeleteReport()
        for subscription in self._over(now):
            report = replace(report, ended=report.ended + self._end(subscription, now))
        for subscription in self._removable(now):
            try:
                deletion = self.removal.remove(subscription, now=now)
            except ImageryError as error:
                logger.warning("removal failed: %s", error, extra={"subscription_id": subscription.id})
                report = replace(report, failed=report.failed + 1)
                continue
            if deletion is None:
                continue
            if deletion.finished_at is None:
                report = replace(report, begun=report.begun + 1)
                continue
            report = replace(
                report,
                removed=report.removed + 1,
                items=report.items + deletion.items,
                objects=report.objects + deletion.objects,
            )
        expired, failed = self.expiry.run(now=now)
        report = replace(report, expired=expired, failed=report.failed + failed)
        logger.info(
            "delete check finished",
            extra={"ended": report.ended, "removed": report.removed, "expired": report.expired},
        )
        return report

    def due(self, *, now: datetime) -> Iterator[Due]:
        """What `run` would do to subscriptions now, doing nothing: the dry run; `expiry.due` is that of items."""
        for subscription in self._over(now):
            yield Due(subscription=subscription, ends=True, tally=self.removal.tally(subscription.id))
        for subscription in self._removable(now):
            yield Due(subscription=subscription, ends=False, tally=self.removal.tally(subscription.id))

    def _over(self, now: datetime) -> Iterator[Subscription]:
        """Active ones whose last instant, and the time for late arrivals, have been looked through."""
        active = frozenset({SubscriptionStatus.ACTIVE})
        found = self._all(SubscriptionQuery(statuses=active, end_before=now - self.late_arrivals))
        return (subscription for subscription in found if self._is_over(subscription))

    def _is_over(self, subscription: Subscription) -> bool:
        if subscription.end_at is None:
            return False
        through = self.progress.checked_through(subscription)
        if through is None or through <= subscription.end_at + self.late_arrivals:
            return False
        if any(look.done_at is None for look in self.progress.looks.of(subscription.id)):
            return False
        return not self.ledger.counts(subscription.id)[OutcomeStatus.WAITING]

    def _end(self, subscription: Subscription, now: datetime) -> bool:
        ended = subscription.changed(now=now, status=SubscriptionStatus.ENDED, delete_at=now + self.retention)
        try:
            with self.removal.together():
                self.subscriptions.replace(ended)
                self.events.add([facts.updated(ended, changed=["status"])])
        except (VersionConflict, SubscriptionUnknown):
            return False  # its owner changed it this moment; the next check looks again
        return True

    def _removable(self, now: datetime) -> Iterator[Subscription]:
        return self._all(SubscriptionQuery(delete_before=now, statuses=REMOVABLE))

    def _all(self, query: SubscriptionQuery) -> Iterator[Subscription]:
        return walk(lambda cursor: self.subscriptions.find(replace(query, limit=500, cursor=cursor)))
