"""Orders at a provider that delivers later: each placed once, and the execution that waits for it resumed once.

The row is saved before the order is placed, and names it; a crash anywhere in between is mended by asking the provider
for that name. A webhook only makes us look sooner: what resumes an execution is what the provider itself says.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from imagery.errors import (
    BudgetReached,
    CredentialsRefused,
    OrderCanceled,
    OrderFailed,
    ProviderError,
    ProviderThrottled,
    ProviderUnavailable,
    TaskTokenUnknown,
)
from imagery.model.codec import to_seconds
from imagery.model.order import FINAL, Order, OrderQuery, OrderReading, OrderStatus, OrderWish
from imagery.model.paging import Page
from imagery.ports import Clock, OrderDesk, OrderStore, TaskTokens, Together

logger = logging.getLogger(__name__)

LOOKS = (timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=5), timedelta(minutes=15))
"""How long after the order, and after each look, the next one comes; the last goes on for ever. The webhook is what is
hurried by: at Planet's three requests a second ten thousand orders take an hour to look through."""

UNLISTED = timedelta(seconds=60)
"""How long an order may be placed and not be in the provider's list: nothing is ordered again before."""

BATCH = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What may be ordered in a day (UTC). None: no limit."""

    hectares: float | None = None
    money: float | None = None
    price_per_hectare: float = 0.0
    """In the currency of `money`."""

    def refusal(self, ordered: float, wanted: float) -> str | None:
        """Why `wanted` hectares more are too many after `ordered` ones; None: they are not."""
        total = ordered + wanted
        if self.hectares is not None and total > self.hectares:
            return f"{total:,.1f} ha would be ordered today, and the limit is {self.hectares:,.1f} ha"
        cost = total * self.price_per_hectare
        if self.money is not None and cost > self.money:
            return f"today's orders would cost {cost:,.2f}, and the limit is {self.money:,.2f}"
        return None


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


@dataclass(frozen=True, kw_only=True)
class Orders:
    """The life of orders at one provider."""

    provider: str
    store: OrderStore
    desk: OrderDesk
    tokens: TaskTokens
    together: Together
    budget: Budget
    clock: Clock
    webhook_url: str | None = None
    """Where the provider may call us, without a slash at its end; an order's own key follows. None: it cannot."""

    _hint: threading.Event = field(default_factory=threading.Event, repr=False)

    def place(self, need: Need) -> Order:
        """Have it ordered: for one purpose there is one order that can succeed.

        One that failed for an earlier execution is followed by `<purpose>-2`; what was bought for the same items,
        assets and subscriptions is not bought again. Safe to repeat. Raises BudgetReached, and what OrderDesk raises.
        """
        now = self.clock()
        order = self._reserved(need, now)
        reading = self._read(order)
        if reading is None and order.is_final:
            # It was bought so long ago that the provider has forgotten it.
            self._update(order.name, status=OrderStatus.CANCELED, message=f"{self.provider} has it no more")
            order = self._reserved(replace(need, execution_id=f"{need.execution_id} again"), now)
            order = self._update(order.name, execution_id=need.execution_id)
        if reading is None:
            self._refuse_unlisted(order, now)
            order = self._update(order.name, tried_at=now)
            reading = self.desk.place(order.name, need.wish, webhook_url=self._url_of(order))
            logger.info("ordered", extra={"order": order.name, "order_id": reading.order_id, "hectares": need.hectares})
        return self._learn(order.name, reading)

    def is_known(self, webhook_key: str) -> bool:
        """Whether an order's URL ends so."""
        return self.store.by_webhook_key(webhook_key) is not None

    def notified(self, webhook_key: str, order_id: str | None) -> bool:
        """A call of an order's own URL: it is looked at soon. False: no order has this key, or it speaks of another.

        Nothing else is believed. `order_id` is what the call says it is about; None: it says nothing that can be read.
        """
        order = self.store.by_webhook_key(webhook_key)
        if order is None:
            return False
        speaks_of_another = (
            order_id is not None and order.order_id is not None and not hmac.compare_digest(order_id, order.order_id)
        )
        if speaks_of_another:
            logger.warning("a webhook spoke of another order", extra={"order": order.name})
            return False
        if not order.is_final and order_id is not None:
            # Before all that are due by their time, however many that are.
            self._update(order.name, look_at=order.created_at)
            self._hint.set()
        return True

    def wait_for_hint(self, timeout: timedelta) -> None:
        """Until a webhook of this process has come, or the time is over."""
        if self._hint.wait(to_seconds(timeout)):
            self._hint.clear()

    def look(self) -> int:
        """Read the orders that are due from the provider, and resume what waits for those that are ready.

        Gives how many were read; it ends early when a webhook comes, for the next look begins with what that is about.
        An order that cannot be read is tried again later, and does not hold up the others;
        when the provider says wait, or takes the key no more, the rest is left for the next time.
        """
        read = 0
        for order in self.store.due(now=self.clock(), limit=BATCH):
            if read and self._hint.is_set():
                break
            try:
                reading = self._read(order)
                if reading is None:
                    self._missing(order)
                else:
                    self._learn(order.name, reading)
                read += 1
            except ProviderError as error:
                logger.warning("order not read: %s", error, extra={"order": order.name})
                self._update(order.name, look_at=self.clock() + _pause(order), looks=order.looks + 1)
                if isinstance(error, ProviderThrottled | CredentialsRefused):
                    break
        return read

    def get(self, name: str) -> Order | None:
        """By its name."""
        return self.store.get(name)

    def find(self, query: OrderQuery) -> Page[Order]:
        """Newest first. Raises CursorInvalid."""
        return self.store.find(query)

    def reading_of(self, order_id: str) -> OrderReading:
        """As it stands now, with links that work. Raises ProviderUnavailable when the provider does not know it."""
        reading = self.desk.get(order_id)
        if reading is None:
            raise ProviderUnavailable(f"{self.provider} does not know order {order_id} just now; it is asked again")
        return reading

    def _reserved(self, need: Need, now: datetime) -> Order:
        """The row of the order to be used, saved with the token of who waits now."""
        with self.together():
            usable = self._usable(need)
            order = self._fresh(need, now) if usable is None else usable
            order = replace(order, execution_id=need.execution_id, task_token=need.task_token, updated_at=now)
            self.store.save(order)
        return order

    def _fresh(self, need: Need, now: datetime) -> Order:
        refusal = self.budget.refusal(self.store.hectares(now.date()), need.hectares)
        if refusal is not None:
            raise BudgetReached(f"{refusal}; it is tried again later, or raise the limit in the settings")
        return Order(
            name=self._free_name(need.purpose),
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

    def _usable(self, need: Need) -> Order | None:
        """An order there is that serves this need: its own, or one bought for more than it."""
        own = self._named_for(need.purpose)
        if own is not None and (own.status not in _LOST or own.execution_id == need.execution_id):
            return own
        for order in self.store.of_item(self.provider, need.wish.item_ids[0]):
            if order.status is OrderStatus.SUCCEEDED and _holds(order, need):
                return order
        return None

    def _named_for(self, purpose: str) -> Order | None:
        """The newest of a purpose."""
        found, number = self.store.get(purpose), 2
        while found is not None and (newer := self.store.get(f"{purpose}-{number}")) is not None:
            found, number = newer, number + 1
        return found

    def _free_name(self, purpose: str) -> str:
        name, number = purpose, 2
        while self.store.get(name) is not None:
            name, number = f"{purpose}-{number}", number + 1
        return name

    def _read(self, order: Order) -> OrderReading | None:
        """What the provider says of it; None: it has none such."""
        if order.order_id is not None:
            return self.desk.get(order.order_id)
        return self.desk.named(order.name) if order.tried_at is not None else None

    def _refuse_unlisted(self, order: Order, now: datetime) -> None:
        if order.order_id is not None:
            raise ProviderUnavailable(f"{self.provider} does not know order {order.order_id} just now")
        if order.tried_at is not None and now - order.tried_at < UNLISTED:
            raise ProviderUnavailable(
                f"order {order.name} may have been placed a moment ago and not be listed yet; it is looked for again"
            )

    def _learn(self, name: str, reading: OrderReading) -> Order:
        """Save what was read; when it is final, tell who waits first, so that a crash in between tells them again."""
        now = self.clock()
        order = self.store.get(name)
        if order is None:
            raise AssertionError(f"order {name} was never saved")
        if reading.status in FINAL:
            self._tell(order, reading)
        elif order.order_id is not None:
            self._heartbeat(order)
        with self.together():
            return self._saved(order.name, reading, now)

    def _saved(self, name: str, reading: OrderReading, now: datetime) -> Order:
        order = self.store.get(name)
        if order is None:
            raise AssertionError(f"order {name} was never saved")
        look_at = None if reading.status in FINAL else now + _pause(order)
        learned = replace(
            order,
            order_id=reading.order_id,
            status=reading.status,
            message=reading.message,
            placed_at=order.placed_at or now,
            look_at=look_at,
            looks=order.looks + 1,
            updated_at=now,
        )
        self.store.save(learned)
        return learned

    def _tell(self, order: Order, reading: OrderReading) -> None:
        try:
            if reading.status is OrderStatus.SUCCEEDED:
                self.tokens.resume(order.task_token, {"order_id": reading.order_id, "name": order.name})
            else:
                error, what = _ENDINGS[reading.status]
                said = reading.message or "no reason given"
                cause = f"{self.provider} {what} order {reading.order_id}: {said}"
                self.tokens.fail(order.task_token, error=error.__name__, cause=cause)
        except TaskTokenUnknown:
            logger.info("nobody waits for the order any more", extra={"order": order.name})

    def _heartbeat(self, order: Order) -> None:
        try:
            self.tokens.heartbeat(order.task_token)
        except TaskTokenUnknown:
            logger.info("nobody waits for the order any more", extra={"order": order.name})

    def _missing(self, order: Order) -> None:
        """Not found: it was not placed yet (its step will), or the provider has lost sight of it for a while."""
        later = self.clock() + _pause(order)
        self._update(order.name, look_at=later if order.order_id is not None else None, looks=order.looks + 1)

    def _update(self, name: str, **changes: object) -> Order:
        with self.together():
            order = self.store.get(name)
            if order is None:
                raise AssertionError(f"order {name} was never saved")
            changed: Order = replace(order, updated_at=self.clock(), **changes)  # type: ignore[arg-type]
            self.store.save(changed)
        return changed

    def _url_of(self, order: Order) -> str | None:
        return f"{self.webhook_url}/{order.webhook_key}" if self.webhook_url else None


_ENDINGS: dict[OrderStatus, tuple[type[ProviderError], str]] = {
    OrderStatus.FAILED: (OrderFailed, "could not make"),
    OrderStatus.CANCELED: (OrderCanceled, "was told to cancel"),
}
_LOST = frozenset(_ENDINGS)


def _holds(order: Order, need: Need) -> bool:
    """Whether it has all of what is needed, of the same states of the items."""
    bought, wish = order.wish, need.wish
    states = set(zip(bought.item_ids, bought.item_states, strict=True))
    return (
        (bought.collection, bought.harmonise_to) == (wish.collection, wish.harmonise_to)
        and set(zip(wish.item_ids, wish.item_states, strict=True)) <= states
        and set(wish.assets) <= set(bought.assets)
        and set(need.subscription_ids) <= set(order.subscription_ids)
    )


def _pause(order: Order) -> timedelta:
    return LOOKS[min(order.looks, len(LOOKS) - 1)]
