"""SIGTERM and SIGINT as a wish to be told of, not an accident."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

LOOK_EVERY_S = 0.1


@dataclass(kw_only=True)
class Stop:
    """Whether somebody has asked for an end. Asking again changes nothing: ends take a bounded time as it is."""

    asked: bool = False
    interrupts: bool = False
    """Whether the first wish interrupts what is being done, by KeyboardInterrupt."""

    def wait(self) -> None:
        """Until it is asked for."""
        # Polled: a signal handler must not touch the locks that the thread it interrupts may hold.
        while not self.asked:
            time.sleep(LOOK_EVERY_S)

    def ask(self, _number: int, _frame: object) -> None:
        """A signal handler."""
        first, self.asked = not self.asked, True
        if first and self.interrupts:
            raise KeyboardInterrupt


@contextmanager
def stopping_on_signals(*, interrupts: bool = False) -> Iterator[Stop]:
    """For the block, signals only ask; once they have, they are ignored for what is left of the process.

    For the main thread.
    """
    stop = Stop(interrupts=interrupts)
    earlier = {number: signal.signal(number, stop.ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in earlier.items():
            signal.signal(number, signal.SIG_IGN if stop.asked else handler)
