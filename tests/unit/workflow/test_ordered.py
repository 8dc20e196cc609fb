"""What an order holds for one share: its own needs count, and the item as it was ordered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pystac
import pytest

from imagery.errors import OrderFailed
from imagery.model.order import Order, OrderStatus, OrderWish
from imagery.model.processing import Processing
from imagery.workflow.ordered import OrderedItems, as_ordered, bought_share
from imagery.workflow.share import Share
from tests.unit.workflow.conftest import House
from tests.unit.workflow.test_steps import item_request

BANDS = ("red", "nir")


@pytest.fixture
def share(house: House, clock: Callable[[], datetime]) -> Share:
    """Of a scene of red and nir, whose subscription wants red."""
    one = house.subscribe(assets=("red",))
    item = house.provider.publish("a")
    return Share(item=item, subscription=one, request=item_request(house, "a", one), now=clock())


def order_for(share: Share, *, assets: tuple[str, ...] = BANDS, **changes: Any) -> Order:
    """One that others take part in."""
    wish = OrderWish(
        collection="c", item_ids=("a",), item_states=("",), assets=assets, aoi=dict(share.subscription.aoi.geometry)
    )
    usual: dict[str, Any] = {
        "name": "req_1",
        "provider": "planet",
        "execution_id": "req_1",
        "task_token": "token",
        "webhook_key": "key",
        "order_id": "order-1",
        "status": OrderStatus.SUCCEEDED,
        "wish": wish,
        "subscription_ids": (share.subscription.id,),
        "hectares": 1.0,
        "created_at": share.now,
        "updated_at": share.now,
    }
    return Order(**{**usual, **changes})


def test_a_file_that_only_others_want_may_be_missing(share: Share) -> None:
    bought = bought_share(share, order_for(share), {("a", "red"): Path("/red.tif")})

    assert {key: asset.href for key, asset in bought.item.assets.items()} == {"red": "/red.tif"}
    with pytest.raises(OrderFailed, match="order-1 came without red of a: no reason given"):
        bought_share(share, order_for(share), {("a", "nir"): Path("/nir.tif"), ("b", "red"): Path("/other.tif")})


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [({"assets": ("red", "nir")}, "nir"), ({"processing": Processing(buffer_m=1.0)}, "a part of its area")],
)
def test_a_subscription_that_wants_more_than_was_ordered_gets_no_thin_clip(
    share: Share, changes: dict[str, Any], lacking: str
) -> None:
    changed = replace(share, subscription=replace(share.subscription, **changes))
    files = {("a", key): Path("/x.tif") for key in BANDS}

    with pytest.raises(OrderFailed, match=f"changed after it was ordered: replay orders what is lacking .{lacking} in"):
        bought_share(changed, order_for(share, assets=("red",)), files)


def _document(item: pystac.Item) -> dict[str, Any]:
    said = {name: value for name, value in item.to_dict(transform_hrefs=False).items() if name != "links"}
    document: dict[str, Any] = json.loads(json.dumps(said))
    return document


def test_items_are_kept_as_they_were_ordered_over_restarts(tmp_path: Path, share: Share) -> None:
    OrderedItems(folder=tmp_path).keep("req_1", [share.item])

    kept = OrderedItems(folder=tmp_path).of("req_1")

    assert {key: _document(item) for key, item in kept.items()} == {"a": _document(share.item)}
    assert kept["a"].get_self_href() == share.item.get_self_href()
    assert OrderedItems(folder=tmp_path).of("req_2") == {}


def test_an_item_says_what_it_was_fitted_to_and_in_which_state_it_was_bought(share: Share) -> None:
    order = order_for(share)
    wish = replace(order.wish, item_updates=("2026-04-20T11:00:00Z",), harmonise_to="Sentinel-2")

    ordered: pystac.Item = as_ordered(share.item, replace(order, wish=wish))

    said = {name: ordered.properties[name] for name in ("updated", "pl:order_id", "pl:harmonized_to")}
    assert said == {"updated": "2026-04-20T11:00:00Z", "pl:order_id": "order-1", "pl:harmonized_to": "Sentinel-2"}
    assert "pl:harmonized_to" not in as_ordered(share.item, order).properties


def test_pixels_bought_for_another_request_are_of_the_stage_they_were_bought_in(share: Share) -> None:
    order = order_for(share, shares="req_0", order_id="order-0")
    bought = order_for(share, name="req_0", order_id="order-0")
    bought = replace(bought, wish=replace(bought.wish, item_updates=("2026-04-01",), item_stages=("standard",)))
    share.item.properties |= {"pl:publishing_stage": "finalized", "updated": "2026-04-02T00:00:00Z"}

    item = as_ordered(share.item, order, bought=bought)

    assert item.properties["pl:publishing_stage"] == "standard"
    assert item.properties["updated"] == "2026-04-02T00:00:00Z"
    assert item.properties["pl:order_id"] == "order-0"
