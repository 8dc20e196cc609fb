"""Looks for what providers have published since the last check: one feed a collection, whatever the subscriptions."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from imagery.checkers.feed import FeedReader
from imagery.checkers.groups import Group, grouped
from imagery.errors import FeedUnsupported, ProviderError, SubscriptionUnknown
from imagery.model.look import Look
from imagery.model.paging import walk
from imagery.model.request import RequestKind
from imagery.model.subscription import Subscription, SubscriptionQuery, SubscriptionStatus
from imagery.ports import LookStore, Provider, SubscriptionStore
from imagery.service.discovery import Asker
from imagery.service.joining import Joiner
from imagery.service.looks import Looker, request_of

logger = logging.getLogger(__name__)

FIRST_LOOK = timedelta(minutes=10)
"""Left to a subscription's own first request before the checker steps in for it."""

PAGE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateReport:
    """What a check came to."""

    feeds: int = 0
    """Read to their end."""

    searched: int = 0
    """Groups of subscriptions searched for, because their provider has no feed."""

    requested: int = 0
    """(item, subscription) pairs asked for."""

    failed: int = 0
    """Feeds, groups and looks whose provider could not be asked; the next check begins where this one stopped."""


@dataclass(frozen=True, kw_only=True)
class UpdateChecker:
    """Finds work for every active subscription."""

    subscriptions: SubscriptionStore
    providers: Mapping[str, Provider]
    looks: LookStore
    looker: Looker
    reader: FeedReader
    joiner: Joiner
    asker: Asker
    overlap: timedelta
    late_arrivals: timedelta

    def run(self, *, now: datetime) -> UpdateReport:
        """Check all of them. One provider's trouble does not keep the others' subscriptions from being checked."""
        report = self._step_in_for_looks(UpdateReport(), now)
        for name, collection in self.subscriptions.feeds():
            provider = self.providers.get(name)
            if provider is None:
                logger.warning("no provider %s is set up; add it to IMAGERY_STAC_PROVIDERS, or delete its users", name)
                continue
            try:
                read = self.reader.read(provider, name=name, collection=collection, now=now)
            except FeedUnsupported:
                report = self._search(provider, name, collection, report, now)
            except ProviderError as error:
                report = _failed(report, error, provider=name, collection=collection)
            except Exception:
                # One feed that cannot be read must not keep all others from it; the next check tries again.
                logger.exception("check failed", extra={"provider": name, "collection": collection})
                report = replace(report, failed=report.failed + 1)
            else:
                report = replace(report, feeds=report.feeds + 1, requested=report.requested + read.requested)
        logger.info("update check finished", extra={"feeds": report.feeds, "requested": report.requested})
        return report

    def _step_in_for_looks(self, report: UpdateReport, now: datetime) -> UpdateReport:
        """For first looks and those after a pause whose request failed: their subscribers wait for them."""
        down: set[str] = set()
        for look in self._overdue_looks(now):
            subscription = self._active(look.subscription_id)
            if subscription is None or subscription.provider in down or subscription.provider not in self.providers:
                continue
            request, provider = request_of(look, subscription), self.providers[subscription.provider]
            try:
                requested = self.looker.look(request, subscription, provider=provider, now=now)
            except ProviderError as error:
                report = _failed(report, error, subscription_id=subscription.id)
                if error.retryable:
                    down.add(subscription.provider)
                continue
            report = replace(report, requested=report.requested + requested)
        return report

    def _overdue_looks(self, now: datetime) -> Iterator[Look]:
        for kind in (RequestKind.INITIAL, RequestKind.UPDATE):
            last: Look | None = None
            while page := self.looks.pending(kind, planned_before=now - FIRST_LOOK, limit=PAGE, after=last):
                yield from page
                last = page[-1]

    def _active(self, subscription_id: str) -> Subscription | None:
        try:
            subscription = self.subscriptions.get(subscription_id)
        except SubscriptionUnknown:
            return None
        return subscription if subscription.status is SubscriptionStatus.ACTIVE else None

    def _search(
        self, provider: Provider, name: str, collection: str, report: UpdateReport, now: datetime
    ) -> UpdateReport:
        """Where there is no feed: one search a group of neighbours, for what is new since each was last checked."""
        query = SubscriptionQuery(
            provider=name, collection=collection, statuses=frozenset({SubscriptionStatus.ACTIVE}), limit=PAGE
        )
        found = walk(lambda cursor: self.subscriptions.find(replace(query, cursor=cursor)))
        for group in self._due(found, now):
            try:
                requested = self._search_group(provider, group, now)
            except ProviderError as error:
                report = _failed(report, error, subscription_id=group.members[0].id)
                if error.retryable:
                    break  # it does not answer: asking it for all the others too would take hours
                continue
            report = replace(report, searched=report.searched + 1, requested=report.requested + requested)
        return report

    def _search_group(self, provider: Provider, group: Group, now: datetime) -> int:
        checked = [one.checked_through for one in group.members]
        since = min((each for each in checked if each is not None), default=None) if all(checked) else None
        items = group.search(
            provider,
            acquired_from=min(one.start_at for one in group.members),
            now=now,
            updated_since=since - self.overlap if since else None,
        )
        requested = group.ask(items, joiner=self.joiner, asker=self.asker, now=now)
        for one in group.members:
            self.subscriptions.mark(one.id, checked_through=now)
        return requested

    def _due(self, subscriptions: Iterator[Subscription], now: datetime) -> Iterator[Group]:
        """Those never checked apart from the others, whom one of them would have searched from the beginning."""
        due = [one for one in subscriptions if self._is_due(one, now)]
        yield from grouped(one for one in due if one.checked_through is not None)
        yield from grouped(one for one in due if one.checked_through is None)

    def _is_due(self, subscription: Subscription, now: datetime) -> bool:
        if subscription.start_at > now:
            return False
        through = subscription.checked_through
        if through is None:
            return now - subscription.created_at >= FIRST_LOOK or subscription.start_at > subscription.created_at
        # Once the time for late arrivals has been looked through, nothing more can belong to it.
        return subscription.end_at is None or through <= subscription.end_at + self.late_arrivals


def _failed(report: UpdateReport, error: ProviderError, **where: str) -> UpdateReport:
    logger.warning("check failed: %s", error, extra={**where, "error": type(error).__name__})
    return replace(report, failed=report.failed + 1)
