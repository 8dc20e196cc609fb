"""The life of an order: bought once for one purpose, however it is interrupted, and always delivered to who waits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagery.errors import (
    BudgetReached,
    CredentialsRefused,
    ProviderError,
    ProviderRefused,
    ProviderThrottled,
    ProviderUnavailable,
    TaskTokenUnknown,
)
from imagery.model.order import Order, OrderReading, OrderStatus, OrderWish
from imagery.ports import OrderDesk, TaskTokens
from imagery.service.orders import GONE, LOOKS, Budget, Need, Orders
from imagery.service.reserving import UNLISTED
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.orders import SqliteOrderStore

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SQUARE: dict[str, object] = {
    "type": "Polygon",
    "coordinates": [[[15.0, 46.0], [15.1, 46.0], [15.1, 46.1], [15.0, 46.1], [15.0, 46.0]]],
}


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Desk:
    """A provider in memory: orders are in its list after `lag`, and some of its answers are lost."""

    clock: Clock
    lag: timedelta = timedelta(0)
    orders: dict[str, OrderReading] = field(default_factory=dict)
    placed_at: dict[str, datetime] = field(default_factory=dict)
    urls: list[str | None] = field(default_factory=list)
    trouble: list[ProviderError | None] = field(default_factory=list)
    """Raised by the next calls, one each."""

    asked: list[str] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)
    """Orders that are listed, and answered with 404."""

    def place(self, name: str, wish: OrderWish, *, webhook_url: str | None) -> OrderReading:
        self._called("place")
        reading = OrderReading(
            order_id=f"order-{len(self.orders)}",
            name=name,
            status=OrderStatus.ORDERED,
            is_partial=False,
            message="Preparing order",
            item_ids=wish.item_ids,
            results=(),
        )
        self.orders[reading.order_id] = reading
        self.placed_at[reading.order_id] = self.clock()
        self.urls.append(webhook_url)
        return reading

    def named(self, name: str) -> OrderReading | None:
        self._called("named")
        found = [
            one
            for one in self.orders.values()
            if one.name == name and self.placed_at[one.order_id] + self.lag <= self.clock()
        ]
        return found[-1] if found else None

    def get(self, order_id: str) -> OrderReading | None:
        self._called("get")
        return self.orders.get(order_id) if order_id not in self.unreadable else None

    def ends(self, status: OrderStatus, message: str = "") -> None:
        """Every order that is not final."""
        for order_id, one in self.orders.items():
            if one.status in (OrderStatus.ORDERED, OrderStatus.PENDING):
                self.orders[order_id] = replace(one, status=status, message=message)

    def _called(self, what: str) -> None:
        self.asked.append(what)
        error = self.trouble.pop(0) if self.trouble else None
        if error is not None:
            raise error


@dataclass
class Tokens:
    """An orchestrator's side of tokens: each can be used once."""

    waiting: set[str] = field(default_factory=set)
    resumed: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    beats: list[str] = field(default_factory=list)

    def resume(self, task_token: str, output: Mapping[str, Any]) -> None:
        self._take(task_token)
        self.resumed.append((task_token, output))

    def fail(self, task_token: str, *, error: str, cause: str) -> None:
        self._take(task_token)
        self.failed.append((task_token, error, cause))

    def heartbeat(self, task_token: str) -> None:
        if task_token not in self.waiting:
            raise TaskTokenUnknown("nobody waits")
        self.beats.append(task_token)

    def _take(self, task_token: str) -> None:
        if task_token not in self.waiting:
            raise TaskTokenUnknown("nobody waits")
        self.waiting.remove(task_token)


class Dying:
    """Stands before a desk, a store or the tokens, and ends the process at one call, before or after its effect."""

    def __init__(self, inner: object, deaths: Iterator[str | None]) -> None:
        self._inner, self._deaths = inner, deaths

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            death = next(self._deaths, None)
            if death == "before":
                raise Killed
            answer = method(*args, **kwargs)
            if death == "after":
                raise Killed
            return answer

        return call


