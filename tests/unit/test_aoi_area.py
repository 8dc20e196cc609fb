"""Areas on the ellipsoid against values others have published, and against geodesic areas where pyproj is there."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from imagery.model.aoi import parse_aoi
from imagery.model.ellipsoid import area_km2

WGS84_SURFACE_KM2 = 510_065_621.724


def box(west: float, south: float, east: float, north: float) -> list[tuple[float, float]]:
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


def test_a_hemisphere_of_boxes_is_half_of_the_ellipsoid() -> None:
    area = sum(area_km2(box(west, 0, west + 10, 90)) for west in range(-180, 180, 10))
    assert area == pytest.approx(WGS84_SURFACE_KM2 / 2, rel=1e-9)


@pytest.mark.parametrize(
    ("latitude", "expected_km2"),
    [
        # 1° x 1° on WGS 84: published with 111.320 km a degree of longitude and 110.574 km of latitude at the equator.
        (0, 12_308.8),
        (45, 8_686.9),
    ],
)
def test_a_degree_cell_has_its_published_area(latitude: float, expected_km2: float) -> None:
    assert area_km2(box(10, latitude, 11, latitude + 1)) == pytest.approx(expected_km2, rel=0.01)


def test_a_hole_is_taken_off_and_winding_does_not_matter() -> None:
    outer, inner = box(0, 40, 1, 41), box(0.2, 40.2, 0.4, 40.4)
    assert area_km2(outer, [inner]) == pytest.approx(area_km2(outer) - area_km2(inner))
    assert area_km2(outer[::-1], [inner[::-1]]) == pytest.approx(area_km2(outer, [inner]))


def test_a_hectare_is_a_hectare_anywhere() -> None:
    e2 = (1 / 298.257223563) * (2 - 1 / 298.257223563)
    for latitude in (-75.0, -30.0, 0.0, 46.05, 60.0, 83.0):
        sine = math.sin(math.radians(latitude))
        across = math.degrees(50 / (6_378_137 * math.cos(math.radians(latitude)) / math.sqrt(1 - e2 * sine**2)))
        along = math.degrees(50 / (6_378_137 * (1 - e2) / (1 - e2 * sine**2) ** 1.5))
        square = box(179 - across, latitude - along, 179 + across, latitude + along)
        assert area_km2(square) == pytest.approx(0.01, rel=1e-5)


def test_real_parcels_have_their_geodesic_area(shared_data: Path) -> None:
    pyproj = pytest.importorskip("pyproj")
    geod = pyproj.Geod(ellps="WGS84")
    parcels = json.loads((shared_data / "fields/parcels_slovenia_over_33TWM_33TWL.geojson").read_text())
    for parcel in parcels["features"]:
        aoi, _ = parse_aoi(parcel, max_vertices=10_000, max_area_km2=1e4)
        theirs = 0.0
        coordinates = parcel["geometry"]["coordinates"]
        for rings in coordinates if parcel["geometry"]["type"] == "MultiPolygon" else [coordinates]:
            areas = [abs(geod.polygon_area_perimeter(*zip(*ring, strict=True))[0]) for ring in rings]
            theirs += areas[0] - sum(areas[1:])
        assert aoi.area_km2 == pytest.approx(theirs / 1e6, rel=1e-4)
