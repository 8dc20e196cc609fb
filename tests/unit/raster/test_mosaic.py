"""Tiles of one acquisition over one AOI, against rasterio's own merge and mask."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio import windows
from rasterio.enums import ColorInterp
from rasterio.features import geometry_mask
from rasterio.merge import merge
from rasterio.transform import Affine, array_bounds
from rasterio.warp import transform_geom
from shapely.geometry import Polygon, box, mapping

from imagery.errors import AssetMissing, ClipTooLarge, RasterUnreadable
from imagery.metering import metered
from imagery.model.processing import Resampling
from imagery.raster.clip import Clip, clip
from imagery.raster.mosaic import mosaic
from imagery.raster.reading import Reading

ANY = Reading(max_pixels=10**8)
MAIN_SET = "imagery/earthsearch_33T_2023-08"
EAST, NORTH = 500_000, 5_100_000


def at(column: int, row: int, size: float = 10) -> dict[str, Any]:
    return {"transform": Affine(size, 0, EAST + 10 * column, 0, -size, NORTH - 10 * row)}


def pixels_box(left: float, top: float, right: float, bottom: float) -> dict[str, Any]:
    outline = box(EAST + 10 * left, NORTH - 10 * bottom, EAST + 10 * right, NORTH - 10 * top)
    geometry: dict[str, Any] = transform_geom("EPSG:32633", "EPSG:4326", mapping(outline))
    return geometry


def numbered(start: int, height: int = 20, width: int = 30, bands: int = 1) -> np.ndarray:
    return (start + np.arange(bands * height * width)).reshape(bands, height, width).astype("uint16")


def one(paths: list[Path], geometry: dict[str, Any], reading: Reading = ANY, **options: Any) -> Clip:
    found = mosaic([(str(path), None) for path in paths], geometry, reading=reading, **options)
    assert found is not None
    return found


def assert_same_as_rasterio(paths: list[Path], geometry: dict[str, Any], ours: Clip) -> None:
    """As the merge of the files over the same bounds, cut out by the mask of the AOI on them."""
    height, width = ours.inside.shape
    merged, transform = merge([str(path) for path in paths], bounds=ours.bounds)
    assert transform.almost_equals(ours.transform)
    aoi = transform_geom("EPSG:4326", ours.crs, geometry)
    outside = geometry_mask([aoi], (height, width), transform)
    np.testing.assert_array_equal(ours.inside, ~outside)
    merged[:, outside] = 0
    np.testing.assert_array_equal(ours.data, merged)
    assert ours.valid_pixels == np.count_nonzero(merged.any(axis=0))


def areas_over_the_seam(src: Any) -> list[dict[str, Any]]:
    """Of a tile whose southern neighbour overlaps it: over the overlap's edges, and past those of both."""
    rng = np.random.default_rng(4)
    left, bottom, right, _ = src.bounds
    areas = []
    for _ in range(12):
        x, y = rng.uniform(left - 2_000, right + 2_000), bottom + rng.uniform(-3_000, 13_000)
        around = rng.uniform(0, 2 * np.pi, 7)
        corners = [(x + 8_000 * rng.uniform(0.3, 1) * np.cos(a), y + 8_000 * np.sin(a)) for a in sorted(around)]
        if Polygon(corners).is_valid:
            areas.append(transform_geom(src.crs, "EPSG:4326", mapping(Polygon(corners))))
    return areas


@pytest.mark.parametrize("band", ["B04", "B08", "SCL"])
def test_real_tiles_of_every_date_are_merged_as_rasterio_merges_them(shared_data: Path, band: str) -> None:
    norths = sorted((shared_data / MAIN_SET).glob(f"S2*_33TWM_*/{band}.tif"))
    assert len(norths) == 5
    for north in norths:
        south = Path(str(north).replace("33TWM", "33TWL"))
        with rasterio.open(north) as src:
            areas = areas_over_the_seam(src)
        found = 0
        for geometry in areas:
            for paths in ([north, south], [south, north]):
                ours = mosaic([(str(path), 0) for path in paths], geometry, reading=ANY)
                if ours is not None:
                    assert_same_as_rasterio(paths, geometry, ours)
                    found += 1
        assert found >= 10


