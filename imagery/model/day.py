"""One day of a subscription, as its ledger and its looks tell of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from imagery.model.outcome import Outcome


class DayStatus(StrEnum):
    """Why there is an image of a day, or none."""

    ACQUIRED = "acquired"
    """There were acquisitions; how each ended is in the ledger."""

    NO_ACQUISITION = "no_acquisition"
    """It was looked at, and the provider has none."""

    NOT_LOOKED_YET = "not_looked_yet"
    OUTSIDE = "outside"
    """Before the subscription's start or after its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """A day of UTC."""

    date: dt.date
    status: DayStatus
    outcomes: tuple[Outcome, ...]
    """Of the acquisitions of this day, newest first."""

    explanation: str
    """One sentence for a person."""
