"""One day of a subscription, as its ledger and its looks tell of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from imagery.model.outcome import Outcome, OutcomeStatus


class DayStatus(StrEnum):
    """Why there is an image of a day, or none."""

    DELIVERED = "delivered"
    """There is an image of it."""

    ACQUIRED = "acquired"
    """There were acquisitions, and none of them came to an image, or not yet; how each ended is in the ledger."""

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

    @property
    def images(self) -> int:
        """Items of ours that show it: tiles and processings of one acquisition come to one."""
        return len({(row.published_collection, row.published_item_id) for row in self.outcomes if is_shown(row)})

    @property
    def counts(self) -> dict[OutcomeStatus, int]:
        """How many source items ended how."""
        return {status: sum(row.status is status for row in self.outcomes) for status in OutcomeStatus}


def is_shown(outcome: Outcome) -> bool:
    """Whether an item of ours shows it, be it that of an earlier state that is being worked on anew."""
    return outcome.published_item_id is not None
