"""Orders as callers see them: without what opens anything."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from imagery.model.order import Order, OrderStatus


class OrderView(BaseModel):
    """One order at a provider."""

    name: str
    provider: str
    order_id: str | None = Field(description="The provider's; null while it is not known to be placed.")
    status: OrderStatus
    message: str = Field(description="The provider's last words about it.")
    collection: str
    item_ids: list[str]
    assets: list[str]
    subscription_ids: list[str]
    hectares: float
    execution_id: str = Field(description="The execution that waits for it.")
    looks: int = Field(description="How often it was read from the provider.")
    look_at: datetime | None = Field(description="When it is read next; null: it is final.")
    created_at: datetime
    placed_at: datetime | None
    updated_at: datetime

    @classmethod
    def of(cls, order: Order) -> OrderView:
        """As it stands: neither its webhook's key nor its task token, nor the area, which may be long."""
        own = {name: getattr(order, name) for name in cls.model_fields if hasattr(order, name)}
        wish = order.wish
        return cls(**own, collection=wish.collection, item_ids=list(wish.item_ids), assets=list(wish.assets))


class OrderPage(BaseModel):
    """Orders, newest first."""

    orders: list[OrderView]
    next: str | None
