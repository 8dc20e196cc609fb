"""What callers are given of a subscription's days."""

from __future__ import annotations

import datetime as dt

from pydantic import BaseModel, Field

from imagery.api.views import OutcomeView
from imagery.model.day import Day, DayStatus
from imagery.model.outcome import OutcomeStatus


class DayView(BaseModel):
    """One day (UTC): its acquisitions and how each ended, or why there is none."""

    date: dt.date
    status: DayStatus = Field(
        description="`delivered`: there is an image. `acquired`: there were acquisitions without one; `counts` tells "
        "whether they were skipped, failed, or are waiting. `no_acquisition`: it was looked at, and there is none. "
        "`not_looked_yet`. `outside` of the subscription's time."
    )
    images: int = Field(description="Items of ours that show it: tiles and processings of one acquisition come to one.")
    counts: dict[OutcomeStatus, int] = Field(description="How many source items ended how.")
    explanation: str = Field(description="One sentence: why there is an image of this day, or none.")
    outcomes: list[OutcomeView]

    @classmethod
    def of(cls, day: Day, *, base_url: str) -> DayView:
        """As its owner sees it."""
        views = [OutcomeView.of(outcome, base_url=base_url) for outcome in day.outcomes]
        return cls(
            date=day.date,
            status=day.status,
            images=day.images,
            counts=day.counts,
            explanation=day.explanation,
            outcomes=views,
        )


class DayList(BaseModel):
    """Every day of a range, newest first."""

    days: list[DayView]
