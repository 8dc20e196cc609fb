"""Clips written as COGs and read back."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from rio_cogeo.cogeo import cog_validate

from imagery.raster.clip import Clip
from imagery.raster.cog import encode_cog, nodata_written

MakeClip = Callable[..., Clip]


def make_clip(data: np.ndarray, **fields: Any) -> Clip:
    bands, height, width = data.shape
    everywhere = np.ones((height, width), dtype=bool)
    values: dict[str, Any] = {
        "data": data,
        "transform": Affine(10, 0, 500_000, 0, -10, 5_100_000),
        "crs": CRS.from_epsg(32633),
        "nodata": 0,
        "nodata_declared": True,
        "inside": everywhere,
        "valid": everywhere,
        "aoi_pixels": height * width,
        "valid_pixels": height * width,
        "scales": (1.0,) * bands,
        "offsets": (0.0,) * bands,
        "descriptions": (None,) * bands,
        "units": (None,) * bands,
        "colorinterp": (ColorInterp.gray,) + (ColorInterp.undefined,) * (bands - 1),
        **fields,
    }
    return Clip(**values)


def noise(bands: int, height: int, width: int, dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(3).integers(1, 120, (bands, height, width)).astype(dtype)


def written(tmp_path: Path, clip: Clip, *, categorical: bool = False, **options: Any) -> Path:
    path = tmp_path / "clip.tif"
    path.write_bytes(encode_cog(clip, categorical=categorical, **options))
    return path


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (512, 512), (513, 20), (700, 1300)])
def test_a_cog_is_valid_and_holds_the_clip(tmp_path: Path, dtype: str, size: tuple[int, int]) -> None:
    clip = make_clip(noise(1, *size, dtype))
    path = written(tmp_path, clip)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        is_valid, errors, advice = cog_validate(path, strict=True)
    assert (is_valid, errors, advice) == (True, [], [])
    with rasterio.open(path) as src:
        np.testing.assert_array_equal(src.read(), clip.data)
        assert (src.crs, src.transform, src.nodata) == (clip.crs, clip.transform, 0)
        assert src.profile["compress"] == "deflate" and src.block_shapes[0] in {(256, 256), (512, 512)}
        assert bool(src.overviews(1)) == (max(size) > 512)


def test_classes_are_never_averaged(tmp_path: Path) -> None:
    stripes = np.zeros((1, 1024, 1024), dtype=np.uint8)
    stripes[:, ::2] = 4
    stripes[:, 1::2] = 11
    with rasterio.open(written(tmp_path, make_clip(stripes), categorical=True), overview_level=0) as src:
        assert set(np.unique(src.read())) <= {4, 11}
    with rasterio.open(written(tmp_path, make_clip(stripes), categorical=False), overview_level=0) as src:
        assert set(np.unique(src.read())) == {8} or set(np.unique(src.read())) == {7}


def test_the_same_clip_gives_the_same_bytes() -> None:
    first, second = (encode_cog(make_clip(noise(3, 600, 600)), categorical=False, tags={"A": "b"}) for _ in "12")
    assert first == second


def test_what_the_source_says_of_its_bands_is_kept(tmp_path: Path) -> None:
    clip = make_clip(noise(2, 5, 5), scales=(0.1, 0.2), offsets=(-1, 2), descriptions=("red", None), units=("cm", None))
    with rasterio.open(written(tmp_path, clip, tags={"SOURCE": "S2B_33TWL"})) as src:
        assert (src.scales, src.offsets) == ((0.1, 0.2), (-1, 2))
        assert src.descriptions == ("red", None)
        assert src.units[0] == "cm"
        assert src.tags()["SOURCE"] == "S2B_33TWL"


def test_nan_as_nodata_is_kept(tmp_path: Path) -> None:
    with rasterio.open(written(tmp_path, make_clip(noise(1, 5, 5, "float32"), nodata=math.nan))) as src:
        assert math.isnan(src.nodata)


def test_zero_stays_a_value_where_nobody_said_it_is_not(tmp_path: Path) -> None:
    data = noise(1, 6, 6, "uint8")
    inside = np.ones((6, 6), dtype=bool)
    inside[0] = False
    data[0, 0] = 0
    undeclared = make_clip(data, nodata_declared=False, inside=inside)
    with rasterio.open(written(tmp_path, undeclared)) as src:
        assert src.nodata == 0
    data[0, 3, 3] = 0
    path = written(tmp_path, make_clip(data, nodata_declared=False, inside=inside))
    with rasterio.open(path) as src:
        assert src.nodata is None
        np.testing.assert_array_equal(~src.read(masked=True).mask[0], inside)
        np.testing.assert_array_equal(src.read(), data)
    assert cog_validate(path, strict=True)[0]


@pytest.mark.parametrize("colours", [(ColorInterp.gray,), (ColorInterp.red, ColorInterp.green, ColorInterp.blue)])
def test_an_alpha_band_stays_one(tmp_path: Path, colours: tuple[ColorInterp, ...]) -> None:
    meanings = (*colours, ColorInterp.alpha)
    data = noise(len(meanings), 6, 6, "uint8")
    data[-1] = 255
    data[:, 0] = 0
    path = written(tmp_path, make_clip(data, colorinterp=meanings, nodata_declared=False))
    with rasterio.open(path) as src:
        assert src.colorinterp == meanings
        assert src.nodata is None
        assert src.read(masked=True).mask[0, 0].all()
        np.testing.assert_array_equal(src.read(), data)


@pytest.mark.parametrize("transform", [Affine(10, 0, 5e5, 0, 10, 5e6), Affine(8, -6, 5e5, -6, -8, 5e6)])
def test_south_up_and_turned_grids_stay_as_they_are(tmp_path: Path, transform: Affine) -> None:
    clip = make_clip(noise(1, 9, 7), transform=transform)
    with rasterio.open(written(tmp_path, clip)) as src:
        assert src.transform == transform
        np.testing.assert_array_equal(src.read(), clip.data)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"nodata_declared": False},
        {"nodata_declared": False, "inside": np.array([[True, False], [True, True]])},
        {"colorinterp": (ColorInterp.gray, ColorInterp.alpha)},
    ],
)
@pytest.mark.parametrize("first", [0, 5])
def test_the_nodata_that_is_told_is_the_one_in_the_file(first: int, fields: dict[str, Any]) -> None:
    bands = 2 if "colorinterp" in fields else 1
    clip = make_clip(np.array([[[first, 0], [3, 4]]] * bands, dtype="uint16"), **fields)
    with rasterio.MemoryFile(encode_cog(clip, categorical=False)) as file, file.open() as cog:
        assert nodata_written(clip) == cog.nodata