@dataclass
class World:
    database: Database
    clock: Clock
    desk: Desk
    tokens: Tokens
    budget: Budget = field(default_factory=Budget)

    @property
    def store(self) -> SqliteOrderStore:
        return SqliteOrderStore(self.database)

    @property
    def orders(self) -> Orders:
        return self.started(iter(()))

    def started(self, deaths: Iterator[str | None]) -> Orders:
        """As a process that has just started would, and that ends when `deaths` says so."""
        store, desk, tokens = (Dying(one, deaths) for one in (self.store, self.desk, self.tokens))
        return Orders(
            provider="planet",
            store=store,  # type: ignore[arg-type]
            desk=desk,  # type: ignore[arg-type]
            tokens=tokens,  # type: ignore[arg-type]
            together=self.database.write,
            budget=self.budget,
            clock=self.clock,
            webhook_url="https://me:secret@imagery.test/webhooks/planet",
        )

    def need(self, number: int = 1, **changes: Any) -> Need:
        """Of an execution, which waits from now on."""
        wish = OrderWish(
            collection="PSScene",
            item_ids=("A",),
            item_states=("2026-05-01T00:00:00Z",),
            assets=("ortho_analytic_4b_sr", "ortho_udm2"),
            aoi=SQUARE,
        )
        fields: dict[str, Any] = {
            "purpose": "planet-root",
            "wish": wish,
            "subscription_ids": ("sub-1", "sub-2"),
            "hectares": 100.0,
            "execution_id": f"execution-{number}",
            "task_token": f"token-{number}",
        }
        need = Need(**{**fields, **changes})
        self.tokens.waiting.add(need.task_token)
        return need

    def later(self, span: timedelta = LOOKS[-1]) -> int:
        """Time passes, and the due orders are looked at."""
        self.clock.now += span
        read = 0
        while some := self.orders.look():
            read += some
        return read

    def order(self, name: str = "planet-root") -> Order:
        order = self.store.get(name)
        assert order is not None
        return order


@contextmanager
def a_world(folder: Path) -> Iterator[World]:
    clock = Clock()
    with Database(folder / "state.sqlite", patience=timedelta(seconds=1)) as database:
        yield World(database, clock, Desk(clock), Tokens())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as opened:
        yield opened


def test_the_fakes_are_of_their_ports(world: World) -> None:
    desk: OrderDesk = world.desk
    tokens: TaskTokens = world.tokens
    assert desk
    assert tokens


def test_an_order_is_placed_once_however_often_it_is_asked_for(world: World) -> None:
    need = world.need()
    first = world.orders.place(need)
    second = world.orders.place(need)
    assert first.order_id == second.order_id == "order-0"
    assert len(world.desk.orders) == 1
    assert world.desk.urls == [f"https://me:secret@imagery.test/webhooks/planet/{first.webhook_key}"]


def test_who_waits_is_resumed_once_when_the_order_is_ready(world: World) -> None:
    world.orders.place(world.need())
    world.later()
    assert world.tokens.resumed == []
    world.desk.ends(OrderStatus.SUCCEEDED)
    world.later()
    world.later()
    assert world.tokens.resumed == [("token-1", {"order_id": "order-0", "name": "planet-root"})]
    assert world.order().look_at is None


@pytest.mark.parametrize(
    ("status", "error"), [(OrderStatus.FAILED, "OrderFailed"), (OrderStatus.CANCELED, "OrderCanceled")]
)
def test_an_order_that_fails_fails_its_execution_in_the_providers_words(
    world: World, status: OrderStatus, error: str
) -> None:
    world.orders.place(world.need())
    world.desk.ends(status, "no write access to bucket")
    world.later()
    [(token, name, cause)] = world.tokens.failed
    assert (token, name) == ("token-1", error)
    assert "no write access to bucket" in cause


def test_the_execution_is_kept_alive_while_its_order_is_being_made(world: World) -> None:
    world.orders.place(world.need())
    before = len(world.tokens.beats)
    world.later()
    world.desk.trouble = [ProviderUnavailable("down")]
    world.later()
    assert len(world.tokens.beats) == before + 2


