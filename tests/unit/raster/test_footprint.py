"""Footprints: the AOI where there is data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rasterio.transform import Affine
from shapely.geometry import shape

from imagery.raster.clip import Clip, clip
from imagery.raster.footprint import footprint
from imagery.raster.reading import Reading

AOI = {
    "type": "Polygon",
    "coordinates": [[[15.001, 46.04], [15.02, 46.04], [15.02, 46.05], [15.001, 46.05], [15.001, 46.04]]],
}


def clipped(write_raster: Any, data: np.ndarray, geometry: dict[str, Any] = AOI, **profile: Any) -> Clip:
    result = clip(str(write_raster(data, **{"nodata": 0, **profile})), geometry, reading=Reading(max_pixels=10**8))
    assert result is not None
    return result


def assert_well_formed(geometry: dict[str, Any]) -> None:
    outline = shape(geometry)
    assert outline.is_valid and not outline.is_empty
    for part in getattr(outline, "geoms", (outline,)):
        assert part.exterior.is_ccw
        assert all(not hole.is_ccw for hole in part.interiors)


def test_it_is_the_aoi_itself_when_all_of_it_has_data(write_raster) -> None:
    assert footprint(clipped(write_raster, np.ones((1, 300, 300), dtype=np.uint8)), AOI) == AOI


def test_it_is_cut_at_the_edge_of_the_raster(write_raster) -> None:
    cut = clipped(write_raster, np.ones((1, 300, 90), dtype=np.uint8))
    geometry = footprint(cut, AOI)
    assert_well_formed(geometry)
    assert shape(geometry).bounds[2] == pytest.approx(15 + 900 / 77_400, abs=1e-4)
    assert shape(geometry).area / shape(AOI).area == pytest.approx(cut.coverage, abs=0.01)


def test_it_has_no_part_where_there_is_no_data(write_raster) -> None:
    data = np.ones((1, 300, 300), dtype=np.uint8)
    data[0, 100:140, 50:70] = 0
    holed = clipped(write_raster, data)
    geometry = footprint(holed, AOI)
    assert_well_formed(geometry)
    assert shape(geometry).area / shape(AOI).area == pytest.approx(holed.coverage, abs=0.01)
    assert shape(geometry).within(shape(AOI).buffer(1e-6))


def test_one_valid_pixel_is_enough(write_raster) -> None:
    data = np.zeros((1, 300, 300), dtype=np.uint8)
    data[0, 120, 60] = 1
    geometry = footprint(clipped(write_raster, data), AOI)
    assert_well_formed(geometry)
    assert shape(geometry).area < shape(AOI).area / 1000


def test_speckled_data_give_an_outline_of_bounded_size(write_raster) -> None:
    data = np.random.default_rng(2).integers(0, 2, (1, 3000, 3000)).astype("uint8")
    geometry = footprint(clipped(write_raster, data, transform=Affine(0.5, 0, 500_000, 0, -0.5, 5_100_000)), AOI)
    assert_well_formed(geometry)
    assert len(str(geometry)) < 2_000_000


FIJI = {
    "type": "MultiPolygon",
    "coordinates": [
        [[[179.9, -17.1], [180.0, -17.1], [180.0, -17.0], [179.9, -17.0], [179.9, -17.1]]],
        [[[-180.0, -17.1], [-179.9, -17.1], [-179.9, -17.0], [-180.0, -17.0], [-180.0, -17.1]]],
    ],
}


@pytest.mark.parametrize(("crs", "east"), [("EPSG:32760", 800_000), ("EPSG:32701", 160_000)])
def test_across_the_antimeridian_each_part_stays_on_its_side(write_raster, crs: str, east: float) -> None:
    data = np.ones((1, 300, 400), dtype=np.uint8)
    data[0, 150:155] = 0
    grid = Affine(100, 0, east, 0, -100, 8_130_000)
    geometry = footprint(clipped(write_raster, data, FIJI, crs=crs, transform=grid), FIJI)
    assert_well_formed(geometry)
    for part in shape(geometry).geoms:
        assert part.bounds[2] - part.bounds[0] < 0.11
    assert shape(geometry).within(shape(FIJI).buffer(1e-4))
    assert shape(geometry).area > 0.9 * shape(FIJI).area
