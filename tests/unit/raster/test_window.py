"""The arithmetic of windows, on any raster and any AOI: never a pixel shifted, never one lost.

The rasters hold the number of each pixel, so that a clip says itself where its pixels come from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rasterio.features import geometry_mask
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.warp import transform_geom
from shapely import transform as transform_shape
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Point, Polygon, box, mapping, shape
from shapely.geometry.base import BaseGeometry

from imagery.raster.clip import Clip, clip_open
from imagery.raster.grid import grid_of
from imagery.raster.mosaic import mosaic
from imagery.raster.reading import Reading

LARGE = 10**7
PLACES = {
    "EPSG:32633": (15.0, 46.0),
    "EPSG:32701": (-179.9, -17.0),
    "EPSG:32718": (-75.0, -53.0),
    "EPSG:3857": (-3.0, 62.0),
    "EPSG:4326": (100.0, 20.0),
    "EPSG:3035": (22.0, 65.0),
    "EPSG:2263": (-74.0, 40.7),
}
"""A place where each CRS is used."""

Raster = dict[str, Any]


@st.composite
def rasters(draw: st.DrawFn, *, plain: bool = False) -> Raster:
    """The profile of a raster of any grid: rotated, upside down, mirrored, of oblong pixels."""
    crs = draw(st.sampled_from(sorted(PLACES)))
    size = draw(st.sampled_from([10.0, 60.0, 0.3, 29.997]) | st.floats(0.1, 100))
    size *= 1e-5 if crs == "EPSG:4326" else 1
    x, y = transform_geom("EPSG:4326", crs, {"type": "Point", "coordinates": PLACES[crs]})["coordinates"]
    if draw(st.booleans()):
        x, y = round(x, 2), round(y, 2)
    across, down = size, -size * draw(st.sampled_from([1.0, 1.0, 0.5, 3.7]))
    turned = 0.0
    if not plain:
        across *= draw(st.sampled_from([1, 1, 1, -1]))
        down *= draw(st.sampled_from([1, 1, 1, -1]))
        turned = draw(st.sampled_from([0.0, 0.0, 12.5, 45.0, 90.0, 200.0]))
    transform = Affine.translation(x, y) * Affine.rotation(turned) * Affine.scale(across, down)
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    return {"crs": crs, "transform": transform, "height": height, "width": width}


@st.composite
def outlines(draw: st.DrawFn, raster: Raster) -> BaseGeometry:
    """In pixels: fields, slivers, rings, several parts, some within one pixel, some partly or wholly off the raster."""
    at = st.builds(Point, st.floats(-8, raster["width"] + 8), st.floats(-8, raster["height"] + 8))
    middle = draw(at)
    kind = draw(st.sampled_from(["field", "box", "sliver", "ring", "parts", "speck"]))
    if kind == "speck":
        return middle.buffer(draw(st.floats(0.01, 0.4)), quad_segs=2)
    if kind == "sliver":
        way = draw(st.floats(0, math.pi))
        length, half = draw(st.floats(1, 30)), draw(st.floats(0.02, 0.3))
        end = translate(middle, length * math.cos(way), length * math.sin(way))
        aside = (-half * math.sin(way), half * math.cos(way))
        sides = ((middle, 1), (end, 1), (end, -1), (middle, -1))
        corners = [translate(each, side * aside[0], side * aside[1]) for each, side in sides]
        return Polygon(corners)
    if kind == "box":
        return box(middle.x, middle.y, middle.x + draw(st.floats(0.1, 25)), middle.y + draw(st.floats(0.1, 25)))
    field = middle.buffer(draw(st.floats(0.5, 25)), quad_segs=draw(st.integers(1, 6)))
    if kind == "ring":
        ring = field.difference(middle.buffer(draw(st.floats(0.1, 10)), quad_segs=3))
        return field if ring.is_empty else ring
    if kind == "parts":
        apart = draw(at).buffer(draw(st.floats(0.3, 6)), quad_segs=2)
        rest = apart.difference(field)
        return MultiPolygon([field, *(part for part in getattr(rest, "geoms", [rest]) if not part.is_empty)])
    return field


def placed(outline: BaseGeometry, raster: Raster) -> dict[str, Any]:
    """From pixels to GeoJSON."""
    there = transform_shape(outline, lambda xy: np.column_stack(raster["transform"] * (xy[:, 0], xy[:, 1])))
    geometry: dict[str, Any] = transform_geom(raster["crs"], "EPSG:4326", mapping(there))
    return geometry


def numbered(raster: Raster) -> MemoryFile:
    """A raster whose every pixel holds its number, from 1."""
    values = np.arange(1, raster["height"] * raster["width"] + 1, dtype="int32")
    memory = MemoryFile(ext=".tif")
    with memory.open(driver="GTiff", count=1, dtype="int32", nodata=0, **raster) as dst:
        dst.write(values.reshape(1, raster["height"], raster["width"]))
    return memory


def in_pixels_of(geometry: dict[str, Any], crs: str, transform: Affine) -> tuple[dict[str, Any], BaseGeometry]:
    """(the AOI in the CRS, the AOI in pixels)."""
    aoi: dict[str, Any] = transform_geom("EPSG:4326", crs, geometry)
    inverse = ~transform
    return aoi, transform_shape(shape(aoi), lambda xy: np.column_stack(inverse * (xy[:, 0], xy[:, 1])))


def undecided(in_pixels: BaseGeometry, size: tuple[int, int], start: int, *, all_touched: bool) -> np.ndarray:
    """Shape `size`, from pixel (start, start) on: where rounding alone says whether a pixel is the AOI's."""
    rows, columns = np.indices(size) + start
    if not all_touched:
        centres = shapely.points(columns + 0.5, rows + 0.5)
        boundary = in_pixels.boundary
        shapely.prepare(boundary)
        return np.asarray(shapely.dwithin(boundary, centres, 1e-3))
    # GDAL takes a line that strays by less than a hundredth of a pixel for an upright one.
    shapely.prepare(in_pixels)
    larger, smaller = (
        shapely.intersects(in_pixels, shapely.box(columns - e, rows - e, columns + 1 + e, rows + 1 + e))
        for e in (0.02, -0.02)
    )
    return np.asarray(larger != smaller)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """An AOI's pixels by one rule: on the whole raster, and on one that reaches further, all around it."""

    here: np.ndarray
    here_undecided: np.ndarray
    beyond: int
    """Pixels off the raster."""
    beyond_undecided: int
    some: bool
    """Whether there are any, off the raster or on it."""


