"""What changes while an order is out: the subscription it is for, and the item it is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import shape

from imagery.model.outcome import Outcome, OutcomeStatus, SkipReason
from imagery.model.processing import Processing
from imagery.model.request import Request, RequestKind
from imagery.model.subscription import Priority, Subscription, SubscriptionStatus
from imagery.sandbox.planet.behaviour import Behaviour
from imagery.sandbox.planet.catalogue import Catalogue
from imagery.sandbox.planet.faults import Fault, Operation, Rule
from tests.faults.house import ANA, BEGIN, until
from tests.faults.planet_house import House, open_planet_house, some_scenes
from tests.faults.test_planet_shares import LATER, ids

SLOWLY = Behaviour(rate_scale=0.0, queued_s=60.0, running_s=60.0)
"""Time enough to change something while an order is out: two seconds by the test's own clock."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return some_scenes(tmp_path_factory.mktemp("planet") / "scenes", 1)


def order_for(house: House, scenes: Catalogue, *subscriptions: Subscription) -> None:
    """Ask for the scene, and wait until Planet has the order."""
    request = Request.for_item(
        kind=RequestKind.UPDATE,
        priority=Priority.NORMAL,
        provider="planet",
        collection="PSScene",
        item_id=ids(scenes)[0],
        item_updated_at=None,
        subscription_ids=[one.id for one in subscriptions],
        now=BEGIN,
    )
    house.imagery.queue.send([request])
    until(lambda: any(order.order_id for order in house.orders()), "it is ordered")


def change(house: House, subscription: Subscription, **changes: Any) -> None:
    house.imagery.subscriptions.change(ANA, subscription.id, changes, expected_version=None)


def row_of(house: House, subscription: Subscription) -> Outcome:
    (row,) = house.ledger(subscription).values()
    return row


@pytest.mark.parametrize(
    ("changed", "lacking"),
    [
        ({"processing": Processing(buffer_m=60.0)}, "a part of its area"),
        ({"assets": ("ortho_analytic_4b", "ortho_udm2")}, "ortho_analytic_4b"),
    ],
)
def test_what_a_subscription_wants_more_of_by_now_is_said_and_a_replay_orders_it(
    tmp_path: Path, scenes: Catalogue, changed: dict[str, Any], lacking: str
) -> None:
    with open_planet_house(tmp_path, scenes, behaviour=SLOWLY) as house:
        one = house.subscribe(**LATER)
        order_for(house, scenes, one)
        change(house, one, **changed)
        house.settle()

        (failure,) = house.failures()
        assert (failure.error, failure.state) == ("OrderFailed", "PlanetProvider")
        assert f"changed after it was ordered: replay orders what is lacking ({lacking} in order" in failure.cause

        house.imagery.failures.replay(ANA, failure.id)
        house.settle()
        row = row_of(house, one)
        assert (row.status, row.numbers["coverage"]) == (OutcomeStatus.DELIVERED, 1.0)
        assert sum(house.bought().values()) == 2


def test_what_is_left_of_an_area_that_shrank_is_delivered_of_what_was_ordered(
    tmp_path: Path, scenes: Catalogue
) -> None:
    with open_planet_house(tmp_path, scenes, behaviour=SLOWLY) as house:
        one = house.subscribe(**LATER)
        order_for(house, scenes, one)
        change(house, one, assets=("ortho_analytic_4b_sr",), processing=Processing(buffer_m=-5.0))
        house.settle()

        row = row_of(house, one)
        assert row.status is OutcomeStatus.DELIVERED
        item = house.imagery.catalog.get("PSScene", row.published_item_id or "")
        assert item is not None
        assert set(item.assets) == {"ortho_analytic_4b_sr", "thumbnail"}
        assert shape(house.aoi).contains(shape(item.geometry))


def test_what_was_ordered_for_an_active_subscription_is_delivered_though_it_is_paused(
    tmp_path: Path, scenes: Catalogue
) -> None:
    with open_planet_house(tmp_path, scenes, behaviour=SLOWLY) as house:
        paused, unwanted = house.subscribe(**LATER), house.subscribe("ortho_analytic_4b_sr", **LATER)
        order_for(house, scenes, paused, unwanted)
        change(house, paused, status=SubscriptionStatus.PAUSED)
        house.imagery.subscriptions.delete(ANA, unwanted.id, expected_version=None)
        house.settle()

        assert row_of(house, paused).status is OutcomeStatus.DELIVERED
        assert row_of(house, unwanted).reason is SkipReason.INACTIVE
        assert house.failures() == []


def test_what_was_bought_is_delivered_though_planet_knows_the_item_no_more(tmp_path: Path, scenes: Catalogue) -> None:
    with open_planet_house(tmp_path, scenes, behaviour=SLOWLY) as house:
        one = house.subscribe(**LATER)
        order_for(house, scenes, one)
        house.planet.account.faults.add(Rule(fault=Fault.NOT_FOUND, operation=Operation.ITEM, name="*/items/*"))
        house.settle()

        row = row_of(house, one)
        assert row.status is OutcomeStatus.DELIVERED
        item = house.imagery.catalog.get("PSScene", row.published_item_id or "")
        assert item is not None
        assert item.properties["pl:order_id"] == house.orders()[0].order_id
        assert item.properties["pl:harmonized_to"] == "Sentinel-2"
