"""A place worth trying: a square well inside the pixels that a sandbox's rasters really hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform_geom
from shapely.geometry import MultiPoint, mapping, shape
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from imagery.errors import InvalidInput
from imagery.sandbox.rasters import WGS84, is_raster, placed, scaled
from imagery.sandbox.scenes import Scenes

SAMPLES = 128
"""Pixels a side of the small copies of the rasters that candidates are tried on."""

CELLS = 12
"""Candidates a side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Copy:
    """Which pixels of a raster hold data, at low resolution."""

    crs: Any
    transform: Affine
    valid: NDArray[np.bool_]

    def holds(self, geometry: dict[str, Any]) -> bool:
        """Whether everything under the geometry's box is data."""
        west, south, east, north = shape(transform_geom(WGS84, self.crs, geometry)).bounds
        inverse = ~self.transform
        corners = [placed(inverse, x, y) for x in (west, east) for y in (south, north)]
        columns, rows = [corner[0] for corner in corners], [corner[1] for corner in corners]
        first_row, last_row = int(np.floor(min(rows))), int(np.ceil(max(rows)))
        first, last = int(np.floor(min(columns))), int(np.ceil(max(columns)))
        height, width = self.valid.shape
        if first_row < 0 or first < 0 or last_row > height or last > width:
            return False
        return bool(self.valid[first_row:last_row, first:last].all())


def default_aoi(scenes: Scenes) -> dict[str, Any]:
    """GeoJSON Polygon, the one the scenes came with or a square that as many of them as possible fill with data.

    Where the scenes really lie is read from the rasters: their items may still describe the whole tile. Raises
    InvalidInput when no raster holds a square of data.
    """
    if scenes.aoi is not None:
        return scenes.aoi
    copies = [
        copy
        for scene in scenes.scenes
        if scene.collection == scenes.main_collection and (copy := _copy(next(_rasters(scene.files)))) is not None
    ]
    best: tuple[int, float, dict[str, Any]] | None = None
    for grid in {(str(copy.crs), copy.transform): copy for copy in copies}.values():
        for distance, candidate in _candidates(grid):
            score = (sum(copy.holds(candidate) for copy in copies), -distance)
            if score[0] and (best is None or score > best[:2]):
                best = (*score, candidate)
    if best is None:
        raise InvalidInput("no raster holds a square of data to try; name an area of your own", field="aoi")
    return best[2]


def _rasters(files: Any) -> Iterator[Path]:
    return (file for file in files.values() if is_raster(file))


def _copy(path: Path) -> _Copy | None:
    with rasterio.open(path) as raster:
        if raster.crs is None:
            return None
        shape_out = (min(SAMPLES, raster.height), min(SAMPLES, raster.width))
        valid = raster.read_masks(1, out_shape=shape_out) > 0
        transform = scaled(raster.transform, raster.width / shape_out[1], raster.height / shape_out[0])
        return _Copy(crs=raster.crs, transform=transform, valid=valid)


def _candidates(grid: _Copy) -> Iterator[tuple[float, dict[str, Any]]]:
    """(distance from the centre, square) over a raster, each a third of its cell wide."""
    height, width = grid.valid.shape
    for cell_row in range(CELLS):
        for cell in range(CELLS):
            middle_row, middle = (cell_row + 0.5) / CELLS, (cell + 0.5) / CELLS
            half = 1 / 6 / CELLS
            left, top = (middle - half) * width, (middle_row - half) * height
            right, bottom = (middle + half) * width, (middle_row + half) * height
            corners = [placed(grid.transform, column, row) for column in (left, right) for row in (top, bottom)]
            yield (
                abs(middle_row - 0.5) + abs(middle - 0.5),
                _in_degrees(MultiPoint(corners).convex_hull, grid.crs),
            )


def _in_degrees(square: BaseGeometry, crs: Any) -> dict[str, Any]:
    turned = orient(shape(transform_geom(crs, WGS84, mapping(square), precision=7)))
    return {"type": "Polygon", "coordinates": [[list(point) for point in turned.exterior.coords]]}
