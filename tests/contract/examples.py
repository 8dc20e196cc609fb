"""Values for contract tests: valid, small, and different only where a test says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from imagery.model.access import ApiKey
from imagery.model.aoi import Aoi
from imagery.model.event import Event, EventType
from imagery.model.failure import Failure
from imagery.model.outcome import Outcome, OutcomeStatus
from imagery.model.request import Request, RequestKind
from imagery.model.subscription import Priority, Subscription, Webhook

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def an_aoi(west: float = 14.0, south: float = 46.0, east: float = 14.1, north: float = 46.1) -> Aoi:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return Aoi(geometry={"type": "Polygon", "coordinates": [ring]}, bbox=(west, south, east, north), area_km2=1.0)


def a_subscription(number: int = 1, **changes: Any) -> Subscription:
    """Those with a higher number were created later."""
    at = NOW + timedelta(seconds=number)
    subscription = Subscription(
        id=f"sub_{number:026d}",
        owner="ana",
        aoi=an_aoi(),
        provider="earth-search",
        collection="sentinel-2-l2a",
        assets=("red", "nir"),
        start_at=NOW,
        labels={"field": 'Češnjica ☂ \'n "more"\x00'},
        created_at=at,
        updated_at=at,
    )
    return replace(subscription, **changes)


def a_request(name: str = "item", priority: Priority = Priority.NORMAL, **changes: Any) -> Request:
    request = Request.for_item(
        kind=RequestKind.UPDATE,
        priority=priority,
        provider="earth-search",
        collection="sentinel-2-l2a",
        item_id=name,
        item_updated_at=None,
        subscription_ids=["sub_1"],
        now=NOW,
    )
    return replace(request, **changes)


def an_outcome(item_id: str = "item", day: int = 1, **changes: Any) -> Outcome:
    """Acquired on that day of May."""
    outcome = Outcome(
        subscription_id="sub_1",
        item_id=item_id,
        collection="sentinel-2-l2a",
        status=OutcomeStatus.DELIVERED,
        acquired_at=datetime(2026, 5, day, 10, 20, 30, 123456, tzinfo=UTC),
        source_updated_at=NOW,
        numbers={"cloud_cover": 12.5},
        request_id="req_1",
        updated_at=NOW,
    )
    return replace(outcome, **changes)


def a_failure(number: int = 1, **changes: Any) -> Failure:
    """Those with a higher number failed later."""
    failure = Failure(
        id=f"exec_{number}",
        request=a_request(f"item_{number}"),
        owner="ana",
        error="RasterUnreadable",
        cause="the file is no raster",
        state="PublicProvider",
        retryable=False,
        failed_at=NOW + timedelta(seconds=number),
    )
    return replace(failure, **changes)


def a_key(number: int = 1, **changes: Any) -> ApiKey:
    """Those with a higher number were created later."""
    key = ApiKey(id=f"key_{number}", owner="ana", secret_sha256="ab" * 32, created_at=NOW + timedelta(seconds=number))
    return replace(key, **changes)


def an_event(number: int = 1, **changes: Any) -> Event:
    """Those with a higher number happened later."""
    event = Event(
        id=f"evt_{number}",
        type=EventType.ITEM_PUBLISHED,
        owner="ana",
        subscription_id=f"sub_{1:026d}",
        subject=f"item_{number}",
        at=NOW + timedelta(seconds=number),
        data={"numbers": {"coverage": 0.5}, "text": 'Češnjica ☂ "'},
    )
    return replace(event, **changes)


def a_webhook(url: str = "https://hooks.example.com/ana", **changes: Any) -> Webhook:
    return replace(Webhook(url=url, secret="whsec_b25seSBmb3IgdGVzdHM="), **changes)
