"""A provider that misbehaves, and the whole service: what waiting mends is delivered once, the rest is explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from imagery.model.failure import Failure
from imagery.model.outcome import Outcome, OutcomeStatus
from imagery.model.subscription import Subscription
from imagery.sandbox.faults import Fault, Kind, Rule
from imagery.sandbox.scenes import Scene, Scenes
from imagery.sandbox.synthetic import make_scenes
from tests.faults.house import BEGIN, House, open_house, until

TWO_PASSES = ("S2A_33TWM_20260405_0_L2A", "S2B_33TWM_20260410_0_L2A")
STRUCK, SPARED = TWO_PASSES
ALL_DELIVERED = dict.fromkeys(TWO_PASSES, OutcomeStatus.DELIVERED)

Open = Callable[..., AbstractContextManager[House]]


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    made = make_scenes(tmp_path_factory.mktemp("faults") / "synthetic", now=BEGIN)
    chosen = tuple(scene for scene in made.scenes if scene.id in TWO_PASSES)
    assert len(chosen) == 2
    return Scenes(scenes=chosen, collections=made.collections, aoi=made.aoi)


@pytest.fixture
def house(tmp_path: Path, scenes: Scenes) -> Open:
    @contextmanager
    def opened(*rules: Rule, scenes: Scenes = scenes, **settings: Any) -> Iterator[House]:
        with open_house(tmp_path / "data", scenes, *rules, **settings) as one:
            yield one

    return opened


def of(item_id: str) -> dict[str, Any]:
    """For a rule: the files of this item."""
    return {"kind": Kind.FILE, "path": f"*/{item_id}/*"}


def assert_delivered_once(house: House, subscription: Subscription) -> None:
    assert house.statuses(subscription) == ALL_DELIVERED
    assert house.failures() == []
    assert len(house.published(subscription)) == len(set(house.published(subscription))) == 2
    runs = [one.input["request"]["item_ids"] for one in house.executions()]
    assert sorted(run for run in runs if run) == [[STRUCK], [SPARED]]


def the_failure(house: House, subscription: Subscription) -> tuple[Failure, Outcome]:
    """The one there is, and the ledger's row; after seeing that the other item was delivered and this one was not."""
    (failure,) = house.failures()
    row = house.ledger(subscription)[STRUCK]
    assert house.statuses(subscription) == {STRUCK: OutcomeStatus.FAILED, SPARED: OutcomeStatus.DELIVERED}
    assert [SPARED in item_id for item_id in house.published(subscription)] == [True]
    assert failure.request.item_ids == (STRUCK,)
    assert failure.owner == subscription.owner
    assert row.error == failure.error
    assert row.explanation == failure.cause
    return failure, row


PASSING_ANYWHERE = (Fault.THROTTLED, Fault.FAILING, Fault.BAD_GATEWAY, Fault.SLOW, Fault.TRUNCATED, Fault.WRONG_LENGTH)


@pytest.mark.parametrize("fault", PASSING_ANYWHERE)
def test_what_passes_is_got_over_and_every_item_delivered_once(house: Open, fault: Fault) -> None:
    rules = [Rule(fault=fault, kind=kind, times=1, seconds=1.2) for kind in (Kind.SEARCH, Kind.ITEM, Kind.FILE)]
    with house(*rules) as service:
        subscription = service.subscribe()
        service.settle()
        assert_delivered_once(service, subscription)
        assert [standing.applied for standing in service.faults.list()] == [1, 1, 1]


@pytest.mark.parametrize(
    "rule",
    [
        Rule(fault=Fault.EMPTY_PAGE, times=1),
        Rule(fault=Fault.EMPTY_PAGE, times=20),
        Rule(fault=Fault.DUPLICATE_IDS),
        Rule(fault=Fault.WHOLE_CATALOGUE),
        Rule(fault=Fault.THROTTLED, kind=Kind.SEARCH, probability=0.5, retry_after_s=2),
    ],
    ids=["an empty page", "twenty empty pages", "duplicate ids", "whole catalogue", "often throttled"],
)
def test_odd_pages_neither_lose_an_item_nor_deliver_one_twice(house: Open, rule: Rule) -> None:
    with house(rule) as service:
        subscription = service.subscribe()
        service.settle()
        assert_delivered_once(service, subscription)
        assert service.faults.list()[0].seen > 0


