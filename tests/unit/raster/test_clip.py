"""Clips of rasters made on the spot: every kind of grid, nodata and mask, against rasterio and by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.mask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio import windows
from rasterio.enums import ColorInterp
from rasterio.features import geometry_mask, geometry_window
from rasterio.transform import Affine
from rasterio.warp import transform_geom
from shapely.geometry import Point, Polygon, mapping, shape

from imagery.errors import AssetMissing, ClipTooLarge, RasterError, RasterUnreadable
from imagery.raster.clip import Clip, clip, clip_many
from imagery.raster.reading import Reading

LARGE = 10**8
ANY = Reading(max_pixels=LARGE)
EAST, NORTH = 500_000, 5_100_000


def in_degrees(outline: Mapping[str, Any] | Polygon, crs: str = "EPSG:32633") -> dict[str, Any]:
    geometry = mapping(outline) if isinstance(outline, Polygon) else outline
    result: dict[str, Any] = transform_geom(crs, "EPSG:4326", geometry)
    return result


def pixels_box(left: float, top: float, right: float, bottom: float) -> dict[str, Any]:
    """An AOI in units of `write_raster`'s pixels from its upper left corner."""
    corners = [(left, top), (left, bottom), (right, bottom), (right, top)]
    return in_degrees(Polygon([(EAST + 10 * x, NORTH - 10 * y) for x, y in corners]))


def one(path: Path, geometry: dict[str, Any], **options: Any) -> Clip:
    clipped = clip(str(path), geometry, reading=Reading(max_pixels=LARGE, **options))
    assert clipped is not None
    return clipped


def counted(height: int = 20, width: int = 30, dtype: str = "uint16", bands: int = 1) -> np.ndarray:
    return (np.arange(bands * height * width) % 250 + 1).reshape(bands, height, width).astype(dtype)


def test_the_grid_and_the_values_are_the_sources(write_raster) -> None:
    data = counted(bands=3)
    clipped = one(write_raster(data, nodata=0), pixels_box(3.2, 4.2, 8.9, 6.9))
    assert clipped.data.shape == (3, 3, 6)
    assert clipped.transform == Affine(10, 0, EAST + 30, 0, -10, NORTH - 40)
    assert clipped.bounds == (EAST + 30, NORTH - 70, EAST + 90, NORTH - 40)
    assert clipped.resolution == (10, 10)
    np.testing.assert_array_equal(clipped.data[:, clipped.inside], data[:, 4:7, 3:9][:, clipped.inside])
    assert clipped.coverage == 1


def test_outside_the_aoi_is_nodata(write_raster) -> None:
    triangle = in_degrees(Polygon([(EAST, NORTH), (EAST + 100, NORTH - 100), (EAST, NORTH - 100)]))
    clipped = one(write_raster(counted(dtype="int16"), nodata=-9999), triangle)
    assert (clipped.data[:, ~clipped.inside] == -9999).all()
    assert (clipped.data[:, clipped.inside] != -9999).all()
    assert clipped.nodata == -9999 and clipped.nodata_declared


def test_an_aoi_smaller_than_a_pixel_gives_its_pixel(write_raster) -> None:
    data = counted()
    clipped = one(write_raster(data, nodata=0), pixels_box(7.1, 5.1, 7.2, 5.2))
    assert clipped.data.tolist() == [[[int(data[0, 5, 7])]]]
    assert clipped.aoi_pixels == clipped.valid_pixels == 1


def test_an_aoi_off_the_raster_or_on_nodata_only_gives_none(write_raster) -> None:
    data = counted()
    data[0, :, 15:] = 0
    path = str(write_raster(data, nodata=0))
    assert clip(path, pixels_box(40, 5, 50, 6), reading=ANY) is None
    assert clip(path, pixels_box(-3, 5, -1, 6), reading=ANY) is None
    assert clip(path, pixels_box(16, 5, 20, 8), reading=ANY) is None
    assert clip(path, pixels_box(14, 5, 20, 8), reading=ANY) is not None


