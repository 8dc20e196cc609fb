"""Where an item has data: the AOI clipped to a clip's valid pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.features import shapes
from rasterio.transform import Affine
from rasterio.warp import transform_geom
from shapely import make_valid, union_all
from shapely import transform as transform_shape
from shapely.geometry import MultiPolygon, Polygon, mapping, shape
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from imagery.raster.clip import Clip
from imagery.raster.gdal import unwarned

MAX_SIDE = 256
"""Pixels a side to which a larger clip is thinned first: an outline is for searching, not for measuring."""


def footprint(clip: Clip, aoi_geometry: Mapping[str, Any]) -> dict[str, Any]:
    """GeoJSON Polygon or MultiPolygon in EPSG:4326: the AOI as given if all of its pixels have data, else the part of
    it that lies on valid pixels. RFC 7946 winding; never across the antimeridian where the AOI is not; never empty.
    """
    if clip.valid_pixels == clip.aoi_pixels:
        return dict(aoi_geometry)
    valid = _valid_outline(clip)
    parts = [piece for part in _parts(aoi_geometry) for piece in _clipped(part, valid, clip.crs)]
    if not parts:
        return dict(aoi_geometry)
    return _geojson(parts)


def _valid_outline(clip: Clip) -> BaseGeometry:
    """In the clip's CRS."""
    step = -(-max(clip.valid.shape) // MAX_SIDE)
    valid: NDArray[np.bool_] = _thinned(clip.valid, step)
    fine = clip.transform
    transform = Affine(fine.a * step, fine.b * step, fine.c, fine.d * step, fine.e * step, fine.f)

    def outlines() -> list[BaseGeometry]:
        found = shapes(valid.astype(np.uint8), mask=valid, transform=transform)
        return [shape(outline) for outline, _ in found]

    return union_all(unwarned(outlines))


def _thinned(valid: NDArray[np.bool_], step: int) -> NDArray[np.bool_]:
    """A cell of `step` x `step` pixels is valid where any of them is."""
    if step == 1:
        return valid
    height, width = (-(-side // step) * step for side in valid.shape)
    padded = np.zeros((height, width), dtype=bool)
    padded[: valid.shape[0], : valid.shape[1]] = valid
    cells = padded.reshape(height // step, step, width // step, step)
    return np.asarray(cells.any(axis=(1, 3)))


def _parts(geometry: Mapping[str, Any]) -> Iterator[Polygon]:
    outline = shape(geometry)
    yield from outline.geoms if isinstance(outline, MultiPolygon) else (outline,)


def _clipped(part: Polygon, valid: BaseGeometry, crs: Any) -> Iterator[Polygon]:
    """One polygon of the AOI, which lies on one side of the antimeridian, on the valid pixels."""
    projected = shape(transform_geom("EPSG:4326", crs, mapping(part)))
    common = make_valid(projected).intersection(valid)
    middle = part.centroid.x
    for piece in getattr(common, "geoms", (common,)):
        if isinstance(piece, Polygon) and piece.area > 0:
            back = shape(transform_geom(crs, "EPSG:4326", mapping(piece)))
            yield from _polygons(make_valid(transform_shape(back, _on_side_of(middle))))


def _polygons(geometry: BaseGeometry) -> Iterator[Polygon]:
    for piece in getattr(geometry, "geoms", (geometry,)):
        if isinstance(piece, Polygon) and piece.area > 0:
            yield piece


def _on_side_of(middle: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Longitudes on the AOI's side of the antimeridian: coming back from a CRS, 180 may have become -180."""

    def move(places: NDArray[np.float64]) -> NDArray[np.float64]:
        longitude, latitude = places.T
        turned = longitude - 360.0 * np.round((longitude - middle) / 360.0)
        return np.column_stack((np.clip(turned, -180.0, 180.0), latitude))

    return move


def _geojson(parts: list[Polygon]) -> dict[str, Any]:
    wound = [orient(part) for part in parts]
    whole = mapping(wound[0] if len(wound) == 1 else MultiPolygon(wound))
    return {"type": whole["type"], "coordinates": _as_lists(whole["coordinates"])}


def _as_lists(value: Any) -> Any:
    return [_as_lists(each) for each in value] if isinstance(value, tuple | list) else value
