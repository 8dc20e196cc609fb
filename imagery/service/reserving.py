"""Which order serves a need: its own, one that was bought for more than it, or a new one. No provider is asked here."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shapely.geometry import shape

from imagery.errors import BudgetReached, OrderCanceled, OrderFailed, ProviderError, ProviderUnavailable
from imagery.model.order import Order, OrderStatus, OrderWish
from imagery.ports import OrderStore, Together
from imagery.service.budget import Budget

UNLISTED = timedelta(minutes=5)
"""How long an order may be on its way to the provider (125 s), and then be missing from its list: nothing is ordered
again before."""

SOON = timedelta(seconds=30)
"""When an order is looked at after its step was at work on it."""

LOST: dict[OrderStatus, tuple[type[ProviderError], str]] = {
    OrderStatus.FAILED: (OrderFailed, "could not make"),
    OrderStatus.CANCELED: (OrderCanceled, "was told to cancel"),
}
"""Statuses that end an order without a delivery: as which error, and in which words."""


_ROUNDING = 1e-7
"""Degrees (a centimetre): areas that were put together differ by no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What an execution waits for."""

    purpose: str
    """Becomes the order's name; the same for the same work, however often it is tried."""

    wish: OrderWish
    subscription_ids: tuple[str, ...]
    hectares: float
    execution_id: str
    task_token: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservations:
    """Rows of orders, each change in one transaction."""

    provider: str
    store: OrderStore
    together: Together
    budget: Budget

    def reserve(self, need: Need, now: datetime) -> Order:
        """The row of the order to be used, saved with the token of who waits now. Raises BudgetReached."""
        with self.together():
            own = self._own(need)
            if own is None:
                own = self._shared(need, now) or self._fresh(need, now, self._free_name(need))
            elif _is_untried(own):
                own = self._fresh(need, now, own.name, instead_of=own)
            # Looked at soon, whatever becomes of the step that reserves it.
            look_at = None if _is_untried(own) else now + SOON
            order = replace(
                own, execution_id=need.execution_id, task_token=need.task_token, look_at=look_at, updated_at=now
            )
            self.store.save(order)
        return order

    def reserve_anew(self, need: Need, now: datetime, *, gone: Order) -> Order:
        """As `reserve`, when the provider has forgotten what was bought. Raises BudgetReached."""
        with self.together():
            for name in {gone.name, gone.shares or gone.name}:
                lost = replace(self.kept(name), status=OrderStatus.CANCELED, message=f"{self.provider} has it no more")
                self.store.save(replace(lost, look_at=None, updated_at=now))
            order = self._fresh(need, now, self._free_name(need))
            self.store.save(order)
        return order

    def begin(self, name: str, now: datetime) -> Order:
        """Note that it is about to be placed, unless somebody else may have done so a moment ago.

        Raises ProviderUnavailable then.
        """
        with self.together():
            order = self.kept(name)
            if order.order_id is not None:
                raise ProviderUnavailable(f"order {name} has just been placed by another; it is read again")
            if order.tried_at is not None and now - order.tried_at < UNLISTED:
                raise ProviderUnavailable(
                    f"order {name} may have been placed a moment ago and not be listed yet; it is looked for again"
                )
            begun = replace(order, tried_at=now, look_at=now + SOON, updated_at=now)
            self.store.save(begun)
        return begun

    def refused(self, name: str, now: datetime, *, forever: bool) -> None:
        """It was surely not placed. Gives its hectares back to the day when asking again will not help."""
        with self.together():
            order = self.kept(name)
            if order.order_id is None:
                hectares = 0.0 if forever else order.hectares
                self.store.save(replace(order, tried_at=None, look_at=None, hectares=hectares, updated_at=now))

    def kept(self, name: str) -> Order:
        """A row that is there."""
        order = self.store.get(name)
        if order is None:
            raise AssertionError(f"order {name} was never saved")
        return order

    def _own(self, need: Need) -> Order | None:
        """The newest order of this purpose, if it still can serve."""
        own, number = self.store.get(need.purpose), 2
        while own is not None and (newer := self.store.get(f"{need.purpose}-{number}")) is not None:
            own, number = newer, number + 1
        if own is None or own.execution_id == need.execution_id:
            return own
        return own if _is_untried(own) or (own.status not in LOST and _serves(own, need)) else None

    def _shared(self, need: Need, now: datetime) -> Order | None:
        """A row of its own for a delivery that was bought for another purpose. Two never wait in one row."""
        for bought in self.store.of_item(self.provider, need.wish.item_ids[0]):
            if bought.status is OrderStatus.SUCCEEDED and _serves(bought, need) and _is_as_new(bought, need):
                own = self._new(need, now, self._free_name(need))
                return replace(
                    own,
                    wish=bought.wish,
                    subscription_ids=bought.subscription_ids,
                    hectares=0.0,
                    shares=bought.shares or bought.name,
                    order_id=bought.order_id,
                    status=OrderStatus.ORDERED,
                    placed_at=bought.placed_at,
                )
        return None

    def _fresh(self, need: Need, now: datetime, name: str, *, instead_of: Order | None = None) -> Order:
        ordered = self.store.hectares(now.date())
        if instead_of is not None and instead_of.created_at.date() == now.date():
            ordered -= instead_of.hectares
        refusal = self.budget.refusal(ordered, need.hectares)
        if refusal is not None:
            raise BudgetReached(f"{refusal}; it is tried again later, or raise the limit in the settings")
        order = self._new(need, now, name)
        return order if instead_of is None else replace(order, webhook_key=instead_of.webhook_key)

    def _new(self, need: Need, now: datetime, name: str) -> Order:
        return Order(
            name=name,
            provider=self.provider,
            execution_id=need.execution_id,
            task_token=need.task_token,
            webhook_key=secrets.token_urlsafe(32),
            wish=need.wish,
            subscription_ids=need.subscription_ids,
            hectares=need.hectares,
            created_at=now,
            updated_at=now,
        )

    def _free_name(self, need: Need) -> str:
        name, number = need.purpose, 2
        while self.store.get(name) is not None:
            name, number = f"{need.purpose}-{number}", number + 1
        return name


def _is_untried(order: Order) -> bool:
    """Whether it surely was never placed."""
    return order.tried_at is None and order.order_id is None


def _serves(order: Order, need: Need) -> bool:
    """Whether it has all of what is needed."""
    bought, wish = order.wish, need.wish
    return (
        (bought.collection, bought.harmonise_to) == (wish.collection, wish.harmonise_to)
        and set(wish.item_ids) <= set(bought.item_ids)
        and set(wish.assets) <= set(bought.assets)
        and set(need.subscription_ids) <= set(order.subscription_ids)
    )


def _is_as_new(order: Order, need: Need) -> bool:
    """Whether it is of the same states of the items, over the same area: what was bought before may be outdated."""
    bought, wish = order.wish, need.wish
    states = dict(zip(bought.item_ids, bought.item_states, strict=True))
    return all(
        states.get(item) == state for item, state in zip(wish.item_ids, wish.item_states, strict=True)
    ) and shape(bought.aoi).buffer(_ROUNDING).covers(shape(wish.aoi))
