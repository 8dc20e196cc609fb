"""Several subscribers and items of one order: what is ordered for whom, and how each share ends."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pystac
import pytest
from shapely import affinity
from shapely.geometry import Point, box, mapping, shape

from imagery.model.order import OrderStatus
from imagery.model.outcome import OutcomeStatus, SkipReason
from imagery.model.request import Request, RequestKind
from imagery.model.subscription import Filters, Priority, Subscription, SubscriptionStatus
from imagery.sandbox.planet.catalogue import Catalogue
from imagery.sandbox.planet.faults import Fault, Operation, Rule
from tests.faults.house import ANA, BEGIN, until
from tests.faults.planet_house import House, open_planet_house, some_scenes

DELIVERED, FAILED, SKIPPED = OutcomeStatus.DELIVERED, OutcomeStatus.FAILED, OutcomeStatus.SKIPPED
LATER = {"start_at": BEGIN, "end_at": None}
"""Of subscriptions that look for nothing by themselves here."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return some_scenes(tmp_path_factory.mktemp("planet") / "scenes", 2)


def ask(house: House, items: tuple[str, ...], *subscriptions: Subscription) -> Request:
    request = Request.for_item(
        kind=RequestKind.UPDATE,
        priority=Priority.NORMAL,
        provider="planet",
        collection="PSScene",
        item_id=items[0],
        item_updated_at=None,
        subscription_ids=[one.id for one in subscriptions],
        now=BEGIN,
    )
    request = replace(request, item_ids=items)
    house.imagery.queue.send([request])
    house.settle()
    return request


def ids(scenes: Catalogue) -> tuple[str, ...]:
    return tuple(scene.id for scene in scenes.list(BEGIN))


def test_one_order_serves_all_who_take_it_and_nobody_else(tmp_path: Path, scenes: Catalogue) -> None:
    with open_planet_house(tmp_path, scenes) as house:
        one = house.subscribe(**LATER)
        neighbour = house.subscribe("ortho_analytic_4b_sr", aoi=_beside(house.aoi), **LATER)
        edge = house.subscribe(aoi=_half_outside(scenes), filters=Filters(min_coverage=1.0), **LATER)
        paused = house.subscribe(**LATER)
        house.imagery.subscriptions.change(ANA, paused.id, {"status": SubscriptionStatus.PAUSED}, expected_version=None)
        request = ask(house, ids(scenes)[:1], one, neighbour, edge, paused)

        (order,) = house.orders()
        assert (order.name, order.status) == (request.root, OrderStatus.SUCCEEDED)
        assert order.subscription_ids == tuple(sorted((one.id, neighbour.id)))
        assert order.wish.assets == ("ortho_analytic_4b_sr", "ortho_udm2")
        assert shape(order.wish.aoi).buffer(1e-9).covers(shape(house.aoi).union(shape(_beside(house.aoi))))
        assert house.statuses(one) == house.statuses(neighbour) == [DELIVERED]
        reasons = [next(iter(house.ledger(each).values())).reason for each in (edge, paused)]
        assert reasons == [SkipReason.COVERAGE, SkipReason.INACTIVE]
        (row,) = house.ledger(neighbour).values()
        item = house.imagery.catalog.get("PSScene", row.published_item_id or "")
        assert item is not None
        assert set(item.assets) == {"ortho_analytic_4b_sr", "thumbnail"}
        assert item.properties["imagery:clear_fraction"] == 1.0


def test_what_an_order_came_without_fails_for_its_takers_and_for_no_other_item(
    tmp_path: Path, scenes: Catalogue
) -> None:
    rule = Rule(fault=Fault.ORDER_PARTIAL, operation=Operation.ORDER)
    with open_planet_house(tmp_path, scenes, rule) as house:
        one = house.subscribe(**LATER)
        ask(house, ids(scenes), one)

        there, missing = (house.ledger(one)[item] for item in ids(scenes))
        assert (there.status, missing.status, missing.error) == (DELIVERED, FAILED, "OrderFailed")
        assert "came without ortho_analytic_4b_sr, ortho_udm2" in missing.explanation
        assert [(one.error, one.state) for one in house.failures()] == [("OrderFailed", "PlanetProvider")]


