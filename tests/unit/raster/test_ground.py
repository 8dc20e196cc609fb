"""What a pixel measures on the ground."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.warp import transform

from imagery.raster.ground import ground_resolution_m
from tests.unit.raster.test_cog import make_clip


def clip_at(crs: str, longitude: float, latitude: float, pixel: float) -> Any:
    xs, ys = transform("EPSG:4326", crs, [longitude], [latitude])
    grid = from_origin(xs[0], ys[0], pixel, pixel)
    return make_clip(np.ones((1, 4, 4), "uint8"), crs=CRS.from_user_input(crs), transform=grid)


@pytest.mark.parametrize(
    ("crs", "place", "pixel", "metres"),
    [
        ("EPSG:32633", (15.0, 46.0), 10, 10),
        ("EPSG:2263", (-74.0, 40.7), 2, 0.6096012),  # New York in US survey feet
        ("EPSG:3035", (10.0, 52.0), 20, 20),
        ("EPSG:3857", (15.0, 46.0), 10, None),
        ("EPSG:3395", (15.0, 46.0), 10, None),
        ("EPSG:6933", (15.0, 60.0), 10, None),
        ("EPSG:4326", (15.0, 46.0), 0.0001, None),
    ],
)
def test_it_is_told_in_metres_where_it_is_true(
    crs: str, place: tuple[float, float], pixel: float, metres: float | None
) -> None:
    found = ground_resolution_m(clip_at(crs, *place, pixel))

    assert found == (None if metres is None else pytest.approx(metres, rel=1e-6))
