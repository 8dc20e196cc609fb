"""How an order's end comes to the execution that waits for it: by the token in its row, which can be used once."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from imagery.errors import OrderCanceled, OrderFailed, ProviderError, TaskTokenUnknown
from imagery.model.order import Order, OrderStatus
from imagery.ports import TaskTokens

logger = logging.getLogger(__name__)

LOST: dict[OrderStatus, tuple[type[ProviderError], str]] = {
    OrderStatus.FAILED: (OrderFailed, "could not make"),
    OrderStatus.CANCELED: (OrderCanceled, "was told to cancel"),
}
"""Statuses that end an order without a delivery: as which error, and in which words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """Safe to repeat: a token that was used, or that nobody waits for, is passed over."""

    provider: str
    tokens: TaskTokens

    def tell(self, order: Order, order_id: str | None, status: OrderStatus, message: str) -> None:
        """That it has ended, with what the provider says of it."""
        try:
            if status is OrderStatus.SUCCEEDED:
                self.tokens.resume(order.task_token, {"order_id": order_id, "name": order.name})
            else:
                error, what = LOST[status]
                cause = f"{self.provider} {what} order {order_id}: {message or 'no reason given'}"
                self.tokens.fail(order.task_token, error=error.__name__, cause=cause)
        except TaskTokenUnknown:
            logger.info("nobody waits for the order any more", extra={"order": order.name})

    def heartbeat(self, order: Order) -> None:
        """The execution is looked after, whether or not the provider can be asked just now."""
        try:
            self.tokens.heartbeat(order.task_token)
        except TaskTokenUnknown:
            logger.info("nobody waits for the order any more", extra={"order": order.name})
