"""/v1/requests and /v1/executions: what waits for its turn, and what has had it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from imagery.api.needs import House, Who
from imagery.api.paging import Cursor, Limit, link_next
from imagery.api.problems import documented
from imagery.api.views import ExecutionDetail, ExecutionPage, ExecutionView, RequestList, RequestView
from imagery.api.visibility import Visible
from imagery.model.execution import ExecutionQuery, ExecutionStatus

_FIRST: dict[str, Any] = {
    "links": {
        "get": {"operationId": "work_execution", "parameters": {"execution_id": "$response.body#/executions/0/id"}}
    }
}

router = APIRouter(prefix="/v1", tags=["work"])


@router.get("/requests", responses=documented())
def requests(imagery: House, caller: Who, limit: Limit = 100) -> RequestList:
    """What comes next in the processing queue, of yours; operators see everybody's."""
    found = Visible(imagery=imagery, caller=caller).requests(limit)
    return RequestList(requests=[RequestView.of(one) for one in found])


@router.get("/executions", responses={200: _FIRST, **documented()})
def executions(
    *,
    request: Request,
    response: Response,
    imagery: House,
    caller: Who,
    status: ExecutionStatus | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> ExecutionPage:
    """Runs of the workflow for you, newest first. Go on while there is a `next`: a page may hold fewer than `limit`."""
    query = ExecutionQuery(status=status, limit=limit, cursor=cursor)
    page = Visible(imagery=imagery, caller=caller).executions(query)
    link_next(request, response, page.next_cursor)
    return ExecutionPage(executions=[ExecutionView.of(one) for one in page.values], next=page.next_cursor)


@router.get("/executions/{execution_id}", responses=documented(404))
def execution(execution_id: str, imagery: House, caller: Who) -> ExecutionDetail:
    """One run and the states it went through."""
    found = Visible(imagery=imagery, caller=caller).execution(execution_id)
    return ExecutionDetail.with_history(found, imagery.orchestrator.history(execution_id))
