"""What is bought again and what is not: after an item is published anew, and after a delivery that cannot be used."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from imagery.model.outcome import OutcomeStatus
from imagery.model.request import Request, RequestKind
from imagery.model.subscription import Priority, Subscription
from imagery.sandbox.planet.behaviour import Behaviour
from imagery.sandbox.planet.catalogue import Catalogue
from imagery.sandbox.planet.faults import Fault, Operation, Rule
from tests.faults.house import ANA, BEGIN, until
from tests.faults.planet_house import House, open_planet_house, some_scenes
from tests.faults.test_planet_shares import LATER, ask, ids

DELIVERED, FAILED = OutcomeStatus.DELIVERED, OutcomeStatus.FAILED
SLOWLY = Behaviour(rate_scale=0.0, queued_s=60.0, running_s=60.0)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return some_scenes(tmp_path_factory.mktemp("planet") / "scenes", 2)


def ask_in_state(house: House, item_id: str, days_ago: int, subscription: Subscription) -> None:
    request = Request.for_item(
        kind=RequestKind.UPDATE,
        priority=Priority.NORMAL,
        provider="planet",
        collection="PSScene",
        item_id=item_id,
        item_updated_at=BEGIN - timedelta(days=days_ago),
        subscription_ids=[subscription.id],
        now=BEGIN,
    )
    house.imagery.queue.send([request])


def replay(house: House) -> None:
    for failure in house.failures():
        house.imagery.failures.replay(ANA, failure.id)
    house.settle()


def finalized_soon(scenes: Catalogue) -> Catalogue:
    """The first scene alone: six seconds by the test's own clock until it is finalized."""
    scene = scenes.list(BEGIN)[0]
    standard = {**scene.properties, "publishing_stage": "standard"}
    at = BEGIN + timedelta(minutes=6)
    return Catalogue((replace(scene, properties=standard, finalized_at=at),), aoi=scenes.aoi)


def stage_of(house: House, item_id: str) -> object:
    assert house.imagery.planet is not None
    return house.imagery.planet.source.search.get("PSScene", item_id).properties["pl:publishing_stage"]


def test_two_requests_for_an_item_while_its_order_is_out_are_one_order(tmp_path: Path, scenes: Catalogue) -> None:
    with open_planet_house(tmp_path, scenes, behaviour=SLOWLY) as house:
        one = house.subscribe(**LATER)
        ask_in_state(house, ids(scenes)[0], 2, one)
        until(lambda: bool(house.bought()), "it is ordered")
        ask_in_state(house, ids(scenes)[0], 1, one)
        until(lambda: len(house.orders()) == 2, "the second waits as well")
        house.settle()

        assert house.statuses(one) == [DELIVERED]
        assert list(house.bought().values()) == [1]
        assert not house.failures()


def test_a_subscriber_who_comes_later_pays_nothing(tmp_path: Path, scenes: Catalogue) -> None:
    with open_planet_house(tmp_path, scenes) as house:
        one, other = house.subscribe(**LATER), house.subscribe(**LATER)
        ask(house, ids(scenes)[:1], one)
        ask(house, ids(scenes)[:1], other)

        assert house.statuses(one) == house.statuses(other) == [DELIVERED]
        assert list(house.bought().values()) == [1]


@pytest.mark.parametrize(
    ("fault", "items"), [(Fault.WRONG_DIGEST, 1), (Fault.ORDER_PARTIAL, 2)], ids=["digests", "partial"]
)
def test_a_replay_orders_anew_what_came_and_could_not_be_used(
    tmp_path: Path, scenes: Catalogue, fault: Fault, items: int
) -> None:
    with open_planet_house(tmp_path, scenes, Rule(fault=fault, operation=Operation.ORDER, times=1)) as house:
        one = house.subscribe(**LATER)
        ask(house, ids(scenes)[:items], one)
        assert len(house.failures()) == 1
        replay(house)

        assert house.statuses(one) == [DELIVERED] * items
        assert len(house.bought()) == 2
        assert len(house.orders()[0].wish.item_ids) == 1, "what came and was sound is not bought again"
        assert not house.failures()


@pytest.mark.parametrize(("is_asked_for", "bought"), [(False, 1), (True, 2)])
def test_a_scene_that_is_finalized_is_bought_again_only_where_that_is_asked_for(
    tmp_path: Path, scenes: Catalogue, is_asked_for: bool, bought: int
) -> None:
    with open_planet_house(tmp_path, finalized_soon(scenes), planet_reorder_finalized=is_asked_for) as house:
        one, (item_id, *_) = house.subscribe(**LATER), ids(scenes)
        ask_in_state(house, item_id, 2, one)
        house.settle()
        assert stage_of(house, item_id) == "standard", "it came too late to show anything"
        until(lambda: stage_of(house, item_id) == "finalized", "it is finalized")
        ask_in_state(house, item_id, 1, one)
        house.settle()

        assert len(house.bought()) == bought
        assert house.statuses(one) == [DELIVERED]
        assert not house.failures()
