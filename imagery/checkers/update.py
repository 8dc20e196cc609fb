"""Looks for what providers have published since the last check, one search an active subscription."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from imagery.errors import ProviderError
from imagery.model.paging import walk
from imagery.model.request import RequestKind
from imagery.model.subscription import Subscription, SubscriptionQuery, SubscriptionStatus
from imagery.ports import Ledger, ProcessingQueue, Provider, SubscriptionStore
from imagery.service.discovery import discover, search_for

logger = logging.getLogger(__name__)

OVERLAP = timedelta(hours=1)
"""Looked at again with every check: an item may become searchable a while after the time in its `updated`."""

FIRST_LOOK = timedelta(minutes=10)
"""Left to a new subscription's own first request before the checker steps in for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateReport:
    """What a check came to."""

    checked: int = 0
    requested: int = 0
    failed: int = 0
    """Subscriptions whose provider could not be searched; the next check covers the same window again."""


@dataclass(frozen=True, kw_only=True)
class UpdateChecker:
    """Finds work for every active subscription."""

    subscriptions: SubscriptionStore
    providers: Mapping[str, Provider]
    ledger: Ledger
    queue: ProcessingQueue
    late_arrivals: timedelta

    def run(self, *, now: datetime, is_stopping: Callable[[], bool] = lambda: False) -> UpdateReport:
        """Check all that are due, until told to stop.

        One provider's trouble does not keep the others' subscriptions from being checked, nor one subscription's the
        others': a provider that does not answer is left alone until the next run.
        """
        report = UpdateReport()
        silent: set[str] = set()
        for subscription in self._due(now):
            if is_stopping():
                break
            requested = None if subscription.provider in silent else self._checked(subscription, silent, now=now)
            if requested is None:
                report = replace(report, failed=report.failed + 1)
            else:
                report = replace(report, checked=report.checked + 1, requested=report.requested + requested)
        logger.info("update check finished", extra={"checked": report.checked, "requested": report.requested})
        return report

    def _checked(self, subscription: Subscription, silent: set[str], *, now: datetime) -> int | None:
        """As `check`; None when it could not be done, and its provider among the silent if that did not answer."""
        about = {"subscription_id": subscription.id}
        try:
            return self.check(subscription, now=now)
        except ProviderError as error:
            logger.warning("check failed: %s", error, extra={**about, "error": type(error).__name__})
            if error.retryable:
                silent.add(subscription.provider)
        except Exception:
            # One subscription that cannot be checked must not keep all others from it; the next run tries again.
            logger.exception("check failed", extra=about)
        return None

    def check(self, subscription: Subscription, *, now: datetime) -> int:
        """Ask for every item published since the last check; gives how many.

        Safe to repeat. If the search raises, nothing is marked and the next check covers the same window again.
        """
        since = subscription.checked_through
        search = search_for(subscription, since=since - OVERLAP if since else None, now=now)
        if search is None:
            return 0
        found = discover(
            subscription,
            search=search,
            kind=RequestKind.UPDATE,
            provider=self.providers[subscription.provider],
            ledger=self.ledger,
            queue=self.queue,
            now=now,
        )
        self.subscriptions.mark(subscription.id, checked_through=now)
        return found.requested

    def _due(self, now: datetime) -> Iterator[Subscription]:
        query = SubscriptionQuery(statuses=frozenset({SubscriptionStatus.ACTIVE}), limit=500)
        found = walk(lambda cursor: self.subscriptions.find(replace(query, cursor=cursor)))
        return (subscription for subscription in found if self._is_due(subscription, now))

    def _is_due(self, subscription: Subscription, now: datetime) -> bool:
        if subscription.provider not in self.providers:
            logger.warning(
                "no provider %s is set up; add it to IMAGERY_STAC_PROVIDERS, or delete the subscription",
                subscription.provider,
                extra={"subscription_id": subscription.id},
            )
            return False
        through = subscription.checked_through
        if through is None:
            return now - subscription.created_at >= FIRST_LOOK or subscription.start_at > subscription.created_at
        # Once the time for late arrivals has been looked through, nothing more can belong to it.
        return subscription.end_at is None or through <= subscription.end_at + self.late_arrivals