def expected_of(geometry: dict[str, Any], raster: Raster, *, all_touched: bool) -> Expected:
    aoi, in_pixels = in_pixels_of(geometry, raster["crs"], raster["transform"])
    size = (raster["height"], raster["width"])
    left, top, right, bottom = in_pixels.bounds
    away = 2 + math.ceil(max(0, -left, -top, right - size[1], bottom - size[0]))
    further = (size[0] + 2 * away, size[1] + 2 * away)
    here, there = (
        geometry_mask([aoi], out, transform, invert=True, all_touched=all_touched)
        for out, transform in (
            (size, raster["transform"]),
            (further, raster["transform"] * Affine.translation(-away, -away)),
        )
    )
    doubtful = undecided(in_pixels, further, -away, all_touched=all_touched)
    some = bool(there.any())
    inner = (slice(away, away + size[0]), slice(away, away + size[1]))
    here_undecided = doubtful[inner].copy()
    there[inner] = doubtful[inner] = False
    return Expected(
        here=here,
        here_undecided=here_undecided,
        beyond=int(np.count_nonzero(there)),
        beyond_undecided=int(np.count_nonzero(doubtful)),
        some=some,
    )


def numbers_of(found: Clip, raster: Raster) -> np.ndarray:
    """Shape (height, width): the number of the pixel that the clip's transform puts each of its pixels on; 0: none."""
    rows, columns = np.indices(found.inside.shape)
    x, y = found.transform * (columns + 0.5, rows + 0.5)
    column, row = ~raster["transform"] * (x, y)
    assert np.abs(column - np.floor(column) - 0.5).max() < 1e-3
    assert np.abs(row - np.floor(row) - 0.5).max() < 1e-3
    column, row = np.floor(column).astype(int), np.floor(row).astype(int)
    on = (column >= 0) & (column < raster["width"]) & (row >= 0) & (row < raster["height"])
    return np.where(on, row * raster["width"] + column + 1, 0)