@pytest.mark.parametrize(
    ("fault", "error", "retryable", "says"),
    [
        (Fault.THROTTLED, "ProviderThrottled", True, "too often"),
        (Fault.FAILING, "ProviderUnavailable", True, "failed (500)"),
        (Fault.BAD_GATEWAY, "ProviderUnavailable", True, "failed (502)"),
        (Fault.SLOW, "ProviderUnavailable", True, "did not answer within"),
        (Fault.TRUNCATED, "ProviderUnavailable", True, "cannot be reached"),
        (Fault.WRONG_LENGTH, "ProviderAnswerInvalid", False, "no JSON object"),
        (Fault.EXPIRED, "ProviderRefused", False, "refused (403)"),
        (Fault.MISSING_ASSET, "AssetMissing", False, "has no asset 'red'"),
    ],
)
def test_an_item_that_cannot_be_had_fails_alone_with_its_reason(
    house: Open, fault: Fault, error: str, retryable: bool, says: str
) -> None:
    # Kept silent for less than the default timeout, but longer than this service waits.
    rule = Rule(fault=fault, kind=Kind.ITEM, path=f"*/{STRUCK}", seconds=0.15)
    with house(rule, provider_timeout_s=0.1 if fault is Fault.SLOW else 1.0) as service:
        subscription = service.subscribe()
        service.settle()
        failure, row = the_failure(service, subscription)
        assert (failure.error, failure.retryable) == (error, retryable)
        assert says in row.explanation


@pytest.mark.parametrize(
    ("rule", "error", "retryable", "says"),
    [
        (Rule(fault=Fault.CORRUPT_TIFF, **of(STRUCK)), "RasterUnreadable", False, "damaged"),
        (Rule(fault=Fault.CORRUPT_TIFF, keep_bytes=0, **of(STRUCK)), "RasterUnreadable", False, "not a TIFF"),
        (Rule(fault=Fault.MISSING_ASSET, **of(STRUCK)), "AssetMissing", False, "gone or forbidden"),
        (Rule(fault=Fault.EXPIRED, **of(STRUCK)), "RasterUnavailable", True, "has expired"),
        (Rule(fault=Fault.TRUNCATED, **of(STRUCK)), "RasterUnavailable", True, "could not be read just now"),
        (Rule(fault=Fault.WRONG_LENGTH, **of(STRUCK)), "RasterUnavailable", True, "could not be read just now"),
    ],
    ids=["damaged pixels", "no TIFF at all", "file gone", "link expired", "always cut", "always short"],
)
def test_a_file_that_cannot_be_read_fails_alone_with_its_reason(
    house: Open, rule: Rule, error: str, retryable: bool, says: str
) -> None:
    with house(rule) as service:
        subscription = service.subscribe()
        service.settle()
        failure, row = the_failure(service, subscription)
        assert (failure.error, failure.retryable) == (error, retryable)
        assert says in row.explanation
        # The quality band is read first and waited for; one that is gone for good need not keep the bands back.
        assert f"{STRUCK}/{'scl' if retryable else 'red'}/" in row.explanation


def test_a_link_that_expired_is_asked_for_anew(house: Open) -> None:
    with house(Rule(fault=Fault.EXPIRED, times=3, **of(STRUCK))) as service:
        subscription = service.subscribe()
        service.settle()
        assert_delivered_once(service, subscription)


