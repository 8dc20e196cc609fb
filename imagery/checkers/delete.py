"""Ends subscriptions whose time is over, and removes those whose retention is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from imagery.errors import ImageryError, SubscriptionUnknown, VersionConflict
from imagery.items import published_collection_id, published_item_id
from imagery.model.failure import FailureQuery
from imagery.model.outcome import OutcomeQuery, OutcomeStatus
from imagery.model.paging import walk
from imagery.model.subscription import Subscription, SubscriptionQuery, SubscriptionStatus
from imagery.ports import Catalog, FailureStore, Ledger, ObjectStore, SubscriptionStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteReport:
    """What a check came to."""

    ended: int = 0
    removed: int = 0
    items: int = 0
    objects: int = 0
    failed: int = 0
    """Subscriptions of which something could not be removed; the next check goes on with them."""


@dataclass(frozen=True, kw_only=True)
class DeleteChecker:
    """Removes a subscription and all it led to, in an order that can be repeated from anywhere."""

    subscriptions: SubscriptionStore
    ledger: Ledger
    failures: FailureStore
    objects: ObjectStore
    catalog: Catalog
    retention: timedelta
    late_arrivals: timedelta

    def run(self, *, now: datetime) -> DeleteReport:
        """End what is over, remove what is due."""
        report = DeleteReport()
        for subscription in self._all(SubscriptionQuery(statuses=frozenset({SubscriptionStatus.ACTIVE}))):
            report = replace(report, ended=report.ended + self._end_if_over(subscription, now))
        for subscription in self._all(SubscriptionQuery(delete_before=now)):
            try:
                if not self._is_due(subscription.id, now):
                    continue  # restored since the list was read
                items, objects = self.remove(subscription)
            except ImageryError as error:
                logger.warning("removal failed: %s", error, extra={"subscription_id": subscription.id})
                report = replace(report, failed=report.failed + 1)
                continue
            report = replace(
                report, removed=report.removed + 1, items=report.items + items, objects=report.objects + objects
            )
        logger.info("delete check finished", extra={"ended": report.ended, "removed": report.removed})
        return report

    def remove(self, subscription: Subscription) -> tuple[int, int]:
        """Remove it for good; gives the number of items and objects that went.

        Items first, so that nobody finds one whose objects are gone; the ledger, which names the items, after them;
        the row last, so that an interrupted removal is found and finished.
        """
        items = self._retract_items(subscription.id)
        objects = self.objects.remove_prefix(subscription.prefix)
        self._forget_failures(subscription.id)
        self.ledger.remove(subscription.id)
        self.subscriptions.remove(subscription.id)
        logger.info(
            "subscription removed", extra={"subscription_id": subscription.id, "items": items, "objects": objects}
        )
        return items, objects

    def _is_due(self, subscription_id: str, now: datetime) -> bool:
        try:
            delete_at = self.subscriptions.get(subscription_id).delete_at
        except SubscriptionUnknown:
            return False
        return delete_at is not None and delete_at <= now

    def _end_if_over(self, subscription: Subscription, now: datetime) -> bool:
        through = subscription.checked_through
        if subscription.end_at is None or through is None or through <= subscription.end_at + self.late_arrivals:
            return False
        if self.ledger.counts(subscription.id).get(OutcomeStatus.WAITING, 0):
            return False
        ended = subscription.changed(now=now, status=SubscriptionStatus.ENDED, delete_at=now + self.retention)
        try:
            self.subscriptions.replace(ended)
        except (VersionConflict, SubscriptionUnknown):
            return False  # its owner changed it this moment; the next check looks again
        return True

    def _retract_items(self, subscription_id: str) -> int:
        """Every row of the ledger names an item that was published, or never was: retracting asks for neither."""
        query = OutcomeQuery(subscription_id=subscription_id, limit=500)
        outcomes = walk(lambda cursor: self.ledger.find(replace(query, cursor=cursor)))
        retracted = 0
        while batch := list(islice(outcomes, query.limit)):
            for source in {outcome.collection for outcome in batch}:
                self.catalog.retract(
                    published_collection_id(source),
                    [published_item_id(o.item_id, subscription_id) for o in batch if o.collection == source],
                )
            retracted += sum(outcome.published_item_id is not None for outcome in batch)
        return retracted

    def _forget_failures(self, subscription_id: str) -> None:
        query = FailureQuery(subscription_id=subscription_id, limit=500)
        for failure in list(walk(lambda cursor: self.failures.find(replace(query, cursor=cursor)))):
            if failure.request.subscription_ids == (subscription_id,):
                self.failures.remove(failure.id)

    def _all(self, query: SubscriptionQuery) -> Iterator[Subscription]:
        return walk(lambda cursor: self.subscriptions.find(replace(query, limit=500, cursor=cursor)))
