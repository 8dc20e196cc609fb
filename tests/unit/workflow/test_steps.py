"""The functions behind the workflow's Task states: what they leave behind, and that they may run twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.mask import mask
from rasterio.warp import transform_geom

from imagery.errors import AssetMissing, ProviderUnavailable, ProviderUnknown
from imagery.model.codec import to_dict
from imagery.model.failure import FailureQuery
from imagery.model.outcome import OutcomeStatus, SkipReason
from imagery.model.request import Request, RequestKind, Window
from imagery.model.subscription import Filters, Priority, Subscription, SubscriptionStatus
from tests.unit.workflow.conftest import House, square


def item_request(house: House, item_id: str, *subscriptions: Subscription, provider: str = "earth-search") -> Request:
    updated = house.provider.items[item_id].common_metadata.updated if item_id in house.provider.items else None
    return Request.for_item(
        kind=RequestKind.UPDATE,
        priority=Priority.NORMAL,
        provider=provider,
        collection="sentinel-2-l2a",
        item_id=item_id,
        item_updated_at=updated,
        subscription_ids=[s.id for s in subscriptions],
        now=house.neighbours.clock(),
    )


def window_request(house: House, subscription: Subscription) -> Request:
    now = house.neighbours.clock()
    return Request.for_window(
        kind=RequestKind.INITIAL,
        priority=Priority.HIGH,
        provider="earth-search",
        collection="sentinel-2-l2a",
        window=Window(start_at=subscription.start_at, end_at=now),
        subscription_id=subscription.id,
        version=subscription.version,
        now=now,
    )


def cut(house: House, request: Request) -> dict[str, Any]:
    answer = house.steps["PublicProvider"]({"request": to_dict(request)})
    return json.loads(json.dumps(answer))


def register(house: House, request: Request, answer: dict[str, Any]) -> dict[str, Any]:
    return house.steps["Register"]({"request": to_dict(request), "entries": answer["entries"]})


def carry_out(house: House, request: Request) -> dict[str, Any]:
    return register(house, request, cut(house, request))


def test_a_window_is_turned_into_one_request_an_item(house: House) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    house.provider.publish("b")

    cut(house, window_request(house, subscription))
    cut(house, window_request(house, subscription))

    waiting = house.neighbours.queue.peek(10)
    assert sorted(request.item_ids for request in waiting) == [("a",), ("b",)]
    assert {request.priority for request in waiting} == {Priority.HIGH}
    assert house.neighbours.ledger.counts(subscription.id)[OutcomeStatus.WAITING] == 2


def test_a_first_look_marks_how_far_it_went(house: House) -> None:
    subscription = house.subscribe()

    cut(house, window_request(house, subscription))

    assert house.neighbours.subscriptions.get(subscription.id).checked_through == house.neighbours.clock()


def test_a_delivered_clip_holds_what_rasterio_reads(house: House, tmp_path: Path) -> None:
    subscription = house.subscribe()
    item = house.provider.publish("a")

    carry_out(house, item_request(house, "a", subscription))

    outcome = house.neighbours.ledger.get(subscription.id, "a")
    assert outcome is not None and outcome.status is OutcomeStatus.DELIVERED
    published = house.neighbours.catalog.get("sentinel-2-l2a", outcome.published_item_id or "")
    assert published is not None
    with rasterio.open(item.assets["red"].href) as source:
        aoi = transform_geom("EPSG:4326", source.crs, subscription.aoi.geometry)
        expected, transform = mask(source, [aoi], crop=True)
    with rasterio.open(published.assets["red"].href) as clip:
        assert np.array_equal(clip.read(), expected)
        assert clip.transform == transform


def test_carrying_out_a_request_twice_leaves_what_once_does(house: House) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    request = item_request(house, "a", subscription)

    carry_out(house, request)
    once = house.objects()
    carry_out(house, request)

    assert house.objects() == once
    assert len(once) == 4  # red, nir, thumbnail, item


def test_nothing_is_published_before_register(house: House) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")

    answer = cut(house, item_request(house, "a", subscription))

    item_id = answer["entries"][0]["outcome"]["published_item_id"]
    assert house.neighbours.catalog.get("sentinel-2-l2a", item_id) is None
    assert any(key.endswith("red.tif") for key in house.objects())


def test_a_cloudy_scene_is_skipped_without_reading_it(house: House) -> None:
    subscription = house.subscribe(filters=Filters(max_cloud_cover=20))
    item = house.provider.publish("a", **{"eo:cloud_cover": 60.0})
    Path(item.assets["red"].href).unlink()

    carry_out(house, item_request(house, "a", subscription))

    outcome = house.neighbours.ledger.get(subscription.id, "a")
    assert outcome is not None
    assert (outcome.status, outcome.reason) == (OutcomeStatus.SKIPPED, SkipReason.CLOUDY)
    assert outcome.numbers["cloud_cover"] == 60.0
    assert "20 %" in outcome.explanation


def test_an_area_beyond_the_scene_is_skipped_as_outside(house: House) -> None:
    subscription = house.subscribe(aoi=square(200, 200, 10))
    house.provider.publish("a")

    carry_out(house, item_request(house, "a", subscription))

    outcome = house.neighbours.ledger.get(subscription.id, "a")
    assert outcome is not None and outcome.reason is SkipReason.OUTSIDE
    assert house.objects() == []


def test_less_coverage_than_wanted_is_skipped_with_the_number(house: House) -> None:
    subscription = house.subscribe(aoi=square(95, 20, 10), filters=Filters(min_coverage=0.9))
    house.provider.publish("a")

    carry_out(house, item_request(house, "a", subscription))

    outcome = house.neighbours.ledger.get(subscription.id, "a")
    assert outcome is not None and outcome.reason is SkipReason.COVERAGE
    assert outcome.numbers["coverage"] == pytest.approx(0.5, abs=0.02)


def test_a_paused_subscription_gets_nothing(house: House) -> None:
    subscription = house.subscribe(status=SubscriptionStatus.PAUSED)
    house.provider.publish("a")

    carry_out(house, item_request(house, "a", subscription))

    outcome = house.neighbours.ledger.get(subscription.id, "a")
    assert outcome is not None and outcome.reason is SkipReason.INACTIVE


def test_a_subscription_removed_meanwhile_leaves_no_trace(house: House) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    request = item_request(house, "a", subscription)
    answer = cut(house, request)

    house.neighbours.subscriptions.remove(subscription.id)
    register(house, request, answer)

    assert house.objects() == []
    assert house.neighbours.ledger.get(subscription.id, "a") is None


def test_one_subscribers_error_is_theirs_alone(house: House) -> None:
    fine, wrong = house.subscribe(1), house.subscribe(2, assets=("red", "swir16"))
    house.provider.publish("a")

    carry_out(house, item_request(house, "a", fine, wrong))

    good, bad = (house.neighbours.ledger.get(s.id, "a") for s in (fine, wrong))
    assert good is not None and good.status is OutcomeStatus.DELIVERED
    assert bad is not None and (bad.status, bad.error) == (OutcomeStatus.FAILED, "AssetMissing")
    failure = house.neighbours.failures.find(FailureQuery(subscription_id=wrong.id)).values[0]
    assert failure.request.subscription_ids == (wrong.id,)
    assert "nir, red" in failure.cause


def test_an_error_of_every_subscriber_is_raised_so_that_it_can_be_retried(house: House) -> None:
    wrong = house.subscribe(assets=("swir16",))
    house.provider.publish("a")

    with pytest.raises(AssetMissing):
        cut(house, item_request(house, "a", wrong))


def test_a_reprocessed_item_replaces_the_clip_and_keeps_its_birthday(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    carry_out(house, item_request(house, "a", subscription))
    born = clock()
    clock.advance(timedelta(days=2))
    house.provider.publish("a", updated="2026-05-03T12:00:00Z")

    carry_out(house, item_request(house, "a", subscription))

    outcome = house.neighbours.ledger.get(subscription.id, "a")
    assert outcome is not None and outcome.source_updated_at == datetime(2026, 5, 3, 12, tzinfo=UTC)
    published = house.neighbours.catalog.get("sentinel-2-l2a", outcome.published_item_id or "")
    assert published is not None
    assert published.common_metadata.created == born
    assert published.common_metadata.updated == clock()


def test_a_request_that_failed_for_good_is_kept_with_its_cause(house: House) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    cut(house, window_request(house, subscription))
    request = house.neighbours.queue.peek(1)[0]
    cause = json.dumps({"errorMessage": "the file is gone", "errorType": "AssetMissing"})
    payload = {
        "request": to_dict(request),
        "provider_kind": "public",
        "caught": {"Error": "AssetMissing", "Cause": cause},
        "error": {"Error": "AssetMissing", "Cause": cause},
    }

    for _ in range(2):
        house.steps["sqs:sendMessage"]({"MessageBody": {"execution_id": request.id, "payload": payload}})

    failures = house.neighbours.failures.find(FailureQuery(owner="ana")).values
    assert [(f.error, f.cause, f.state, f.retryable) for f in failures] == [
        ("AssetMissing", "the file is gone", "PublicProvider", False)
    ]
    outcome = house.neighbours.ledger.get(subscription.id, "a")
    assert outcome is not None and outcome.status is OutcomeStatus.FAILED


def test_a_provider_that_is_down_raises_what_the_workflow_retries_on(house: House) -> None:
    subscription = house.subscribe()
    house.provider.is_down = True

    with pytest.raises(ProviderUnavailable):
        cut(house, window_request(house, subscription))

    assert house.neighbours.subscriptions.get(subscription.id).checked_through is None


def test_a_provider_nobody_set_up_is_named(house: House) -> None:
    subscription = house.subscribe()

    with pytest.raises(ProviderUnknown, match="moonshots"):
        cut(house, item_request(house, "a", subscription, provider="moonshots"))