def test_an_aoi_on_the_other_side_of_the_world_gives_none(write_raster) -> None:
    path = str(write_raster(counted(), nodata=0))
    for longitude, latitude in [(-165, 46), (105, 10), (-75, -80), (15, -46), (179, 89)]:
        square = Point(longitude, latitude).buffer(0.01, cap_style="square")
        assert clip(path, mapping(square), reading=ANY) is None


def test_coverage_counts_what_falls_off_the_raster_and_what_has_no_data(write_raster) -> None:
    data = counted()
    path = write_raster(data, nodata=0)
    half = one(path, pixels_box(20, 5, 40, 15))
    assert half.aoi_pixels == 200 and half.valid_pixels == 100
    data[0, 5:10, :] = 0
    assert one(write_raster(data, nodata=0), pixels_box(20, 5, 40, 15)).coverage == pytest.approx(0.25)


def test_too_large_a_window_is_refused_before_reading(write_raster) -> None:
    path = str(write_raster(counted(bands=2), nodata=0))
    with pytest.raises(ClipTooLarge, match="limit is 599"):
        clip(path, pixels_box(0.5, 0.5, 29.5, 9.5), reading=Reading(max_pixels=599))
    assert clip(path, pixels_box(0.5, 0.5, 29.5, 9.5), reading=Reading(max_pixels=600))


def test_one_failing_aoi_does_not_fail_the_others(write_raster) -> None:
    path = str(write_raster(counted(), nodata=0))
    aois = [pixels_box(1, 1, 3, 3), pixels_box(0, 0, 30, 20), pixels_box(50, 1, 60, 3), pixels_box(2, 2, 4, 4)]
    results = clip_many(path, aois, reading=Reading(max_pixels=100))
    assert [type(each) for each in results] == [Clip, ClipTooLarge, type(None), Clip]


def test_no_aois_open_nothing() -> None:
    assert clip_many("/nowhere.tif", [], reading=Reading(max_pixels=1)) == []


def test_a_file_that_is_gone_is_raised(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing):
        clip_many(str(tmp_path / "none.tif"), [pixels_box(0, 0, 1, 1)], reading=Reading(max_pixels=1))


def test_without_declared_nodata_zero_is_a_value(write_raster) -> None:
    data = counted(dtype="uint8")
    data[0, 5:8, 5:8] = 0
    path = write_raster(data)
    clipped = one(path, pixels_box(5, 5, 8, 8))
    assert (clipped.nodata, clipped.nodata_declared, clipped.coverage) == (0, False, 1)
    assert clip(str(path), pixels_box(5, 5, 8, 8), reading=Reading(nodata=0, max_pixels=LARGE)) is None
    declared = one(path, pixels_box(5, 5, 10, 8), nodata=0)
    assert declared.nodata_declared and declared.valid_pixels == 6


def test_a_declared_nodata_wins_over_the_callers_and_one_that_does_not_fit_is_passed_over(write_raster) -> None:
    assert one(write_raster(counted(), nodata=7), pixels_box(1, 1, 3, 3), nodata=9).nodata == 7
    clipped = one(write_raster(counted(dtype="uint8")), pixels_box(1, 1, 3, 3), nodata=-9999)
    assert (clipped.nodata, clipped.nodata_declared) == (0, False)


@pytest.mark.parametrize("nodata", [float("nan"), -9999.0, None])
def test_nan_is_never_valid(write_raster, nodata: float | None) -> None:
    data = counted(dtype="float32")
    data[0, 5, 5:8] = np.nan
    clipped = one(write_raster(data, nodata=nodata), pixels_box(4, 4, 9, 9))
    assert clipped.aoi_pixels - clipped.valid_pixels == 3
    assert clip(str(write_raster(data, nodata=nodata)), pixels_box(5, 5, 8, 6), reading=ANY) is None


