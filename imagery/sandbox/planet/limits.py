"""Requests a second and key, as documented; counted, nothing is kept waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from imagery.sandbox.planet.faults import Operation

RATES: Mapping[Operation, float] = {
    Operation.SEARCH: 10.0,
    Operation.ITEM: 10.0,
    Operation.COVERAGE: 10.0,
    Operation.CREATE: 3.0,
    Operation.LIST: 3.0,
    Operation.GET: 3.0,
    Operation.CANCEL: 3.0,
    Operation.BULK_CANCEL: 5.0,
    Operation.STATS: 5.0,
    Operation.SPEC: 10.0,
    Operation.DOWNLOAD: 5.0,
}
"""docs.planet.com, Orders API rate limits (2025) and Data API (2024)."""


class Limits:
    """A bucket for each key and operation that holds a second's worth. Any thread."""

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, Operation], tuple[float, float]] = {}
        """(requests left, when that was counted)."""

    def takes(self, key: str, operation: Operation, *, scale: float) -> bool:
        """Whether one more may pass now; `scale` multiplies the documented rate, 0 lets everything pass."""
        rate = RATES.get(operation, 0.0) * scale
        if rate <= 0:
            return True
        now = self._monotonic()
        with self._lock:
            left, since = self._buckets.get((key, operation), (max(rate, 1.0), now))
            left = min(max(rate, 1.0), left + (now - since) * rate)
            takes = left >= 1.0
            self._buckets[key, operation] = (left - takes, now)
        return takes