def assert_none_lost(found: Clip | None, geometry: dict[str, Any], raster: Raster, *, all_touched: bool) -> None:
    """The AOI's pixels are those of the mask of the whole raster, and all the AOI's those of a larger one's."""
    by_rule = expected_of(geometry, raster, all_touched=all_touched)
    expected = by_rule
    if not by_rule.here.any():
        if by_rule.here_undecided.any() or (by_rule.beyond_undecided and by_rule.beyond <= by_rule.beyond_undecided):
            return
        if by_rule.some:
            assert found is None, "it holds centres, though none of them here"
            return
        expected = expected_of(geometry, raster, all_touched=True)
    decided = ~expected.here_undecided
    if found is None:
        assert not (expected.here & decided).any()
        return
    whole = np.zeros(expected.here.size + 1, dtype=bool)
    whole[numbers_of(found, raster)[found.inside]] = True
    assert not whole[0]
    np.testing.assert_array_equal(whole[1:].reshape(expected.here.shape)[decided], expected.here[decided])
    beyond = by_rule if by_rule.some else expected
    counted = found.aoi_pixels - np.count_nonzero(found.inside)
    assert abs(counted - beyond.beyond) <= beyond.beyond_undecided


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raster=rasters(), data=st.data(), all_touched=st.booleans())
def test_no_pixel_is_shifted_and_none_is_lost(raster: Raster, data: st.DataObject, all_touched: bool) -> None:
    geometry = placed(data.draw(outlines(raster)), raster)
    reading = Reading(max_pixels=LARGE, all_touched=all_touched)
    with numbered(raster) as memory, memory.open() as src:
        found = clip_open(src, geometry, href="numbered.tif", reading=reading)
    if found is not None:
        np.testing.assert_array_equal(found.data[0], np.where(found.inside, numbers_of(found, raster), 0))
        assert found.valid_pixels == np.count_nonzero(found.inside) <= found.aoi_pixels
    assert_none_lost(found, geometry, raster, all_touched=all_touched)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raster=rasters(), data=st.data(), factor=st.floats(0.2, 6) | st.sampled_from([0.5, 2, 3, 6]))
def test_on_a_common_grid_each_pixel_is_the_one_under_its_centre(
    raster: Raster, data: st.DataObject, factor: float
) -> None:
    assume(raster["crs"] != "EPSG:4326")
    geometry = placed(data.draw(outlines(raster)), raster)
    with numbered(raster) as memory, memory.open() as src:
        unit_m = src.crs.linear_units_factor[1]
        size = factor * math.hypot(src.transform.a, src.transform.d) * unit_m
        grid = grid_of(src, size, href="numbered.tif")
        reading = Reading(max_pixels=LARGE, resolution_m=size)
        found = clip_open(src, geometry, href="numbered.tif", reading=reading, keep_empty=True)
    coarse = {"crs": raster["crs"], "transform": grid.transform, "height": grid.height, "width": grid.width}
    assert_none_lost(found, geometry, coarse, all_touched=False)
    if found is None:
        return
    assert found.resolution == pytest.approx((size / unit_m, size / unit_m), rel=1e-6)
    rows, columns = np.indices(found.inside.shape)
    column, row = ~raster["transform"] * (found.transform * (columns + 0.5, rows + 0.5))
    near_a_seam = (np.abs(column - np.round(column)) < 1e-3) | (np.abs(row - np.round(row)) < 1e-3)
    column, row = np.floor(column).astype(int), np.floor(row).astype(int)
    on = (column >= 0) & (column < raster["width"]) & (row >= 0) & (row < raster["height"])
    expected = np.where(on & found.inside, row * raster["width"] + column + 1, 0)
    np.testing.assert_array_equal(found.data[0][~near_a_seam], expected[~near_a_seam])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(raster=rasters(plain=True), data=st.data())
