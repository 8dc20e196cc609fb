"""AOIs grown and shrunk by metres, measured on the ellipsoid."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import get_num_coordinates
from shapely.geometry import Polygon, box, mapping, shape

from imagery.errors import AoiInvalid
from imagery.model.aoi import parse_aoi
from imagery.raster.area import buffered

EQUATORIAL_M, FLATTENING = 6_378_137.0, 1 / 298.257223563


def metres_a_degree(latitude: float) -> tuple[float, float]:
    """(east, north), of the WGS 84 ellipsoid's radii of curvature."""
    e2 = FLATTENING * (2 - FLATTENING)
    root = 1 - e2 * math.sin(math.radians(latitude)) ** 2
    east = EQUATORIAL_M / math.sqrt(root) * math.cos(math.radians(latitude))
    return math.radians(east), math.radians(EQUATORIAL_M * (1 - e2) / root**1.5)


def rectangle(longitude: float, latitude: float, width_m: float, height_m: float) -> Polygon:
    east, north = metres_a_degree(latitude)
    across, up = width_m / east / 2, height_m / north / 2
    return box(longitude - across, latitude - up, longitude + across, latitude + up)


def grown(outline: Any, metres: float) -> dict[str, Any]:
    found = buffered(outline if isinstance(outline, dict) else mapping(outline), metres)
    assert found is not None
    return found


def area_m2(geometry: dict[str, Any]) -> float:
    aoi, remarks = parse_aoi(geometry, max_vertices=100_000, max_area_km2=1e9)
    assert not remarks, remarks  # valid, and wound and split as RFC 7946 asks
    return aoi.area_km2 * 1e6


PLACES = [(15, 46), (0, 0), (-70, -55), (20, 69), (25, 80), (100, -84), (180, 10), (-180, -60), (179.9999, 66)]


@pytest.mark.parametrize(("longitude", "latitude"), PLACES)
@pytest.mark.parametrize("metres", [1, 20, 500])
def test_growing_adds_its_border_and_round_corners_anywhere(longitude: float, latitude: float, metres: float) -> None:
    width, height = 40 * metres, 25 * metres
    outline = parse_aoi(mapping(rectangle(longitude, latitude, width, height)), max_vertices=9, max_area_km2=1e9)[0]
    added = area_m2(grown(outline.geometry, metres)) - outline.area_km2 * 1e6
    assert added == pytest.approx(2 * (width + height) * metres + math.pi * metres**2, rel=0.01)


@pytest.mark.parametrize(("longitude", "latitude"), PLACES)
@pytest.mark.parametrize("metres", [1, 20, 500])
def test_shrinking_takes_its_border_off_anywhere(longitude: float, latitude: float, metres: float) -> None:
    width, height = 40 * metres, 25 * metres
    outline = parse_aoi(mapping(rectangle(longitude, latitude, width, height)), max_vertices=9, max_area_km2=1e9)[0]
    left = area_m2(grown(outline.geometry, -metres))
    assert outline.area_km2 * 1e6 - left == pytest.approx((2 * (width + height) - 4 * metres) * metres, rel=0.01)


@pytest.mark.parametrize(("longitude", "latitude"), [(15, 46), (20, 69), (-70, -80)])
def test_long_edges_are_grown_along_themselves(longitude: float, latitude: float) -> None:
    """A parallel is no straight line on the ground: grown by its ends alone, its middle would stray."""
    outline = rectangle(longitude, latitude, 80_000, 60_000)
    ring = shape(grown(outline, 100)).exterior
    north = metres_a_degree(outline.bounds[3])[1]
    west, _, east, top = outline.bounds
    for part in (0.1, 0.3, 0.5, 0.8):
        here = Polygon(ring).intersection(
            box(west + part * (east - west) - 1e-7, top - 1, west + part * (east - west), 90)
        )
        assert (here.bounds[3] - top) * north == pytest.approx(100, rel=0.01)


def test_nothing_is_left_of_a_field_narrower_than_what_is_taken() -> None:
    assert buffered(mapping(rectangle(15, 46, 100, 19)), -10) is None
    assert buffered(mapping(rectangle(15, 46, 100, 21)), -10) is not None


def test_no_buffer_is_the_same_area() -> None:
    outline = mapping(rectangle(15, 46, 100, 20))
    assert buffered(outline, 0) == dict(outline)


def test_holes_shrink_as_the_field_grows_and_parts_become_one() -> None:
    field, hole = rectangle(15, 46, 400, 400), rectangle(15, 46, 100, 100)
    ring = Polygon(field.exterior, [hole.exterior])
    assert len(shape(grown(ring, 40)).interiors) == 1
    assert not shape(grown(ring, 60)).interiors
    beside = box(15.003, 45.9999, 15.0035, 46)
    parts = {"type": "MultiPolygon", "coordinates": [mapping(each)["coordinates"] for each in (field, beside)]}
    assert grown(parts, 5)["type"] == "MultiPolygon"
    assert grown(parts, 50)["type"] == "Polygon"