def test_an_internal_mask_is_heeded(write_raster) -> None:
    mask = np.full((20, 30), 255, dtype=np.uint8)
    mask[5:8, 5:8] = 0
    path = write_raster(counted(), mask=mask)
    clipped = one(path, pixels_box(5, 5, 10, 8))
    assert clipped.valid_pixels == 6
    assert clip(str(path), pixels_box(5, 5, 8, 8), reading=ANY) is None


def test_an_alpha_band_is_heeded_and_kept(write_raster) -> None:
    data = counted(bands=4, dtype="uint8")
    data[3] = 255
    data[3, 5:8, 5:8] = 0
    path = write_raster(data, photometric="RGB", alpha="YES")
    clipped = one(path, pixels_box(5, 5, 10, 8))
    assert clipped.colorinterp[3] == ColorInterp.alpha
    assert clipped.valid_pixels == 6


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_cannot_be_placed_is_unreadable(write_raster) -> None:
    for profile in ({"crs": None}, {"transform": Affine.identity()}):
        with pytest.raises(RasterUnreadable):
            clip(str(write_raster(counted(), **profile)), pixels_box(1, 1, 3, 3), reading=ANY)
    with pytest.raises(RasterUnreadable, match="complex"):
        clip(str(write_raster(counted(dtype="complex64"))), pixels_box(1, 1, 3, 3), reading=ANY)


FIJI = {
    "type": "MultiPolygon",
    "coordinates": [
        [[[179.9, -17.1], [180.0, -17.1], [180.0, -17.0], [179.9, -17.0], [179.9, -17.1]]],
        [[[-180.0, -17.1], [-179.9, -17.1], [-179.9, -17.0], [-180.0, -17.0], [-180.0, -17.1]]],
    ],
}


@pytest.mark.parametrize(("crs", "east"), [("EPSG:32760", 800_000), ("EPSG:32701", 160_000)])
def test_an_aoi_across_the_antimeridian_is_one_piece_in_utm(write_raster, crs: str, east: float) -> None:
    path = write_raster(counted(300, 400), crs=crs, transform=Affine(100, 0, east, 0, -100, 8_130_000), nodata=0)
    clipped = one(path, FIJI)
    assert clipped.coverage == pytest.approx(1, abs=0.01)
    assert clipped.inside.shape[1] < 220
    assert clipped.valid_pixels == pytest.approx(21_300 * 11_070 / 1e4, rel=0.02)


def test_an_aoi_across_the_antimeridian_on_a_worldwide_raster_is_refused_with_the_reason(write_raster) -> None:
    world = Affine(0.01, 0, -180, 0, -0.01, -16)
    path = str(write_raster(counted(200, 36_000, "uint8"), crs="EPSG:4326", transform=world, nodata=0))
    with pytest.raises(ClipTooLarge, match="antimeridian"):
        clip(path, FIJI, reading=Reading(max_pixels=100_000))
    part = {"type": "Polygon", "coordinates": FIJI["coordinates"][1]}
    assert clip(path, part, reading=Reading(max_pixels=100_000)) is not None


def test_an_aoi_across_the_antimeridian_gives_its_half_on_a_raster_of_one_side(write_raster) -> None:
    side = Affine(0.01, 0, 179, 0, -0.01, -16)
    path = write_raster(counted(200, 100, "uint8"), crs="EPSG:4326", transform=side, nodata=0)
    assert one(path, FIJI).coverage == pytest.approx(0.5, abs=0.02)


def expected(src: Any, geometry: dict[str, Any]) -> tuple[np.ndarray, Affine] | None:
    aoi = transform_geom("EPSG:4326", src.crs, geometry)
    window = geometry_window(src, [aoi], boundless=True)
    place, size = windows.transform(window, src.transform), (int(window.height), int(window.width))
    holds_a_centre = geometry_mask([aoi], size, place, invert=True).any()
    for all_touched in (False,) if holds_a_centre else (False, True):
        try:
            outside, _, _ = rasterio.mask.raster_geometry_mask(src, [aoi], crop=True, all_touched=all_touched)
        except ValueError:
            return None
        if not outside.all():
            data, transform = rasterio.mask.mask(src, [aoi], crop=True, all_touched=all_touched)
            return data, transform
    return None


