"""What a quality band says of an AOI, against hand-made classes and a direct count on real scenes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import rasterio.mask
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform_geom
from shapely.geometry import Polygon, mapping

from imagery.errors import RasterUnreadable
from imagery.raster.clip import Clip, clip_many
from imagery.raster.mask import masked
from imagery.raster.quality import QualityKind, clear_pixels, judge, on_grid, quality_asset
from imagery.raster.reading import Reading
from tests.unit.raster.made_clips import clip_of

PARCELS = "fields/parcels_slovenia_over_33TWM_33TWL.geojson"
MAIN_SET = "imagery/earthsearch_33T_2023-08"
PLANET = "imagery/planet/harvey_20170831_CC-BY-SA"


def udm2(**bands: Any) -> np.ndarray:
    """One row; `unusable` and `confidence` as numbers, the classes as 0 and 1."""
    names = ["clear", "snow", "shadow", "light_haze", "heavy_haze", "cloud", "confidence", "unusable"]
    width = len(next(iter(bands.values())))
    return np.array([[bands.get(name, [0] * width)] for name in names], dtype=np.uint8)


def item_with(*keys: str) -> pystac.Item:
    item = pystac.Item(
        "one", None, None, None, {"start_datetime": "2023-01-01T00:00:00Z", "end_datetime": "2023-01-02T00:00:00Z"}
    )
    for key in keys:
        item.add_asset(key, pystac.Asset(f"https://example.com/{key}.tif"))
    return item


def test_every_scl_class_is_counted_where_the_definition_puts_it() -> None:
    found = judge(clip_of(np.arange(14, dtype=np.uint8).reshape(2, 7)), QualityKind.SCL, band="scl")

    assert found.band == "scl"
    assert found.pixels == 14
    assert found.nodata == pytest.approx(1 / 14)  # 0
    assert found.clear == pytest.approx(5 / 14)  # 2, 4, 5, 6, 7
    assert found.water == pytest.approx(1 / 14)  # 6
    assert found.shadow == pytest.approx(1 / 14)  # 3
    assert found.cloud == pytest.approx(3 / 14)  # 8, 9, 10
    assert found.snow == pytest.approx(1 / 14)  # 11
    assert found.unknown == pytest.approx(3 / 14)  # 1, 12, 13


def test_scl_nodata_counts_although_the_file_declares_none() -> None:
    found = judge(clip_of([[0, 4], [4, 8]], declared=False), QualityKind.SCL, band="scl")

    assert (found.nodata, found.clear, found.cloud) == (0.25, 0.5, 0.25)
    assert found.coverage == 0.75
    assert found.cloud_cover == pytest.approx(100 / 3)


def test_pixels_beyond_the_raster_are_nodata() -> None:
    found = judge(clip_of([[4, 4]], aoi_pixels=8), QualityKind.SCL, band="scl")

    assert (found.pixels, found.clear, found.nodata) == (8, 0.25, 0.75)


def test_pixels_outside_the_aoi_do_not_count() -> None:
    inside = np.array([[True, False]])

    found = judge(clip_of([[4, 9]], inside=inside, aoi_pixels=1), QualityKind.SCL, band="scl")

    assert (found.clear, found.cloud) == (1.0, 0.0)


def test_a_clip_without_data_is_all_nodata() -> None:
    empty = clip_of(np.zeros((2, 2), np.uint8), valid=np.zeros((2, 2), bool), valid_pixels=0)

    for kind in QualityKind:
        found = judge(empty if kind is not QualityKind.UDM2 else clip_of(np.zeros((8, 2, 2), np.uint8)), kind, band="q")
        assert found.nodata == 1.0
        assert found.cloud_cover is None


def test_scl_as_floats_knows_only_whole_classes() -> None:
    values = np.array([[4.0, 4.5, np.nan, -1.0, 1e30, 8.0]], dtype=np.float32)

    found = judge(clip_of(values), QualityKind.SCL, band="scl")

    assert (found.clear, found.cloud, found.unknown) == (
        pytest.approx(1 / 6),
        pytest.approx(1 / 6),
        pytest.approx(4 / 6),
    )


@pytest.mark.parametrize(
    ("value", "part"),
    [
        # USGS, Landsat 8-9 C2 Level 2 Science Product Guide, table 6-3: values as they are met in files.
        (1, "nodata"),
        (21824, "clear"),
        (21826, "cloud"),  # dilated cloud over land
        (21952, "water"),
        (22080, "clear"),  # medium confidence of cloud, which alone sets no bit
        (22144, "water"),
        (22280, "cloud"),
        (23888, "shadow"),
        (24082, "cloud"),
        (30048, "snow"),
        (54596, "cloud"),  # high confidence cirrus
        (55052, "cloud"),
        (0b10100000, "snow"),
        (0b10010000, "shadow"),
        (0b00110000, "shadow"),
        (0b00111001, "nodata"),
        (0b10000000, "water"),  # Landsat 4-7 over water: the clear bit is missing
        (0, "unknown"),
    ],
)
def test_qa_pixel_values_mean_what_the_guide_says(value: int, part: str) -> None:
    found = judge(clip_of(np.array([[value]], dtype=np.uint16), nodata=1), QualityKind.QA_PIXEL, band="qa_pixel")

    assert getattr(found, part) == 1.0
    assert found.clear == (1.0 if part in ("clear", "water") else 0.0)


def test_udm2_counts_haze_as_cloud_and_blackfill_as_nodata() -> None:
    data = udm2(
        clear=[1, 0, 0, 0, 0, 0, 0, 0],
        snow=[0, 1, 0, 0, 0, 0, 0, 0],
        shadow=[0, 0, 1, 0, 0, 0, 0, 0],
        light_haze=[0, 0, 0, 1, 0, 0, 0, 0],
        heavy_haze=[0, 0, 0, 0, 1, 0, 0, 0],
        cloud=[0, 0, 0, 0, 0, 1, 0, 0],
        confidence=[90, 90, 90, 90, 90, 90, 0, 0],
        unusable=[0, 0, 0, 0, 0, 2, 1, 0],
    )

    found = judge(clip_of(data), QualityKind.UDM2, band="udm2")

    assert (found.clear, found.snow, found.shadow, found.cloud) == (1 / 8, 1 / 8, 1 / 8, 3 / 8)
    assert found.nodata == 2 / 8  # the last has no class and no confidence: nothing was there
    assert found.unknown == 0.0


def test_udm2_pixels_with_missing_data_are_unknown_but_cloud_stays_cloud() -> None:
    data = udm2(clear=[1, 1, 0], cloud=[0, 0, 1], confidence=[50, 50, 50], unusable=[2, 4, 16])

    found = judge(clip_of(data), QualityKind.UDM2, band="udm2")

    assert (found.clear, found.unknown, found.cloud) == (pytest.approx(1 / 3),) * 3


def test_udm2_of_an_odd_number_of_bands_is_refused() -> None:
    with pytest.raises(RasterUnreadable, match="8 bands"):
        judge(clip_of(np.zeros((4, 2, 2), np.uint8)), QualityKind.UDM2, band="udm2")


def test_bits_are_not_read_from_floats() -> None:
    with pytest.raises(RasterUnreadable, match="whole numbers"):
        judge(clip_of(np.zeros((1, 2, 2), np.float32)), QualityKind.QA_PIXEL, band="qa_pixel")


def test_a_legacy_udm_says_clear_cloud_and_nodata_as_it_can() -> None:
    data = np.array([[0, 1, 2, 28, 30, 3]], dtype=np.uint8)

    found = judge(clip_of(data, declared=False), QualityKind.UDM2, band="udm")

    assert found.clear == pytest.approx(1 / 6)
    assert found.nodata == pytest.approx(2 / 6)
    assert found.cloud == pytest.approx(2 / 6)
    assert found.unknown == pytest.approx(1 / 6)


def test_a_legacy_udm_that_declares_0_as_nodata_still_means_usable_by_it() -> None:
    data = np.array([[0, 0, 1, 2]], dtype=np.uint8)
    masked_away = data != 0

    found = judge(clip_of(data, valid=masked_away, valid_pixels=2), QualityKind.UDM2, band="udm")

    assert (found.clear, found.nodata, found.cloud) == (0.5, 0.25, 0.25)


def test_the_real_udm_of_planet_is_counted_bit_by_bit(shared_data: Path) -> None:
    path = next((shared_data / PLANET).glob("*_udm.tif"))
    with rasterio.open(path) as src:
        data, crs, transform = src.read(), src.crs, src.transform

    found = judge(clip_of(data, declared=False, crs=crs, transform=transform), QualityKind.UDM2, band="udm")

    total = 256 * 256
    assert (found.clear, found.nodata) == (40635 / total, 23583 / total)
    assert (found.cloud, found.unknown) == ((1101 + 191) / total, 26 / total)


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (("red", "scl", "scl-jp2"), ("scl", QualityKind.SCL)),
        (("scl-jp2", "SCL"), ("SCL", QualityKind.SCL)),
        (("red-jp2", "scl-jp2"), ("scl-jp2", QualityKind.SCL)),
        (("red", "qa_pixel", "qa_radsat"), ("qa_pixel", QualityKind.QA_PIXEL)),
        (("ortho_analytic_4b_sr", "udm", "ortho_udm2"), ("ortho_udm2", QualityKind.UDM2)),
        (("analytic", "udm"), ("udm", QualityKind.UDM2)),
        (("red", "cloud", "basic_udm2"), None),
    ],
)
def test_the_quality_band_is_found_by_its_key(keys: tuple[str, ...], found: Any) -> None:
    assert quality_asset(item_with(*keys)) == found


KINDS = st.sampled_from(
    [
        (QualityKind.SCL, 1, np.uint8),
        (QualityKind.QA_PIXEL, 1, np.uint16),
        (QualityKind.UDM2, 8, np.uint8),
        (QualityKind.UDM2, 1, np.uint8),
    ]
)


@settings(deadline=None)
@given(st.data())
def test_fractions_add_up_to_one_and_clear_pixels_are_the_clear_fraction(data: st.DataObject) -> None:
    kind, bands, dtype = data.draw(KINDS)
    height, width = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    values = data.draw(arrays(dtype, (bands, height, width)))
    inside = data.draw(arrays(np.bool_, (height, width)))
    valid = data.draw(arrays(np.bool_, (height, width)))
    beyond = data.draw(st.integers(0, 50))
    total = int(inside.sum()) + beyond
    one = clip_of(values, inside=inside, valid=valid, aoi_pixels=total, declared=data.draw(st.booleans()))

    found = judge(one, kind, band="q")

    parts = (found.clear, found.cloud, found.shadow, found.snow, found.unknown, found.nodata)
    assert sum(parts) == pytest.approx(1.0)
    assert all(0 <= part <= 1 for part in parts)
    assert found.water <= found.clear
    assert round(found.clear * total) == np.count_nonzero(clear_pixels(one, kind))


def test_a_coarse_mask_falls_on_a_finer_grid_by_pixel_centre() -> None:
    scl = clip_of(np.array([[4, 9], [9, 4]], np.uint8), width_m=20.0)
    red = clip_of(np.ones((4, 4), np.uint16), width_m=10.0)

    laid = on_grid(clear_pixels(scl, QualityKind.SCL), scl, red)

    np.testing.assert_array_equal(laid, np.kron([[1, 0], [0, 1]], np.ones((2, 2))).astype(bool))


def test_a_mask_is_false_beyond_its_own_grid_and_shifts_nothing() -> None:
    scl = clip_of(np.full((2, 2), 4, np.uint8), transform=Affine(20, 0, 500_020, 0, -20, 5_099_980))
    red = clip_of(np.ones((6, 6), np.uint16), width_m=10.0)

    laid = on_grid(clear_pixels(scl, QualityKind.SCL), scl, red)

    expected = np.zeros((6, 6), dtype=bool)
    expected[2:6, 2:6] = True
    np.testing.assert_array_equal(laid, expected)


def test_a_fine_mask_falls_on_a_coarser_grid_by_its_centres() -> None:
    fine = clip_of(np.arange(36, dtype=np.uint8).reshape(6, 6), width_m=10.0)
    coarse = clip_of(np.zeros((2, 2), np.uint16), width_m=30.0)
    mask = np.zeros((6, 6), bool)
    mask[1, 1] = mask[4, 4] = True

    np.testing.assert_array_equal(on_grid(mask, fine, coarse), np.eye(2, dtype=bool))


def test_a_mask_falls_on_a_grid_of_another_projection() -> None:
    utm33 = clip_of(np.full((400, 400), 4, np.uint8), width_m=100.0)
    zone32 = transform_geom("EPSG:32633", "EPSG:32632", {"type": "Point", "coordinates": [520_000, 5_080_000]})
    x, y = zone32["coordinates"]
    utm32 = clip_of(np.zeros((3, 3), np.uint16), crs=CRS.from_epsg(32632), transform=Affine(100, 0, x, 0, -100, y))
    far = clip_of(np.zeros((3, 3), np.uint16), crs=CRS.from_epsg(32632), transform=Affine(100, 0, x, 0, -100, y - 1e6))

    clear = clear_pixels(utm33, QualityKind.SCL)

    assert on_grid(clear, utm33, utm32).all()
    assert not on_grid(clear, utm33, far).any()


def random_fields(count: int) -> list[dict[str, Any]]:
    """Polygons of 5 to 100 m around a point of the rasters below, in degrees."""
    chance = np.random.default_rng(20230815)
    fields = []
    while len(fields) < count:
        angles = np.sort(chance.uniform(0, 2 * np.pi, chance.integers(3, 9)))
        reach = chance.uniform(5, 100, len(angles))
        outline = Polygon(np.column_stack([500_200 + reach * np.cos(angles), 5_099_800 + reach * np.sin(angles)]))
        if outline.is_valid and outline.area > 0:
            fields.append(transform_geom("EPSG:32633", "EPSG:4326", mapping(outline)))
    return fields


def test_a_mask_of_all_touched_classes_loses_no_fine_pixel_at_the_edge(write_raster: Any) -> None:
    fields = random_fields(100)
    scl = write_raster(np.full((1, 20, 20), 4, np.uint8), nodata=0, transform=Affine(20, 0, 500_000, 0, -20, 5_100_000))
    red = write_raster(np.full((1, 40, 40), 7, np.uint16), nodata=0)
    seen = clip_many(str(scl), fields, reading=Reading(max_pixels=10**6, all_touched=True))
    wanted = clip_many(str(red), fields, reading=Reading(max_pixels=10**6))

    for classes, band in zip(seen, wanted, strict=True):
        assert isinstance(classes, Clip)
        assert isinstance(band, Clip)
        result = masked(band, on_grid(clear_pixels(classes, QualityKind.SCL), classes, band))
        np.testing.assert_array_equal(result.data, band.data)
        assert result.valid_pixels == band.valid_pixels


SCL_PARTS = {"nodata": [0], "clear": [2, 4, 5, 6, 7], "water": [6], "shadow": [3], "cloud": [8, 9, 10], "snow": [11]}


def test_real_parcels_have_the_fractions_of_a_direct_count(shared_data: Path) -> None:
    geometries = [feature["geometry"] for feature in json.loads((shared_data / PARCELS).read_text())["features"]]
    judged = 0
    for path in sorted((shared_data / MAIN_SET).glob("S2*/SCL.tif")):
        clips = clip_many(str(path), geometries, reading=Reading(max_pixels=10**7), keep_empty=True)
        with rasterio.open(path) as src:
            for geometry, one in zip(geometries, clips, strict=True):
                counted, total = direct_count(src, transform_geom("EPSG:4326", src.crs, geometry))
                if one is None:
                    assert total == 0
                    continue
                assert isinstance(one, Clip)
                found = judge(one, QualityKind.SCL, band="scl")
                counted["nodata"] += one.aoi_pixels - total  # beyond the raster's edge
                for part, number in counted.items():
                    assert getattr(found, part) == number / found.pixels, (path, part)
                judged += 1
    assert judged == 5 * (100 + 30), "all on one tile, 30 on the other as well"


def direct_count(src: Any, aoi: dict[str, Any]) -> tuple[dict[str, int], int]:
    """Pixels of each part, by pixel centres or if there are none by touch, and of all."""
    for all_touched in (False, True):
        try:
            outside, _, window = rasterio.mask.raster_geometry_mask(src, [aoi], crop=True, all_touched=all_touched)
        except ValueError:
            return dict.fromkeys([*SCL_PARTS, "unknown"], 0), 0
        if not outside.all():
            break
    values = src.read(1, window=window)[~outside]
    counted = {part: int(np.isin(values, classes).sum()) for part, classes in SCL_PARTS.items()}
    counted["unknown"] = int(((values == 1) | (values >= 12)).sum())
    return counted, values.size