def test_tiles_cut_anywhere_out_of_a_raster_make_the_raster(
    tmp_path_factory: pytest.TempPathFactory, raster: Raster, data: st.DataObject
) -> None:
    geometry = placed(data.draw(outlines(raster)), raster)
    folder = tmp_path_factory.mktemp("tiles")
    height, width = raster["height"], raster["width"]
    with numbered(raster) as memory, memory.open() as src:
        whole = src.read()
        single = clip_open(src, geometry, href="numbered.tif", reading=Reading(max_pixels=LARGE))
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    boxes = [(0, 0, row + 1, width), (row, 0, height, column + 1), (row, column, height, width)]
    sources: list[tuple[str, float | None]] = []
    for number, (top, left, bottom, right) in enumerate(data.draw(st.permutations(boxes))):
        part = whole[:, top:bottom, left:right]
        profile = {**raster, "height": part.shape[1], "width": part.shape[2]}
        profile["transform"] = raster["transform"] * Affine.translation(left, top)
        path = folder / f"{number}.tif"
        with rasterio.open(path, "w", driver="GTiff", count=1, dtype="int32", nodata=0, **profile) as dst:
            dst.write(part)
        sources.append((str(path), None))
    found = mosaic(sources, geometry, reading=Reading(max_pixels=LARGE))
    assert (found is None) == (single is None)
    if found is not None and single is not None:
        np.testing.assert_array_equal(found.data[0], np.where(found.inside, numbers_of(found, raster), 0))
        assert np.count_nonzero(found.inside != single.inside) <= np.count_nonzero(
            expected_of(geometry, raster, all_touched=False).here_undecided
        )
        assert abs(found.aoi_pixels - single.aoi_pixels) <= 2


EXACT: Raster = {
    "crs": "EPSG:4326",
    "transform": Affine(2**-13, 0, 15, 0, -(2**-13), 46),
    "height": 20,
    "width": 20,
}
"""A raster whose pixel edges are numbers that are stored without rounding."""


@pytest.mark.parametrize("corners", [(3, 4, 8, 9), (3, 4, 7.5, 9), (0, 0, 20, 20), (19, 19, 20, 20), (-3, 5, 4, 30)])
def test_an_edge_that_runs_along_a_pixels_touches_what_it_touches_on_the_whole_raster(
    corners: tuple[float, float, float, float],
) -> None:
    geometry = placed(box(*corners), EXACT)
    whole = geometry_mask([geometry], (20, 20), EXACT["transform"], invert=True, all_touched=True)
    with numbered(EXACT) as memory, memory.open() as src:
        reading = Reading(max_pixels=LARGE, all_touched=True)
        found = clip_open(src, geometry, href="numbered.tif", reading=reading)
    assert found is not None
    every = np.arange(1, 401).reshape(20, 20)
    assert sorted(found.data[0, found.inside].tolist()) == sorted(every[whole].tolist())
    np.testing.assert_array_equal(found.data[0], np.where(found.inside, numbers_of(found, EXACT), 0))


def test_all_touched_gives_the_centre_rules_pixels_and_those_around_them() -> None:
    geometry = placed(Point(10, 10).buffer(4.3), EXACT)
    with numbered(EXACT) as memory, memory.open() as src:
        by_centre, by_touch = (
            clip_open(src, geometry, href="numbered.tif", reading=Reading(max_pixels=LARGE, all_touched=touched))
            for touched in (False, True)
        )
    assert by_centre is not None and by_touch is not None
    assert by_centre.aoi_pixels < by_touch.aoi_pixels
    assert set(by_centre.data[0, by_centre.inside].tolist()) < set(by_touch.data[0, by_touch.inside].tolist())


@pytest.mark.parametrize("all_touched", [False, True])
def test_an_aoi_far_larger_than_the_raster_is_estimated_by_area(all_touched: bool) -> None:
    geometry = placed(Point(10, 10).buffer(3_000, quad_segs=2), EXACT)
    with numbered(EXACT) as memory, memory.open() as src:
        reading = Reading(max_pixels=LARGE, all_touched=all_touched)
        found = clip_open(src, geometry, href="numbered.tif", reading=reading)
    assert found is not None and found.valid_pixels == 400
    aoi = geometry_mask(
        [geometry],
        (6_100, 6_100),
        EXACT["transform"] * Affine.translation(-3_050, -3_050),
        invert=True,
        all_touched=all_touched,
    )
    assert found.aoi_pixels == pytest.approx(np.count_nonzero(aoi), rel=1e-4)


def test_an_aoi_whose_centres_are_all_beyond_the_raster_does_not_touch_its_way_in() -> None:
    raster = EXACT
    geometry = placed(shapely.box(-10, 5, 0.3, 8), raster)
    with numbered(raster) as memory, memory.open() as src:
        found = clip_open(src, geometry, href="numbered.tif", reading=Reading(max_pixels=LARGE))
        tiny = placed(shapely.box(-0.2, 5.1, 0.3, 5.3), raster)
        touched = clip_open(src, tiny, href="numbered.tif", reading=Reading(max_pixels=LARGE))

    assert found is None
    assert touched is not None and touched.valid_pixels == 1