def test_halves_that_meet_at_the_antimeridian_are_shrunk_as_one() -> None:
    halves, _ = parse_aoi(mapping(rectangle(180, -17, 4_000, 2_000)), max_vertices=9, max_area_km2=1e9)
    left = grown(halves.geometry, -100)
    assert area_m2(left) == pytest.approx(3_800 * 1_800, rel=0.002)
    assert {edge for part in shape(left).geoms for edge in part.bounds[::2]} >= {-180.0, 180.0}


def test_what_grows_over_the_antimeridian_is_split_there_and_meets_what_lies_beyond() -> None:
    east, _ = metres_a_degree(-17)
    single = box(179.99, -17.01, 180 - 20 / east, -17)
    assert len(shape(grown(single, 50)).geoms) == 2
    neighbour = box(-180 + 20 / east, -17.01, -179.99, -17)
    both = {"type": "MultiPolygon", "coordinates": [mapping(each)["coordinates"] for each in (single, neighbour)]}
    assert len(shape(grown(both, 50)).geoms) == 2


@pytest.mark.parametrize("latitude", [89.99, -89.99])
def test_a_pole_is_refused(latitude: float) -> None:
    near = box(10, min(latitude, latitude * 0.9999), 12, max(latitude, latitude * 0.9999))
    with pytest.raises(AoiInvalid, match="pole"):
        buffered(mapping(near), 5_000)
    assert buffered(mapping(near), 10) is not None


def test_parts_too_wide_for_a_true_buffer_are_refused() -> None:
    for wide in (box(0, 0, 40, 10), box(-179, 0, 179, 10), box(-180, 60, 180, 61)):
        with pytest.raises(AoiInvalid, match="split"):
            buffered(mapping(wide), 100)


def test_real_fields_keep_few_vertices_and_grow_by_what_is_asked(shared_data: Path) -> None:
    fields = json.loads((shared_data / "fields/parcels_slovenia_over_33TWM_33TWL.geojson").read_text())["features"]
    for field in fields:
        before = shape(field["geometry"])
        after = shape(grown(field["geometry"], 20))
        assert after.is_valid and after.contains(before)
        assert get_num_coordinates(after) <= 4 * get_num_coordinates(before) + 48
        back = buffered(mapping(after), -20)
        assert back is not None and shape(back).buffer(4e-6).contains(before)


outlines = st.builds(
    lambda x, y, points: (x, y, points),
    st.floats(-180, 180),
    st.floats(-85, 85),
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=3, max_size=9, unique=True),
)


@settings(max_examples=60, deadline=None)
@given(outline=outlines, metres=st.sampled_from([-300, -20, -1, 1, 20, 300, 5_000]))
def test_any_field_anywhere_gives_a_valid_area_around_or_within_it(outline: Any, metres: float) -> None:
    longitude, latitude, points = outline
    east, north = metres_a_degree(latitude)
    around = Polygon([(longitude + 1_000 * x / east, latitude + 1_000 * y / north) for x, y in points]).convex_hull
    if around.area < 1e-9:
        return
    before, _ = parse_aoi(mapping(around), max_vertices=99, max_area_km2=1e9)
    after = buffered(before.geometry, metres)
    if after is None:
        assert metres < 0
        return
    larger, smaller = (after, before.geometry) if metres > 0 else (before.geometry, after)
    assert area_m2(larger) > area_m2(smaller)
    outside = shape(smaller).difference(shape(larger))
    assert outside.area <= 1e-9 * max(shape(smaller).area, 1e-9) or outside.area < shape(smaller).length * 1e-8


def star(corners: int) -> Polygon:
    """Of so many corners, every other one 300 m further out, 3 km from its middle."""
    east, north = metres_a_degree(46)
    ways = [2 * math.pi * number / corners for number in range(corners)]
    far = [3_000 + 300 * (number % 2) for number in range(corners)]
    return Polygon(
        [(15 + r * math.cos(way) / east, 46 + r * math.sin(way) / north) for r, way in zip(far, ways, strict=True)]
    )


def test_an_outline_of_many_corners_is_grown_in_steps_and_comes_out_the_same() -> None:
    area = area_m2(grown(star(4_000), 500))
    assert area == pytest.approx(math.pi * 3_800**2, rel=0.003)


def test_more_vertices_than_anyone_can_use_are_refused() -> None:
    with pytest.raises(AoiInvalid, match="simplify"):
        buffered(mapping(star(4_000)), 0.5)
