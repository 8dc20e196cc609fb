"""Clips on a common grid, against rasterio's reprojection of the whole file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling as Kernel
from rasterio.features import geometry_mask
from rasterio.transform import Affine
from rasterio.warp import reproject, transform_geom
from shapely.geometry import Point, box, mapping

from imagery.errors import ClipTooLarge, RasterUnreadable
from imagery.metering import metered
from imagery.model.processing import Resampling
from imagery.raster.clip import Clip, clip, clip_many
from imagery.raster.grid import grid_of
from imagery.raster.reading import Reading

EAST, NORTH = 500_000, 5_100_000


def on_grid(resolution_m: float | None, kernel: Resampling = Resampling.NEAREST, **options: Any) -> Reading:
    return Reading(max_pixels=10**8, resolution_m=resolution_m, resampling=kernel, **options)


def pixels_box(left: float, top: float, right: float, bottom: float, crs: str = "EPSG:32633") -> dict[str, Any]:
    """An AOI in units of 10 m from the upper left corner of what `write_raster` makes."""
    outline = box(EAST + 10 * left, NORTH - 10 * bottom, EAST + 10 * right, NORTH - 10 * top)
    geometry: dict[str, Any] = transform_geom(crs, "EPSG:4326", mapping(outline))
    return geometry


def noise(height: int, width: int, dtype: str = "uint16", bands: int = 1) -> np.ndarray:
    return np.random.default_rng(height).integers(1, 5_000, (bands, height, width)).astype(dtype)


def cut(path: Path, geometry: dict[str, Any], reading: Reading) -> Clip:
    found = clip(str(path), geometry, reading=reading)
    assert found is not None
    return found


def assert_as_reprojected(path: Path, geometry: dict[str, Any], reading: Reading, ours: Clip, fill: float) -> None:
    """As the whole file laid on the whole grid, cut to the clip's window and masked by the AOI."""
    assert reading.resolution_m is not None
    with rasterio.open(path) as src:
        size = reading.resolution_m
        height, width = (math.ceil(side * src.res[0] / size - 1e-9) for side in (src.height, src.width))
        grid = Affine(size, 0, src.transform.c, 0, -size, src.transform.f)
        whole, _ = reproject(
            src.read(),
            np.full((src.count, height, width), fill, dtype=src.dtypes[0]),
            src_transform=src.transform,
            src_crs=src.crs,
            dst_transform=grid,
            dst_crs=src.crs,
            src_nodata=fill,
            dst_nodata=fill,
            resampling=Kernel[reading.resampling.value],
            XSCALE=src.res[0] / size,
            YSCALE=src.res[1] / size,
        )
    column, row = (round(offset) for offset in ~grid * (ours.transform.c, ours.transform.f))
    assert ours.transform.almost_equals(grid * Affine.translation(column, row))
    aoi = transform_geom("EPSG:4326", ours.crs, geometry)
    mask = geometry_mask([aoi], (height, width), grid, invert=True)
    here = (slice(row, row + ours.inside.shape[0]), slice(column, column + ours.inside.shape[1]))
    np.testing.assert_array_equal(ours.inside, mask[here])
    assert np.count_nonzero(mask) == np.count_nonzero(mask[here])
    expected = np.where(mask[here], whole[(slice(None), *here)], fill)
    if np.issubdtype(expected.dtype, np.integer):
        # Halves are rounded either way.
        slack = int(reading.resampling is not Resampling.NEAREST)
        assert np.abs(ours.data.astype(int) - expected.astype(int)).max() <= slack
    else:
        np.testing.assert_allclose(ours.data, expected, rtol=1e-5)
    np.testing.assert_array_equal(ours.valid & ours.inside, (expected != fill).any(axis=0))