@pytest.mark.slow
def test_a_file_server_so_slow_that_a_step_outlasts_its_time_fails_its_item_for_now(house: Open) -> None:
    with house(Rule(fault=Fault.SLOW, seconds=30, **of(STRUCK))) as service:
        subscription = service.subscribe()
        service.settle()
        failure, row = the_failure(service, subscription)
        assert (failure.error, failure.retryable) == ("States.Timeout", True)
        assert "did not end in the time it is given" in row.explanation


@pytest.mark.parametrize(
    ("fault", "error", "retryable", "says"),
    [
        (Fault.THROTTLED, "ProviderThrottled", True, "too often"),
        (Fault.BAD_GATEWAY, "ProviderUnavailable", True, "failed (502)"),
        (Fault.WRONG_LENGTH, "ProviderAnswerInvalid", False, "no JSON object"),
        (Fault.EXPIRED, "ProviderRefused", False, "refused (403)"),
        (Fault.EMPTY_PAGE, "ProviderAnswerInvalid", False, "more than 1000 pages"),
    ],
)
def test_a_first_look_that_cannot_be_had_is_a_failure_and_is_made_up_for_when_the_provider_is_back(
    house: Open, fault: Fault, error: str, retryable: bool, says: str
) -> None:
    with house(Rule(fault=fault, kind=Kind.SEARCH)) as service:
        subscription = service.subscribe()
        until(lambda: len(service.failures()) == 1, "the first look has failed")
        (failure,) = service.failures()
        assert (failure.error, failure.retryable) == (error, retryable)
        assert says in failure.cause
        assert service.statuses(subscription) == {}

        service.faults.clear()
        until(lambda: service.statuses(subscription) == ALL_DELIVERED, "everything is delivered after all")
        assert len(service.published(subscription)) == 2


def test_a_provider_that_ignores_the_question_is_not_believed(house: Open, scenes: Scenes) -> None:
    crowd = tuple(_elsewhere(scenes.scenes[0], number) for number in range(1200))
    crowded = Scenes(scenes=(*scenes.scenes, *crowd), collections=scenes.collections, aoi=scenes.aoi)
    with house(Rule(fault=Fault.WHOLE_CATALOGUE), scenes=crowded) as service:
        subscription = service.subscribe()
        until(lambda: len(service.failures()) == 1, "the first look has failed")
        (failure,) = service.failures()
        assert (failure.error, failure.retryable) == ("ProviderAnswerInvalid", False)
        assert "ignore the search" in failure.cause
        assert all(outcome.item_id in TWO_PASSES for outcome in service.ledger(subscription).values())


FEED_FAULTS = [fault for fault in Fault if fault not in (Fault.CORRUPT_TIFF, Fault.MISSING_ASSET, Fault.SLOW)]


@pytest.mark.parametrize("fault", FEED_FAULTS)
def test_what_is_published_while_the_feed_misbehaves_is_delivered_once_when_it_is_well(
    house: Open, scenes: Scenes, fault: Fault
) -> None:
    late, early = scenes.scenes
    with house(scenes=Scenes(scenes=(early,), collections=scenes.collections, aoi=scenes.aoi)) as service:
        subscription = service.subscribe()
        until(
            lambda: service.statuses(subscription) == {early.id: OutcomeStatus.DELIVERED}, "the first look is through"
        )
        service.break_with(Rule(fault=fault, kind=Kind.SEARCH))
        service.shelf.publish(late, now=service.imagery.clock())
        until(lambda: service.faults.list()[0].applied >= 3, "the feed was read three times")

        service.faults.clear()
        until(lambda: service.statuses(subscription) == ALL_DELIVERED, "the new item is delivered")
        service.settle()
        assert_delivered_once(service, subscription)


def _elsewhere(scene: Scene, number: int) -> Scene:
    """The scene, as another one on the other side of the earth."""
    ring = [[-100, 10], [-99, 10], [-99, 11], [-100, 11], [-100, 10]]
    place = {"geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": [-100, 10, -99, 11]}
    return Scene(item={**scene.item, **place, "id": f"elsewhere-{number}"}, files=scene.files)