def test_aligned_tiles_are_one_raster(write_raster) -> None:
    whole = numbered(1, 40, 30)
    tiles = [write_raster(whole[:, :24], nodata=0, **at(0, 0)), write_raster(whole[:, 16:], nodata=0, **at(0, 16))]
    uncut = write_raster(whole, nodata=0)
    for geometry in (pixels_box(3.3, 4.4, 20.2, 37.7), pixels_box(-5, 20, 40, 50), pixels_box(2, 2, 4, 4)):
        for paths in (tiles, tiles[::-1]):
            ours, expected = one(paths, geometry), clip(str(uncut), geometry, reading=ANY)
            assert expected is not None
            np.testing.assert_array_equal(ours.data, expected.data)
            assert ours.transform == expected.transform
            assert (ours.aoi_pixels, ours.valid_pixels) == (expected.aoi_pixels, expected.valid_pixels)
            np.testing.assert_array_equal(ours.inside, expected.inside)


def test_the_first_lies_on_top_and_the_next_fill_its_holes(write_raster) -> None:
    first, second = numbered(1), numbered(1001)
    first[0, 5:8, 5:8] = 0
    second[0, 7] = 0
    third = np.full_like(first, 7)
    paths = [write_raster(data, nodata=0) for data in (first, second, third)]
    ours = one(paths, pixels_box(0, 0, 30, 20))
    expected = first.copy()
    expected[0, 5:7, 5:8] = second[0, 5:7, 5:8]
    expected[0, 7, 5:8] = 7
    np.testing.assert_array_equal(ours.data, expected)
    assert ours.coverage == 1
    assert_same_as_rasterio(paths, pixels_box(0, 0, 30, 20), ours)


def test_a_window_beyond_the_first_raster_stays_on_its_grid_lines(write_raster) -> None:
    first = write_raster(numbered(1), nodata=0)
    apart = write_raster(numbered(1), nodata=0, **at(40, 3))
    beside = one([first, apart], pixels_box(25.1, 5.1, 44.9, 9.9))
    assert beside.transform == Affine(10, 0, EAST + 250, 0, -10, NORTH - 50)
    assert beside.inside.shape == (5, 20)
    assert beside.valid[:, 5:15].sum() == 0 and beside.coverage == pytest.approx(0.5)
    only_second = one([first, apart], pixels_box(45.1, 5.1, 49.9, 9.9))
    np.testing.assert_array_equal(only_second.data[0], numbered(1)[0, 2:7, 5:10])


def test_pixels_beyond_all_tiles_count_as_the_aois(write_raster) -> None:
    paths = [write_raster(numbered(1), nodata=0), write_raster(numbered(1), nodata=0, **at(30, 0))]
    assert one(paths, pixels_box(20, 10, 40, 30)).aoi_pixels == 400
    assert one(paths, pixels_box(20, 10, 40, 30)).coverage == pytest.approx(0.5)


def test_an_aoi_on_no_tile_or_on_no_data_gives_none(write_raster) -> None:
    paths = [write_raster(np.zeros_like(numbered(1)), nodata=0), write_raster(numbered(1), nodata=0, **at(0, 100))]
    sources = [(str(path), None) for path in paths]
    for nowhere in (pixels_box(200, 0, 210, 10), pixels_box(0, 50, 10, 60), pixels_box(0, 5, 10, 10)):
        assert mosaic(sources, nowhere, reading=ANY) is None
    assert mosaic([], pixels_box(0, 5, 10, 10), reading=ANY) is None
    empty = one(paths, pixels_box(0, 5, 10, 10), keep_empty=True)
    assert empty.coverage == 0 and empty.aoi_pixels == 50
    assert mosaic(sources, pixels_box(0, 50, 10, 60), reading=ANY, keep_empty=True) is None