def test_only_a_replay_orders_again_what_failed(world: World) -> None:
    world.orders.place(world.need())
    world.desk.ends(OrderStatus.FAILED)
    world.later()
    world.orders.place(world.need(task_token="a later try of the same step"))
    assert len(world.desk.orders) == 1
    replayed = world.orders.place(world.need(2))
    assert replayed.name == "planet-root-2"
    assert len(world.desk.orders) == 2
    world.desk.ends(OrderStatus.SUCCEEDED)
    world.later()
    assert [token for token, _ in world.tokens.resumed] == ["token-2"]


def test_a_replay_gets_what_was_bought(world: World) -> None:
    world.orders.place(world.need())
    world.desk.ends(OrderStatus.SUCCEEDED)
    world.later()
    world.orders.place(world.need(2, subscription_ids=("sub-2",)))
    assert len(world.desk.orders) == 1
    assert [token for token, _ in world.tokens.resumed] == ["token-1", "token-2"]


def test_a_narrower_request_gets_what_was_bought_for_a_wider_one(world: World) -> None:
    world.orders.place(world.need())
    world.desk.ends(OrderStatus.SUCCEEDED)
    world.later()
    order = world.orders.place(world.need(2, purpose="planet-other", subscription_ids=("sub-1",)))
    assert len(world.desk.orders) == 1
    assert (order.name, order.shares, order.hectares) == ("planet-other", "planet-root", 0.0)
    assert [token for token, _ in world.tokens.resumed] == ["token-1", "token-2"]


@pytest.mark.parametrize("what", ["state", "asset", "colours", "area"])
def test_what_was_not_bought_yet_is_bought(world: World, what: str) -> None:
    world.orders.place(world.need())
    world.desk.ends(OrderStatus.SUCCEEDED)
    world.later()
    need = world.need(2, purpose="planet-other")
    wider: dict[str, object] = {"type": "Polygon", "coordinates": [[[15, 46], [16, 46], [16, 47], [15, 47], [15, 46]]]}
    other = {
        "state": replace(need, wish=replace(need.wish, item_states=("2026-05-02T00:00:00Z",))),
        "asset": replace(need, wish=replace(need.wish, assets=("ortho_visual",))),
        "colours": replace(need, wish=replace(need.wish, harmonise_to="Sentinel-2")),
        "area": replace(need, wish=replace(need.wish, aoi=wider)),
    }[what]
    world.orders.place(other)
    assert len(world.desk.orders) == 2


def test_two_who_share_a_delivery_are_both_told(world: World) -> None:
    world.orders.place(world.need())
    world.desk.ends(OrderStatus.SUCCEEDED)
    world.later()
    world.desk.trouble = [ProviderUnavailable("down"), ProviderUnavailable("down")]
    for number, purpose in ((2, "planet-other"), (3, "planet-root")):
        with pytest.raises(ProviderUnavailable):
            world.orders.place(world.need(number, purpose=purpose))
    world.later()
    assert sorted(token for token, _ in world.tokens.resumed) == ["token-1", "token-2", "token-3"]


def test_what_the_provider_has_forgotten_is_bought_again(world: World) -> None:
    _delivered(world)
    world.desk.orders.clear()
    need = world.need(2)
    with pytest.raises(ProviderUnavailable, match="does not know order order-0 just now"):
        world.orders.place(need)
    world.clock.now += UNLISTED
    assert world.orders.place(need).name == "planet-root-2"
    assert world.order().status is OrderStatus.CANCELED
    assert len(world.desk.orders) == 1


def test_a_shared_delivery_that_is_forgotten_is_bought_again(world: World) -> None:
    _delivered(world)
    world.desk.orders.clear()
    need = world.need(2, purpose="planet-other")
    with pytest.raises(ProviderUnavailable):
        world.orders.place(need)
    world.clock.now += UNLISTED
    order = world.orders.place(need)
    assert (order.name, order.shares) == ("planet-other-2", None)
    assert order.hectares == 100.0


