"""What is done to the pixels on their way: buffers, masks, indices, grids, one file; alone and together."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.mask import mask
from rasterio.warp import transform_geom

from imagery.errors import ChecksumMismatch, RadiometryContradictory, RasterError
from imagery.model.outcome import OutcomeStatus
from imagery.model.processing import Index, Processing, Resampling
from imagery.model.subscription import Subscription
from imagery.raster.area import buffered
from imagery.workflow.share import Share
from tests.stac_validation import errors_of
from tests.unit.workflow.conftest import House, square
from tests.unit.workflow.test_delivery import add_asset, cutter_of, delivered
from tests.unit.workflow.test_looking import CLOUD, VEGETATION, classes, publish
from tests.unit.workflow.test_steps import carry_out, cut, item_request

BARE = 5

NDVI = Index(name="ndvi", formula="(nir - red) / (nir + red)")
NDSI = Index(name="made", formula="(swir16 - red) / (swir16 + red)")
NDRE = Index(name="ndre", formula="(nir - rededge1) / (nir + rededge1)")


def read(item: Any, key: str) -> np.ndarray:
    with rasterio.open(item.assets[key].href) as clip:
        return np.asarray(clip.read())


def source(house: House, key: str) -> Path:
    return Path(house.provider.items["a"].assets[key].href)


def expected(path: Path, geometry: Any, **options: Any) -> np.ndarray:
    with rasterio.open(path) as src:
        placed = transform_geom("EPSG:4326", src.crs, dict(geometry))
        found, _ = mask(src, [placed], crop=True, nodata=0, **options)
    return np.asarray(found)


@pytest.mark.parametrize("metres", [-25.0, 40.0])
def test_a_buffer_moves_the_edge_of_what_is_read(house: House, metres: float) -> None:
    house.provider.publish("a")
    subscription = house.subscribe(processing=Processing(buffer_m=metres))

    _, item = delivered(house, subscription)

    found = read(item, "red")
    grown = buffered(subscription.aoi.geometry, metres)
    assert grown is not None
    np.testing.assert_array_equal(found, expected(source(house, "red"), grown))
    assert (found != 0).sum() < 100 if metres < 0 else (found != 0).sum() > 200


def test_an_area_that_its_buffer_eats_up_fails_and_says_what_to_do(house: House) -> None:
    house.provider.publish("a")
    wrong, fine = house.subscribe(1, processing=Processing(buffer_m=-60.0)), house.subscribe(2)

    carry_out(house, item_request(house, "a", wrong, fine))

    outcome = house.neighbours.ledger.get(wrong.id, "a")
    assert outcome is not None and outcome.error == "AoiInvalid"
    assert "shrink it by less" in outcome.explanation


def test_all_touched_takes_every_pixel_that_the_area_touches(house: House) -> None:
    house.provider.publish("a")
    ring = [[15.003, 46.045], [15.008, 46.045], [15.008, 46.049], [15.003, 46.045]]
    triangle = {"type": "Polygon", "coordinates": [ring]}
    subscription = house.subscribe(aoi=triangle, processing=Processing(all_touched=True))

    _, item = delivered(house, subscription)

    wanted = expected(source(house, "red"), subscription.aoi.geometry, all_touched=True)
    found = read(item, "red")
    assert (found != 0).sum() == (wanted != 0).sum() > (expected(source(house, "red"), triangle) != 0).sum()


def test_a_mask_reaches_the_fine_pixels_of_the_areas_edge(house: House) -> None:
    # The field begins at column 21: half a coarse pixel, whose centre lies outside of it.
    scl = classes(CLOUD)
    scl[10:16, 10:13] = VEGETATION
    publish(house, scl)
    subscription = house.subscribe(aoi=square(21, 21, 8), assets=("red", "scl"), processing=Processing(mask=True))

    _, item = delivered(house, subscription)

    whole = expected(source(house, "red"), subscription.aoi.geometry)
    clear = np.kron(scl, np.ones((2, 2), int))[21:29, 21:29] == VEGETATION
    assert clear.sum() == 40
    np.testing.assert_array_equal(read(item, "red")[0], np.where(clear, whole[0], 0))
    assert (read(item, "scl") == CLOUD).any()
    assert item.properties["imagery:processing"] == {"mask": True}


def test_an_index_of_bands_of_two_resolutions_reaches_the_areas_edge(house: House) -> None:
    publish(house, classes())
    coarse = np.arange(1, 2501).reshape(1, 50, 50).astype("uint16")
    add_asset(house, "rededge1", coarse, pixel_m=20, nodata=0)
    subscription = house.subscribe(aoi=square(21, 21, 8), assets=("rededge1",), processing=Processing(indices=(NDRE,)))

    _, item = delivered(house, subscription)

    nir = expected(source(house, "nir"), subscription.aoi.geometry)[0].astype(float)
    rededge = np.kron(coarse[0], np.ones((2, 2)))[21:29, 21:29]
    offset = item.assets["rededge1"].extra_fields["raster:offset"] / 1e-4
    wanted = np.rint((nir - rededge) / (nir + rededge + 2 * offset) * 10_000)
    found = read(item, "ndre")[0]
    assert found.shape == (8, 8) and (found != -32768).all()
    np.testing.assert_allclose(found, wanted, atol=1)
    np.testing.assert_array_equal(
        read(item, "rededge1"), expected(source(house, "rededge1"), subscription.aoi.geometry)
    )


def test_an_index_is_the_same_whether_or_not_the_bands_are_harmonised(house: House) -> None:
    # Numbers that count from 1: with an offset of -1000 many of them lie below zero, where harmonising clamps.
    publish(house, classes(BARE), **{"earthsearch:boa_offset_applied": False})
    index = Index(name="twice", formula="nir * 2 - red")
    as_they_are = house.subscribe(1, aoi=square(0, 0, 30), processing=Processing(indices=(index,)))
    moved = house.subscribe(2, aoi=square(0, 0, 30), processing=Processing(indices=(index,), harmonise=True))

    found = [delivered(house, one)[1] for one in (as_they_are, moved)]

    assert [item.assets["red"].extra_fields["raster:offset"] for item in found] == [-0.1, 0.0]
    assert read(found[1], "red")[0, 0, 0] == 1 == read(found[0], "red")[0, 0, 0]
    np.testing.assert_array_equal(read(found[0], "twice"), read(found[1], "twice"))


def test_numbers_that_deny_what_the_item_says_of_them_are_not_delivered(house: House) -> None:
    # Vegetation darker than an offset allows, but not clearly so: neither the item nor its pixels are to be believed.
    publish(house, classes(), **{"earthsearch:boa_offset_applied": False})

    with pytest.raises(RadiometryContradictory, match=r"05\.11.*dark pixels.*Nothing was delivered"):
        cut(house, item_request(house, "a", house.subscribe()))

    assert house.objects() == []


def test_bands_that_only_an_index_needs_are_not_delivered(house: House) -> None:
    publish(house, classes())

    outcome, item = delivered(house, house.subscribe(assets=("scl",), processing=Processing(indices=(NDVI,))))

    assert list(item.assets) == ["scl", "ndvi", "thumbnail"]
    assert "without" not in outcome.explanation
    assert errors_of(item.to_dict(include_self_link=False, transform_hrefs=False)) == []


def test_an_index_of_a_band_that_does_not_reach_the_area_is_left_out_and_named(house: House) -> None:
    publish(house, classes())
    add_asset(house, "rededge1", np.ones((1, 10, 10), "uint16"), left=900_000.0)

    outcome, item = delivered(house, house.subscribe(assets=("red",), processing=Processing(indices=(NDRE,))))

    assert list(item.assets) == ["red", "thumbnail"]
    assert "without ndre" in outcome.explanation and "rededge1" not in outcome.explanation


def test_one_file_of_bands_on_several_grids_is_refused_with_a_way_out(house: House) -> None:
    publish(house, classes())
    add_asset(house, "rededge1", np.ones((1, 50, 50), "uint16"), pixel_m=20, nodata=0)
    wishes: dict[str, Any] = {"assets": ("red", "rededge1")}
    apart = house.subscribe(1, processing=Processing(single_file=True), **wishes)
    together = house.subscribe(2, processing=Processing(single_file=True, resolution_m=10.0), **wishes)

    carry_out(house, item_request(house, "a", apart, together))

    refused = house.neighbours.ledger.get(apart.id, "a")
    assert refused is not None and refused.error == RasterError.__name__
    assert "resolution_m" in refused.explanation
    _, item = delivered(house, together)
    assert list(item.assets) == ["bands", "thumbnail"]
    assert [(band != 0).sum() for band in read(item, "bands")] == [100, 100]
    assert errors_of(item.to_dict(include_self_link=False, transform_hrefs=False)) == []


def test_everything_at_once_is_a_valid_item(house: House) -> None:
    scl = classes()
    scl[10:12, 10:12] = CLOUD
    publish(house, scl)
    wishes = Processing(
        mask=True,
        harmonise=True,
        all_touched=True,
        buffer_m=15.0,
        indices=(NDVI,),
        resolution_m=5.0,
        single_file=True,
    )

    outcome, item = delivered(house, house.subscribe(assets=("red", "nir", "scl"), processing=wishes))

    assert list(item.assets) == ["scl", "bands", "ndvi", "thumbnail"]
    assert len({tuple(item.assets[key].extra_fields["proj:shape"]) for key in ("scl", "bands", "ndvi")}) == 1
    assert 0 < outcome.numbers["cloud"] < 1
    assert errors_of(item.to_dict(include_self_link=False, transform_hrefs=False)) == []


def test_cutting_twice_with_everything_leaves_what_once_does(house: House) -> None:
    publish(house, classes())
    wishes = Processing(mask=True, harmonise=True, indices=(NDVI,), single_file=True)
    subscription = house.subscribe(processing=wishes)
    request = item_request(house, "a", subscription)

    cut(house, request)
    once = {path: (house.objects_dir / path).read_bytes() for path in house.objects()}
    cut(house, request)

    assert {path: (house.objects_dir / path).read_bytes() for path in house.objects()} == once


def test_a_file_read_whole_that_is_not_the_one_its_item_means_fails(house: House) -> None:
    item = house.provider.publish("a")
    path = source(house, "red")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    subscription = house.subscribe(aoi=square(1, 1, 98), assets=("red",))
    item.assets["red"].extra_fields["file:checksum"] = "1220" + right
    delivered(house, subscription)
    item.properties["updated"] = "2026-05-02T12:00:00Z"
    item.assets["red"].extra_fields["file:checksum"] = "1220" + "0" * 64

    with pytest.raises(ChecksumMismatch):
        cut(house, item_request(house, "a", subscription))


def test_one_file_of_many_subscribers_holds_the_bands_of_one_at_a_time(house: House) -> None:
    side, count = 500, 3
    item = house.provider.publish("a")
    keys = tuple(f"band{number}" for number in range(count))
    data = np.random.default_rng(5).integers(1, 9_999, (1, side, side)).astype("uint16")
    for key in keys:
        add_asset(house, key, data, nodata=0)
    made: list[Subscription] = [
        house.subscribe(n, aoi=square(0, 0, side - 10), assets=keys, processing=Processing(single_file=True))
        for n in range(1, 6)
    ]
    request, now = item_request(house, "a", *made), house.neighbours.clock()
    of_a_clip = side * side * (2 + 1 + 1)  # uint16, and two masks

    tracemalloc.start()
    try:
        entries = cutter_of(house, max_clip_pixels=10**7).cut(
            [Share(item=item, subscription=one, request=request, now=now) for one in made]
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert {entry.outcome.status for entry in entries} == {OutcomeStatus.DELIVERED}
    assert peak < 3 * count * of_a_clip


@pytest.mark.parametrize("kernel", list(Resampling))
@pytest.mark.parametrize("resolution_m", [10.0, 50.0, 60.0])
def test_no_cloud_is_spread_over_what_is_clear_when_pixels_are_laid_anew(
    house: House, resolution_m: float, kernel: Resampling
) -> None:
    scl = classes()
    scl[:, 25:] = CLOUD
    publish(house, scl, **{"s2:processing_baseline": "05.11", "earthsearch:boa_offset_applied": True})
    for key, pixel_m, dark in (("swir16", 20, 2000), ("red", 10, 500)):
        band = np.full((1, int(1000 / pixel_m), int(1000 / pixel_m)), dark, "uint16")
        band[:, :, band.shape[2] // 2 :] = 9000
        add_asset(house, key, band, pixel_m=pixel_m, nodata=0)
    options = {"mask": True, "resolution_m": resolution_m, "resampling": kernel, "indices": (NDSI,)}
    subscription = house.subscribe(aoi=square(20, 20, 60), assets=("swir16", "red"), processing=Processing(**options))

    _, item = delivered(house, subscription)

    for key, dark in (("swir16", 2000), ("red", 500)):
        found = read(item, key)
        assert set(np.unique(found)) == {0, dark}
    index = read(item, "made")
    assert len(set(np.unique(index)) - {-32768}) == 1


@pytest.mark.parametrize("kernel", list(Resampling))
def test_where_nothing_is_cloudy_a_mask_changes_no_pixel(house: House, kernel: Resampling) -> None:
    publish(house, classes())
    options = {"resolution_m": 25.0, "resampling": kernel}
    plain = house.subscribe(1, assets=("red",), aoi=square(20, 20, 31), processing=Processing(**options))
    masked = house.subscribe(2, assets=("red",), aoi=square(20, 20, 31), processing=Processing(mask=True, **options))

    (_, one), (_, other) = delivered(house, plain), delivered(house, masked)

    np.testing.assert_array_equal(read(one, "red"), read(other, "red"))


@pytest.mark.parametrize("kernel", list(Resampling))
def test_far_from_clouds_a_mask_changes_no_pixel(house: House, kernel: Resampling) -> None:
    scl = classes()
    scl[:, 40:] = CLOUD
    publish(house, scl)
    options = {"resolution_m": 25.0, "resampling": kernel}
    plain = house.subscribe(1, assets=("red",), aoi=square(0, 0, 100), processing=Processing(**options))
    masked = house.subscribe(2, assets=("red",), aoi=square(0, 0, 100), processing=Processing(mask=True, **options))

    (_, one), (_, other) = delivered(house, plain), delivered(house, masked)

    np.testing.assert_array_equal(read(one, "red")[:, :, :28], read(other, "red")[:, :, :28])
    assert (read(other, "red")[:, :, 33:] == 0).all()


def test_temperatures_are_not_harmonised_and_it_is_said(house: House) -> None:
    item = house.provider.publish("a")
    item.collection_id = "landsat-c2-l2"
    kelvin = np.full((1, 100, 100), 44_000, "uint16")
    add_asset(house, "lwir11", kelvin, nodata=0)
    subscription = house.subscribe(assets=("lwir11", "red"), processing=Processing(harmonise=True))

    _, delivered_item = delivered(house, subscription)

    asset = delivered_item.assets["lwir11"]
    assert set(np.unique(read(delivered_item, "lwir11"))) == {0, 44_000}
    assert asset.extra_fields["raster:offset"] == 149.0
    assert "not harmonised" in asset.extra_fields["imagery:radiometry"]
    assert delivered_item.assets["red"].extra_fields["raster:offset"] == 0.0
