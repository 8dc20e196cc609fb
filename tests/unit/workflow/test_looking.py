"""Looking before paying: what is read, and what is not, before it is known that an acquisition is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagery.errors import AssetMissing, RasterUnavailable
from imagery.model.outcome import Outcome, OutcomeStatus, SkipReason
from imagery.model.processing import Index, Processing
from imagery.model.subscription import Filters, Subscription
from tests.unit.workflow.conftest import House, square
from tests.unit.workflow.files_over_http import FileServer, serving_files
from tests.unit.workflow.test_delivery import add_asset, delivered
from tests.unit.workflow.test_steps import carry_out, cut, item_request

VEGETATION, CLOUD, SNOW = 4, 9, 11


@pytest.fixture
def server(house: House) -> Iterator[FileServer]:
    """Serves the provider's scenes."""
    with serving_files(house.provider.folder) as files:
        yield files


def publish(house: House, classes: np.ndarray, *, server: FileServer | None = None, **properties: Any) -> None:
    """Scene `a` with a scene classification of 20 m, shape (50, 50)."""
    # A tenth of its pixels is that dark: the offset was taken off.
    said = {"s2:processing_baseline": "05.11", "earthsearch:boa_offset_applied": True}
    item = house.provider.publish("a", **{**said, **properties})
    add_asset(house, "scl", classes[None].astype("uint8"), pixel_m=20, nodata=0)
    if server is not None:
        for asset in item.assets.values():
            asset.href = f"{server.url}/{Path(asset.href).name}"


def classes(value: int = VEGETATION) -> np.ndarray:
    return np.full((50, 50), value)


def half(left: int, right: int) -> np.ndarray:
    """Over the field of `subscribe` (pixels 20 to 30 of 10 m): half and half."""
    found = np.full((50, 50), left)
    found[:, 13:] = right
    found[:, 12] = left
    found[10:15, 10:15] = np.where(np.arange(25).reshape(5, 5) < 12, left, right)
    return found


def outcome_of(house: House, subscription: Subscription) -> Outcome:
    carry_out(house, item_request(house, "a", subscription))
    outcome = house.neighbours.ledger.get(subscription.id, "a")
    assert outcome is not None
    return outcome


def test_a_cloudy_field_costs_nothing_but_its_quality_band(house: House, server: FileServer) -> None:
    publish(house, half(CLOUD, VEGETATION), server=server)
    subscription = house.subscribe(filters=Filters(max_cloud_cover=20))

    outcome = outcome_of(house, subscription)

    assert (outcome.status, outcome.reason) == (OutcomeStatus.SKIPPED, SkipReason.CLOUDY)
    assert outcome.numbers["cloud_cover"] == pytest.approx(48.0)
    assert outcome.numbers["cloud"] == pytest.approx(0.48)
    assert outcome.numbers["clear"] == pytest.approx(0.52)
    assert "48.0 %" in outcome.explanation and "20 %" in outcome.explanation
    assert server.names == {"scl.tif"}
    assert server.opened("scl.tif") == 1
    assert outcome.numbers["bytes_read"] > 0
    assert house.objects() == []


def test_a_clear_field_of_a_cloudy_scene_is_delivered(house: House) -> None:
    scl = classes(CLOUD)
    scl[8:18, 8:18] = VEGETATION
    publish(house, scl, **{"eo:cloud_cover": 96.0})

    outcome, item = delivered(house, house.subscribe(filters=Filters(max_cloud_cover=5)))

    assert outcome.numbers["cloud_cover"] == item.properties["eo:cloud_cover"] == 0.0
    assert item.properties["imagery:scene_cloud_cover"] == 96.0


@pytest.mark.parametrize(
    ("scl", "filters", "reason"),
    [
        (classes(SNOW), Filters(min_clear_fraction=0.01), SkipReason.UNCLEAR),
        (half(SNOW, VEGETATION), Filters(min_clear_fraction=0.53), SkipReason.UNCLEAR),
        (half(0, VEGETATION), Filters(min_coverage=0.53), SkipReason.COVERAGE),
        (half(0, CLOUD), Filters(max_cloud_cover=99), SkipReason.CLOUDY),
        (classes(0), Filters(), SkipReason.OUTSIDE),
    ],
)
def test_what_is_not_wanted_is_told_by_the_field_alone(
    house: House, server: FileServer, scl: np.ndarray, filters: Filters, reason: SkipReason
) -> None:
    publish(house, scl, server=server)

    outcome = outcome_of(house, house.subscribe(filters=filters))

    assert (outcome.status, outcome.reason) == (OutcomeStatus.SKIPPED, reason)
    assert {"coverage", "clear", "cloud", "snow", "unknown"} <= outcome.numbers.keys()
    assert server.names == {"scl.tif"}


def test_what_just_reaches_a_filter_is_delivered(house: House) -> None:
    publish(house, half(CLOUD, VEGETATION))

    outcome, _ = delivered(
        house, house.subscribe(filters=Filters(min_clear_fraction=0.52, max_cloud_cover=48, min_coverage=1.0))
    )

    assert outcome.numbers["clear"] == 0.52