def test_what_the_caller_says_is_no_data_is_a_hole(write_raster) -> None:
    first = numbered(1)
    first[0, 5:8] = 0
    paths = [write_raster(first), write_raster(numbered(1001))]
    geometry = pixels_box(0, 0, 30, 20)
    filled = mosaic([(str(path), 0) for path in paths], geometry, reading=ANY)
    assert filled is not None and (filled.data[0, 5:8] > 1000).all() and filled.nodata_declared
    untold = one(paths, geometry)
    assert (untold.data[0, 5:8] == 0).all() and not untold.nodata_declared and untold.coverage == 1


def test_masks_and_alpha_bands_are_heeded(write_raster) -> None:
    mask = np.full((20, 30), 255, dtype=np.uint8)
    mask[5:8, 5:8] = 0
    ours = one([write_raster(numbered(1), mask=mask), write_raster(numbered(1001))], pixels_box(0, 0, 30, 20))
    assert (ours.data[0, 5:8, 5:8] > 1000).all() and np.count_nonzero(ours.data > 1000) == 9
    rgba = np.full((4, 20, 30), 9, dtype="uint8")
    rgba[3] = 255
    holed = rgba.copy() - 1
    holed[3] = mask
    paths = [write_raster(data, photometric="RGB", alpha="YES") for data in (holed, rgba)]
    ours = one(paths, pixels_box(0, 0, 30, 20))
    assert ours.colorinterp[3] == ColorInterp.alpha
    assert (ours.data[3] == 255).all() and (ours.data[:3, 5:8, 5:8] == 9).all()
    assert np.count_nonzero(ours.data[0] == 9) == 9


def test_a_tile_of_the_neighbouring_zone_is_laid_on_the_firsts_grid(write_raster) -> None:
    """The value of a pixel is its place: what comes out is what lies there, to a pixel."""
    place = transform_geom("EPSG:4326", "EPSG:32633", mapping(box(17.99, 45.99, 18.01, 46.01)))
    east, north = (min(axis) for axis in zip(*place["coordinates"][0], strict=True))
    other = transform_geom("EPSG:4326", "EPSG:32634", mapping(box(17.99, 45.99, 18.01, 46.01)))
    there = (min(axis) for axis in zip(*other["coordinates"][0], strict=True))
    x, y = (round(value, -1) for value in there)
    columns, rows = np.meshgrid(np.arange(400), np.arange(400))
    values = np.stack((columns, rows)).astype("float32")
    second = Affine(10, 0, x - 1000, 0, -10, y + 3000)
    first = Affine(10, 0, round(east, -1) - 1000, 0, -10, round(north, -1) + 3000)
    paths = [
        write_raster(np.full((2, 40, 40), -1, "float32"), nodata=-1, crs="EPSG:32633", transform=first),
        write_raster(values, nodata=-1, crs="EPSG:32634", transform=second),
    ]
    geometry = mapping(box(17.995, 45.995, 18.005, 46.005))
    ours = one(paths, geometry)
    assert ours.crs.to_epsg() == 32633 and ours.coverage == 1
    assert (ours.transform.c - first.c) % 10 == 0 and (ours.transform.f - first.f) % 10 == 0
    rows_in, columns_in = np.nonzero(ours.inside)
    xs, ys = ours.transform * (columns_in + 0.5, rows_in + 0.5)
    far_x, far_y = rasterio.warp.transform("EPSG:32633", "EPSG:32634", xs, ys)
    at_columns, at_rows = ~second * (np.asarray(far_x), np.asarray(far_y))
    assert np.abs(ours.data[0, rows_in, columns_in] + 0.5 - at_columns).max() <= 0.63
    assert np.abs(ours.data[1, rows_in, columns_in] + 0.5 - at_rows).max() <= 0.63