def test_what_is_in_the_providers_list_is_not_forgotten(world: World) -> None:
    _delivered(world)
    world.desk.unreadable.add("order-0")
    world.orders.place(world.need(2))
    assert len(world.desk.orders) == 1
    assert [token for token, _ in world.tokens.resumed] == ["token-1", "token-2"]


def test_two_blips_far_apart_are_no_absence(world: World) -> None:
    _delivered(world)
    there = dict(world.desk.orders)
    for number in (2, 3):
        need = world.need(number)
        world.desk.orders.clear()
        with pytest.raises(ProviderUnavailable):
            world.orders.place(need)
        world.desk.orders.update(there)
        world.orders.place(need)
        world.clock.now += timedelta(days=7)
    assert len(world.tokens.resumed) == 3


def test_an_order_that_vanishes_while_it_is_made_is_told_after_hours_and_bought_again_by_a_replay(
    world: World,
) -> None:
    world.orders.place(world.need())
    world.desk.orders.clear()
    world.later()
    with pytest.raises(ProviderUnavailable):
        world.orders.place(world.need(2))
    world.clock.now += UNLISTED
    with pytest.raises(ProviderUnavailable):
        world.orders.place(world.need(2))
    assert world.tokens.failed == []
    world.later(GONE)
    [(token, error, cause)] = world.tokens.failed
    assert (token, error) == ("token-2", "OrderFailed")
    assert "replay the failure to order anew" in cause
    assert world.orders.place(world.need(3)).name == "planet-root-2"


def _delivered(world: World) -> None:
    world.orders.place(world.need())
    world.desk.ends(OrderStatus.SUCCEEDED)
    world.later()


def _elsewhere(need: Need, item_id: str = "B") -> Need:
    return replace(need, wish=replace(need.wish, item_ids=(item_id,)))


def test_an_order_that_a_restored_backup_has_forgotten_is_found_and_not_bought_again(world: World) -> None:
    other = world.need(9)
    world.desk.place("planet-root", other.wish, webhook_url=None)
    world.budget = Budget(hectares=100.0)
    assert world.orders.place(world.need()).order_id == "order-0"
    assert len(world.desk.orders) == 1
    assert world.store.hectares(NOW.date()) == 0.0


def test_a_name_that_others_have_taken_is_passed_over(world: World) -> None:
    for name in ("planet-root", "planet-root-2"):
        world.desk.place(name, _elsewhere(world.need(9)).wish, webhook_url=None)
    need = world.need()
    assert world.orders.place(need).name == "planet-root-3"
    assert world.orders.place(need).name == "planet-root-3"
    assert len(world.desk.orders) == 3
    assert world.store.hectares(NOW.date()) == 100.0


def test_what_failed_before_a_backup_is_ordered_under_the_next_name_and_that_is_looked_up_too(world: World) -> None:
    world.desk.place("planet-root", world.need(9).wish, webhook_url=None)
    world.desk.ends(OrderStatus.FAILED)
    world.desk.place("planet-root-2", world.need(9).wish, webhook_url=None)
    order = world.orders.place(world.need())
    assert (order.name, order.order_id) == ("planet-root-2", "order-1")
    assert len(world.desk.orders) == 2


def test_a_provider_that_has_every_name_taken_is_not_asked_for_ever(world: World) -> None:
    world.desk.named = lambda name: world.desk.place(  # type: ignore[method-assign]
        name, _elsewhere(world.need(9)).wish, webhook_url=None
    )
    with pytest.raises(ProviderRefused, match="does another installation order"):
        world.orders.place(world.need())


def test_who_needs_what_is_being_made_waits_for_it_and_is_told_when_it_ends(world: World) -> None:
    first = world.orders.place(world.need())
    second = world.orders.place(world.need(2, purpose="planet-other", subscription_ids=("sub-9",)))
    assert (second.shares, second.order_id, second.hectares) == ("planet-root", "order-0", 0.0)
    assert second.subscription_ids == ("sub-9",)
    assert len(world.desk.orders) == 1
    world.desk.ends(OrderStatus.SUCCEEDED)
    world.orders.notified(first.webhook_key, "order-0")
    world.later(timedelta(0))
    assert sorted(token for token, _ in world.tokens.resumed) == ["token-1", "token-2"]


