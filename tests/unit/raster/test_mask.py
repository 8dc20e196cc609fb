"""Clips masked by what is clear."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile

from imagery.errors import RasterError
from imagery.raster.clip import clip
from imagery.raster.cog import encode_cog
from imagery.raster.mask import masked
from imagery.raster.reading import Reading

ALL = {
    "type": "Polygon",
    "coordinates": [[[14.9, 46.0], [15.1, 46.0], [15.1, 46.1], [14.9, 46.1], [14.9, 46.0]]],
}
READING = Reading(max_pixels=10**6)


def read_back(body: bytes) -> tuple[np.ndarray, np.ndarray, Any]:
    """(pixels, where they have data by the file's own word, its nodata)."""
    with MemoryFile(io.BytesIO(body)) as memory, memory.open() as src:
        return src.read(), src.dataset_mask() != 0, src.nodata


@pytest.fixture
def write(write_raster: Any) -> Any:
    def from_ground(data: Any, **profile: Any) -> str:
        x, y = rasterio.warp.transform("EPSG:4326", "EPSG:32633", [15.0], [46.05])
        return str(write_raster(data, transform=rasterio.Affine(10, 0, x[0], 0, -10, y[0]), **profile))

    return from_ground


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
def test_what_is_not_clear_becomes_nodata_in_every_type(write: Any, dtype: str) -> None:
    one = clip(write(np.full((2, 3, 3), 7, dtype=dtype), nodata=0), ALL, reading=READING)
    assert one is not None
    clear = np.eye(3, dtype=bool)

    result = masked(one, clear)

    np.testing.assert_array_equal(result.data, np.where(clear, 7, 0)[np.newaxis].repeat(2, axis=0))
    np.testing.assert_array_equal(result.valid, clear)
    assert (result.valid_pixels, result.aoi_pixels) == (3, one.aoi_pixels)
    assert (one.data == 7).all(), "the clip that was given stays as it is"


def test_a_nan_nodata_stays_nan(write: Any) -> None:
    one = clip(write(np.ones((1, 2, 2), np.float32), nodata=np.nan), ALL, reading=READING)
    assert one is not None

    result = masked(one, np.array([[True, False], [True, True]]))

    np.testing.assert_array_equal(np.isnan(result.data[0]), [[False, True], [False, False]])


def test_without_a_declared_nodata_the_file_says_by_its_mask_what_is_left(write: Any) -> None:
    one = clip(write(np.array([[[0, 5], [6, 7]]], np.uint8)), ALL, reading=READING)
    assert one is not None

    pixels, shown, nodata = read_back(
        encode_cog(masked(one, np.array([[True, True], [False, True]])), categorical=False)
    )

    assert nodata is None
    np.testing.assert_array_equal(shown, [[True, True], [False, True]])
    assert pixels[0, 0, 0] == 0, "the real 0 is still a value"


def test_an_alpha_band_says_it_where_there_is_one(write: Any) -> None:
    data = np.stack([np.full((2, 2), number) for number in (9, 8, 7, 255)]).astype(np.uint8)
    one = clip(write(data, photometric="RGB", alpha="YES"), ALL, reading=READING)
    assert one is not None
    assert one.colorinterp[3] == ColorInterp.alpha

    pixels, shown, _ = read_back(encode_cog(masked(one, np.array([[True, False], [True, True]])), categorical=False))

    assert shown.tolist() == [[True, False], [True, True]]
    assert pixels[3].tolist() == [[255, 0], [255, 255]]


def test_the_outline_outside_the_aoi_is_left_as_it_was(write: Any) -> None:
    one = clip(write(np.ones((1, 2, 2), np.uint8), nodata=0), ALL, reading=READING)
    assert one is not None

    result = masked(one, np.zeros((2, 2), bool))

    assert result.valid_pixels == 0
    assert result.coverage == 0.0


def test_a_mask_of_another_grid_is_refused(write: Any) -> None:
    one = clip(write(np.ones((1, 2, 2), np.uint8), nodata=0), ALL, reading=READING)
    assert one is not None

    with pytest.raises(RasterError, match="grid first"):
        masked(one, np.ones((3, 3), bool))
