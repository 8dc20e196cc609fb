"""/v1/deletions: what went when subscriptions were removed; for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from imagery.api.failure_views import DeletionPage, DeletionView
from imagery.api.needs import House, Who
from imagery.api.paging import Cursor, Limit, link_next
from imagery.api.problems import documented
from imagery.errors import Forbidden
from imagery.model.deletion import DeletionQuery

router = APIRouter(prefix="/v1/deletions", tags=["deletions"])


@router.get("", responses=documented(403))
def find(
    *,
    request: Request,
    response: Response,
    imagery: House,
    caller: Who,
    owner: Annotated[str | None, Query(min_length=1, max_length=256)] = None,
    finished: Annotated[bool | None, Query(description="false: those that are under way.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> DeletionPage:
    """What was removed, and what went with it; those that began last first."""
    if not caller.operator:
        raise Forbidden("deletions are for operators; make a key with `imagery keys create --operator`")
    page = imagery.deletions.find(DeletionQuery(owner=owner, finished=finished, limit=limit, cursor=cursor))
    link_next(request, response, page.next_cursor)
    return DeletionPage(deletions=[DeletionView.of(one) for one in page.values], next=page.next_cursor)