def test_nobodys_pixels_depend_on_who_else_asks(tmp_path: Path, scenes: Catalogue) -> None:
    with open_planet_house(tmp_path, scenes) as house:
        fitted = house.subscribe("ortho_analytic_4b_sr", **LATER)
        radiance = house.subscribe("ortho_analytic_4b", **LATER)
        both = house.subscribe("ortho_analytic_4b", "ortho_analytic_4b_sr", **LATER)
        ask(house, ids(scenes)[:1], fitted, radiance, both)
        until(lambda: house.statuses(both) == [DELIVERED], "the second order is delivered")
        house.settle()

        orders = {order.wish.harmonise_to: order for order in house.orders()}
        assert len(house.orders()) == 2
        assert orders["Sentinel-2"].subscription_ids == (fitted.id,)
        assert orders["Sentinel-2"].wish.assets == ("ortho_analytic_4b_sr", "ortho_udm2")
        assert orders[None].subscription_ids == tuple(sorted((radiance.id, both.id)))
        said = [_published(house, one).properties.get("pl:harmonized_to") for one in (fitted, radiance, both)]
        assert said == ["Sentinel-2", None, None]
        assert house.failures() == []


def test_an_area_of_too_many_corners_is_ordered_simplified_cut_exactly_and_says_so(
    tmp_path: Path, scenes: Catalogue
) -> None:
    with open_planet_house(tmp_path, scenes) as house:
        round_field = _starry(house.aoi)
        one = house.subscribe(aoi=round_field, **LATER)
        ask(house, ids(scenes)[:1], one)

        (order,) = house.orders()
        assert shape(order.wish.aoi).buffer(1e-9).covers(shape(round_field))
        (row,) = house.ledger(one).values()
        assert row.status is DELIVERED
        assert "simplified outward" in row.explanation


def test_an_index_is_computed_of_an_order_and_a_bundle_that_is_not_there_is_told(
    tmp_path: Path, scenes: Catalogue
) -> None:
    with open_planet_house(tmp_path, scenes) as house:
        from imagery.model.processing import Processing
        from imagery.raster.index import KNOWN

        one = house.subscribe("ortho_udm2", processing=Processing(indices=(KNOWN["ndvi"],)), **LATER)
        ask(house, ids(scenes)[:1], one)

        assert house.orders()[0].wish.assets == ("ortho_analytic_4b_sr", "ortho_udm2")
        (row,) = house.ledger(one).values()
        item = house.imagery.catalog.get("PSScene", row.published_item_id or "")
        assert item is not None
        assert set(item.assets) == {"ortho_udm2", "ndvi", "thumbnail"}


def _published(house: House, subscription: Subscription) -> pystac.Item:
    (row,) = house.ledger(subscription).values()
    item = house.imagery.catalog.get("PSScene", row.published_item_id or "")
    assert item is not None
    return item


def _beside(aoi: dict[str, Any]) -> dict[str, Any]:
    moved: dict[str, Any] = mapping(affinity.translate(shape(aoi), xoff=0.0008))
    return moved


def _half_outside(scenes: Catalogue) -> dict[str, Any]:
    """A square at the western edge of all scenes."""
    west = min(scene.outline.bounds[0] for scene in scenes.list(BEGIN))
    north = sum(scene.outline.centroid.y for scene in scenes.list(BEGIN)) / 2
    square: dict[str, Any] = mapping(box(west - 0.002, north - 0.001, west + 0.002, north + 0.001))
    return square


def _starry(aoi: dict[str, Any]) -> dict[str, Any]:
    """A circle whose edge goes in and out three thousand times."""
    middle: Point = shape(aoi).centroid
    ring = []
    for number in range(3000):
        angle, reach = 2 * math.pi * number / 3000, 0.0004 * (1 + 0.02 * (number % 2))
        ring.append([middle.x + reach * math.cos(angle), middle.y + reach * math.sin(angle)])
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