def test_tiles_come_on_a_common_grid_when_one_is_asked_for(write_raster) -> None:
    whole = numbered(1, 40, 30)
    tiles = [write_raster(whole[:, :24], nodata=0, **at(0, 0)), write_raster(whole[:, 20:], nodata=0, **at(0, 20))]
    uncut = write_raster(whole, nodata=0)
    for kernel in Resampling:
        reading = Reading(max_pixels=10**8, resolution_m=20, resampling=kernel)
        geometry = pixels_box(3.3, 4.4, 20.2, 37.7)
        ours, expected = one(tiles, geometry, reading), clip(str(uncut), geometry, reading=reading)
        assert expected is not None
        assert ours.transform == expected.transform
        seam = slice(7, 13) if kernel in (Resampling.BILINEAR, Resampling.CUBIC) else slice(0, 0)
        # Halves are rounded either way.
        apart = np.delete(ours.data, seam, 1).astype(int) - np.delete(expected.data, seam, 1)
        assert np.abs(apart).max() <= (kernel is not Resampling.NEAREST)


def test_an_average_does_not_run_over_a_tiles_edge(write_raster) -> None:
    paths = [write_raster(numbered(1), nodata=0), write_raster(numbered(1001), nodata=0, **at(30, 4))]
    reading = Reading(max_pixels=10**8, resolution_m=20, resampling=Resampling.AVERAGE)
    ours = one(paths, pixels_box(20, 0, 50, 20), reading)
    assert not ours.valid[:2, 5:].any()
    assert ours.valid[2:, 5:].all()


def test_too_large_a_window_is_refused(write_raster) -> None:
    paths = [write_raster(numbered(1), nodata=0), write_raster(numbered(1), nodata=0, **at(30, 0))]
    with pytest.raises(ClipTooLarge, match="limit is 99"):
        one(paths, pixels_box(25.1, 5.1, 34.9, 14.9), Reading(max_pixels=99))
    assert one(paths, pixels_box(25.1, 5.1, 34.9, 14.9), Reading(max_pixels=100)).coverage == 1


def test_tiles_that_are_unlike_are_refused(write_raster) -> None:
    for other in (numbered(1, bands=2), numbered(1).astype("int16")):
        with pytest.raises(RasterUnreadable, match="make no mosaic"):
            one([write_raster(numbered(1)), write_raster(other)], pixels_box(0, 0, 9, 9))


def test_a_tile_that_is_gone_is_missing(write_raster, tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match=r"gone\.tif"):
        one([write_raster(numbered(1)), tmp_path / "gone.tif"], pixels_box(0, 0, 9, 9))


def test_a_tile_that_would_fill_nothing_is_not_read(write_raster) -> None:
    first, second = write_raster(numbered(1), nodata=0), write_raster(numbered(1001), nodata=0)
    with metered() as meter:
        ours = one([first, second], pixels_box(0, 0, 9, 9))
    assert ours.bytes_read == meter.bytes_read
    alone = one([first], pixels_box(0, 0, 9, 9))
    assert ours.bytes_read == alone.bytes_read


def test_an_answer_cut_short_is_asked_for_again(server, write_raster) -> None:
    rng = np.random.default_rng(1)
    for name, column in (("a.tif", 0), ("b.tif", 600)):
        data = rng.integers(1, 10_000, (1, 600, 600), dtype=np.uint16)
        path = write_raster(data, nodata=0, tiled=True, blockxsize=256, blockysize=256, **at(column, 0))
        server.files[name] = path.read_bytes()
    sources = [(server.href(name), None) for name in ("a.tif", "b.tif")]
    read = partial(mosaic, sources, pixels_box(400, 300, 800, 500), reading=ANY)
    expected = read()
    server.cut["b.tif"] = 1
    again = read()
    assert expected is not None and again is not None
    np.testing.assert_array_equal(again.data, expected.data)


def test_bounds_of_the_window_are_those_of_the_clip(write_raster) -> None:
    ours = one([write_raster(numbered(1), nodata=0)], pixels_box(3.1, 4.1, 8.9, 8.9))
    assert ours.bounds == array_bounds(5, 6, windows.transform(windows.Window(3, 4, 6, 5), at(0, 0)["transform"]))
