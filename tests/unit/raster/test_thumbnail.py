"""Thumbnails: what a person sees."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from imagery.raster.clip import Clip, clip
from imagery.raster.reading import Reading
from imagery.raster.thumbnail import encode_thumbnail


def pixels(png: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with MemoryFile(png, ext=".png") as file, file.open() as src:
            read: np.ndarray = src.read()
            return read


AOI = {
    "type": "Polygon",
    "coordinates": [[[15.0, 45.9], [15.2, 45.9], [15.2, 46.2], [14.9, 46.2], [15.0, 45.9]]],
}


def clipped(write_raster: Any, data: np.ndarray, geometry: dict[str, Any] = AOI, **profile: Any) -> Clip:
    result = clip(str(write_raster(data, **{"nodata": 0, **profile})), geometry, reading=Reading(max_pixels=10**8))
    assert result is not None
    return result


def test_a_field_of_a_few_pixels_is_enlarged_so_that_it_can_be_seen(write_raster) -> None:
    data = np.array([[[100, 200, 300], [400, 500, 0]]], dtype=np.uint16)
    picture = pixels(encode_thumbnail([clipped(write_raster, data)]))
    assert picture.shape == (2, 170, 255)
    assert picture[1, -1, -1] == 0 and picture[1, 0, 0] == 255
    assert len(np.unique(picture[0, :, :85])) == 2


@pytest.mark.parametrize(("height", "width"), [(257, 40), (1000, 700), (1, 900)])
def test_a_large_clip_is_made_small(write_raster, height: int, width: int) -> None:
    data = np.random.default_rng(1).integers(1, 99, (1, height, width)).astype("uint8")
    picture = pixels(encode_thumbnail([clipped(write_raster, data)], size=128))
    assert max(picture.shape[1:]) == 128 and min(picture.shape[1:]) >= 1


def test_it_is_transparent_outside_the_aoi(write_raster) -> None:
    data = np.full((1, 100, 100), 7, dtype=np.uint16)
    triangle = {"type": "Polygon", "coordinates": [[[15.0, 46.0], [15.013, 46.0], [15.0, 46.053], [15.0, 46.0]]]}
    half = clipped(write_raster, data, triangle)
    picture = pixels(encode_thumbnail([half]))
    assert set(np.unique(picture[1])) == {0, 255}
    assert (picture[1] == 255).mean() == pytest.approx(half.inside.mean(), abs=0.01)


def test_three_bands_are_red_green_and_blue_in_one_stretch(write_raster) -> None:
    bands = [np.full((1, 20, 20), value, dtype=np.uint16) for value in (3000, 2000, 1000)]
    red, green, blue, alpha = pixels(encode_thumbnail([clipped(write_raster, band) for band in bands]))[:, 50, 50]
    assert red > green > blue
    assert alpha == 255


def test_bands_of_different_resolution_fit_together(write_raster) -> None:
    fine = clipped(write_raster, np.full((1, 40, 40), 5, dtype=np.uint16))
    coarse = clipped(
        write_raster, np.full((1, 20, 20), 6, dtype=np.uint16), transform=Affine(20, 0, 500_000, 0, -20, 5_100_000)
    )
    assert pixels(encode_thumbnail([fine, coarse, coarse])).shape == (4, 240, 240)


def test_one_value_only_and_nan_are_no_trouble(write_raster) -> None:
    flat = pixels(encode_thumbnail([clipped(write_raster, np.full((1, 5, 5), 9, dtype=np.uint16))]))
    assert 100 < flat[0, 100, 100] < 155
    data = np.full((1, 5, 5), 9, dtype=np.float32)
    data[0, 0] = np.nan
    picture = pixels(encode_thumbnail([clipped(write_raster, data)]))
    assert (picture[1, 0] == 0).all() and (picture[1, -1] == 255).all()


def test_it_is_the_same_every_time(write_raster) -> None:
    one = clipped(write_raster, np.random.default_rng(1).integers(1, 99, (1, 30, 30)).astype("uint8"))
    assert encode_thumbnail([one]) == encode_thumbnail([one])
