"""How /health says the service stands."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from imagery.model.control import LimitStatus
from imagery.model.order import OrderStatus
from imagery.model.subscription import Priority
from imagery.service.feeds import FeedHealth
from imagery.wiring_planet import PlanetAccount


class PauseView(BaseModel):
    """The global stop. Who paused is for `imagery limits`: /health is read by strangers too."""

    at: datetime
    reason: str | None


class LimitView(BaseModel):
    """A limit to how much work is started."""

    name: str
    limit: int
    used: int
    is_reached: bool = Field(description="Nothing more is started just now; requests wait in the queue.")
    lifts_at: datetime | None = Field(description="When some of it is free again, where that is known.")

    @classmethod
    def of(cls, limit: LimitStatus) -> LimitView:
        """As it stands."""
        return cls(
            name=limit.name, limit=limit.limit, used=limit.used, is_reached=limit.is_reached, lifts_at=limit.lifts_at
        )


class FeedView(BaseModel):
    """What a provider tells of changes to a collection."""

    provider: str
    collection: str
    checked_at: datetime | None = Field(description="When it was last read to its end; null: never yet.")
    last_item_at: datetime | None = Field(description="When it last gave something new.")
    is_stale: bool = Field(description="Unread or quiet for longer than usual: something may be wrong.")
    explanation: str

    @classmethod
    def of(cls, feed: FeedHealth) -> FeedView:
        """As it stands."""
        return cls(
            provider=feed.provider,
            collection=feed.collection,
            checked_at=feed.checked_at,
            last_item_at=feed.last_item_at,
            is_stale=feed.is_stale,
            explanation=feed.explanation,
        )


class AccountView(BaseModel):
    """A provider that is ordered from, with a key of ours."""

    provider: str
    key_refused: bool = Field(description="It does not take our key: nothing is ordered until an operator mends it.")
    quota_used_up: bool = Field(description="It said so within the last hour, and has given nothing since.")
    explanation: str = Field(description="What to do about it; empty while all is well.")
    orders: dict[OrderStatus, int] = Field(description="How many stand how; `succeeded` and the like are final.")
    calls_us: bool = Field(description="Whether it was told where to call; else its orders are only polled.")

    @classmethod
    def of(cls, account: PlanetAccount) -> AccountView:
        """As it stands."""
        standing = account.client.standing
        return cls(
            provider=account.orders.provider,
            key_refused=standing.is_refused,
            quota_used_up=standing.is_used_up,
            explanation=standing.advice,
            orders=dict(account.orders.store.counts()),
            calls_us=account.orders.webhook_url is not None,
        )


class Health(BaseModel):
    """How the service is."""

    status: str = Field(description="`ok`; `degraded`: an account is refused or used up; `paused`: it starts no work.")
    version: str
    queue: dict[Priority, int] = Field(description="Requests waiting, by priority.")
    running: int = Field(description="Executions under way that do not wait for a callback.")
    paused: PauseView | None
    limits: list[LimitView]
    feeds: list[FeedView]
    accounts: list[AccountView]
