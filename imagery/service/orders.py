"""Orders at a provider that delivers later: each placed once, and the execution that waits for it resumed once.

The row is saved before the order is placed, and names it; a crash anywhere in between is mended by asking the provider
for that name. A webhook only makes us look sooner: what resumes an execution is what the provider itself says.
"""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from imagery.errors import (
    CredentialsRefused,
    ProviderError,
    ProviderRefused,
    ProviderThrottled,
    ProviderUnavailable,
)
from imagery.model.codec import to_seconds
from imagery.model.order import FINAL, Order, OrderQuery, OrderReading, OrderStatus
from imagery.model.paging import Page
from imagery.ports import Clock, OrderDesk, OrderStore, TaskTokens, Together
from imagery.service.budget import Budget
from imagery.service.reserving import UNLISTED, Need, Reservations
from imagery.service.telling import LOST, Telling

logger = logging.getLogger(__name__)

LOOKS = (timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=5), timedelta(minutes=15))
"""How long after the order, and after each look, the next one comes; the last goes on for ever. The webhook is what is
hurried by: at Planet's three requests a second ten thousand orders take an hour to look through."""

LOOK_FOR = timedelta(days=3)
"""How long an order is looked for that may never have been placed: longer than any execution waits."""

GONE = timedelta(hours=6)
"""How long the provider must not know an order it once had, until that is believed. One that was ready is believed to
be gone after UNLISTED: what waits for it could have been delivered."""

NAMES = 20
"""How many names may be taken by orders that are of no use to us."""

BATCH = 10
"""Orders read before the due ones are asked for anew; a hint of this process ends it earlier."""

