"""Token buckets: how often somebody may knock. Knows no HTTP and no keys, only names."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

Monotonic = Callable[[], float]
"""Seconds that only ever grow, as `time.monotonic`."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float
    """Of the monotonic clock."""


@dataclass(frozen=True, kw_only=True)
class TokenBuckets:
    """One bucket a name, each filled at the same rate; of many names the least recently used are forgotten."""

    rate: float
    """Tokens a second."""

    burst: float
    """Tokens a full bucket holds, at least 1."""

    monotonic: Monotonic
    max_names: int = 10_000
    """A forgotten name begins again with a full bucket: memory is bounded, whoever knocks."""

    _buckets: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self, name: str) -> float:
        """Take a token: 0.0 when there was one, else the seconds until there is."""
        with self._lock:
            bucket = self._filled(name)
            if bucket.tokens < 1.0:
                return (1.0 - bucket.tokens) / self.rate
            bucket.tokens -= 1.0
            return 0.0

    def _filled(self, name: str) -> _Bucket:
        now = self.monotonic()
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(tokens=self.burst, filled_at=now)
            if len(self._buckets) > self.max_names:
                self._buckets.popitem(last=False)
            return bucket
        self._buckets.move_to_end(name)
        bucket.tokens = min(self.burst, bucket.tokens + (now - bucket.filled_at) * self.rate)
        bucket.filled_at = now
        return bucket
