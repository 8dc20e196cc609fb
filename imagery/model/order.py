"""One order at a provider that delivers later: what it was placed for, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class OrderStatus(StrEnum):
    """The words of STAC's order extension. The last three are final."""

    ORDERABLE = "orderable"
    """We are about to place it; whether the provider has it is found out by its name."""

    ORDERED = "ordered"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    """What it holds can be fetched; maybe not all that was asked for."""

    FAILED = "failed"
    CANCELED = "canceled"


FINAL = frozenset({OrderStatus.SUCCEEDED, OrderStatus.FAILED, OrderStatus.CANCELED})


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderWish:
    """What is ordered."""

    collection: str
    """The provider's word for what its items are of."""

    item_ids: tuple[str, ...]
    item_states: tuple[str, ...]
    """What each item is to be bought in: another state is another thing to buy. Empty: whatever it is in."""

    assets: tuple[str, ...]
    aoi: dict[str, object] = field(repr=False)
    """GeoJSON Polygon or MultiPolygon (EPSG:4326) that is cut out."""

    harmonise_to: str | None = None
    """Sensor whose colours it is fitted to, as the provider names it."""

    item_updates: tuple[str, ...] = ()
    """Each item's `updated` when it was ordered (RFC 3339; empty: it does not say). None at all: not known."""

    item_stages: tuple[str, ...] = ()
    """The stage of publishing each was in when it was ordered; empty: it does not say. None at all: not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One file an order made."""

    name: str
    """Path of it: bare, or below the order's id and more."""

    url: str | None = field(repr=False)
    """Where it can be fetched; as good as a key. None: not here, it was delivered elsewhere or is not ready."""

    expires_at: datetime | None
    """When the URL stops working; None: never."""

    is_pending: bool = False
    """Whether it is still on its way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderReading:
    """An order as its provider tells of it now."""

    order_id: str
    name: str
    status: OrderStatus
    is_partial: bool
    message: str
    item_ids: tuple[str, ...]
    results: tuple[Result, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """Saved before it is placed, so that a crash in between is mended by asking the provider for its name."""

    name: str
    """Derived from what it is for: whoever asks again asks for the same order. Unique."""

    provider: str
    execution_id: str
    """Which waits for it."""

    task_token: str = field(repr=False)
    """Resumes that execution; the newest, when the step was tried again."""

    webhook_key: str = field(repr=False)
    """The last part of the URL the provider calls: 32 random bytes, URL-safe."""

    order_id: str | None = None
    """The provider's. None: not known to be placed."""

    status: OrderStatus = OrderStatus.ORDERABLE
    message: str = ""
    """The provider's last words about it."""

    wish: OrderWish
    subscription_ids: tuple[str, ...]
    """Whose AOIs it holds."""

    hectares: float
    """Of the AOI that is ordered, times items: what a provider bills. 0 until it is begun, and for what was refused, or
    bought before."""

    shares: str | None = None
    """Name of the order whose delivery is used: nothing was placed for this one. None: it has its own."""

    spoiled: tuple[str, ...] = ()
    """Items whose files lack, or are not what they should be: whoever needs them again orders them anew."""

    tried_at: datetime | None = None
    """When placing it was begun last. None: never."""

    placed_at: datetime | None = None
    """When it was known to be placed."""

    missing_since: datetime | None = None
    """Since when the provider has said that it does not have it. None: it has, or may not list it yet."""

    look_at: datetime | None = None
    """When it is to be read from the provider next. None: never again."""

    looks: int = 0
    """How often it has been."""

    created_at: datetime
    """When it was first about to be placed, or was begun if that was on another day: whose budget it is part of."""

    updated_at: datetime

    @property
    def is_final(self) -> bool:
        """Whether the provider will not change it any more."""
        return self.status in FINAL


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderQuery:
    """Which orders to list, newest first."""

    status: OrderStatus | None = None
    limit: int = 100
    cursor: str | None = None