CRSES = ["EPSG:32633", "EPSG:3857", "EPSG:4326", "EPSG:3035"]
PROFILES = [("uint8", None), ("uint8", 0), ("uint16", 0), ("int16", -1), ("float32", float("nan")), ("float32", -9.0)]


@st.composite
def rasters(draw: st.DrawFn) -> tuple[np.ndarray, dict[str, Any]]:
    crs = draw(st.sampled_from(CRSES))
    size = 1e-4 if crs == "EPSG:4326" else 10.0
    x, y = transform_geom("EPSG:4326", crs, {"type": "Point", "coordinates": (15.0, 46.0)})["coordinates"]
    turned = draw(st.sampled_from([0, 0, 0, 10, 45, 90, 200]))
    upright = draw(st.sampled_from([-1, -1, -1, 1]))
    across, down = size, upright * size * draw(st.sampled_from([1, 2]))
    cosine, sine = math.cos(math.radians(turned)), math.sin(math.radians(turned))
    transform = Affine(cosine * across, -sine * down, x, sine * across, cosine * down, y)
    dtype, nodata = draw(st.sampled_from(PROFILES))
    shape_ = (draw(st.integers(1, 2)), draw(st.integers(1, 25)), draw(st.integers(1, 25)))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 4, shape_).astype(dtype)
    return values, {"crs": crs, "transform": transform, "nodata": nodata}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raster=rasters(), data=st.data())
def test_any_raster_and_polygon_give_what_rasterio_gives(write_raster, raster: Any, data: st.DataObject) -> None:
    values, profile = raster
    _, height, width = values.shape
    column = data.draw(st.floats(-3, width + 3))
    row = data.draw(st.floats(-3, height + 3))
    radius = data.draw(st.sampled_from([0.05, 0.4, 1.3, 6.0, 20.0]))
    corners = data.draw(st.integers(1, 6))
    outline = Point(column, row).buffer(radius, quad_segs=corners)
    a, b, c, d, e, f = profile["transform"][:6]
    placed = Polygon([(a * x + b * y + c, d * x + e * y + f) for x, y in outline.exterior.coords])
    geometry = in_degrees(placed, profile["crs"])
    path = write_raster(values, **profile)
    ours = clip(str(path), geometry, reading=ANY)
    with rasterio.open(path) as src:
        theirs = expected(src, geometry)
    if ours is None:
        fill = profile["nodata"] or 0
        assert theirs is None or np.isnan(theirs[0]).all() or (theirs[0] == fill).all()
        return
    assert theirs is not None
    np.testing.assert_array_equal(ours.data, theirs[0])
    assert ours.transform == theirs[1]
    assert 0 < ours.coverage <= 1
    assert ours.valid_pixels <= np.count_nonzero(ours.inside) <= ours.aoi_pixels


def test_errors_are_of_the_house() -> None:
    assert issubclass(ClipTooLarge, RasterError)
    assert shape(pixels_box(0, 0, 1, 1)).is_valid


def test_an_area_of_nodata_only_is_told_from_one_beyond_the_raster_when_asked_for(write_raster) -> None:
    href = str(write_raster(np.zeros((1, 50, 50), "uint8"), nodata=0))
    here = {
        "type": "Polygon",
        "coordinates": [[[15.001, 46.052], [15.003, 46.052], [15.003, 46.053], [15.001, 46.052]]],
    }
    away = {
        "type": "Polygon",
        "coordinates": [[[16.001, 46.052], [16.003, 46.052], [16.003, 46.053], [16.001, 46.052]]],
    }
    empty, beyond = clip_many(href, [here, away], reading=Reading(max_pixels=10**6), keep_empty=True)
    assert isinstance(empty, Clip) and empty.valid_pixels == 0 and empty.coverage == 0 and not empty.data.any()
    assert beyond is None
    assert clip_many(href, [here, away], reading=Reading(max_pixels=10**6)) == [None, None]
