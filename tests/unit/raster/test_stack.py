"""Several clips as the bands of one."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from imagery.errors import RasterError
from imagery.raster.bands import has_data
from imagery.raster.clip import Clip
from imagery.raster.cog import encode_cog
from imagery.raster.stack import stacked
from tests.unit.raster.made_clips import clip_of


def test_bands_of_one_type_and_nodata_stay_as_they_are() -> None:
    red, nir = np.array([[0, 5]], np.uint16), np.array([[7, 8]], np.uint16)

    result = stacked(
        {
            "red": clip_of(red, scales=(0.0001,), offsets=(-0.1,), bytes_read=60),
            "nir": clip_of(nir, scales=(0.5,), offsets=(0.25,), bytes_read=40),
        }
    )

    np.testing.assert_array_equal(result.data, np.stack([red, nir]))
    assert (result.data.dtype, result.nodata, result.nodata_declared) == (np.uint16, 0, True)
    assert result.descriptions == ("red", "nir")
    assert (result.scales, result.offsets) == ((0.0001, 0.5), (-0.1, 0.25))
    assert result.valid.tolist() == [[True, True]]
    assert (result.valid_pixels, result.bytes_read) == (2, 100)


def test_a_file_of_several_bands_is_numbered() -> None:
    result = stacked({"analytic": clip_of(np.ones((3, 1, 1), np.uint16)), "qa": clip_of(np.ones((1, 1), np.uint16))})

    assert result.descriptions == ("analytic_1", "analytic_2", "analytic_3", "qa")


def test_an_index_beside_reflectance_keeps_its_0_and_both_their_nodata() -> None:
    red = clip_of(np.array([[0, 5, 65535]], np.uint16))
    ndvi = clip_of(np.array([[0, -32768, -5000]], np.int16), nodata=-32768)

    result = stacked({"red": red, "ndvi": ndvi})

    assert (result.data.dtype, result.nodata) == (np.int32, -32768)
    assert result.data.tolist() == [[[-32768, 5, 65535]], [[0, -32768, -5000]]]


def test_nodata_of_no_clip_is_the_value_of_another() -> None:
    scl = clip_of(np.array([[255, 0]], np.uint8), nodata=0)
    mask = clip_of(np.array([[0, 255]], np.uint8), nodata=255)

    result = stacked({"scl": scl, "mask": mask})

    assert (result.data.dtype, result.nodata) == (np.int16, -1)
    assert result.data.tolist() == [[[255, -1]], [[0, -1]]]


def test_an_undeclared_nodata_gets_a_number_that_is_free() -> None:
    free = clip_of(np.array([[0, 9]], np.uint8), declared=False, valid=np.array([[True, False]]))

    result = stacked({"visual": free})

    assert result.nodata == 255
    assert result.data.tolist() == [[[0, 255]]]


def test_floats_take_nan_or_what_they_agree_on() -> None:
    one = clip_of(np.array([[np.nan, 1.0]], np.float32), nodata=math.nan)
    two = clip_of(np.array([[3, 0]], np.uint16))

    result = stacked({"a": one, "b": two})

    assert result.data.dtype == np.float32
    np.testing.assert_array_equal(result.data, [[[np.nan, 1.0]], [[3.0, np.nan]]])


def test_an_alpha_band_becomes_nodata() -> None:
    data = np.array([[[5, 5]], [[6, 6]], [[7, 7]], [[255, 0]]], np.uint8)
    meanings = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    seen = np.array([[True, False]])

    result = stacked({"visual": clip_of(data, declared=False, colorinterp=meanings, valid=seen)})

    assert result.descriptions == ("visual_1", "visual_2", "visual_3")
    assert result.nodata == 0
    assert result.data.tolist() == [[[5, 0]], [[6, 0]], [[7, 0]]]


def test_numbers_that_no_type_holds_together_are_refused() -> None:
    with pytest.raises(RasterError, match="files of their own"):
        stacked({"a": clip_of(np.ones((1, 1), np.uint64)), "b": clip_of(np.ones((1, 1), np.int64))})


@pytest.mark.parametrize(
    "other",
    [
        {"transform": Affine(20, 0, 500_000, 0, -20, 5_100_000)},
        {"transform": Affine(10, 0, 500_005, 0, -10, 5_100_000)},
        {"crs": CRS.from_epsg(32632)},
    ],
)
def test_grids_that_differ_are_refused_with_the_way_out(other: dict[str, Any]) -> None:
    data = np.ones((2, 2), np.uint16)

    with pytest.raises(RasterError, match=r"processing\.resolution_m"):
        stacked({"red": clip_of(data), "scl": clip_of(data, **other)})


def test_nothing_is_no_file() -> None:
    with pytest.raises(RasterError, match="one asset"):
        stacked({})


def test_the_file_says_what_the_stack_says() -> None:
    red = clip_of(np.array([[0, 5], [6, 7]], np.uint16), offsets=(-0.1,))
    ndvi = clip_of(np.array([[1, 2], [-32768, 3]], np.int16), nodata=-32768)

    body = encode_cog(stacked({"red": red, "ndvi": ndvi}), categorical=False)

    with MemoryFile(io.BytesIO(body)) as memory, memory.open() as src:
        assert src.descriptions == ("red", "ndvi")
        assert (src.nodata, src.offsets) == (-32768, (-0.1, 0.0))
        assert src.read(masked=True).filled(-1).tolist() == [[[-1, 5], [6, 7]], [[1, 2], [-1, 3]]]


INTEGERS = st.sampled_from(["uint8", "int8", "uint16", "int16", "uint32", "int32"])


@st.composite
def clips(draw: st.DrawFn) -> Clip:
    data = draw(arrays(draw(INTEGERS), (draw(st.integers(1, 2)), 2, 3)))
    inside = draw(arrays(np.bool_, (2, 3)))
    declared = draw(st.booleans())
    nodata = int(draw(st.sampled_from([0, np.iinfo(data.dtype).max, np.iinfo(data.dtype).min]))) if declared else 0
    valid = (data != nodata).any(axis=0) if declared else draw(arrays(np.bool_, (2, 3)))
    data[:, ~(inside & valid)] = nodata
    return clip_of(data, nodata=nodata, declared=declared, inside=inside, valid=valid)


@settings(deadline=None)
@given(st.lists(clips(), min_size=1, max_size=4))
def test_no_value_is_lost_and_no_nodata_becomes_one(parts: list[Clip]) -> None:
    parts = [
        clip_of(
            part.data,
            nodata=part.nodata,
            declared=part.nodata_declared,
            inside=parts[0].inside & part.inside,
            valid=part.valid,
        )
        for part in parts
    ]

    result = stacked({f"a{number}": part for number, part in enumerate(parts)})

    place = 0
    for part in parts:
        for index in range(len(part.data)):
            shown = has_data(part, index)
            np.testing.assert_array_equal(result.data[place][shown], part.data[index][shown])
            assert not (result.data[place][shown] == result.nodata).any()
            assert (result.data[place][~shown] == result.nodata).all()
            place += 1
