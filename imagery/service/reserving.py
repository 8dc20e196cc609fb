"""Which order serves a need: its own, one that was bought for more than it, or a new one. No provider is asked here."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shapely.geometry import shape

from imagery.errors import BudgetReached, ProviderRefused, ProviderUnavailable
from imagery.model.order import Order, OrderStatus, OrderWish
from imagery.ports import OrderStore, Together
from imagery.service.budget import Budget
from imagery.service.telling import LOST

UNLISTED = timedelta(minutes=5)
"""How long an order may be on its way to the provider (125 s), and then be missing from its list: nothing is ordered
again before."""

SOON = timedelta(seconds=30)
"""When an order is looked at after its step was at work on it."""

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
        """The row of the order to be used, saved with the token of who waits now.

        Raises BudgetReached, ProviderRefused, and ProviderUnavailable while the same is being placed for another.
        """
        with self.together():
            own = self._own(need)
            if own is None:
                own = self._shared(need, now) or self._fresh(need, now, self._free_name(need))
            elif _is_untried(own):
                own = replace(self._fresh(need, now, own.name), webhook_key=own.webhook_key)
            # Looked at soon, whatever becomes of the step that reserves it.
            look_at = None if _is_untried(own) else now + SOON
            order = replace(
                _taken_by(own, need),
                execution_id=need.execution_id,
                task_token=need.task_token,
                look_at=look_at,
                updated_at=now,
            )
            self.store.save(order)
        return order

    def reserve_anew(self, need: Need, now: datetime, *, gone: Order) -> Order:
        """As `reserve`, when the provider has forgotten what was bought. Raises BudgetReached."""
        with self.together():
            for name in {gone.name, gone.shares or gone.name}:
                self._ended(self.kept(name), f"{self.provider} has it no more", now)
            order = self._fresh(need, now, self._free_name(need))
            self.store.save(order)
        return order

    def reserve_elsewhere(self, need: Need, now: datetime, *, taken: Order) -> Order:
        """A row of the next free name, when the provider has an order of this one that is of no use. As `reserve`."""
        with self.together():
            self._ended(taken, f"{self.provider} has another order of this name", now)
            order = self._fresh(need, now, self._free_name(need))
            self.store.save(order)
        return order

    def begin(self, name: str, hectares: float, now: datetime) -> Order:
        """Note that it is about to be placed, on today's budget; or that it shares one that was begun since.

        Raises ProviderUnavailable when somebody else may have placed it a moment ago, BudgetReached, ProviderRefused.
        """
        with self.together():
            order = self.kept(name)
            if order.order_id is not None:
                raise ProviderUnavailable(f"order {name} has just been placed by another; it is read again")
            if order.tried_at is not None and now - order.tried_at < UNLISTED:
                raise ProviderUnavailable(
                    f"order {name} may have been placed a moment ago and not be listed yet; it is looked for again"
                )
            bought = self._bought(order.wish, but=name)
            begun = _sharing(order, bought) if bought is not None else self._charged(order, hectares, now)
            begun = replace(begun, look_at=now + SOON, updated_at=now)
            self.store.save(begun)
        return begun

    def refused(self, name: str, now: datetime) -> None:
        """It was surely not placed. Gives its hectares back to the day."""
        with self.together():
            order = self.kept(name)
            if order.order_id is None:
                self.store.save(replace(order, tried_at=None, look_at=None, hectares=0.0, updated_at=now))

    def missing(self, name: str, now: datetime) -> timedelta:
        """Note that the provider does not have it just now. Gives for how long it has been so."""
        with self.together():
            order = self.kept(name)
            may_be_unlisted = order.order_id is None and now - (order.tried_at or order.created_at) < UNLISTED
            if order.missing_since is None and not may_be_unlisted:
                order = replace(order, missing_since=now, updated_at=now)
                self.store.save(order)
        return now - (order.missing_since or now)

    def judge(self, name: str, now: datetime, *, spoiled: Sequence[str] = (), sound: Sequence[str] = ()) -> None:
        """Note which items of its delivery can be used, which may be that of another order."""
        with self.together():
            for one in {name, self.kept(name).shares or name}:
                order = self.kept(one)
                items = {*order.spoiled, *spoiled} - set(sound)
                self.store.save(replace(order, spoiled=tuple(sorted(items)), updated_at=now))

    def hurry(self, ended: Order, look_at: datetime) -> bool:
        """Whether others share what has ended; they are looked at then."""
        others = self.store.of_item(self.provider, ended.wish.item_ids[0])
        waiting = [one for one in others if one.shares == ended.name and not one.is_final]
        for one in waiting:
            self.store.save(replace(one, look_at=look_at))
        return bool(waiting)

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
        is_of_use = own.status not in LOST and _serves(own, need.wish)
        return own if _is_untried(own) or is_of_use else None

    def _shared(self, need: Need, now: datetime) -> Order | None:
        """A row of its own for what was bought, or is being made, for another. Two never wait in one row."""
        bought = self._bought(need.wish)
        return _sharing(self._new(need, now, self._free_name(need)), bought) if bought is not None else None

    def _bought(self, wish: OrderWish, *, but: str | None = None) -> Order | None:
        """The order that has all that is wished for, or will have. Raises ProviderUnavailable: one is being placed."""
        orders = [
            one
            for one in self.store.of_item(self.provider, wish.item_ids[0])
            if one.shares is None and one.name != but and one.status not in LOST
            if _serves(one, wish) and _is_as_new(one, wish)
        ]
        known = [one for one in orders if one.order_id is not None]
        for one in orders if not known else ():
            if one.tried_at is not None and one.missing_since is None:
                raise ProviderUnavailable(f"the same is just being ordered as {one.name}; it is looked for again")
        return min(known, key=lambda one: one.status is not OrderStatus.SUCCEEDED, default=None)

    def _fresh(self, need: Need, now: datetime, name: str) -> Order:
        """To be charged when it is begun; what there is no room for now is not reserved."""
        self._afford(need.hectares, self.store.hectares(now.date()))
        return self._new(need, now, name)

    def _charged(self, order: Order, hectares: float, now: datetime) -> Order:
        """Begun, on the budget of today. Raises BudgetReached, ProviderRefused."""
        is_of_today = order.created_at.date() == now.date()
        counted = order.hectares if is_of_today else 0.0  # by a try whose answer was lost
        self._afford(hectares, self.store.hectares(now.date()) - counted)
        created_at = order.created_at if is_of_today else now
        return replace(order, hectares=hectares, created_at=created_at, tried_at=now, missing_since=None)

    def _afford(self, hectares: float, ordered: float) -> None:
        """Raises BudgetReached; ProviderRefused when no day has room for it."""
        refusal = self.budget.refusal(0.0, hectares)
        if refusal is not None:
            raise ProviderRefused(
                f"this order alone is more than a whole day may have: {refusal}; "
                "raise the limit in the settings and restart, or ask for less, then replay the failure"
            )
        refusal = self.budget.refusal(ordered, hectares)
        if refusal is not None:
            raise BudgetReached(f"{refusal}; it is tried again later, or raise the limit in the settings")

    def _ended(self, order: Order, message: str, now: datetime) -> None:
        """Of no use to anybody any more."""
        ended = replace(order, status=OrderStatus.CANCELED, message=message, look_at=None, updated_at=now)
        self.store.save(ended)

    def _new(self, need: Need, now: datetime, name: str) -> Order:
        return Order(
            name=name,
            provider=self.provider,
            execution_id=need.execution_id,
            task_token=need.task_token,
            webhook_key=secrets.token_urlsafe(32),
            wish=need.wish,
            subscription_ids=need.subscription_ids,
            hectares=0.0,
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


def _taken_by(order: Order, need: Need) -> Order:
    """Theirs too, when it has all they need."""
    takers = {*order.subscription_ids, *need.subscription_ids}
    return replace(order, subscription_ids=tuple(sorted(takers))) if _serves(order, need.wish) else order


def _sharing(order: Order, bought: Order) -> Order:
    """The row of one that takes what another has bought."""
    return replace(
        order,
        wish=bought.wish,
        hectares=0.0,
        shares=bought.name,
        order_id=bought.order_id,
        status=OrderStatus.ORDERED,
        placed_at=bought.placed_at,
    )


def _serves(order: Order, wish: OrderWish) -> bool:
    """Whether it has all of what is wished for, and all of that can be used."""
    bought = order.wish
    return (
        (bought.collection, bought.harmonise_to) == (wish.collection, wish.harmonise_to)
        and set(wish.item_ids) <= set(bought.item_ids) - set(order.spoiled)
        and set(wish.assets) <= set(bought.assets)
        and shape(bought.aoi).buffer(_ROUNDING).covers(shape(wish.aoi))
    )


def _is_as_new(order: Order, wish: OrderWish) -> bool:
    """Whether it is of the states of the items that are wished for."""
    states = dict(zip(order.wish.item_ids, order.wish.item_states, strict=True))
    return all(state in ("", states.get(item)) for item, state in zip(wish.item_ids, wish.item_states, strict=True))