def test_who_waits_for_anothers_order_fails_with_it_and_a_replay_orders(world: World) -> None:
    world.orders.place(world.need())
    world.orders.place(world.need(2, purpose="planet-other"))
    world.desk.ends(OrderStatus.FAILED)
    world.later()
    assert sorted(token for token, _, _ in world.tokens.failed) == ["token-1", "token-2"]
    order = world.orders.place(world.need(3, purpose="planet-other"))
    assert (order.name, order.shares) == ("planet-other-2", None)


def test_two_who_reserve_the_same_at_one_moment_order_it_once(world: World) -> None:
    orders, named = world.orders, world.desk.named

    def named_and_be_overtaken(name: str) -> OrderReading | None:
        world.desk.named = named  # type: ignore[method-assign]
        reading = named(name)
        orders.place(world.need(2, purpose="planet-other"))
        return reading

    world.desk.named = named_and_be_overtaken  # type: ignore[method-assign]
    order = orders.place(world.need())
    assert order.shares == "planet-other"
    assert len(world.desk.orders) == 1


def test_while_another_places_the_same_nobody_does_and_when_it_could_not_somebody_does(world: World) -> None:
    world.desk.trouble = [None, ProviderUnavailable("no answer")]
    with pytest.raises(ProviderUnavailable):
        world.orders.place(world.need())
    other = world.need(2, purpose="planet-other")
    with pytest.raises(ProviderUnavailable, match="just being ordered as planet-root"):
        world.orders.place(other)
    world.later(UNLISTED)
    assert world.orders.place(other).shares is None
    assert world.orders.place(world.need()).shares == "planet-other"
    assert len(world.desk.orders) == 1


def test_another_subscriber_over_the_same_field_pays_nothing(world: World) -> None:
    _delivered(world)
    order = world.orders.place(world.need(2, purpose="planet-other", subscription_ids=("sub-3",)))
    assert (order.shares, order.subscription_ids) == ("planet-root", ("sub-3",))
    again = world.orders.place(world.need(3, subscription_ids=("sub-4",)))
    assert again.subscription_ids == ("sub-1", "sub-2", "sub-4")
    assert len(world.desk.orders) == 1


def test_a_replay_whose_area_has_grown_is_another_order(world: World) -> None:
    _delivered(world)
    wider: dict[str, object] = {"type": "Polygon", "coordinates": [[[15, 46], [16, 46], [16, 47], [15, 47], [15, 46]]]}
    need = world.need(2)
    assert world.orders.place(replace(need, wish=replace(need.wish, aoi=wider))).name == "planet-root-2"


def test_whoever_does_not_ask_for_a_state_gets_what_was_bought_in_any(world: World) -> None:
    _delivered(world)
    need = world.need(2, purpose="planet-other")
    world.orders.place(replace(need, wish=replace(need.wish, item_states=("",))))
    assert len(world.desk.orders) == 1


def test_what_cannot_be_used_is_ordered_anew_by_a_replay_and_nothing_else_is(world: World) -> None:
    both = replace(world.need().wish, item_ids=("A", "B"), item_states=("", ""))
    world.orders.place(world.need(wish=both))
    world.desk.ends(OrderStatus.SUCCEEDED)
    world.later()
    world.orders.spoiled("planet-root", "came without B", item_ids=("B",))
    sound = replace(both, item_ids=("A",), item_states=("",))
    assert world.orders.place(world.need(2, purpose="planet-other", wish=sound)).shares == "planet-root"
    anew = world.orders.place(world.need(3, wish=replace(both, item_ids=("B",), item_states=("",))))
    assert (anew.name, anew.wish.item_ids) == ("planet-root-2", ("B",))


