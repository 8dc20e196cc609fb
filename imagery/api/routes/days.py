"""/v1/subscriptions/{id}/ledger/days: every day of a range, those without an acquisition too."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Query

from imagery.api.day_views import DayList, DayView
from imagery.api.needs import BaseUrl, House, Who
from imagery.api.problems import documented

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])


@router.get("/{subscription_id}/ledger/days", responses=documented(404))
def find_days(
    *,
    subscription_id: str,
    imagery: House,
    caller: Who,
    base_url: BaseUrl,
    first: Annotated[date | None, Query(alias="from", description="First day (UTC).")] = None,
    last: Annotated[date | None, Query(alias="to", description="Last day (UTC); else today.")] = None,
) -> DayList:
    """How each day ended: its acquisitions, or why there is none. The last 30 days, unless a range is named."""
    days = imagery.days.find(caller, subscription_id, first=first, last=last)
    return DayList(days=[DayView.of(day, base_url=base_url) for day in days])


@router.get("/{subscription_id}/ledger/days/{day}", responses=documented(404))
def get_day(
    *,
    subscription_id: str,
    imagery: House,
    caller: Who,
    base_url: BaseUrl,
    day: Annotated[date, Path(description="A day (UTC), such as 2026-05-03.")],
) -> DayView:
    """Why there is an image of this day, or none."""
    return DayView.of(imagery.days.get(caller, subscription_id, day), base_url=base_url)
