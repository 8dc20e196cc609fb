"""/v1/failures and /v1/replays: requests that failed for good, and trying them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from imagery.api.failure_views import FailurePage, FailureView, ReplayBody, ReplayList, ReplayView
from imagery.api.inputs import Instant
from imagery.api.needs import House, Who, require_json
from imagery.api.paging import Cursor, Limit, link_next
from imagery.api.problems import documented
from imagery.api.throttle import TokenBuckets
from imagery.errors import Throttled
from imagery.model.access import Caller
from imagery.model.failure import FailureQuery

_FIRST: dict[str, Any] = {
    "links": {"get": {"operationId": "failures_get", "parameters": {"failure_id": "$response.body#/failures/0/id"}}}
}

router = APIRouter(prefix="/v1", tags=["failures"])

_Name = Annotated[str | None, Query(min_length=1, max_length=256)]


@router.get("/failures", responses={200: _FIRST, **documented()})
def find(
    *,
    request: Request,
    response: Response,
    imagery: House,
    caller: Who,
    subscription_id: _Name = None,
    provider: _Name = None,
    error: Annotated[str | None, Query(min_length=1, max_length=256, description="Class name of the error.")] = None,
    retryable: Annotated[bool | None, Query(description="true: waiting can help; false: final.")] = None,
    replayed: Annotated[bool | None, Query(description="true: those whose replay is under way.")] = None,
    failed_from: Annotated[Instant | None, Query(alias="from", description="Failed at or after this.")] = None,
    failed_to: Annotated[Instant | None, Query(alias="to", description="Failed at or before this.")] = None,
    text: Annotated[str | None, Query(min_length=1, max_length=256, description="Part of the cause.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> FailurePage:
    """Your failures, newest first, and how many there are of each error."""
    query = FailureQuery(
        subscription_id=subscription_id,
        provider=provider,
        error=error,
        retryable=retryable,
        replayed=replayed,
        failed_from=failed_from,
        failed_to=failed_to,
        text=text,
        limit=limit,
        cursor=cursor,
    )
    page = imagery.failures.find(caller, query)
    counts = imagery.failures.counts(caller, query)
    link_next(request, response, page.next_cursor)
    return FailurePage.of(page.values, counts=counts, next_cursor=page.next_cursor)


@router.get("/failures/{failure_id}", responses=documented(404))
def get(failure_id: str, imagery: House, caller: Who) -> FailureView:
    """One failure."""
    return FailureView.of(imagery.failures.get(caller, failure_id))


@router.delete("/failures/{failure_id}", status_code=204, responses=documented(404))
def delete(failure_id: str, imagery: House, caller: Who) -> None:
    """Forget a failure; the ledger goes on saying that the acquisition failed."""
    imagery.failures.delete(caller, failure_id)


@router.post("/failures/{failure_id}/replay", status_code=202, responses=documented(404))
def replay(
    *,
    failure_id: str,
    request: Request,
    imagery: House,
    caller: Who,
    dry_run: Annotated[bool, Query(description="Say what would be done, and do nothing.")] = False,
) -> ReplayView:
    """Try it again, at its old priority. Asking twice tries once; the failure goes when the new attempt is through."""
    wait_s = 0.0 if dry_run else _leave(request, caller)()
    if wait_s > 0:
        raise _too_many(wait_s)
    return ReplayView.of(imagery.failures.replay(caller, failure_id, dry_run=dry_run))


@router.post("/replays", status_code=202, responses=documented(413, 415, 422), dependencies=[Depends(require_json)])
def replay_many(*, body: ReplayBody, request: Request, imagery: House, caller: Who) -> ReplayList:
    """Try many again, as fast as the rate of replays allows; `left` says how many were not sent yet."""
    leave = _leave(request, caller)
    if body.ids is not None:
        done = imagery.failures.replay_each(caller, body.ids, dry_run=body.dry_run, leave=leave)
    else:
        done = imagery.failures.replay_many(caller, body.to_query(), dry_run=body.dry_run, leave=leave)
    if done.retry_after_s > 0 and not done.replays:
        raise _too_many(done.retry_after_s)
    return ReplayList.of(done, dry_run=body.dry_run)


def _leave(request: Request, caller: Caller) -> Callable[[], float]:
    buckets: TokenBuckets = request.app.state.replays
    return lambda: buckets.take(caller.owner)


def _too_many(wait_s: float) -> Throttled:
    return Throttled(f"too many replays; send the next in {wait_s:.1f} s", retry_after_s=wait_s)