def test_an_order_that_is_sound_after_all_serves_again(world: World) -> None:
    _delivered(world)
    world.orders.place(world.need(2, purpose="planet-other"))
    world.orders.spoiled("planet-other", "wrong digest", item_ids=("A",))
    assert world.order().spoiled == ("A",)
    world.orders.sound("planet-other", item_ids=("A",))
    world.orders.place(world.need(3))
    assert len(world.desk.orders) == 1


def test_an_unsure_answer_is_looked_up_before_anything_is_ordered_again(world: World) -> None:
    world.desk.lag = timedelta(seconds=90)
    need = world.need()
    with pytest.raises(Killed):
        world.started(_dies_when_placed(world)).place(need)
    assert len(world.desk.orders) == 1
    with pytest.raises(ProviderUnavailable, match="looked for again"):
        world.orders.place(need)
    world.clock.now += UNLISTED
    assert world.orders.place(need).order_id == "order-0"
    assert len(world.desk.orders) == 1


def _dies_when_placed(world: World) -> Iterator[str | None]:
    """The order is placed, and nobody here ever learns of it."""
    while True:
        yield "after" if world.desk.asked == ["named"] and _is_begun(world) else None


def _is_begun(world: World) -> bool:
    order = world.store.get("planet-root")
    return order is not None and order.tried_at is not None


def test_nothing_is_ordered_while_another_may_be_ordering_the_same(world: World) -> None:
    need = world.need()
    world.desk.trouble = [None, ProviderUnavailable("no answer")]
    with pytest.raises(ProviderUnavailable):
        world.orders.place(need)
    with pytest.raises(ProviderUnavailable, match="looked for again"):
        world.orders.place(need)
    world.clock.now += UNLISTED
    world.orders.place(need)
    assert len(world.desk.orders) == 1


def test_what_was_surely_not_placed_is_tried_again_at_once(world: World) -> None:
    need = world.need()
    world.desk.trouble = [None, ProviderThrottled("too often")]
    with pytest.raises(ProviderThrottled):
        world.orders.place(need)
    assert world.orders.place(need).order_id == "order-0"


def test_a_refused_order_costs_nothing_and_can_be_replayed_with_less(world: World) -> None:
    world.budget = Budget(hectares=150.0)
    world.desk.trouble = [None, ProviderRefused("no acceptable assets")]
    with pytest.raises(ProviderRefused):
        world.orders.place(world.need())
    assert world.store.hectares(NOW.date()) == 0.0
    order = world.orders.place(world.need(2, subscription_ids=("sub-2",), hectares=140.0))
    assert (order.name, order.subscription_ids, order.hectares) == ("planet-root", ("sub-2",), 140.0)


def test_a_webhook_hurries_a_look_and_is_believed_in_nothing_else(world: World) -> None:
    key = world.orders.place(world.need()).webhook_key
    for number in range(2, 15):
        other = world.need(number, purpose=f"planet-{number}")
        world.orders.place(replace(other, wish=replace(other.wish, item_ids=(str(number),))))
    assert world.orders.notified(key, "order-0")
    assert world.orders.notified(key, "order-0")
    assert world.later(timedelta(seconds=1)) == 1
    assert world.tokens.resumed == []
    world.desk.ends(OrderStatus.SUCCEEDED)
    world.orders.notified(key, "order-0")
    world.orders.look()
    assert [token for token, _ in world.tokens.resumed] == ["token-1"]
    assert world.orders.notified(key, "order-0"), "a late one is answered like any other"


def test_a_webhook_before_the_order_is_saved_finds_it_by_its_name(world: World) -> None:
    with pytest.raises(Killed):
        world.started(_dies_when_placed(world)).place(world.need())
    assert world.order().order_id is None
    world.desk.ends(OrderStatus.SUCCEEDED)
    assert world.orders.notified(world.order().webhook_key, "order-0")
    world.orders.look()
    assert [token for token, _ in world.tokens.resumed] == ["token-1"]


def test_strangers_and_garbage_change_nothing(world: World) -> None:
    key = world.orders.place(world.need()).webhook_key
    before = world.order()
    assert not world.orders.notified("no such key", "order-0")
    assert not world.orders.notified("\ud800 ☂", None)
    assert not world.orders.notified(key, "ördér of somebody else")
    assert world.orders.notified(key, None)
    assert world.order() == before


