"""Orders at Planet, whatever goes wrong with them: each acquisition bought once, and delivered or told of."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import rasterio
from shapely.geometry import box, mapping

from imagery.model.order import OrderStatus
from imagery.model.outcome import OutcomeStatus, SkipReason
from imagery.model.subscription import Filters
from imagery.sandbox.planet.behaviour import Behaviour, Notice
from imagery.sandbox.planet.catalogue import Catalogue
from imagery.sandbox.planet.faults import Fault, Operation, Rule
from tests.faults.house import ANA, BEGIN, until
from tests.faults.planet_house import KEY, House, open_planet_house, some_scenes

DELIVERED, FAILED, SKIPPED = OutcomeStatus.DELIVERED, OutcomeStatus.FAILED, OutcomeStatus.SKIPPED
PASSWORD = "p@ss:word/0123"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return some_scenes(tmp_path_factory.mktemp("planet") / "scenes", 2)


def assert_bought_once_and_delivered(house: House) -> None:
    assert list(house.bought().values()) == [1, 1]
    assert {order.status for order in house.orders()} == {OrderStatus.SUCCEEDED}
    assert not house.failures()


def test_a_webhook_resumes_what_waits_and_nothing_of_it_is_in_the_log(
    tmp_path: Path, scenes: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), open_planet_house(tmp_path, scenes) as house:
        subscription = house.subscribe()
        house.settle()

        assert house.statuses(subscription) == [DELIVERED, DELIVERED]
        assert_bought_once_and_delivered(house)
        until(lambda: house.calls() == ["204", "204"], "both webhooks are called")
        for row in house.ledger(subscription).values():
            item = house.imagery.catalog.get("PSScene", row.published_item_id or "")
            assert item is not None
            assert item.properties["pl:order_id"] in {order.order_id for order in house.orders()}
            with rasterio.open(item.assets["ortho_analytic_4b_sr"].href) as clip:
                assert clip.count == 4
        keys = [order.webhook_key for order in house.orders()]
        # The sandbox, which knows them all, logs in this process too.
        ours = [one for one in caplog.records if one.name.startswith("imagery") and "sandbox" not in one.name]
        said = "\n".join(record.getMessage() + str(record.__dict__) for record in ours)
        assert not [secret for secret in (KEY, PASSWORD, *keys) if secret in said]
        assert not any(Path(house.imagery.settings.data_dir / "downloads").iterdir())


@pytest.mark.parametrize(
    ("fault", "notice"),
    [
        (Fault.WEBHOOK_LOST, Notice.ITEMS),
        (Fault.WEBHOOK_LATE, Notice.ITEMS),
        (Fault.WEBHOOK_TWICE, Notice.ORDER),
        (Fault.WEBHOOK_EARLY, Notice.ITEMS),
        (Fault.WEBHOOK_WRONG_ORDER, Notice.ORDER),
        (Fault.WEBHOOK_GARBAGE, Notice.ITEMS),
    ],
)
def test_however_webhooks_go_astray_everything_is_delivered_once(
    tmp_path: Path, scenes: Catalogue, fault: Fault, notice: Notice
) -> None:
    behaviour = Behaviour(rate_scale=0.0, queued_s=2.0, running_s=2.0, notice=notice)
    rule = Rule(fault=fault, operation=Operation.WEBHOOK, seconds=60)
    with open_planet_house(tmp_path, scenes, rule, behaviour=behaviour) as house:
        subscription = house.subscribe()
        house.settle()

        assert house.statuses(subscription) == [DELIVERED, DELIVERED]
        assert_bought_once_and_delivered(house)
        until(lambda: None not in house.calls(), "late calls have come too")
        assert not {one for one in house.calls() if one and one.isdecimal() and one not in ("204", "404")}


def test_an_order_whose_answer_is_lost_is_found_by_its_name(tmp_path: Path, scenes: Catalogue) -> None:
    rule = Rule(fault=Fault.TRUNCATED, operation=Operation.CREATE, times=2)
    with open_planet_house(tmp_path, scenes, rule) as house:
        subscription = house.subscribe()
        house.settle()

        assert house.statuses(subscription) == [DELIVERED, DELIVERED]
        assert_bought_once_and_delivered(house)


@pytest.mark.parametrize(
    ("fault", "error"), [(Fault.ORDER_FAILED, "OrderFailed"), (Fault.ORDER_CANCELLED, "OrderCanceled")]
)
def test_an_order_that_comes_to_nothing_is_told_and_ordered_anew_by_a_replay(
    tmp_path: Path, scenes: Catalogue, fault: Fault, error: str
) -> None:
    rule = Rule(fault=fault, operation=Operation.ORDER, times=1)
    with open_planet_house(tmp_path, scenes, rule) as house:
        subscription = house.subscribe()
        house.settle()

        assert sorted(house.statuses(subscription)) == [DELIVERED, FAILED]
        (failure,) = house.failures()
        assert failure.error == error
        house.imagery.failures.replay(ANA, failure.id)
        house.settle()
        assert house.statuses(subscription) == [DELIVERED, DELIVERED]
        names = sorted(house.bought())
        assert len(names) == 3
        assert [name for name in names if name.endswith("-2")] == [f"{failure.request.root}-2"]


@pytest.mark.parametrize(
    ("fault", "error"), [(Fault.UNAUTHORIZED, "CredentialsRefused"), (Fault.QUOTA, "QuotaExhausted")]
)
def test_what_waiting_does_not_help_is_told_at_once_and_seen_in_health(
    tmp_path: Path, scenes: Catalogue, fault: Fault, error: str
) -> None:
    rule = Rule(fault=fault, operation=Operation.CREATE)
    with open_planet_house(tmp_path, scenes, rule) as house:
        subscription = house.subscribe()
        house.settle()

        assert house.statuses(subscription) == [FAILED, FAILED]
        assert {failure.error for failure in house.failures()} == {error}
        assert house.bought() == {}
        (account,) = httpx.get(f"{house.url}/health").json()["accounts"]
        assert httpx.get(f"{house.url}/health").json()["status"] == "degraded"
        assert account["key_refused"] is (fault is Fault.UNAUTHORIZED)
        assert account["quota_used_up"] is (fault is Fault.QUOTA)
        assert ("IMAGERY_PLANET_API_KEY" in account["explanation"]) is (fault is Fault.UNAUTHORIZED)
        assert account["calls_us"] is True
        assert KEY not in httpx.get(f"{house.url}/health").text


def test_haste_and_outages_are_waited_out(tmp_path: Path, scenes: Catalogue) -> None:
    rules = (
        Rule(fault=Fault.THROTTLED, operation=Operation.CREATE, times=2, retry_after_s=1),
        Rule(fault=Fault.BAD_GATEWAY, operation=Operation.GET, times=2),
        Rule(fault=Fault.CORRUPT, operation=Operation.DOWNLOAD, times=1, name="*SR*"),
        Rule(fault=Fault.EXPIRED, operation=Operation.DOWNLOAD, times=1, name="*udm2*"),
    )
    with open_planet_house(tmp_path, scenes, *rules) as house:
        subscription = house.subscribe()
        house.settle()

        assert house.statuses(subscription) == [DELIVERED, DELIVERED]
        assert_bought_once_and_delivered(house)


def test_an_item_that_is_forbidden_is_refused_alone(tmp_path: Path, scenes: Catalogue) -> None:
    forbidden, allowed = (scene.id for scene in scenes.list(BEGIN))
    rule = Rule(fault=Fault.FORBIDDEN, operation=Operation.ITEM, name=f"*{forbidden}*")
    with open_planet_house(tmp_path, scenes, rule) as house:
        subscription = house.subscribe()
        house.settle()

        assert {failure.error for failure in house.failures()} == {"ProviderRefused"}
        assert house.ledger(subscription)[allowed].status is DELIVERED
        assert httpx.get(f"{house.url}/health").json()["status"] == "ok"


def test_an_order_that_is_not_answered_for_holds_up_no_other(tmp_path: Path, scenes: Catalogue) -> None:
    behaviour = Behaviour(rate_scale=0.0, queued_s=120.0, running_s=120.0)
    rules = (
        Rule(fault=Fault.WEBHOOK_LOST, operation=Operation.WEBHOOK),
        Rule(fault=Fault.SLOW, operation=Operation.GET, seconds=12, times=2),
    )
    with open_planet_house(tmp_path, scenes, *rules, behaviour=behaviour, provider_timeout_s=1.0) as house:
        subscription = house.subscribe()
        began = time.monotonic()
        until(lambda: DELIVERED in house.statuses(subscription), "one is delivered", within_s=40)
        took_s = time.monotonic() - began
        house.settle()

        assert took_s < 30
        assert house.statuses(subscription) == [DELIVERED, DELIVERED]
        assert_bought_once_and_delivered(house)


def test_a_budget_that_is_used_up_places_nothing_more(tmp_path: Path, scenes: Catalogue) -> None:
    with open_planet_house(tmp_path, scenes, planet_max_hectares_per_day=1.0) as house:
        subscription = house.subscribe()
        house.settle()

        assert sorted(house.statuses(subscription)) == [DELIVERED, FAILED]
        assert [failure.error for failure in house.failures()] == ["BudgetReached"]
        assert len(house.bought()) == 1


def test_who_would_not_take_it_pays_nothing(tmp_path: Path, scenes: Catalogue) -> None:
    with open_planet_house(tmp_path, scenes) as house:
        subscription = house.subscribe(filters=Filters(min_coverage=1.0), aoi=_half_outside(scenes))
        house.settle()

        assert {row.reason for row in house.ledger(subscription).values()} == {SkipReason.COVERAGE}
        assert house.bought() == {}


def test_a_subscription_that_wants_it_clear_costs_nothing_when_it_is_not(tmp_path: Path) -> None:
    every = some_scenes(tmp_path / "scenes", 12)
    last = Catalogue(tuple(scene for scene in every.list(BEGIN) if scene.id.endswith("24b4")), aoi=every.aoi)
    with open_planet_house(tmp_path, last) as house:
        subscription = house.subscribe(filters=Filters(min_clear_fraction=0.9))
        house.settle()

        assert {row.reason for row in house.ledger(subscription).values()} == {SkipReason.UNCLEAR}
        assert all("nothing was ordered" in row.explanation for row in house.ledger(subscription).values())
        assert house.bought() == {}


def _half_outside(scenes: Catalogue) -> dict[str, Any]:
    """A square at the western edge of all scenes."""
    west = min(scene.outline.bounds[0] for scene in scenes.list(BEGIN))
    north = sum(scene.outline.centroid.y for scene in scenes.list(BEGIN)) / 2
    square: dict[str, Any] = mapping(box(west - 0.002, north - 0.001, west + 0.002, north + 0.001))
    return square
