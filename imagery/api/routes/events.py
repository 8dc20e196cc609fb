"""/v1/events: what happened to one's subscriptions, how it was told, and telling it again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from imagery.api.event_views import EventDetail, EventPage, EventView
from imagery.api.needs import BaseUrl, House, Who
from imagery.api.paging import Cursor, Limit, link_next
from imagery.api.problems import documented
from imagery.model.event import EventQuery, EventType

router = APIRouter(prefix="/v1/events", tags=["events"])


@router.get("", responses=documented())
def find(
    *,
    request: Request,
    response: Response,
    imagery: House,
    caller: Who,
    base_url: BaseUrl,
    subscription_id: Annotated[str | None, Query(min_length=1, max_length=256)] = None,
    type_: Annotated[EventType | None, Query(alias="type", description="Only events of this type.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> EventPage:
    """Your events, newest first; kept for a while whether or not there is a webhook."""
    query = EventQuery(subscription_id=subscription_id, type=type_, limit=limit, cursor=cursor)
    page = imagery.notifications.find(caller, query)
    link_next(request, response, page.next_cursor)
    return EventPage(events=[EventView.of(one, base_url=base_url) for one in page.values], next=page.next_cursor)


@router.get("/{event_id}", responses=documented(404))
def get(event_id: str, imagery: House, caller: Who, base_url: BaseUrl) -> EventDetail:
    """One event, with its delivery log."""
    event = imagery.notifications.get(caller, event_id)
    return EventDetail.with_log(event, imagery.notifications.log(caller, event_id), base_url=base_url)


@router.post("/{event_id}/redeliver", status_code=202, responses=documented(404, 409))
def redeliver(event_id: str, imagery: House, caller: Who, base_url: BaseUrl) -> EventDetail:
    """Send it to the subscription's webhook once more, whether or not it was taken; its id stays the same."""
    event = imagery.notifications.get(caller, event_id)
    log = imagery.notifications.redeliver(caller, event_id)
    return EventDetail.with_log(event, log, base_url=base_url)