def test_a_hint_that_comes_while_the_order_is_read_is_not_lost(world: World) -> None:
    key = world.orders.place(world.need()).webhook_key
    orders, get = world.orders, world.desk.get

    def get_and_be_called(order_id: str) -> OrderReading | None:
        reading = get(order_id)
        world.desk.get = get  # type: ignore[method-assign]
        world.desk.ends(OrderStatus.SUCCEEDED)
        orders.notified(key, order_id)
        return reading

    world.desk.get = get_and_be_called  # type: ignore[method-assign]
    orders.notified(key, "order-0")
    orders.look()
    assert world.tokens.resumed == []
    orders.look()
    assert len(world.tokens.resumed) == 1


def test_who_begins_to_wait_while_another_is_told_is_told_too(world: World) -> None:
    orders = world.orders
    orders.place(world.need())
    world.desk.ends(OrderStatus.SUCCEEDED)
    resume = world.tokens.resume

    def resume_and_be_overtaken(task_token: str, output: Mapping[str, Any]) -> None:
        world.tokens.resume = resume  # type: ignore[method-assign]
        world.tokens.waiting.discard(task_token)
        world.desk.trouble = [ProviderUnavailable("down")]
        with pytest.raises(ProviderUnavailable):
            orders.place(world.need(2))
        raise TaskTokenUnknown("timed out a moment ago")

    world.tokens.resume = resume_and_be_overtaken  # type: ignore[method-assign]
    world.later()
    world.later()
    assert [token for token, _ in world.tokens.resumed] == ["token-2"]


def test_an_order_that_cannot_be_read_does_not_hold_up_the_others(world: World) -> None:
    for number in range(3):
        need = world.need(number, purpose=f"planet-{number}")
        world.orders.place(replace(need, wish=replace(need.wish, item_ids=(str(number),))))
    world.desk.ends(OrderStatus.SUCCEEDED)
    world.desk.trouble = [ProviderUnavailable("down")]
    world.clock.now += LOOKS[-1]
    assert world.orders.look() == 2
    world.later()
    assert len(world.tokens.resumed) == 3


@pytest.mark.parametrize("error", [ProviderThrottled("too often"), CredentialsRefused("bad key")])
def test_a_look_stops_when_the_provider_wants_to_be_left_alone(world: World, error: ProviderError) -> None:
    for number in range(3):
        need = world.need(number, purpose=f"planet-{number}")
        world.orders.place(replace(need, wish=replace(need.wish, item_ids=(str(number),))))
    world.desk.trouble = [error]
    world.clock.now += LOOKS[-1]
    world.desk.asked.clear()
    assert world.orders.look() == 0
    assert world.desk.asked == ["get"]


def test_a_days_hectares_are_not_exceeded_and_the_next_day_has_its_own(world: World) -> None:
    world.budget = Budget(hectares=150.0)
    other = {"purpose": "planet-other", "wish": _elsewhere(world.need(9)).wish}
    world.orders.place(world.need())
    with pytest.raises(BudgetReached, match=r"200.0 ha would be ordered today, and the limit is 150.0 ha"):
        world.orders.place(world.need(2, **other))
    assert world.store.get("planet-other") is None
    world.clock.now += timedelta(days=1)
    world.orders.place(world.need(2, **other))
    assert len(world.desk.orders) == 2


def test_a_days_money_is_not_exceeded(world: World) -> None:
    world.budget = Budget(money=199.0, price_per_hectare=1.0)
    world.orders.place(world.need())
    with pytest.raises(BudgetReached, match=r"would cost 200.00, and the limit is 199.00"):
        world.orders.place(_elsewhere(world.need(2, purpose="planet-other")))
    assert world.desk.asked == ["named", "place"]


