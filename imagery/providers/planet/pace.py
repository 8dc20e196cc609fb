"""How fast Planet may be asked: each of its operations has a rate of its own. Knows no request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from enum import StrEnum

from imagery.errors import ProviderThrottled


class Operation(StrEnum):
    """What Planet counts apart."""

    DATA = "data"
    CREATE = "create"
    GET = "get"
    LIST = "list"
    DOWNLOAD = "download"


RATES: Mapping[Operation, float] = {
    Operation.DATA: 10.0,
    Operation.CREATE: 3.0,
    Operation.GET: 3.0,
    Operation.LIST: 3.0,
    Operation.DOWNLOAD: 5.0,
}
"""docs.planet.com, Orders API rate limits (2025) and Data API (2024): requests a second and API key."""

_SLACK = 1.05
"""Gaps are this much longer than the rate asks for: threads wake late, and no second may hold one too many."""


class Pace:
    """Lets callers through at a steady rate: each waits for its turn, in the order they came. Any thread."""

    def __init__(self, rate: float, *, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        """`rate` is in turns a second."""
        self._gap_s = _SLACK / rate
        self._monotonic, self._sleep = monotonic, sleep
        self._lock = threading.Lock()
        self._next = 0.0
        self._not_before = 0.0

    def hold(self, for_s: float) -> None:
        """Let nobody through for so long: Planet has said so to one, and means all."""
        with self._lock:
            self._not_before = max(self._not_before, self._monotonic() + for_s)

    def wait(self, *, at_most_s: float) -> None:
        """Until it is this caller's turn. Raises ProviderThrottled at once when all are held for longer."""
        while True:
            with self._lock:
                now = self._monotonic()
                held_s = self._not_before - now
                if held_s > at_most_s:
                    raise ProviderThrottled(
                        f"Planet wants to be left alone for {held_s:.0f} s more; it is asked again later",
                        retry_after_s=held_s,
                    )
                turn = max(now, self._next, self._not_before)
                self._next = turn + self._gap_s
            if turn > now:
                self._sleep(turn - now)
            if self._not_before <= turn:
                return