def test_seven_of_a_hundred_are_seven_percent(house: House) -> None:
    scl = classes()
    scl[:10, :10].flat[:7] = CLOUD
    publish(house, scl)

    outcome, _ = delivered(house, house.subscribe(aoi=square(0, 0, 20), filters=Filters(max_cloud_cover=7)))

    assert outcome.numbers["cloud_cover"] == 7.0


def test_ten_of_a_hundred_are_a_tenth(house: House) -> None:
    scl = classes()
    scl[:10, :10].flat[:90] = 0
    publish(house, scl)

    outcome, _ = delivered(house, house.subscribe(aoi=square(0, 0, 20), filters=Filters(min_coverage=0.1)))

    assert outcome.numbers["coverage"] == 0.1


def test_classes_that_do_not_exist_are_unknown(house: House) -> None:
    publish(house, half(12, VEGETATION))

    outcome, item = delivered(house, house.subscribe())

    assert outcome.numbers["unknown"] == item.properties["imagery:unknown_fraction"] == 0.48


def test_each_asset_is_opened_as_often_for_five_fields_as_for_one(house: House, server: FileServer) -> None:
    publish(house, classes(), server=server)
    made = [house.subscribe(n, aoi=square(4 * n, 20, 6), assets=("red", "scl")) for n in range(1, 7)]
    carry_out(house, item_request(house, "a", made[0]))
    for_one = {name: server.opened(name) for name in ("scl.tif", "a.tif")}
    server.asked.clear()

    carry_out(house, item_request(house, "a", *made[1:]))

    assert {name: server.opened(name) for name in for_one} == for_one
    assert all(for_one.values())
    assert all(house.neighbours.ledger.counts(one.id)[OutcomeStatus.DELIVERED] for one in made)


def test_a_masked_field_without_a_clear_pixel_is_skipped_for_nothing_would_be_left(house: House) -> None:
    publish(house, classes(CLOUD))

    outcome = outcome_of(house, house.subscribe(processing=Processing(mask=True)))

    assert outcome.reason is SkipReason.UNCLEAR
    assert "nothing would be left" in outcome.explanation


@pytest.mark.parametrize(
    ("wishes", "named"),
    [
        ({"filters": Filters(min_clear_fraction=0.5)}, "filter min_clear_fraction"),
        ({"processing": Processing(mask=True)}, "processing option mask"),
    ],
)
def test_what_needs_a_quality_band_fails_where_there_is_none_and_says_so(
    house: House, wishes: dict[str, Any], named: str
) -> None:
    house.provider.publish("a")

    with pytest.raises(AssetMissing, match=f"no quality band.*{named}"):
        cut(house, item_request(house, "a", house.subscribe(**wishes)))


def test_all_that_an_item_lacks_is_named_at_once_before_anything_is_read(house: House, server: FileServer) -> None:
    publish(house, classes(), server=server)
    ndre = Index(name="ndre", formula="(nir - rededge1) / (nir + rededge1)")
    subscription = house.subscribe(assets=("red", "swir16", "swir22"), processing=Processing(indices=(ndre,)))

    with pytest.raises(AssetMissing, match=r"(?s)swir16.*swir22.*nir, red, scl.*ndre.*rededge1"):
        cut(house, item_request(house, "a", subscription))

    assert server.asked == []


def test_without_a_quality_band_the_scenes_word_counts_and_the_ledger_says_so(house: House) -> None:
    house.provider.publish("a", **{"eo:cloud_cover": 60.0})

    outcome = outcome_of(house, house.subscribe(filters=Filters(max_cloud_cover=20)))

    assert outcome.reason is SkipReason.CLOUDY
    assert "of the scene" in outcome.explanation and "no quality band" in outcome.explanation


def test_where_the_quality_band_cannot_be_read_the_ledger_says_so_and_not_that_there_is_none(house: House) -> None:
    publish(house, classes(), **{"eo:cloud_cover": 60.0})
    (house.provider.folder / "scl.tif").write_bytes(b"no raster")

    outcome = outcome_of(house, house.subscribe(filters=Filters(max_cloud_cover=20)))

    assert outcome.reason is SkipReason.CLOUDY
    assert "of the scene is 60.0 %" in outcome.explanation
    assert "could not be read" in outcome.explanation and "no quality band" not in outcome.explanation


def test_a_quality_band_that_is_gone_is_missed_only_by_who_needs_it(house: House) -> None:
    publish(house, classes())
    (house.provider.folder / "scl.tif").unlink()
    easy, needy = house.subscribe(1), house.subscribe(2, filters=Filters(min_clear_fraction=0.1))

    carry_out(house, item_request(house, "a", easy, needy))

    had, lacked = (house.neighbours.ledger.get(one.id, "a") for one in (easy, needy))
    assert had is not None and had.status is OutcomeStatus.DELIVERED
    assert "nothing was counted in its quality band" in had.explanation
    assert lacked is not None and (lacked.status, lacked.error) == (OutcomeStatus.FAILED, "AssetMissing")


def test_a_quality_band_that_cannot_be_read_just_now_is_waited_for(house: House, server: FileServer) -> None:
    publish(house, classes(), server=server)
    server.failing.add("scl.tif")

    with pytest.raises(RasterUnavailable):
        cut(house, item_request(house, "a", house.subscribe()))
