"""Clips of real imagery against rasterio's own masked read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.mask
from rasterio.io import MemoryFile
from rasterio.warp import transform_geom
from shapely.geometry import Point, mapping, shape

from imagery.raster.clip import Clip, clip, clip_many
from imagery.raster.cog import encode_cog
from imagery.raster.footprint import footprint
from imagery.raster.reading import Reading
from imagery.raster.thumbnail import encode_thumbnail

PARCELS = "fields/parcels_slovenia_over_33TWM_33TWL.geojson"
MAIN_SET = "imagery/earthsearch_33T_2023-08"
ANY = Reading(max_pixels=10**8)


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
        clips = clip_many(str(path), parcels, reading=ANY)
        found = assert_same_as_rasterio(path, parcels, clips)
        assert found == (100 if "33TWM" in path.parent.name else 30), path


OTHERS = [
    "imagery/s2_l2a_10m_austria_33UUP_2021",
    "imagery/sentinel-cogs_29RKH_20200219",
    "imagery/planet",
]


def areas_over(src: Any) -> list[dict[str, Any]]:
    """Outlines all over a raster and past its edges, from less than a pixel to most of it."""
    rng = np.random.default_rng(src.width)
    left, bottom, right, top = src.bounds
    across, up = right - left, top - bottom
    found = []
    for _ in range(40):
        middle = Point(left + across * rng.uniform(-0.1, 1.1), bottom + up * rng.uniform(-0.1, 1.1))
        outline = middle.buffer(float(across * 10 ** rng.uniform(-3.5, -0.3)), quad_segs=int(rng.integers(1, 6)))
        found.append(transform_geom(src.crs, "EPSG:4326", mapping(outline)))
    return found


@pytest.mark.parametrize("folder", OTHERS)
def test_other_sensors_and_resolutions_are_what_rasterio_cuts_out(shared_data: Path, folder: str) -> None:
    paths = sorted((shared_data / folder).rglob("*.tif"))
    assert paths
    for path in paths:
        with rasterio.open(path) as src:
            areas = areas_over(src)
        assert assert_same_as_rasterio(path, areas, clip_many(str(path), areas, reading=ANY)) >= 10, path


def test_clips_of_real_imagery_become_valid_cogs_with_footprints_inside_their_aois(shared_data: Path) -> None:
    parcels = parcels_of(shared_data)
    for path in sorted((shared_data / MAIN_SET).glob("S2*_33TWL_*/*.tif")):
        for geometry, cut in zip(parcels, clip_many(str(path), parcels, reading=ANY), strict=True):
            if cut is None:
                continue
            assert isinstance(cut, Clip)
            outline = shape(footprint(cut, geometry))
            assert outline.is_valid and not outline.is_empty
            assert outline.within(shape(geometry).buffer(1e-6))
            assert encode_thumbnail([cut]).startswith(b"\x89PNG")
        if isinstance(cut := clip(str(path), parcels[-1], reading=ANY) or cut, Clip):
            with MemoryFile(encode_cog(cut, categorical="SCL" in path.name)) as file, file.open() as src:
                np.testing.assert_array_equal(src.read(), cut.data)


def test_one_clip_is_the_same_as_one_of_many(shared_data: Path) -> None:
    path = next((shared_data / MAIN_SET).glob("*33TWM*/B08.tif"))
    parcels = parcels_of(shared_data)[:5]
    many = clip_many(str(path), parcels, reading=ANY)
    for geometry, one_of_many in zip(parcels, many, strict=True):
        alone = clip(str(path), geometry, reading=ANY)
        assert alone is not None and isinstance(one_of_many, Clip)
        np.testing.assert_array_equal(alone.data, one_of_many.data)
        assert alone.coverage == one_of_many.coverage
