"""What is cut for whom from assets that differ: in what they hold, say, and reach; and what it takes."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.transform import from_origin

from imagery.errors import AssetMissing, ObjectStoreUnavailable
from imagery.items import published_collection_id
from imagery.model.outcome import Outcome, OutcomeStatus, SkipReason
from imagery.model.subscription import Filters, Subscription
from imagery.ports import ObjectStore
from imagery.workflow.delivery import Cutter
from imagery.workflow.share import Share
from tests.stac_validation import errors_of
from tests.unit.workflow.conftest import LEFT, TOP, House, square
from tests.unit.workflow.test_steps import carry_out, cut, item_request


def add_asset(
    house: House,
    key: str,
    data: np.ndarray,
    *,
    pixel_m: float = 10,
    left: float = LEFT,
    nodata: Any = None,
    **said: Any,
) -> None:
    """A further asset of scene `a`; data of shape (bands, height, width)."""
    bands, height, width = data.shape
    href = house.provider.folder / f"{key}.tif"
    profile = {"driver": "GTiff", "count": bands, "height": height, "width": width, "dtype": data.dtype}
    grid = from_origin(left, TOP, pixel_m, pixel_m)
    with rasterio.open(href, "w", crs="EPSG:32633", transform=grid, nodata=nodata, **profile) as out:
        out.write(data)
    house.provider.items["a"].add_asset(key, pystac.Asset(href=str(href), extra_fields=said))


def cutter_of(house: House, *, objects: ObjectStore | None = None, max_clip_pixels: int = 10**6) -> Cutter:
    n = house.neighbours
    return Cutter(
        objects=objects or n.objects,
        catalog=n.catalog,
        products=n.products,
        together=n.together,
        max_clip_pixels=max_clip_pixels,
    )


def delivered(house: House, subscription: Subscription) -> tuple[Outcome, pystac.Item]:
    carry_out(house, item_request(house, "a", subscription))
    outcome = house.neighbours.ledger.get(subscription.id, "a")
    assert outcome is not None and outcome.status is OutcomeStatus.DELIVERED, outcome
    item = house.neighbours.catalog.get(outcome.published_collection or "", outcome.published_item_id or "")
    assert item is not None
    return outcome, item


def test_a_clear_scene_is_delivered_though_its_cloud_mask_calls_zero_nodata(house: House) -> None:
    house.provider.publish("a")
    add_asset(house, "cloud", np.zeros((1, 50, 50), "uint8"), pixel_m=20, **{"raster:bands": [{"nodata": 0}]})
    subscription = house.subscribe(assets=("cloud", "red"), filters=Filters(min_coverage=0.99))

    outcome, item = delivered(house, subscription)

    assert outcome.numbers["coverage"] == item.properties["imagery:coverage"] == 1.0
    assert list(item.assets) == ["cloud", "red", "thumbnail"]
    with rasterio.open(item.assets["cloud"].href) as clip:
        assert not clip.read().any()


def test_coverage_and_outline_are_those_of_the_asset_that_has_most(house: House) -> None:
    house.provider.publish("a")
    thin = np.zeros((1, 100, 100), "uint8")
    thin[:, 20:23, 20:23] = 40
    add_asset(house, "snow", thin, nodata=0)
    subscription = house.subscribe(assets=("snow", "red"))

    outcome, item = delivered(house, subscription)

    assert outcome.numbers["coverage"] == 1.0
    assert item.geometry == subscription.aoi.geometry


def test_a_scene_whose_assets_all_hold_nothing_over_the_area_is_outside(house: House) -> None:
    house.provider.publish("a")
    for key in ("one", "two"):
        add_asset(house, key, np.zeros((1, 100, 100), "uint8"), nodata=0)
    subscription = house.subscribe(assets=("one", "two"))

    carry_out(house, item_request(house, "a", subscription))

    outcome = house.neighbours.ledger.get(subscription.id, "a")
    assert outcome is not None and outcome.reason is SkipReason.OUTSIDE
    assert house.objects() == []


def test_an_asset_that_does_not_reach_the_area_is_left_out_and_named(house: House) -> None:
    house.provider.publish("a")
    add_asset(house, "swath", np.ones((1, 10, 10), "uint8"), left=LEFT + 9_000)
    subscription = house.subscribe(assets=("red", "swath"))

    outcome, item = delivered(house, subscription)

    assert list(item.assets) == ["red", "thumbnail"]
    assert "without swath" in outcome.explanation


@pytest.mark.parametrize("nodata", [None, 0.0])
def test_item_and_file_say_the_same_of_nodata(house: House, nodata: float | None) -> None:
    house.provider.publish("a")
    add_asset(house, "plain", np.full((1, 100, 100), 7, "uint16"), nodata=nodata)
    add_asset(house, "zeros", np.tile(np.array([0, 7], "uint16"), (1, 100, 50)), nodata=nodata)
    ring = [[15.003, 46.045], [15.008, 46.045], [15.008, 46.049], [15.003, 46.045]]
    triangle = {"type": "Polygon", "coordinates": [ring]}
    subscription = house.subscribe(assets=("plain", "zeros"), aoi=triangle)

    _, item = delivered(house, subscription)

    for key in subscription.assets:
        with rasterio.open(item.assets[key].href) as clip:
            assert item.assets[key].extra_fields.get("nodata") == clip.nodata
    masked = item.assets["zeros"].extra_fields.get("nodata") is None
    assert masked is (nodata is None)


def test_bands_that_differ_on_nodata_leave_it_to_the_file(house: House) -> None:
    house.provider.publish("a")
    bands = [{"name": "lst", "nodata": 7}, {"name": "emis", "nodata": 255}]
    add_asset(house, "data", np.full((2, 100, 100), 7, "uint8"), bands=bands)

    outcome, _ = delivered(house, house.subscribe(assets=("data",)))

    assert outcome.numbers["coverage"] == 1.0


def test_bands_that_differ_in_scale_each_have_their_own(house: House) -> None:
    house.provider.publish("a")
    bands = [
        {"name": "lst", "raster:scale": 0.02, "raster:offset": 0.0},
        {"name": "emis", "raster:scale": 0.002, "raster:offset": 0.49},
    ]
    add_asset(house, "data", np.full((2, 100, 100), 7, "uint8"), bands=bands)

    _, item = delivered(house, house.subscribe(assets=("data",)))

    asset = item.assets["data"].extra_fields
    assert "raster:scale" not in asset and "raster:offset" not in asset
    assert [(b["name"], b["raster:scale"], b["raster:offset"]) for b in asset["bands"]] == [
        ("lst", 0.02, 0.0),
        ("emis", 0.002, 0.49),
    ]
    assert "differ" in asset["imagery:radiometry"]
    assert errors_of(item.to_dict(include_self_link=False, transform_hrefs=False)) == []


def test_bands_that_are_not_those_of_the_file_give_no_numbers_and_say_so(house: House) -> None:
    house.provider.publish("a")
    bands = [{"scale": 0.1}, {"scale": 0.2}, {"scale": 0.3}]
    add_asset(house, "data", np.full((2, 100, 100), 7, "uint8"), **{"raster:bands": bands})

    _, item = delivered(house, house.subscribe(assets=("data",)))

    assert "raster:scale" not in json.dumps(item.assets["data"].to_dict())
    assert "3 where the file has 2" in item.assets["data"].extra_fields["imagery:radiometry"]


def test_a_collection_whose_id_the_catalog_cannot_hold_is_published_under_a_safe_one(house: House) -> None:
    item = house.provider.publish("a")
    item.collection_id = "EO:EUM:DAT"
    subscription = house.subscribe(collection="EO:EUM:DAT")
    cutter = cutter_of(house)
    request = replace(item_request(house, "a", subscription), collection="EO:EUM:DAT")

    (entry,) = cutter.cut([Share(item=item, subscription=subscription, request=request, now=house.neighbours.clock())])

    safe = published_collection_id("EO:EUM:DAT")
    assert (entry.outcome.collection, entry.outcome.published_collection) == ("EO:EUM:DAT", safe)
    assert json.loads(house.neighbours.objects.get(entry.item_key or ""))["collection"] == safe


def test_a_failing_asset_leaves_nothing_behind(house: House) -> None:
    fine, wrong = house.subscribe(1), house.subscribe(2, assets=("red", "nir", "gone"))
    item = house.provider.publish("a")
    item.add_asset("gone", pystac.Asset(href=str(house.provider.folder / "gone.tif")))

    cut(house, item_request(house, "a", fine, wrong))

    assert not [key for key in house.objects() if wrong.id in key]
    assert [key for key in house.objects() if fine.id in key]


def test_a_failing_try_leaves_alone_what_was_delivered_before(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    delivered(house, subscription)
    before = {path: (house.objects_dir / path).read_bytes() for path in house.objects()}
    clock.advance(timedelta(days=1))
    reprocessed = house.provider.publish("a", updated="2026-05-03T12:00:00Z")
    with rasterio.open(reprocessed.assets["red"].href, "r+") as scene:
        scene.write(np.full((1, 100, 100), 9, "uint16"))
    reprocessed.assets["nir"].href = str(house.provider.folder / "gone.tif")

    with pytest.raises(AssetMissing):
        cut(house, item_request(house, "a", subscription))

    assert {path: (house.objects_dir / path).read_bytes() for path in house.objects()} == before


class FullStore:
    """Takes a number of objects, then none."""

    def __init__(self, house: House, room: int) -> None:
        self.inner, self.room = house.neighbours.objects, room

    def put(self, key: str, body: bytes, *, media_type: str) -> str:
        self.room -= 1
        if self.room < 0:
            raise ObjectStoreUnavailable("the store is full")
        return self.inner.put(key, body, media_type=media_type)

    def get(self, key: str) -> bytes:
        return self.inner.get(key)

    def href(self, key: str) -> str:
        return self.inner.href(key)

    def remove_prefix(self, prefix: str) -> int:
        return self.inner.remove_prefix(prefix)


def test_objects_of_an_item_that_could_not_be_stored_whole_are_removed(house: House) -> None:
    item, subscription = house.provider.publish("a"), house.subscribe()
    cutter = cutter_of(house, objects=FullStore(house, 2))
    request = item_request(house, "a", subscription)

    with pytest.raises(ObjectStoreUnavailable):
        cutter.cut([Share(item=item, subscription=subscription, request=request, now=house.neighbours.clock())])

    assert house.objects() == []


def test_when_all_fail_the_error_that_waiting_can_help_is_raised(house: House) -> None:
    item = house.provider.publish("a")
    wrong, unlucky = house.subscribe(1, assets=("swir16",)), house.subscribe(2)
    request, now = item_request(house, "a", wrong, unlucky), house.neighbours.clock()
    cutter = cutter_of(house, objects=FullStore(house, 0))

    with pytest.raises(ObjectStoreUnavailable):
        cutter.cut([Share(item=item, subscription=one, request=request, now=now) for one in (wrong, unlucky)])


def test_however_many_assets_and_subscribers_one_clip_is_held_at_a_time(house: House) -> None:
    side = 990
    item = house.provider.publish("a")
    keys = tuple(f"band{number}" for number in range(4))
    data = np.random.default_rng(5).integers(1, 9_999, (1, side, side)).astype("uint16")
    for key in keys:
        add_asset(house, key, data, nodata=0)
    shares = [house.subscribe(number, aoi=square(0, 0, side), assets=keys) for number in range(1, 4)]
    request = item_request(house, "a", *shares)
    now = house.neighbours.clock()
    cutter = cutter_of(house, max_clip_pixels=10**7)
    of_a_clip = side * side * (2 + 1 + 1)  # uint16, and two masks

    tracemalloc.start()
    try:
        cutter.cut([Share(item=item, subscription=one, request=request, now=now) for one in shares])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2.5 * of_a_clip
    assert len([key for key in house.objects() if key.endswith(".tif")]) == 12
