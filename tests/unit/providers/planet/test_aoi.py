"""The area that is ordered: no smaller than what was asked for, and no more corners than Planet takes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import shapely
import shapely.affinity
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box, mapping, shape

from imagery.providers.planet.aoi import MAX_VERTICES, clip_aoi, simplified

from .conftest import square


def star(corners: int, *, x: float = 15.0, y: float = 46.0, radius: float = 0.05, depth: float = 0.5) -> Polygon:
    angles = [2 * math.pi * number / corners for number in range(corners)]
    radii = [radius * (1 if number % 2 else depth) for number in range(corners)]
    return Polygon([(x + r * math.cos(a), y + r * math.sin(a)) for a, r in zip(angles, radii, strict=True)])


def vertices(geometry: dict[str, Any]) -> int:
    return int(shapely.get_num_coordinates(shape(geometry)))


def holds(coarse: dict[str, Any], area: Any) -> bool:
    outline = shape(coarse)
    return bool(outline.is_valid and outline.covers(area) and vertices(coarse) <= MAX_VERTICES)


def test_a_small_area_stays_as_it_is() -> None:
    assert simplified(square()) == (square(), None)


@given(
    corners=st.integers(800, 1000).map(lambda half: 2 * half),
    depth=st.floats(0.05, 0.99),
    radius=st.floats(1e-4, 2.0),
    latitude=st.floats(-80.0, 80.0),
    hole=st.booleans(),
)
@settings(max_examples=5, deadline=None)
def test_what_was_asked_for_is_inside(corners: int, depth: float, radius: float, latitude: float, hole: bool) -> None:
    outline = star(corners, y=latitude, radius=radius, depth=depth)
    if hole:
        outline = Polygon(outline.exterior, [star(800, y=latitude, radius=radius * depth / 2, depth=0.9).exterior])
    coarse, remark = simplified(mapping(outline))
    assert holds(coarse, outline)
    assert remark is not None
    assert "vertices" in remark
    assert shape(coarse).area <= max(outline.convex_hull.area, outline.area) * 1.05


def test_simplifying_costs_little_area() -> None:
    coastline = star(4000, radius=0.2, depth=0.999)
    coarse, _ = simplified(mapping(coastline))
    assert shape(coarse).area < coastline.area * 1.005


def test_many_parts_are_held_without_what_lies_between_them_where_that_can_be() -> None:
    parts = MultiPolygon(
        [star(30, x=15.0 + 0.01 * i, y=46.0 + 0.01 * j, radius=0.003) for i in range(9) for j in range(9)]
    )
    far = MultiPolygon([*parts.geoms, star(30, x=20.0)])
    coarse, _ = simplified(mapping(far))
    assert holds(coarse, far)
    assert shape(coarse).area < far.convex_hull.area / 2


def a_field(number: int, corners: int, wobble: float) -> Polygon:
    """One of many in a row of twenty, with some of the corners further in than others."""
    x, y = 15 + 0.02 * (number % 20), 46 + 0.02 * (number // 20)
    angles = [2 * math.pi * corner / corners + number for corner in range(corners)]
    radii = [0.004 * (1 - wobble * ((corner * 7 + number * 3) % 5) / 5) for corner in range(corners)]
    return Polygon([(x + r * math.cos(a), y + r * math.sin(a)) for r, a in zip(radii, angles, strict=True)])


@given(corners=st.integers(8, 40), wobble=st.floats(0.0, 0.3), stretch=st.floats(0.3, 3.0))
@settings(max_examples=6, deadline=None)
def test_many_fields_cost_little_more_than_their_own_area(corners: int, wobble: float, stretch: float) -> None:
    fields = [shapely.affinity.scale(a_field(one, corners, wobble), 1.0, stretch) for one in range(200)]
    wanted = shapely.union_all(fields)
    coarse, _ = clip_aoi([mapping(one) for one in fields])
    assert holds(coarse, wanted)
    assert shape(coarse).area <= 1.5 * wanted.area


def test_more_fields_than_there_are_vertices_for_are_joined_with_their_neighbours() -> None:
    pairs = [(15 + 0.02 * (n % 30), 46 + 0.02 * (n // 30)) for n in range(250)]
    fields = [star(12, x=x + dx, y=y, radius=0.002) for x, y in pairs for dx in (0.0, 0.005)]
    wanted = shapely.union_all(fields)
    coarse, _ = clip_aoi([mapping(one) for one in fields])
    assert holds(coarse, wanted)
    assert shape(coarse).area < wanted.envelope.area / 4


def test_an_area_over_the_antimeridian_does_not_go_round_the_globe() -> None:
    both = MultiPolygon(
        [box(179.9, -10, 180, -9), box(-180, -10, -179.9, -9)]
        + [star(800, x=x, y=-12.0, radius=0.05) for x in (179.95, -179.95)]
    )
    split = both.intersection(box(-180, -90, 180, 90))
    coarse, _ = simplified(mapping(split))
    assert holds(coarse, split)
    assert shape(coarse).bounds[0] >= -180
    assert shape(coarse).bounds[2] <= 180
    assert shape(coarse).area < 2.0


def test_areas_of_several_subscriptions_become_one() -> None:
    near, remark = clip_aoi([square(), square(west=15.05)])
    assert (near["type"], remark) == ("Polygon", None)
    far, _ = clip_aoi([square(), square(west=16.0)])
    assert far["type"] == "MultiPolygon"
    assert vertices(far) == 10


def test_a_thousand_fields_are_ordered_in_one() -> None:
    fields = [square(west=15 + 0.01 * (n % 40), south=46 + 0.01 * (n // 40), side=0.004) for n in range(1000)]
    coarse, remark = clip_aoi(fields)
    assert holds(coarse, shapely.union_all([shape(one) for one in fields]))
    assert remark is not None


@pytest.mark.parametrize("kind", ["bowtie", "with a line"])
def test_an_odd_outline_is_mended(kind: str) -> None:
    bowtie = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    spike = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [1, 3], [1, 1], [0, 1], [0, 0]]]}
    found, _ = simplified(bowtie if kind == "bowtie" else spike)
    assert shape(found).is_valid
    assert shape(found).area > 0
