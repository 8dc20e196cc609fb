"""Clips of real imagery against rasterio's own masked read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.mask
from rasterio.warp import transform_geom

from imagery.raster.clip import Clip, clip, clip_many

PARCELS = "fields/parcels_slovenia_over_33TWM_33TWL.geojson"
MAIN_SET = "imagery/earthsearch_33T_2023-08"


def parcels_of(shared_data: Path) -> list[dict[str, Any]]:
    collection = json.loads((shared_data / PARCELS).read_text())
    return [feature["geometry"] for feature in collection["features"]]


def expected(src: Any, geometry: dict[str, Any]) -> tuple[np.ndarray, Any] | None:
    """What rasterio itself cuts out: by pixel centres, or if there are none by touch; None off the raster."""
    aoi = transform_geom("EPSG:4326", src.crs, geometry)
    for all_touched in (False, True):
        try:
            outside, _, _ = rasterio.mask.raster_geometry_mask(src, [aoi], crop=True, all_touched=all_touched)
        except ValueError:
            return None
        if not outside.all():
            data, transform = rasterio.mask.mask(src, [aoi], crop=True, all_touched=all_touched)
            return data, transform
    return None


def assert_same_as_rasterio(path: Path, geometries: list[dict[str, Any]], clips: list[Any]) -> int:
    found = 0
    with rasterio.open(path) as src:
        for geometry, ours in zip(geometries, clips, strict=True):
            theirs = expected(src, geometry)
            if theirs is None:
                assert ours is None
                continue
            data, transform = theirs
            if ours is None:
                fill = 0 if src.nodata is None else src.nodata
                assert (data == fill).all()
                continue
            assert isinstance(ours, Clip)
            assert ours.data.dtype == data.dtype
            np.testing.assert_array_equal(ours.data, data)
            assert ours.transform == transform
            assert ours.crs == src.crs
            found += 1
    return found


@pytest.mark.parametrize("band", ["B02", "B03", "B04", "B08", "SCL"])
def test_every_parcel_of_every_date_and_tile_is_what_rasterio_cuts_out(shared_data: Path, band: str) -> None:
    parcels = parcels_of(shared_data)
    paths = sorted((shared_data / MAIN_SET).glob(f"S2*/{band}.tif"))
    assert len(paths) == 10
    for path in paths:
        clips = clip_many(str(path), parcels, max_pixels=10**8)
        found = assert_same_as_rasterio(path, parcels, clips)
        assert found == (100 if "33TWM" in path.parent.name else 30), path


def test_one_clip_is_the_same_as_one_of_many(shared_data: Path) -> None:
    path = next((shared_data / MAIN_SET).glob("*33TWM*/B08.tif"))
    parcels = parcels_of(shared_data)[:5]
    many = clip_many(str(path), parcels, max_pixels=10**8)
    for geometry, one_of_many in zip(parcels, many, strict=True):
        alone = clip(str(path), geometry, max_pixels=10**8)
        assert alone is not None and isinstance(one_of_many, Clip)
        np.testing.assert_array_equal(alone.data, one_of_many.data)
        assert alone.coverage == one_of_many.coverage
