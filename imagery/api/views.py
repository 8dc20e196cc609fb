"""What callers are given: our values as JSON, with links to what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import BaseModel, Field

from imagery.api.processing import FiltersView, ProcessingView
from imagery.model.execution import Execution, ExecutionStatus, HistoryEvent
from imagery.model.look import Look
from imagery.model.outcome import Outcome, OutcomeStatus, SkipReason
from imagery.model.request import Request, RequestKind
from imagery.model.subscription import Priority, Subscription, SubscriptionStatus, Webhook


class WebhookView(BaseModel):
    """Who is told of events."""

    url: str
    disabled_at: datetime | None = Field(
        description="When its receiver answered 410 Gone; nothing is sent until the webhook is set again."
    )
    secret: str | None = Field(
        default=None,
        description="What deliveries are signed with (Standard Webhooks). Only in the answer that made it, else null.",
    )

    @classmethod
    def of(cls, webhook: Webhook, *, with_secret: bool) -> WebhookView:
        """As its owner sees it."""
        return cls(url=webhook.url, disabled_at=webhook.disabled_at, secret=webhook.secret if with_secret else None)


class SubscriptionLinks(BaseModel):
    """Where to look next."""

    self: str
    ledger: str
    items: str = Field(description="STAC search for what was delivered; needs the same key.")


class WindowView(BaseModel):
    """A span of acquisition time."""

    start_at: datetime
    end_at: datetime


class BackfillView(BaseModel):
    """Looking back goes window by window, newest first."""

    windows: int
    done: int
    next: WindowView | None = Field(description="The newest one that is still to be looked through.")

    @classmethod
    def of(cls, looks: Sequence[Look]) -> BackfillView | None:
        """As its owner sees it."""
        if not looks:
            return None
        window = next((look.window for look in looks if look.done_at is None), None)
        return cls(
            windows=len(looks),
            done=sum(look.done_at is not None for look in looks),
            next=WindowView(start_at=window.start_at, end_at=window.end_at) if window else None,
        )


class SubscriptionView(BaseModel):
    """A subscription as it stands."""

    id: str
    owner: str
    aoi: dict[str, Any] = Field(description="GeoJSON Polygon or MultiPolygon, as used.")
    bbox: tuple[float, float, float, float] = Field(description="west, south, east, north in degrees.")
    area_km2: float
    provider: str
    collection: str
    assets: list[str]
    start_at: datetime
    end_at: datetime | None
    filters: FiltersView
    processing: ProcessingView
    priority: Priority
    destination: str | None
    labels: dict[str, str]
    webhook: WebhookView | None
    status: SubscriptionStatus
    delete_at: datetime | None = Field(description="When it and all it led to may be removed.")
    checked_through: datetime | None = Field(description="All the provider published up to here was looked at.")
    last_update_at: datetime | None = Field(description="When an item was last delivered.")
    created_at: datetime
    updated_at: datetime = Field(description="Last change by its owner.")
    version: int = Field(description="Counts the owner's changes; first part of the ETag.")
    backfill: BackfillView | None = Field(description="How far it has looked back. null: there was nothing to.")
    remarks: list[str] = Field(default_factory=list, description="What was mended in the AOI, when it is created.")
    links: SubscriptionLinks

    @classmethod
    def of(
        cls,
        subscription: Subscription,
        *,
        base_url: str,
        looks: Sequence[Look] = (),
        remarks: tuple[str, ...] = (),
        with_secret: bool = False,
    ) -> SubscriptionView:
        """As its owner sees it; the webhook's secret only where it was made just now."""
        webhook = subscription.webhook
        own = f"{base_url}/v1/subscriptions/{quote(subscription.id, safe='')}"
        items = {"filter-lang": "cql2-text", "filter": f"imagery:subscription_id = '{subscription.id}'"}
        return cls(
            **_fields(subscription, _OF_SUBSCRIPTION),
            aoi=dict(subscription.aoi.geometry),
            bbox=subscription.aoi.bbox,
            area_km2=round(subscription.aoi.area_km2, 6),
            assets=list(subscription.assets),
            filters=FiltersView.of(subscription.filters),
            processing=ProcessingView.of(subscription.processing),
            webhook=WebhookView.of(webhook, with_secret=with_secret) if webhook else None,
            backfill=BackfillView.of(looks),
            remarks=list(remarks),
            links=SubscriptionLinks(
                self=own, ledger=f"{own}/ledger", items=f"{base_url}/stac/search?{urlencode(items, quote_via=quote)}"
            ),
        )


