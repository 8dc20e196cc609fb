"""What Prometheus reads: the truths of the stores at the moment it asks, so a restart loses none. No ids in labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import imagery as package
from imagery.model.access import Caller
from imagery.model.codec import to_seconds
from imagery.model.execution import ExecutionStatus
from imagery.model.failure import FailureQuery
from imagery.model.subscription import Priority
from imagery.wiring import Imagery

_EVERYTHING = Caller(owner="metrics", operator=True)


def render(imagery: Imagery) -> bytes:
    """The text exposition format of everything there is to measure."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_House(imagery))
    return generate_latest(registry)


@dataclass(frozen=True, eq=False)
class _House(Collector):
    """Asked once a scrape; each family costs a look-up in an index, however much there is."""

    imagery: Imagery

    def collect(self) -> Iterator[Metric]:
        yield _gauge(
            "imagery_info", "Always 1; the label says which release runs.", {(package.__version__,): 1}, "version"
        )
        yield from self._queue()
        yield from self._executions()
        yield from self._feeds()
        yield from self._bytes()
        yield from self._limits()
        yield from self._orders()
        yield _gauge(
            "imagery_failures",
            "Requests in the failure queue, by error.",
            {(error,): n for error, n in self.imagery.failures.counts(_EVERYTHING, FailureQuery()).items()},
            "error",
        )

    def _queue(self) -> Iterator[Metric]:
        now, depth, oldest = self.imagery.clock(), self.imagery.queue.depth(), self.imagery.queue.oldest()
        ages = {(p.value,): max(0.0, to_seconds(now - oldest[p])) if p in oldest else 0.0 for p in Priority}
        waiting = {(priority.value,): number for priority, number in depth.items()}
        yield _gauge("imagery_queue_depth", "Requests in the processing queue.", waiting, "priority")
        yield _gauge("imagery_queue_oldest_age_seconds", "Age of the oldest of them; 0: none.", ages, "priority")

    def _executions(self) -> Iterator[Metric]:
        counts = self.imagery.orchestrator.counts()
        ended = {(s.value,): n for s, n in counts.items() if s is not ExecutionStatus.RUNNING}
        running, active = counts[ExecutionStatus.RUNNING], self.imagery.orchestrator.running()
        yield _counter("imagery_executions", "Executions that have ended, by status.", ended, "status")
        yield _gauge("imagery_executions_running", "Executions under way.", {(): running})
        yield _gauge("imagery_executions_active", "Those of them that do not wait for a callback.", {(): active})

    def _feeds(self) -> Iterator[Metric]:
        now, feeds = self.imagery.clock(), self.imagery.feeds_health()
        lags = {(f.provider, f.collection): to_seconds(now - f.checked_at) for f in feeds if f.checked_at}
        ages = {(f.provider, f.collection): to_seconds(now - f.last_item_at) for f in feeds if f.last_item_at}
        stale = {(f.provider, f.collection): int(f.is_stale) for f in feeds}
        names = ("provider", "collection")
        yield _gauge("imagery_discovery_lag_seconds", "Since a feed was last read to its end.", lags, *names)
        yield _gauge("imagery_feed_last_item_age_seconds", "Since a feed last gave something new.", ages, *names)
        yield _gauge("imagery_feed_stale", "1: a feed is unread or quiet for longer than usual.", stale, *names)

    def _bytes(self) -> Iterator[Metric]:
        used = self.imagery.admission.usage.total()
        yield _counter("imagery_bytes_read", "Bytes read of rasters and objects; an estimate.", {(): used.bytes_read})
        yield _counter("imagery_bytes_written", "Bytes written to the object store.", {(): used.bytes_written})

    def _orders(self) -> Iterator[Metric]:
        orders, today = self.imagery.orders, self.imagery.clock().astimezone(UTC).date()
        counts = {(status.value,): number for status, number in orders.counts().items()}
        yield _gauge("imagery_orders", "Orders at providers that deliver later, by status.", counts, "status")
        yield _gauge("imagery_ordered_hectares_today", "Ordered on this day (UTC).", {(): orders.hectares(today)})
        if self.imagery.planet is not None:
            refused = int(self.imagery.planet.client.standing.is_refused)
            yield _gauge(
                "imagery_provider_key_refused",
                "1: a provider does not take our key.",
                {("planet",): refused},
                "provider",
            )

    def _limits(self) -> Iterator[Metric]:
        limits = self.imagery.dispatcher.limits()
        used, most = {(x.name,): x.used for x in limits}, {(x.name,): x.limit for x in limits}
        is_paused = self.imagery.admission.paused() is not None
        yield _gauge("imagery_paused", "1: paused; nothing is started.", {(): int(is_paused)})
        yield _gauge("imagery_limit", "What may be used up at most.", most, "limit")
        yield _gauge("imagery_limit_used", "How much of a limit is used up just now.", used, "limit")


_Values = Mapping[Any, float]
"""By the labels' values, a tuple of as many texts as there are labels."""


def _gauge(name: str, text: str, values: _Values, *labels: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(name: str, text: str, values: _Values, *labels: str) -> Metric:
    """Its samples are called `<name>_total`."""
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