@pytest.mark.parametrize("kernel", Resampling)
@pytest.mark.parametrize("resolution_m", [5, 7.3, 20, 25, 60])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_clip_on_a_grid_is_the_whole_file_on_it(
    write_raster, kernel: Resampling, resolution_m: float, dtype: str
) -> None:
    data = noise(97, 110, dtype, bands=2)
    data[:, 20:40, 30:50] = 0
    data[1, 60:63] = 0
    path = write_raster(data, nodata=0)
    reading = on_grid(resolution_m, kernel)
    for geometry in (pixels_box(10, 10, 70, 80), pixels_box(-5, 33, 40, 120), pixels_box(90, 80, 130, 130)):
        assert_as_reprojected(path, geometry, reading, cut(path, geometry, reading), fill=0)


@pytest.mark.parametrize("kernel", Resampling)
def test_real_imagery_on_a_grid_is_the_whole_file_on_it(shared_data: Path, kernel: Resampling) -> None:
    paths = sorted((shared_data / "imagery/s2_l2a_10m_austria_33UUP_2021").rglob("*.tif"))[:2]
    for path in paths:
        with rasterio.open(path) as src:
            middle = Point((src.bounds.left + src.bounds.right) / 2, src.bounds.top - 900)
            geometry = transform_geom(src.crs, "EPSG:4326", mapping(middle.buffer(1_200)))
            fill = 0 if src.nodata is None else src.nodata
        for resolution_m in (20, 60):
            reading = on_grid(resolution_m, kernel, nodata=0)
            assert_as_reprojected(path, geometry, reading, cut(path, geometry, reading), fill=fill)