@pytest.mark.parametrize("budget", [Budget(hectares=99.0), Budget(money=99.0, price_per_hectare=1.0)])
def test_an_order_that_no_day_has_room_for_is_refused_at_once(world: World, budget: Budget) -> None:
    world.budget = budget
    with pytest.raises(ProviderRefused, match=r"more than a whole day .* raise the limit"):
        world.orders.place(world.need())
    assert world.desk.asked == []


def test_an_order_begun_after_midnight_is_on_the_budget_of_that_day(world: World) -> None:
    world.budget = Budget(hectares=150.0)
    world.clock.now = NOW.replace(hour=23, minute=59)
    world.desk.trouble = [None, ProviderThrottled("too often")]
    need = world.need()
    with pytest.raises(ProviderThrottled):
        world.orders.place(need)
    named = world.desk.named

    def named_over_midnight(name: str) -> OrderReading | None:
        world.clock.now = NOW + timedelta(days=1)
        return named(name)

    world.desk.named = named_over_midnight  # type: ignore[method-assign]
    world.orders.place(need)
    assert [world.store.hectares(NOW.date() + timedelta(days=day)) for day in range(2)] == [0.0, 100.0]
    with pytest.raises(BudgetReached):
        world.orders.place(_elsewhere(world.need(2, purpose="planet-other")))


def test_an_order_that_failed_gives_its_hectares_back(world: World) -> None:
    world.budget = Budget(hectares=150.0)
    world.orders.place(world.need())
    world.desk.ends(OrderStatus.FAILED)
    world.later()
    assert world.orders.place(world.need(2)).name == "planet-root-2"


def test_nothing_secret_is_in_a_repr(world: World) -> None:
    order = world.orders.place(world.need())
    shown = repr(world.orders) + repr(order) + repr(world.need())
    assert "secret" not in shown
    assert order.webhook_key not in shown
    assert "token-1" not in shown


DEATHS = st.lists(st.tuples(st.integers(0, 25), st.sampled_from(["before", "after"])), max_size=5)


@given(
    deaths=DEATHS,
    lag_s=st.sampled_from([0, 10, 120]),
    ending=st.sampled_from([OrderStatus.SUCCEEDED, OrderStatus.FAILED]),
    ready_after=st.integers(0, 3),
    is_called=st.booleans(),
    same_token=st.booleans(),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_process_killed_between_any_two_calls_buys_once_and_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    deaths: list[tuple[int, str]],
    lag_s: int,
    ending: OrderStatus,
    ready_after: int,
    is_called: bool,
    same_token: bool,
) -> None:
    with ExitStack() as stack:
        world = stack.enter_context(a_world(tmp_path_factory.mktemp("orders")))
        world.desk.lag = timedelta(seconds=lag_s)
        _live(world, deaths, ending, ready_after, is_called, same_token)
        assert len(world.desk.orders) == 1
        assert len(world.tokens.resumed) + len(world.tokens.failed) == 1
        assert bool(world.tokens.resumed) == (ending is OrderStatus.SUCCEEDED)
        assert world.order().status is ending


def _live(
    world: World,
    deaths: list[tuple[int, str]],
    ending: OrderStatus,
    ready_after: int,
    is_called: bool,
    same_token: bool,
) -> None:
    """One execution: its step is tried until it returns, and its process is killed as often as `deaths` says."""
    lives = iter(deaths)
    is_placed, tries = False, itertools.count(1)
    for turn in range(40):
        countdown, when = next(lives, (10_000, "before"))
        orders = world.started(when if number == countdown else None for number in itertools.count())
        try:
            if not is_placed:
                number = 1 if same_token else next(tries)
                if number > 1:
                    world.tokens.waiting.discard(f"token-{number - 1}")
                if not world.tokens.resumed and not world.tokens.failed:
                    orders.place(world.need(1, task_token=f"token-{number}"))
                is_placed = True
            if turn >= ready_after:
                world.desk.ends(ending)
            order = world.store.get("planet-root")
            if is_called and order is not None:
                orders.notified(order.webhook_key, "order-0")
            orders.look()
        except (Killed, ProviderError):
            pass
        world.clock.now += timedelta(minutes=4)
