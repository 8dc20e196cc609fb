"""A sweep that trusts no feed: what providers have is compared with the ledger, and what is missing asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from imagery.checkers.groups import Group, grouped
from imagery.errors import ExecutionUnknown, ProviderError, SubscriptionUnknown
from imagery.model.execution import ExecutionStatus
from imagery.model.look import Look
from imagery.model.outcome import Outcome
from imagery.model.paging import walk
from imagery.model.request import RequestKind
from imagery.model.subscription import SubscriptionQuery, SubscriptionStatus
from imagery.ports import LookStore, Orchestrator, ProcessingQueue, Provider, SubscriptionStore
from imagery.service.discovery import Asker
from imagery.service.joining import Joiner
from imagery.service.looks import Lookback, Looker, request_of

logger = logging.getLogger(__name__)

PATIENCE = timedelta(days=1)
"""How long a request may wait before it is asked what became of it."""

PAGE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileReport:
    """What a sweep came to."""

    groups: int = 0
    requested: int = 0
    """(item, subscription) pairs that were missing, or whose work was lost."""

    looks: int = 0
    """Planned looks that were taken up again."""

    failed: int = 0
    """Groups and looks whose provider could not be asked; the next sweep tries again."""


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """Finds what the feed never told, and work that was lost."""

    subscriptions: SubscriptionStore
    providers: Mapping[str, Provider]
    looks: LookStore
    looker: Looker
    lookback: Lookback
    joiner: Joiner
    asker: Asker
    queue: ProcessingQueue
    orchestrator: Orchestrator
    window: timedelta
    """How far back the sweep goes, by acquisition."""

    def run(self, *, now: datetime) -> ReconcileReport:
        """Compare all active subscriptions' last weeks, and take up looks that were left undone. Safe to repeat."""
        report = ReconcileReport()
        for kind in (RequestKind.INITIAL, RequestKind.UPDATE, RequestKind.BACKFILL):
            report = self._take_up(kind, report, now)
        for name, collection in self.subscriptions.feeds():
            provider = self.providers.get(name)
            if provider is not None:
                report = self._sweep(provider, name, collection, report, now)
        logger.info("reconciliation finished", extra={"groups": report.groups, "requested": report.requested})
        return report

    def _sweep(
        self, provider: Provider, name: str, collection: str, report: ReconcileReport, now: datetime
    ) -> ReconcileReport:
        query = SubscriptionQuery(
            provider=name, collection=collection, statuses=frozenset({SubscriptionStatus.ACTIVE}), limit=PAGE
        )
        found = walk(lambda cursor: self.subscriptions.find(replace(query, cursor=cursor)))
        for group in grouped(one for one in found if one.start_at <= now):
            try:
                requested = self._compare(provider, group, now)
            except ProviderError as error:
                logger.warning(
                    "reconciliation failed: %s",
                    error,
                    extra={"subscription_id": group.members[0].id, "error": type(error).__name__},
                )
                report = replace(report, failed=report.failed + 1)
                continue
            report = replace(report, groups=report.groups + 1, requested=report.requested + requested)
        return report

    def _compare(self, provider: Provider, group: Group, now: datetime) -> int:
        for one in group.members:
            if one.checked_through is None and not self.looks.of(one.id):
                self.lookback.begin(one)  # its first request was lost, before there were looks
        items = group.search(provider, acquired_from=now - self.window, now=now, updated_since=None)
        requested = group.ask(
            items, joiner=self.joiner, asker=self.asker, now=now, is_lost=lambda row: self._is_lost(row, now)
        )
        if requested:
            logger.warning(
                "reconciliation found what was missing",
                extra={"subscription_id": group.members[0].id, "requested": requested},
            )
        return requested

    def _is_lost(self, row: Outcome, now: datetime) -> bool:
        """Waiting for long, though its execution has ended; or never began, and the queue is empty."""
        if now - row.updated_at < PATIENCE:
            return False
        status = self._status(row.request_id)
        if status is None:
            return not any(self.queue.depth().values())
        return status is not ExecutionStatus.RUNNING

    def _take_up(self, kind: RequestKind, report: ReconcileReport, now: datetime) -> ReconcileReport:
        last: Look | None = None
        while page := self.looks.pending(kind, planned_before=now - PATIENCE, limit=PAGE, after=last):
            for look in page:
                last = look
                try:
                    taken_up = self._take_up_one(look, now)
                except ProviderError as error:
                    logger.warning("look failed: %s", error, extra={"subscription_id": look.subscription_id})
                    report = replace(report, failed=report.failed + 1)
                    continue
                report = replace(report, looks=report.looks + taken_up)
        return report

    def _take_up_one(self, look: Look, now: datetime) -> bool:
        """Sent once more if it never began (harmless while it is still in the queue), done here if it failed."""
        try:
            subscription = self.subscriptions.get(look.subscription_id)
        except SubscriptionUnknown:
            return False
        provider = self.providers.get(subscription.provider)
        if subscription.status is not SubscriptionStatus.ACTIVE or provider is None:
            return False
        status, request = self._status(look.request_id), request_of(look, subscription)
        if status is ExecutionStatus.RUNNING:
            return False
        if status is None:
            self.queue.send([request])
        else:
            self.looker.look(request, subscription, provider=provider, now=now)
        return True

    def _status(self, execution_id: str) -> ExecutionStatus | None:
        """None: never started."""
        try:
            return self.orchestrator.get(execution_id).status
        except ExecutionUnknown:
            return None