HINTED = datetime(1970, 1, 1, tzinfo=UTC)
"""`look_at` of an order that a webhook spoke of: the longest due come first."""


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
    webhook_url: str | None = field(default=None, repr=False)
    """Where the provider may call us, without a slash at its end, maybe with a user name and password; an order's own
    key follows. None: it cannot."""

    _hint: threading.Event = field(default_factory=threading.Event, repr=False)

    def place(self, need: Need) -> Order:
        """Have it ordered: for one purpose there is one order that can succeed.

        One that failed for an earlier execution is followed by `<purpose>-2`; what was bought, or is being made, of the
        same items, states, assets and area is not bought again, whoever it is for. The provider is asked for the name
        before anything is placed, for our rows may be older than its orders. Safe to repeat. Raises BudgetReached, and
        what OrderDesk raises.
        """
        order = self._reservations.reserve(need, self.clock())
        if _is_begun(order):
            reading = self._read(order)
            if reading is None and order.status in LOST:
                return self._told_again(order)
            if reading is None and order.order_id is not None:
                self._believe_gone(order)
                order = self._reservations.reserve_anew(need, self.clock(), gone=order)
        if not _is_begun(order):
            order, reading = self._unless_there(order, need)
        return self._learn(order.name, reading or self._placed(order.name, need.hectares))

    def spoiled(self, name: str, why: str, *, item_ids: Sequence[str]) -> None:
        """These of its items were made, but cannot be used: whoever needs them again orders them anew."""
        logger.warning("an order's files cannot be used: %s", why, extra={"order": name})
        self._reservations.judge(name, self.clock(), spoiled=item_ids)

    def sound(self, name: str, *, item_ids: Sequence[str]) -> None:
        """These of its items can be used, whatever was said of them before."""
        self._reservations.judge(name, self.clock(), sound=item_ids)

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
        if order_id is not None and order.order_id is not None and not _is_same(order_id, order.order_id):
            logger.warning("a webhook spoke of another order", extra={"order": order.name})
            return False
        if not order.is_final and order_id is not None:
            self._update(order.name, look_at=HINTED)
            self._hint.set()
        return True

    def wait_for_hint(self, timeout: timedelta) -> None:
        """Until a webhook of this process has come, or the time is over."""
        if self._hint.wait(to_seconds(timeout)):
            self._hint.clear()

    def look(self) -> int:
        """Read some of the orders that are due from the provider, and resume what waits for those that are ready.

        Gives how many were read: 0 when there is nothing to do just now. An order that cannot be read is tried again
        later, and does not hold up the others; when the provider says wait, or takes the key no more, the rest is left
        for the next time.
        """
        read = 0
        for due in self.store.due(now=self.clock(), limit=BATCH):
            if read and self._hint.is_set():
                break  # what was hinted at comes first, and the provider's pace would have it wait for the rest
            # A hint that comes while it is read must not be taken for this one.
            order = self._update(due.name, look_at=self.clock() + _pause(due)) if due.look_at == HINTED else due
            try:
                self._look_at(order)
                read += 1
            except ProviderError as error:
                logger.warning("order not read: %s", error, extra={"order": order.name})
                self._postpone(order)
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

    @property
    def _reservations(self) -> Reservations:
        return Reservations(provider=self.provider, store=self.store, together=self.together, budget=self.budget)

    @property
    def _telling(self) -> Telling:
        return Telling(provider=self.provider, tokens=self.tokens)

    def _read(self, order: Order) -> OrderReading | None:
        """What the provider says of it; None: it has it neither by its id nor by its name."""
        reading = self.desk.get(order.order_id) if order.order_id is not None else None
        if reading is None:
            reading = self.desk.named(order.shares or order.name)
        return reading if reading is not None and _is_for(reading, order) else None

    def _unless_there(self, order: Order, need: Need) -> tuple[Order, OrderReading | None]:
        """The row whose name is to be ordered under, and what the provider has under that name, if it is of use."""
        for _ in range(NAMES):
            reading = self.desk.named(order.name)
            if reading is None or (reading.status not in LOST and _is_for(reading, order)):
                return order, reading
            logger.warning("a name is taken at the provider", extra={"order": order.name, "order_id": reading.order_id})
            order = self._reservations.reserve_elsewhere(need, self.clock(), taken=order)
        raise ProviderRefused(
            f"{self.provider} has {NAMES} orders named {need.purpose} that are of no use; "
            "does another installation order with the same account? Replay the failure to try further names"
        )

    def _believe_gone(self, order: Order) -> None:
        """Raises ProviderUnavailable until the provider has not known it for long enough."""
        bought = self._reservations.kept(order.shares or order.name)
        patience = UNLISTED if bought.status is OrderStatus.SUCCEEDED else GONE
        if self._reservations.missing(order.name, self.clock()) < patience:
            raise ProviderUnavailable(f"{self.provider} does not know order {order.order_id} just now; asked again")

    def _placed(self, name: str, hectares: float) -> OrderReading:
        order = self._reservations.begin(name, hectares, self.clock())
        if order.shares is not None and order.order_id is not None:
            return self.reading_of(order.order_id)
        try:
            reading = self.desk.place(order.name, order.wish, webhook_url=self._url_of(order))
        except (ProviderThrottled, ProviderRefused):
            self._reservations.refused(name, self.clock())
            raise
        logger.info("ordered", extra={"order": name, "order_id": reading.order_id, "hectares": order.hectares})
        return reading

    def _look_at(self, order: Order) -> None:
        reading = self._read(order)
        if reading is not None:
            self._learn(order.name, reading)
        elif order.status in LOST:
            self._told_again(order)
        else:
            missing_for = self._reservations.missing(order.name, self.clock())
            if order.order_id is not None and missing_for >= GONE:
                self._give_up(order)
            else:
                self._postpone(order, missing=True)

    def _give_up(self, order: Order) -> None:
        """It was there once, and is there no more."""
        message = "it has had no such order for hours; replay the failure to order anew"
        self._telling.tell(order, order.order_id, OrderStatus.FAILED, message)
        with self.together():
            look_at = self._next_look(self._reservations.kept(order.name), OrderStatus.FAILED, told=order.task_token)
            self._update(order.name, status=OrderStatus.FAILED, message=message, look_at=look_at)

    def _learn(self, name: str, reading: OrderReading) -> Order:
        """Save what was read; when it is final, tell who waits first, so that a crash in between tells them again."""
        order = self._reservations.kept(name)
        if reading.status in FINAL:
            self._telling.tell(order, reading.order_id, reading.status, reading.message)
        else:
            self._telling.heartbeat(order)
        with self.together():
            return self._saved(name, reading, told=order.task_token)

    def _saved(self, name: str, reading: OrderReading, *, told: str) -> Order:
        order, now = self._reservations.kept(name), self.clock()
        if order.is_final and reading.status not in FINAL:
            return order  # read before it ended, saved after
        learned = replace(
            order,
            order_id=reading.order_id,
            status=reading.status,
            message=reading.message,
            hectares=0.0 if reading.status in LOST else order.hectares,
            placed_at=order.placed_at or now,
            missing_since=None,
            look_at=self._next_look(order, reading.status, told=told),
            looks=order.looks + 1,
            updated_at=now,
        )
        self.store.save(learned)
        if learned.is_final and not order.is_final and self._reservations.hurry(learned, HINTED):
            self._hint.set()
        return learned

    def _next_look(self, order: Order, status: OrderStatus, *, told: str) -> datetime | None:
        if status in FINAL:
            # Another has begun to wait since: it has yet to be told.
            return None if order.task_token == told else self.clock()
        return HINTED if order.look_at == HINTED else self.clock() + _pause(order)

    def _told_again(self, order: Order) -> Order:
        """An order that ended without a delivery, and that the provider has forgotten since."""
        self._telling.tell(order, order.order_id, order.status, order.message)
        with self.together():
            now_kept = self._reservations.kept(order.name)
            return self._update(order.name, look_at=self._next_look(now_kept, order.status, told=order.task_token))

    def _postpone(self, order: Order, *, missing: bool = False) -> None:
        """Looked at again later; not for ever when the provider does not have it."""
        self._telling.heartbeat(order)
        now = self.clock()
        gives_up = missing and now - (order.tried_at or order.created_at) > LOOK_FOR
        self._update(order.name, look_at=None if gives_up else now + _pause(order), looks=order.looks + 1)

    def _update(self, name: str, **changes: object) -> Order:
        with self.together():
            changed: Order = replace(self._reservations.kept(name), updated_at=self.clock(), **changes)  # type: ignore[arg-type]
            self.store.save(changed)
        return changed

    def _url_of(self, order: Order) -> str | None:
        return f"{self.webhook_url}/{order.webhook_key}" if self.webhook_url else None


def _is_begun(order: Order) -> bool:
    """Whether the provider may have it."""
    return order.tried_at is not None or order.order_id is not None


def _is_for(reading: OrderReading, order: Order) -> bool:
    """Whether it holds the items of ours; what does not say which it holds is believed to."""
    return not reading.item_ids or set(order.wish.item_ids) <= set(reading.item_ids)


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def _pause(order: Order) -> timedelta:
    return LOOKS[min(order.looks, len(LOOKS) - 1)]


__all__ = ["Budget", "Need", "Orders"]
