"""/v1/subscriptions: create, read, list, change, delete, restore, and the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from imagery.api.etags import etag_of, expected_version, is_unchanged
from imagery.api.inputs import BboxText, Instant, SubscriptionBody, SubscriptionPatch
from imagery.api.needs import BaseUrl, House, Who, require_json
from imagery.api.paging import Cursor, Limit, link_next
from imagery.api.problems import documented
from imagery.api.views import LedgerPage, OutcomeView, SubscriptionPage, SubscriptionView
from imagery.model.outcome import OutcomeQuery, OutcomeStatus
from imagery.model.subscription import Subscription, SubscriptionQuery, SubscriptionStatus
from imagery.wiring import Imagery

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="Any text of yours; a repeat with it gives the subscription of the first time.",
    ),
]
IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=1000, description="ETag of the subscription as you saw it, or *.")
]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", max_length=1000, description="ETag you have; 304 if it is that still.")
]

_ETAG = {"headers": {"ETag": {"schema": {"type": "string"}, "description": "For If-Match and If-None-Match."}}}
_CREATED: dict[str, Any] = {
    "headers": {
        **_ETAG["headers"],
        "Location": {"schema": {"type": "string"}, "description": "URL of the subscription."},
        "Idempotent-Replayed": {"schema": {"type": "string"}, "description": "`true` when the key was used before."},
    },
    "links": {
        name: {"operationId": f"subscriptions_{name}", "parameters": {"subscription_id": "$response.body#/id"}}
        for name in ("get", "change", "delete", "restore", "ledger")
    },
}
_PATCH_BODY: dict[str, Any] = {
    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/SubscriptionPatch"}}}}
}


@dataclass(frozen=True)
class _Shown:
    """Answers with a subscription: its view, and the ETag of it."""

    imagery: Imagery
    response: Response
    base_url: str

    def view(
        self, subscription: Subscription, *, remarks: tuple[str, ...] = (), with_secret: bool = False
    ) -> SubscriptionView:
        looks = self.imagery.subscriptions.looks_of(subscription)
        self.response.headers["ETag"] = etag_of(subscription, looks)
        return SubscriptionView.of(
            subscription, base_url=self.base_url, looks=looks, remarks=remarks, with_secret=with_secret
        )


@router.post(
    "",
    status_code=201,
    responses={201: _CREATED, **documented(413, 415, 422)},
    dependencies=[Depends(require_json)],
)
def create(
    *,
    body: SubscriptionBody,
    imagery: House,
    caller: Who,
    base_url: BaseUrl,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> SubscriptionView:
    """Subscribe to an area: what its window holds already is looked for at once, the rest as it is published."""
    created = imagery.subscriptions.create(caller, body.to_model(), idempotency_key=idempotency_key)
    shown = _Shown(imagery, response, base_url)
    view = shown.view(created.subscription, remarks=created.remarks, with_secret=not created.is_repeat)
    response.headers["Location"] = view.links.self
    if created.is_repeat:
        response.headers["Idempotent-Replayed"] = "true"
    return view


@router.get("", responses=documented())
def find(
    *,
    request: Request,
    response: Response,
    imagery: House,
    caller: Who,
    base_url: BaseUrl,
    status: Annotated[list[SubscriptionStatus] | None, Query(description="Any of these; repeatable.")] = None,
    provider: Annotated[str | None, Query(min_length=1, max_length=256)] = None,
    bbox: Annotated[BboxText, Query(description="Those whose AOI's box touches west,south,east,north.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> SubscriptionPage:
    """Your subscriptions in order of creation; those made while you page come last."""
    query = SubscriptionQuery(
        statuses=frozenset(status or ()), provider=provider, bbox=bbox, limit=limit, cursor=cursor
    )
    page = imagery.subscriptions.find(caller, query)
    link_next(request, response, page.next_cursor)
    looks = imagery.subscriptions.looks_of
    views = [SubscriptionView.of(one, base_url=base_url, looks=looks(one)) for one in page.values]
    return SubscriptionPage(subscriptions=views, next=page.next_cursor)


@router.get(
    "/{subscription_id}",
    response_model=SubscriptionView,
    responses={200: _ETAG, 304: {"description": "You have it already."}, **documented(404)},
)
def get(
    *,
    subscription_id: str,
    imagery: House,
    caller: Who,
    base_url: BaseUrl,
    response: Response,
    if_none_match: IfNoneMatch = None,
) -> SubscriptionView | Response:
    """One subscription as it stands."""
    subscription = imagery.subscriptions.get(caller, subscription_id)
    view = _Shown(imagery, response, base_url).view(subscription)
    if is_unchanged(if_none_match, response.headers["ETag"]):
        return Response(status_code=304, headers={"ETag": response.headers["ETag"]})
    return view


@router.patch(
    "/{subscription_id}",
    responses={200: _ETAG, **documented(404, 409, 412, 413, 415, 422)},
    dependencies=[Depends(require_json)],
    openapi_extra=_PATCH_BODY,
)
def change(
    *,
    subscription_id: str,
    body: Annotated[SubscriptionPatch, Body(media_type="application/merge-patch+json")],
    imagery: House,
    caller: Who,
    base_url: BaseUrl,
    response: Response,
    if_match: IfMatch = None,
) -> SubscriptionView:
    """Change it by a JSON merge patch (RFC 7396). Another AOI, provider, collection or start needs a new one."""
    present = imagery.subscriptions.get(caller, subscription_id)
    expected = expected_version(if_match, present)
    # The patch is laid over what was just read: a change that comes in between must not be undone by it.
    version = present.version if expected is None else expected
    changes = body.changes_of(present)
    changed = imagery.subscriptions.change(caller, subscription_id, changes, expected_version=version)
    is_new = changed.webhook is not None and (
        present.webhook is None or present.webhook.secret != changed.webhook.secret
    )
    return _Shown(imagery, response, base_url).view(changed, with_secret=is_new)


@router.delete("/{subscription_id}", responses={200: _ETAG, **documented(404, 409, 412)})
def delete(
    *,
    subscription_id: str,
    imagery: House,
    caller: Who,
    base_url: BaseUrl,
    response: Response,
    if_match: IfMatch = None,
) -> SubscriptionView:
    """Mark it for deletion: it and all it led to goes at `delete_at`; until then it can be restored."""
    present = imagery.subscriptions.get(caller, subscription_id)
    expected = expected_version(if_match, present)
    marked = imagery.subscriptions.delete(caller, subscription_id, expected_version=expected)
    return _Shown(imagery, response, base_url).view(marked)


@router.post("/{subscription_id}/restore", responses={200: _ETAG, **documented(404, 409)})
def restore(
    *, subscription_id: str, imagery: House, caller: Who, base_url: BaseUrl, response: Response
) -> SubscriptionView:
    """Take the mark off; what was published meanwhile is caught up with."""
    restored = imagery.subscriptions.restore(caller, subscription_id)
    return _Shown(imagery, response, base_url).view(restored)


@router.post("/{subscription_id}/webhook/rotate", responses={200: _ETAG, **documented(404, 409)})
def rotate(
    *, subscription_id: str, imagery: House, caller: Who, base_url: BaseUrl, response: Response
) -> SubscriptionView:
    """Give its webhook a new secret, shown in this answer only; the old one is signed with too for a day yet."""
    rotated = imagery.subscriptions.rotate_secret(caller, subscription_id)
    return _Shown(imagery, response, base_url).view(rotated, with_secret=True)


@router.get("/{subscription_id}/ledger", responses=documented(404))
def ledger(
    *,
    subscription_id: str,
    request: Request,
    response: Response,
    imagery: House,
    caller: Who,
    base_url: BaseUrl,
    status: OutcomeStatus | None = None,
    acquired_from: Annotated[Instant | None, Query(alias="from", description="Acquired at or after this.")] = None,
    acquired_to: Annotated[Instant | None, Query(alias="to", description="Acquired at or before this.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> LedgerPage:
    """How every acquisition over the AOI ended: why there is an image of a day, or none."""
    query = OutcomeQuery(
        subscription_id=subscription_id,
        status=status,
        acquired_from=acquired_from,
        acquired_to=acquired_to,
        limit=limit,
        cursor=cursor,
    )
    page = imagery.subscriptions.outcomes(caller, query)
    counts = imagery.subscriptions.progress(caller, subscription_id)
    link_next(request, response, page.next_cursor)
    views = [OutcomeView.of(one, base_url=base_url) for one in page.values]
    return LedgerPage(outcomes=views, counts=dict(counts), next=page.next_cursor)