def test_assets_of_one_tile_come_on_one_grid(write_raster) -> None:
    paths = []
    for size in (10, 20, 60):
        transform = Affine(size, 0, EAST, 0, -size, NORTH)
        paths.append(write_raster(noise(1200 // size, 1800 // size), nodata=0, transform=transform))
    geometry = pixels_box(31.3, 22.2, 98.7, 91.9)
    for resolution_m in (10, 20, 60):
        clips = [cut(path, geometry, on_grid(resolution_m)) for path in paths]
        assert len({each.transform for each in clips}) == 1
        assert {each.resolution for each in clips} == {(resolution_m, resolution_m)}
        assert len({each.inside.tobytes() for each in clips}) == 1
        assert len({each.aoi_pixels for each in clips}) == 1


def test_the_sources_own_resolution_gives_its_own_pixels(write_raster) -> None:
    path = write_raster(noise(40, 50), nodata=0)
    geometry = pixels_box(3.3, 4.4, 30, 30)
    plain = cut(path, geometry, on_grid(None))
    for kernel in Resampling:
        same = cut(path, geometry, on_grid(10, kernel))
        np.testing.assert_array_equal(same.data, plain.data)
        assert same.transform == plain.transform and same.bytes_read == plain.bytes_read


def test_classes_are_never_mixed_by_nearest(write_raster) -> None:
    classes = np.random.default_rng(3).choice([4, 8, 11], (1, 60, 60)).astype("uint8")
    path = write_raster(classes, nodata=0, transform=Affine(20, 0, EAST, 0, -20, NORTH))
    finer = cut(path, pixels_box(2.1, 2.1, 99.9, 99.9), on_grid(10))
    assert set(np.unique(finer.data[:, finer.inside])) <= {4, 8, 11}
    assert finer.inside.shape == (98, 98)
    np.testing.assert_array_equal(finer.data[0, ::2, ::2], finer.data[0, 1::2, 1::2])
    np.testing.assert_array_equal(finer.data[0, ::2, ::2], classes[0, 1:50, 1:50])


@pytest.mark.parametrize("profile", [{"nodata": 0}, {"mask": True}, {"alpha": True}, {"nan": True}, {"told": True}])
@pytest.mark.parametrize("kernel", [Resampling.AVERAGE, Resampling.BILINEAR, Resampling.CUBIC])
def test_what_holds_no_data_takes_no_part_in_a_kernel(write_raster, profile: dict[str, Any], kernel: Any) -> None:
    """However the file says it: values around a hole of strange numbers stay what they are."""
    bands = 4 if "alpha" in profile else 1
    data = np.full((bands, 60, 60), 100, "float32" if "nan" in profile else "uint8")
    hole = (slice(None), slice(21, 40), slice(21, 40))
    data[hole] = np.nan if "nan" in profile else 0 if "alpha" not in profile else 9
    options: dict[str, Any] = {"nodata": 0} if "nodata" in profile else {}
    if "mask" in profile:
        data[hole] = 250
        options["mask"] = np.where(data[0] == 250, 0, 255).astype("uint8")
    if "alpha" in profile:
        data[3] = 255
        data[3, 21:40, 21:40] = 0
        options |= {"photometric": "RGB", "alpha": "YES"}
    path = write_raster(data, **options)
    ours = cut(path, pixels_box(2, 2, 58, 58), on_grid(20, kernel, nodata=0 if "told" in profile else None))
    seen = ours.inside & ours.valid
    assert 0.85 < ours.coverage < 0.95
    assert not ours.valid[10:18, 10:18].any()
    assert (np.abs(ours.data[:3, seen].astype(float) - 100) <= 1).all()


def test_feet_are_made_metres_and_degrees_are_refused(write_raster) -> None:
    feet = Affine(32.80839895, 0, 1_000_000, 0, -32.80839895, 200_000)
    path = write_raster(noise(50, 50), crs="EPSG:2263", transform=feet, nodata=0)
    outline = box(1_000_000 + 200, 200_000 - 900, 1_000_000 + 900, 200_000 - 200)
    geometry = transform_geom("EPSG:2263", "EPSG:4326", mapping(outline))
    assert cut(path, geometry, on_grid(20)).resolution[0] == pytest.approx(2 * 32.80839895, rel=1e-4)
    degrees = write_raster(noise(50, 50), crs="EPSG:4326", transform=Affine(1e-4, 0, 15, 0, -1e-4, 46), nodata=0)
    with pytest.raises(RasterUnreadable, match="degrees"):
        clip(str(degrees), mapping(box(15.001, 45.998, 15.002, 45.999)), reading=on_grid(20))


def test_a_last_pixel_reaches_over_the_edge_rather_than_leave_some_out(write_raster) -> None:
    path = write_raster(noise(97, 110), nodata=0)
    with rasterio.open(path) as src:
        grid = grid_of(src, 20, href=str(path))
    assert (grid.height, grid.width) == (49, 55)


def test_neither_pixels_made_nor_pixels_read_pass_the_limit(write_raster) -> None:
    path = write_raster(noise(100, 100), nodata=0)
    geometry = pixels_box(0.1, 0.1, 99.9, 99.9)
    for resolution_m in (1, 1e-9, 100):
        with pytest.raises(ClipTooLarge):
            clip(str(path), geometry, reading=Reading(max_pixels=9_999, resolution_m=resolution_m))
    assert clip(str(path), geometry, reading=Reading(max_pixels=10_000, resolution_m=100)) is not None


def test_a_grid_takes_no_more_requests_than_the_pixels_under_it(server, write_raster) -> None:
    path = write_raster(
        noise(1200, 1200),
        nodata=0,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
        copy_src_overviews=False,
    )
    server.files["b.tif"] = path.read_bytes()
    geometry = pixels_box(100, 100, 1100, 1100)
    counts, read = [], []
    for reading in (on_grid(None), on_grid(20, Resampling.AVERAGE), on_grid(5, Resampling.BILINEAR)):
        server.requests.clear()
        with metered() as meter:
            assert clip(server.href("b.tif"), geometry, reading=reading) is not None
        counts.append(len(server.requests))
        read.append(meter.bytes_read)
    assert counts[1] <= counts[0] and counts[2] <= counts[0], counts
    assert read[1] == read[0] == pytest.approx(read[2], rel=0.01)


def test_many_aois_on_a_grid_are_each_what_they_are_alone(write_raster) -> None:
    path = write_raster(noise(97, 110), nodata=0)
    areas = [pixels_box(x, x / 2, x + 9.7, x / 2 + 8.1) for x in (0, 3.3, 20, 55, 96, 105)]
    reading = on_grid(20, Resampling.BILINEAR)
    for geometry, one_of_many in zip(areas, clip_many(str(path), areas, reading=reading), strict=True):
        assert isinstance(one_of_many, Clip)
        np.testing.assert_array_equal(one_of_many.data, cut(path, geometry, reading).data)
