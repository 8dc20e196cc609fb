"""Counts the bytes a piece of work moves. Knows neither rasters nor objects, only sizes."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Meter:
    """Adds up; may be used from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[Hashable] = set()
        self._read = 0
        self._written = 0

    @property
    def bytes_read(self) -> int:
        """So far."""
        return self._read

    @property
    def bytes_written(self) -> int:
        """So far."""
        return self._written

    def has_read(self, size: int, *, once: Hashable | None = None) -> int:
        """`size` more bytes were read; gives how many of them count.

        Those called `once` count the first time only: later ones came from a cache.
        """
        with self._lock:
            if once is not None:
                if once in self._seen:
                    return 0
                self._seen.add(once)
            self._read += size
            return size

    def has_written(self, size: int) -> None:
        """`size` more bytes were written."""
        with self._lock:
            self._written += size


_current: ContextVar[Meter | None] = ContextVar("imagery_meter", default=None)


@contextmanager
def metered() -> Iterator[Meter]:
    """What is read and written inside is counted on this meter.

    A thread started inside counts too if it is given a copy of the context (`contextvars.copy_context().run`).
    """
    meter = Meter()
    token = _current.set(meter)
    try:
        yield meter
    finally:
        _current.reset(token)


def meter_in_use() -> Meter | None:
    """The innermost; None where nobody asked to count."""
    return _current.get()
