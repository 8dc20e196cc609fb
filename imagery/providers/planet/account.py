"""What all who ask with one key share: its pace, and whether it is refused or used up. Knows no request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from imagery.providers.planet.pace import RATES, Operation, Pace

REFUSED_FOR_S = 300.0
"""After the key was refused nothing is sent for so long: hammering with a dead key helps nobody."""

USED_UP_FOR_S = 3600.0
"""How long a quota counts as used up, when nothing of its kind succeeds before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How the account stands with Planet, as far as the last answers tell."""

    is_refused: bool
    is_used_up: bool = False
    """Whether Planet said that a quota is used up."""

    why: str = ""
    """Planet's own words, for operators."""

    for_s: float = 0.0
    """Seconds since it said so last."""

    @property
    def advice(self) -> str:
        """For strangers too: none of Planet's words. Empty while all is well."""
        if self.is_refused:
            return "the API key is not taken; an operator puts a valid one into IMAGERY_PLANET_API_KEY and restarts"
        if self.is_used_up:
            return "the provider's quota is used up; an operator has it raised and replays the failures"
        return ""


class Account:
    """One key's. Any thread."""

    def __init__(self, *, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._monotonic = monotonic
        self.paces = {one: Pace(rate, monotonic=monotonic, sleep=sleep) for one, rate in RATES.items()}
        self._lock = threading.Lock()
        self._refused: tuple[float, str] | None = None
        """When it was (monotonic), and why."""

        self._used_up: dict[Operation, tuple[float, str]] = {}

    @property
    def standing(self) -> Standing:
        """A refused key is told before a quota used up."""
        with self._lock:
            refused, used_up, now = self._refused, list(self._used_up.values()), self._monotonic()
        if refused is not None:
            return Standing(is_refused=True, why=refused[1], for_s=now - refused[0])
        last = max((one for one in used_up if now - one[0] < USED_UP_FOR_S), default=None)
        if last is not None:
            return Standing(is_refused=False, is_used_up=True, why=last[1], for_s=now - last[0])
        return Standing(is_refused=False)

    def refused_lately(self) -> str | None:
        """Why nothing is to be sent just now; None: something may be."""
        with self._lock:
            refused = self._refused
        is_late = refused is not None and self._monotonic() - refused[0] < REFUSED_FOR_S
        return refused[1] if refused is not None and is_late else None

    def was_refused(self, why: str) -> None:
        """The key was."""
        with self._lock:
            self._refused = (self._monotonic(), why)

    def was_used_up(self, operation: Operation, why: str) -> None:
        """The quota of it was."""
        with self._lock:
            self._used_up[operation] = (self._monotonic(), why)

    def was_known(self) -> None:
        """The key was, whatever else was answered."""
        with self._lock:
            self._refused = None

    def has_given(self, operation: Operation) -> None:
        """It was done as asked: there is quota."""
        with self._lock:
            self._used_up.pop(operation, None)