class SubscriptionPage(BaseModel):
    """Subscriptions in order of creation."""

    subscriptions: list[SubscriptionView]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class OutcomeView(BaseModel):
    """How one acquisition ended, and why."""

    subscription_id: str
    item_id: str = Field(description="Of the source item, at the provider.")
    collection: str
    acquisition: str | None = Field(
        description="The same for all tiles and processings of one datatake, which come to one item of ours. null: "
        "not known."
    )
    status: OutcomeStatus
    reason: SkipReason | None = Field(
        description="When skipped: `cloudy`, `unclear` and `coverage` are your filters as they were at `updated_at`, "
        "`outside` means no data over the AOI, `superseded` that another tile or processing of the acquisition is in "
        "the item instead, `inactive` that the subscription was not active."
    )
    error: str | None = Field(description="When failed.")
    explanation: str
    numbers: dict[str, float] = Field(
        description="What was measured: coverage, clear, cloud, shadow, snow, unknown, water (fractions of the AOI's "
        "pixels; water is part of clear), cloud_cover (percent of what is shown), pixels, bytes, bytes_read."
    )
    acquired_at: datetime
    source_updated_at: datetime | None
    request_id: str
    updated_at: datetime
    item: str | None = Field(
        description="URL of our STAC item, when delivered, or when superseded: of the one it is in, or that is there "
        "instead."
    )

    @classmethod
    def of(cls, outcome: Outcome, *, base_url: str) -> OutcomeView:
        """A row of the ledger."""
        item = None
        if outcome.published_item_id is not None:
            collection = quote(outcome.published_collection or outcome.collection, safe="")
            item = f"{base_url}/stac/collections/{collection}/items/{quote(outcome.published_item_id, safe='')}"
        return cls(**_fields(outcome, _OF_OUTCOME), acquisition=outcome.acquisition or None, item=item)


class LedgerPage(BaseModel):
    """A subscription's ledger, newest acquisition first."""

    outcomes: list[OutcomeView]
    counts: dict[OutcomeStatus, int] = Field(description="Of the whole ledger, not of this page.")
    next: str | None


class RequestView(BaseModel):
    """One piece of work."""

    id: str
    kind: RequestKind
    priority: Priority
    provider: str
    collection: str
    subscription_ids: list[str]
    item_ids: list[str]
    window: WindowView | None
    attempt: int
    created_at: datetime

    @classmethod
    def of(cls, request: Request) -> RequestView:
        """As its owners see it."""
        window = request.window
        return cls(
            **_fields(request, ("id", "kind", "priority", "provider", "collection", "attempt", "created_at")),
            subscription_ids=list(request.subscription_ids),
            item_ids=list(request.item_ids),
            window=WindowView(start_at=window.start_at, end_at=window.end_at) if window else None,
        )


class RequestList(BaseModel):
    """What comes next in the queue, most urgent first; approximate."""

    requests: list[RequestView]


class ExecutionView(BaseModel):
    """One run of the workflow."""

    id: str
    status: ExecutionStatus
    state: str | None = Field(description="Where it is now; null when it has ended.")
    error: str | None
    cause: str | None
    started_at: datetime
    stopped_at: datetime | None

    @classmethod
    def of(cls, execution: Execution) -> ExecutionView:
        """A line of a list."""
        return cls(**_fields(execution, _OF_EXECUTION))


class ExecutionPage(BaseModel):
    """Executions, newest first; a page may hold fewer than `limit` though more follow."""

    executions: list[ExecutionView]
    next: str | None


class HistoryEventView(BaseModel):
    """One line of an execution's history, typed as Step Functions types it."""

    at: datetime
    type: str
    state: str | None
    detail: dict[str, Any]


class ExecutionDetail(ExecutionView):
    """An execution with what it was given, what it gave, and what it went through."""

    input: Any
    output: Any
    history: list[HistoryEventView]

    @classmethod
    def with_history(cls, execution: Execution, history: tuple[HistoryEvent, ...]) -> ExecutionDetail:
        """All there is to know about it."""
        events = [HistoryEventView(**_fields(event, ("at", "type", "state", "detail"))) for event in history]
        return cls(**_fields(execution, (*_OF_EXECUTION, "input", "output")), history=events)


class ProviderView(BaseModel):
    """Somebody with imagery."""

    name: str = Field(description="What a subscription names in `provider`.")
    collections: str = Field(description="URL of what it has, at the provider.")


class ProviderList(BaseModel):
    """The providers that are set up."""

    providers: list[ProviderView]


_OF_SUBSCRIPTION = (
    *("id", "owner", "provider", "collection", "start_at", "end_at", "priority", "destination", "labels", "status"),
    *("delete_at", "checked_through", "last_update_at", "created_at", "updated_at", "version"),
)
_OF_OUTCOME = (
    *("subscription_id", "item_id", "collection", "status", "reason", "error", "explanation", "numbers"),
    *("acquired_at", "source_updated_at", "request_id", "updated_at"),
)
_OF_EXECUTION = ("id", "status", "state", "error", "cause", "started_at", "stopped_at")


def _fields(value: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}
