"""What every store of orders promises: to add one, add its back end in conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imagery.errors import CursorInvalid
from imagery.model.order import Order, OrderQuery, OrderStatus, OrderWish
from imagery.ports import OrderStore
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.orders import SqliteOrderStore

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@contextmanager
def open_sqlite(folder: Path) -> Iterator[OrderStore]:
    with Database(folder / "state.sqlite") as database:
        yield SqliteOrderStore(database)


OPENERS = {"sqlite": open_sqlite}


@pytest.fixture(params=OPENERS.values(), ids=OPENERS.keys())
def orders(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OrderStore]:
    with request.param(tmp_path) as opened:
        yield opened


def an_order(name: str = "planet-root", **changes: Any) -> Order:
    wish = OrderWish(
        collection="PSScene",
        item_ids=("A", "B"),
        item_states=("2026-05-01T00:00:00Z", ""),
        assets=("ortho_udm2",),
        aoi={"type": "Polygon", "coordinates": [[[15.0, 46.0], [15.1, 46.0], [15.1, 46.1], [15.0, 46.0]]]},
    )
    order = Order(
        name=name,
        provider="planet",
        execution_id="execution-1",
        task_token="token-1",
        webhook_key=f"key of {name}",
        wish=wish,
        subscription_ids=("sub-1",),
        hectares=10.5,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(order, **changes)


def test_an_order_comes_back_as_it_was_saved(orders: OrderStore) -> None:
    order = an_order(
        order_id="o-1",
        status=OrderStatus.PENDING,
        message="☂",
        wish=replace(an_order().wish, item_updates=("2026-05-01T00:00:00Z", ""), harmonise_to="Sentinel-2"),
        shares="planet-other",
        spoiled=("B",),
        tried_at=NOW,
        placed_at=NOW,
        missing_since=NOW,
        look_at=NOW,
        looks=3,
    )
    orders.save(order)
    assert orders.get("planet-root") == order
    assert orders.get("planet-root-2") is None


def test_saving_again_replaces(orders: OrderStore) -> None:
    orders.save(an_order(look_at=NOW))
    later = an_order(order_id="o-1", status=OrderStatus.SUCCEEDED, hectares=0.0, created_at=NOW + timedelta(days=1))
    orders.save(later)
    assert orders.get("planet-root") == later
    assert orders.find(OrderQuery()).values == (later,)
    assert orders.due(now=NOW + timedelta(days=9), limit=9) == ()
    assert orders.hectares(NOW.date()) == 0.0


def test_an_order_is_found_by_the_key_of_its_url_and_by_no_other(orders: OrderStore) -> None:
    order = an_order()
    orders.save(order)
    assert orders.by_webhook_key("key of planet-root") == order
    for stranger in ("key of planet-roo", "", "KEY OF PLANET-ROOT", "\ud800", "' OR 1=1 --"):
        assert orders.by_webhook_key(stranger) is None


def test_the_longest_due_come_first_and_what_is_not_due_does_not_come(orders: OrderStore) -> None:
    for name, look_at in (("b", NOW), ("a", NOW - timedelta(hours=1)), ("c", NOW + timedelta(seconds=1)), ("d", None)):
        orders.save(an_order(name, look_at=look_at))
    assert [order.name for order in orders.due(now=NOW, limit=9)] == ["a", "b"]
    assert [order.name for order in orders.due(now=NOW, limit=1)] == ["a"]


def test_orders_are_found_by_each_of_their_items_the_newest_first(orders: OrderStore) -> None:
    orders.save(an_order("old"))
    orders.save(an_order("new", created_at=NOW + timedelta(hours=1)))
    assert [order.name for order in orders.of_item("planet", "B")] == ["new", "old"]
    assert orders.of_item("planet", "C") == ()
    assert orders.of_item("another", "B") == ()


def test_an_order_whose_items_changed_is_found_by_those_it_has(orders: OrderStore) -> None:
    orders.save(an_order())
    wish = replace(an_order().wish, item_ids=("B",), item_states=("",))
    orders.save(an_order(wish=wish))
    assert orders.of_item("planet", "A") == ()
    assert len(orders.of_item("planet", "B")) == 1


def test_orders_are_listed_newest_first_page_by_page_and_by_status(orders: OrderStore) -> None:
    for number in range(5):
        status = OrderStatus.FAILED if number % 2 else OrderStatus.PENDING
        orders.save(an_order(f"o{number}", created_at=NOW + timedelta(seconds=number // 2), status=status))
    first = orders.find(OrderQuery(limit=2))
    rest = orders.find(OrderQuery(limit=9, cursor=first.next_cursor))
    assert [order.name for order in (*first.values, *rest.values)] == ["o4", "o3", "o2", "o1", "o0"]
    assert rest.next_cursor is None
    assert [order.name for order in orders.find(OrderQuery(status=OrderStatus.FAILED)).values] == ["o3", "o1"]


def test_a_cursor_of_another_query_is_refused(orders: OrderStore) -> None:
    for number in range(3):
        orders.save(an_order(f"o{number}"))
    cursor = orders.find(OrderQuery(limit=1)).next_cursor
    for query in (OrderQuery(cursor="nonsense"), OrderQuery(status=OrderStatus.FAILED, cursor=cursor)):
        with pytest.raises(CursorInvalid):
            orders.find(query)


def test_a_days_hectares_are_those_of_the_orders_of_that_day(orders: OrderStore) -> None:
    midnight = datetime(2026, 5, 2, tzinfo=UTC)
    orders.save(an_order("a", created_at=midnight - timedelta(microseconds=1)))
    orders.save(an_order("b", created_at=midnight))
    orders.save(an_order("c", created_at=midnight + timedelta(hours=23)))
    assert [orders.hectares(NOW.date() + timedelta(days=day)) for day in range(3)] == [10.5, 21.0, 0.0]
