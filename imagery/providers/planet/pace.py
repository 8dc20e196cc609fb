"""How fast Planet may be asked: each of its operations has a rate of its own. Knows no request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from enum import StrEnum


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


class Pace:
    """Lets callers through at a steady rate: each waits for its turn, in the order they came. Any thread."""

    def __init__(self, rate: float, *, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        """`rate` is in turns a second."""
        self._gap_s = 1.0 / rate
        self._monotonic, self._sleep = monotonic, sleep
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Until it is this caller's turn."""
        with self._lock:
            now = self._monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap_s
        if turn > now:
            self._sleep(turn - now)
