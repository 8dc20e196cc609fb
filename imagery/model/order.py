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

    item_ids: tuple[str, ...]
    hectares: float
    """Of the AOI that is ordered, times items: what a provider bills."""

    placed_at: datetime | None = None
    look_at: datetime | None = None
    """When it is to be read from the provider next. None: never again."""

    looks: int = 0
    """How often it has been, since it was placed."""

    created_at: datetime
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
