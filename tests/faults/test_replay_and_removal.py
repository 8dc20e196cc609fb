"""The whole service: failures replayed once their cause is gone, push and poll serving once, removals complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from imagery.errors import StatusConflict, SubscriptionUnknown
from imagery.model.deletion import DeletionQuery
from imagery.model.failure import FailureQuery
from imagery.model.outcome import OutcomeStatus
from imagery.sandbox.faults import Fault, Kind, Rule
from imagery.sandbox.scenes import Scenes
from imagery.sandbox.synthetic import make_scenes
from tests.faults.house import ANA, BEGIN, House, open_house, until

TWO_PASSES = ("S2A_33TWM_20260405_0_L2A", "S2B_33TWM_20260410_0_L2A")
STRUCK = TWO_PASSES[0]
ALL_DELIVERED = dict.fromkeys(TWO_PASSES, OutcomeStatus.DELIVERED)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    made = make_scenes(tmp_path_factory.mktemp("replay") / "synthetic", now=BEGIN)
    chosen = tuple(scene for scene in made.scenes if scene.id in TWO_PASSES)
    return Scenes(scenes=chosen, collections=made.collections, aoi=made.aoi)


@pytest.fixture
def house(tmp_path: Path, scenes: Scenes) -> Iterator[House]:
    with open_house(tmp_path / "data", scenes) as service:
        yield service


def test_what_failed_is_delivered_once_when_it_is_replayed_after_the_cause_is_gone(house: House) -> None:
    house.break_with(Rule(fault=Fault.CORRUPT_TIFF, kind=Kind.FILE, path=f"*/{STRUCK}/*"))
    subscription = house.subscribe()
    until(lambda: bool(house.failures()), "it fails")
    house.settle()
    (failure,) = house.failures()
    house.faults.clear()

    for _ in range(3):
        house.imagery.failures.replay(ANA, failure.id)
    until(lambda: not house.failures(), "the failure is gone")
    house.settle()

    assert house.statuses(subscription) == ALL_DELIVERED
    assert len(house.published(subscription)) == 2
    attempts = [one.id for one in house.executions() if one.id.startswith(failure.id)]
    assert sorted(attempts) == [failure.id, f"{failure.id}-2"]


def test_a_replay_before_the_cause_is_gone_fails_again_in_the_same_place(house: House) -> None:
    house.break_with(Rule(fault=Fault.CORRUPT_TIFF, kind=Kind.FILE, path=f"*/{STRUCK}/*"))
    subscription = house.subscribe()
    until(lambda: bool(house.failures()), "it fails")
    house.settle()

    house.imagery.failures.replay_many(ANA, FailureQuery())
    until(lambda: [one.request.attempt for one in house.failures()] == [2], "it fails again")
    house.settle()

    assert len(house.failures()) == 1
    assert house.statuses(subscription)[STRUCK] is OutcomeStatus.FAILED


def test_pushed_and_polled_items_are_served_once(tmp_path: Path, scenes: Scenes) -> None:
    with open_house(tmp_path / "data", scenes) as service:
        subscription = service.subscribe()
        body: dict[str, Any] = {"type": "Feature", "collection": subscription.collection}
        for item_id in (*TWO_PASSES, *TWO_PASSES, "made-up"):
            text = json.dumps({**body, "id": item_id}).encode()
            service.imagery.push.raw("earth-search", text, topic_arn=None, leave=lambda: None)
        service.settle()
        until(lambda: service.statuses(subscription) == ALL_DELIVERED, "all is delivered")
        service.settle()

        runs = [one.input["request"]["item_ids"] for one in service.executions()]

        assert sorted(run for run in runs if run) == [[item_id] for item_id in sorted(TWO_PASSES)]
        assert len(service.published(subscription)) == 2


def test_a_subscription_removed_while_its_work_is_under_way_leaves_nothing(tmp_path: Path, scenes: Scenes) -> None:
    rule = Rule(fault=Fault.SLOW, kind=Kind.FILE, times=4, seconds=0.5)
    with open_house(tmp_path / "data", scenes, rule, retention=timedelta()) as service:
        subscription, imagery = service.subscribe(), service.imagery
        until(lambda: OutcomeStatus.WAITING in service.statuses(subscription).values(), "work is under way")
        imagery.subscriptions.delete(ANA, subscription.id)

        report = imagery.delete_checker.run(now=imagery.clock())
        with pytest.raises((StatusConflict, SubscriptionUnknown)):
            imagery.subscriptions.restore(ANA, subscription.id)
        service.settle()
        imagery.delete_checker.run(now=imagery.clock() + timedelta(hours=2))

        assert report.failed == 0
        assert service.published(subscription) == []
        assert service.ledger(subscription) == {}
        assert service.failures() == []
        assert [path for path in (tmp_path / "data" / "objects").rglob("*") if path.is_file()] == []
        (deletion,) = imagery.deletions.find(DeletionQuery()).values
        assert deletion.finished_at is not None
