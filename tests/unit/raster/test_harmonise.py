"""Numbers with their offset taken off."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pystac
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.enums import ColorInterp

from imagery.raster.harmonise import harmonised, is_reflectance
from imagery.raster.radiometry import Radiometry
from tests.unit.raster.made_clips import clip_of

SENTINEL_2 = Radiometry(scale=0.0001, offset=-0.1, source="baseline 05.09")
LANDSAT = Radiometry(scale=0.0000275, offset=-0.2, source="Landsat C2")


def test_sentinel_2_numbers_lose_their_1000_and_nodata_stays() -> None:
    one = clip_of(np.array([[0, 1, 1000, 1001, 3000, 65535]], np.uint16))

    result, radiometry = harmonised(one, SENTINEL_2)

    assert result.data[0].tolist() == [[0, 1, 1, 1, 2000, 64535]]
    assert result.data.dtype == np.uint16
    assert (radiometry.scale, radiometry.offset) == (0.0001, 0.0)
    assert (result.scales, result.offsets) == ((0.0001,), (0.0,))
    assert "baseline 05.09" in radiometry.source
    assert "2 of which were clamped" in radiometry.source
    assert one.data[0, 0, 4] == 3000, "the clip that was given stays as it is"


def test_without_an_offset_nothing_changes() -> None:
    one = clip_of(np.array([[1, 2]], np.uint16))

    result, radiometry = harmonised(one, Radiometry(scale=0.0001, offset=0.0, source="flag"))

    assert result is one
    assert (radiometry.scale, radiometry.offset) == (0.0001, 0.0)
    assert "no offset" in radiometry.source


@pytest.mark.parametrize("radiometry", [None, Radiometry(scale=None, offset=None, source="?")])
def test_where_nothing_is_known_the_numbers_are_left_and_it_is_said(radiometry: Radiometry | None) -> None:
    one = clip_of(np.array([[1, 2]], np.uint16))

    result, said = harmonised(one, radiometry)

    assert result is one
    assert said.scale is None
    assert "not harmonised" in said.source


def test_floats_are_plainly_added_to() -> None:
    one = clip_of(np.array([[np.nan, 1000.0, 500.0]], np.float32), nodata=np.nan)

    result, _ = harmonised(one, SENTINEL_2)

    np.testing.assert_allclose(result.data[0], [[np.nan, 0.0, -500.0]])


def test_signed_numbers_may_fall_below_nought_but_never_on_nodata() -> None:
    one = clip_of(np.array([[-9999, 990, 1000, -8999]], np.int16), nodata=-9999)

    result, _ = harmonised(one, SENTINEL_2)

    assert result.data[0].tolist() == [[-9999, -10, 0, -9998]]


def test_a_nodata_at_the_top_is_not_met_either() -> None:
    one = clip_of(np.array([[255, 249, 10]], np.uint8), nodata=255)

    result, _ = harmonised(one, Radiometry(scale=1.0, offset=5.0, source="made up"))

    assert result.data[0].tolist() == [[255, 254, 15]]


def test_what_would_not_fit_above_is_left_as_it_is() -> None:
    one = clip_of(np.array([[255, 250, 10]], np.uint8), nodata=255)
    made_up = Radiometry(scale=1.0, offset=5.0, source="made up")

    result, radiometry = harmonised(one, made_up)

    assert result is one
    assert (radiometry.scale, radiometry.offset) == (1.0, 5.0)
    assert "not harmonised" in radiometry.source


def test_of_several_bands_only_the_one_that_would_not_fit_is_left() -> None:
    one = clip_of(np.array([[[250]], [[10]]], np.uint8), nodata=0)

    result, radiometry = harmonised(one, Radiometry(scale=1.0, offset=10.0, source="made up"))

    assert result.data[:, 0, 0].tolist() == [250, 20]
    assert radiometry.bands == ((1.0, 10.0), (1.0, 0.0))
    assert "of band 1" in radiometry.source


@pytest.mark.parametrize(
    ("collection", "key", "roles", "found"),
    [
        ("sentinel-2-l2a", "red", [], True),
        ("landsat-c2-l2", "red", [], True),
        ("landsat-c2-l2", "lwir11", ["data", "temperature"], False),
        ("landsat-c2l2-st", "ST_B10", ["reflectance"], False),
        ("others", "b1", ["reflectance"], True),
        ("others", "b1", ["data"], False),
    ],
)
def test_reflectance_is_told_by_the_collection_then_by_the_role(
    collection: str, key: str, roles: list[str], found: bool
) -> None:
    item = pystac.Item("a", None, None, datetime(2026, 4, 20, tzinfo=UTC), {}, collection=collection)
    item.add_asset(key, pystac.Asset("a.tif", roles=roles))

    assert is_reflectance(item, key) is found


def test_a_real_0_of_a_file_without_nodata_is_moved_like_the_others() -> None:
    one = clip_of(np.array([[0, 1500]], np.uint16), declared=False, valid=np.array([[True, True]]))

    result, _ = harmonised(one, SENTINEL_2)

    assert result.data[0].tolist() == [[1, 500]]


def test_every_band_has_its_own_offset_and_alpha_none() -> None:
    data = np.array([[[2000]], [[2000]], [[2000]], [[255]]], np.uint16)
    meanings = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    bands = ((0.0001, -0.1), (0.0001, 0.0), None)

    result, radiometry = harmonised(
        clip_of(data, colorinterp=meanings), Radiometry(scale=None, offset=None, source="bands", bands=bands)
    )

    assert result.data[:, 0, 0].tolist() == [1000, 2000, 2000, 255]
    assert radiometry.bands == ((0.0001, 0.0), (0.0001, 0.0), None)


@settings(deadline=None)
@given(arrays(np.uint16, (3, 4)), st.sampled_from([SENTINEL_2, LANDSAT]))
def test_reflectance_is_the_same_before_and_after(values: np.ndarray, radiometry: Radiometry) -> None:
    result, after = harmonised(clip_of(values), radiometry)

    assert radiometry.scale is not None
    assert radiometry.offset is not None
    had_data = values != 0
    np.testing.assert_array_equal(result.data[0] != 0, had_data)
    before = values * radiometry.scale + radiometry.offset
    assert after.scale is not None
    now = result.data[0] * after.scale
    held = had_data & (before >= radiometry.scale)  # below that, the least number stands for it
    np.testing.assert_allclose(now[held], before[held], atol=radiometry.scale / 2 + 1e-12)
    assert (now[had_data & ~held] <= 1.5 * radiometry.scale).all()
