"""/v1/failures: requests that failed for good."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from imagery.api.needs import House, Who
from imagery.api.paging import Cursor, Limit, link_next
from imagery.api.problems import documented
from imagery.api.views import FailurePage, FailureView
from imagery.model.failure import FailureQuery

_FIRST: dict[str, Any] = {
    "links": {"get": {"operationId": "failures_get", "parameters": {"failure_id": "$response.body#/failures/0/id"}}}
}

router = APIRouter(prefix="/v1/failures", tags=["failures"])

_Name = Annotated[str | None, Query(min_length=1, max_length=256)]


@router.get("", responses={200: _FIRST, **documented()})
def find(
    *,
    request: Request,
    response: Response,
    imagery: House,
    caller: Who,
    subscription_id: _Name = None,
    error: Annotated[str | None, Query(min_length=1, max_length=256, description="Class name of the error.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> FailurePage:
    """Your failures, newest first."""
    query = FailureQuery(subscription_id=subscription_id, error=error, limit=limit, cursor=cursor)
    page = imagery.failures.find(caller, query)
    link_next(request, response, page.next_cursor)
    return FailurePage(failures=[FailureView.of(one) for one in page.values], next=page.next_cursor)


@router.get("/{failure_id}", responses=documented(404))
def get(failure_id: str, imagery: House, caller: Who) -> FailureView:
    """One failure."""
    return FailureView.of(imagery.failures.get(caller, failure_id))
