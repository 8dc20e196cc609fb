"""What callers send, parsed: bodies and parameters, bounded, and strict about what they are."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from imagery.api.processing import EXAMPLE, FiltersBody, ProcessingBody
from imagery.errors import SubscriptionInvalid
from imagery.model.codec import parse_instant
from imagery.model.processing import Processing
from imagery.model.subscription import Filters, Priority, Subscription, SubscriptionStatus
from imagery.service.subscriptions import NewSubscription

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?")
MAX_LABELS = 50
EARLIEST_YEAR, LATEST_YEAR = 1950, 2200

Bbox = tuple[float, float, float, float]


def _instant(value: object) -> datetime:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("write an instant as RFC 3339 does, such as 2026-05-01T00:00:00Z")
    try:
        instant = parse_instant(value.upper())
    except OverflowError:
        raise ValueError("this instant lies outside of what a calendar holds") from None
    if not EARLIEST_YEAR <= instant.year < LATEST_YEAR:
        raise ValueError(f"an instant lies between the years {EARLIEST_YEAR} and {LATEST_YEAR}")
    return instant


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "description": f"RFC 3339, with its offset from UTC; years {EARLIEST_YEAR} to {LATEST_YEAR - 1}.",
        }
    ),
]

_Text = Annotated[str, Field(min_length=1, max_length=256)]


def _each_once(assets: list[str]) -> list[str]:
    if len(set(assets)) < len(assets):
        raise ValueError("name each asset once")
    return assets


_Assets = Annotated[
    list[_Text],
    AfterValidator(_each_once),
    Field(
        max_length=100,
        description="Asset keys; none: the collection's usual ones.",
        json_schema_extra={"uniqueItems": True},
    ),
]
_LabelKey = Annotated[str, Field(min_length=1, max_length=64)]
_LabelValue = Annotated[str, Field(max_length=256)]


class WebhookBody(BaseModel):
    """Who is told of events."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        min_length=1,
        max_length=2048,
        description="Where events are sent by POST: https, a name or address of the public internet, no redirect.",
    )


_EXAMPLE: dict[str, Any] = {
    "aoi": {
        "type": "Polygon",
        "coordinates": [[[15.4, 46.1], [15.41, 46.1], [15.41, 46.11], [15.4, 46.11], [15.4, 46.1]]],
    },
    "provider": "earth-search",
    "collection": "sentinel-2-l2a",
    "assets": ["red", "nir"],
    "start_at": "2026-04-01T00:00:00Z",
    "filters": {"max_cloud_cover": 40, "min_clear_fraction": 0.7},
    "processing": EXAMPLE,
    "labels": {"farm": "north"},
}


class SubscriptionBody(BaseModel):
    """A new subscription."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    aoi: dict[str, Any] = Field(
        description="GeoJSON in longitude/latitude: a Polygon or MultiPolygon, a Feature of one, or a "
        "FeatureCollection of one. Mended where harmless; `remarks` of the answer say what was mended."
    )
    provider: _Text = Field(description="A name of GET /v1/providers.")
    collection: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,254}$", description="Id of a collection of the provider."
    )
    assets: _Assets | None = None
    start_at: Instant | None = Field(default=None, description="First instant of acquisition wanted. null: now.")
    end_at: Instant | None = Field(
        default=None,
        description="Last instant wanted; late arrivals are taken for a while after it, new processings are not, and "
        "after the retention it is deleted with its imagery. null: until it is deleted.",
    )
    filters: FiltersBody | None = None
    processing: ProcessingBody | None = None
    priority: Priority | None = Field(default=None, description="Of its updates. null: normal.")
    destination: str | None = Field(
        default=None, min_length=1, max_length=200, description="Prefix in the object store. null: the id alone."
    )
    labels: Annotated[dict[_LabelKey, _LabelValue], Field(max_length=MAX_LABELS)] | None = Field(
        default=None, description="Your own words; kept and given back."
    )

    webhook: WebhookBody | None = Field(
        default=None, description="Who is told of events. null: nobody. The answer holds the secret, this once."
    )

    def to_model(self) -> NewSubscription:
        """The value our house works with. Raises FormulaInvalid."""
        return NewSubscription(
            aoi=self.aoi,
            provider=self.provider,
            collection=self.collection,
            assets=tuple(self.assets or ()),
            start_at=self.start_at,
            end_at=self.end_at,
            filters=(self.filters or FiltersBody()).laid_over(Filters()),
            processing=(self.processing or ProcessingBody()).laid_over(Processing()),
            priority=self.priority or Priority.NORMAL,
            destination=self.destination,
            labels=self.labels or {},
            webhook_url=self.webhook.url if self.webhook else None,
        )


class SubscriptionPatch(BaseModel):
    """A JSON merge patch (RFC 7396): what is not named stays, null goes back to the default, objects are merged."""

    # What it does not know is passed on, for the service to say that it cannot be changed.
    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "additionalProperties": False,
            "examples": [{"filters": {"max_cloud_cover": 20}}, {"processing": EXAMPLE}],
        },
    )

    end_at: Instant | None = Field(
        default=None,
        description="A later one than that which is over, or null, looks once more over the subscription's whole time.",
    )
    assets: _Assets | None = None
    filters: FiltersBody | None = None
    processing: ProcessingBody | None = None
    priority: Priority | None = None
    status: Literal["active", "paused"] | None = None
    labels: Annotated[dict[_LabelKey, _LabelValue | None], Field(max_length=2 * MAX_LABELS)] | None = None
    webhook: WebhookBody | None = None

    def changes_of(self, subscription: Subscription) -> dict[str, Any]:
        """The new values of the fields that are named, laid over what the subscription has. Raises FormulaInvalid."""
        mergers: Mapping[str, Any] = {
            "end_at": self.end_at,
            "assets": tuple(self.assets or ()),
            "filters": self.filters.laid_over(subscription.filters) if self.filters else Filters(),
            "processing": self.processing.laid_over(subscription.processing) if self.processing else Processing(),
            "priority": self.priority or Priority.NORMAL,
            "status": SubscriptionStatus(self.status or "active"),
            "labels": self._labels(subscription.labels),
            "webhook": self.webhook.url if self.webhook else None,
        }
        return {name: mergers.get(name) for name in self.model_fields_set}

    def _labels(self, present: Mapping[str, str]) -> dict[str, str]:
        if self.labels is None:
            return {}
        merged = {key: value for key, value in {**present, **self.labels}.items() if value is not None}
        if len(merged) > MAX_LABELS:
            raise SubscriptionInvalid(f"a subscription has up to {MAX_LABELS} labels", field="/labels")
        return merged


def _bbox(value: object) -> Bbox:
    parts = str(value).split(",")
    try:
        numbers = tuple(map(float, parts))
    except ValueError:
        numbers = ()
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise ValueError("write a bbox as west,south,east,north in degrees")
    west, south, east, north = numbers
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise ValueError("a bbox lies within -180,-90,180,90, south below north; west above east crosses 180°")
    return west, south, east, north


_DEGREES = r"[+-]?\d{1,3}(\.\d+)?"
BboxText = Annotated[
    Any,
    BeforeValidator(_bbox),
    WithJsonSchema({"type": "string", "pattern": rf"^{_DEGREES}(,{_DEGREES}){{3}}$", "example": "15.1,45.4,16,46.6"}),
]
"""`west,south,east,north`, parsed to four numbers."""
