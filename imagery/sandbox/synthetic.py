"""Small synthetic Sentinel-2 scenes in a folder, for when there are no real ones: a month of a made-up countryside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform_geom
from shapely.geometry import shape
from shapely.geometry.polygon import orient

from imagery.model.codec import format_instant
from imagery.sandbox.landscape import Landscape, View, parcel_corners
from imagery.sandbox.rasters import footprint, media_type, scaled
from imagery.sandbox.scenes import Scenes, load_scenes

COLLECTION = "sentinel-2-l2a"
CRS = "EPSG:32633"
SIZE = 512
LEFT, TOP = 540_000, 5_099_020
"""Upper left corner of the countryside in metres: on the grids of both tiles."""

ROWS = 712
TILES = {"33TWM": 0, "33TWL": 200}
"""MGRS tile → first row it sees; 312 rows are seen by both, as neighbouring tiles do."""

DAYS_AGO = (26, 21, 16, 11, 6, 1)
CLOUD_FRACTIONS = (0.05, 0.0, 0.45, 0.02, 0.75, 0.0)
BANDS = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08"}
FIELD = "field.geojson"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pass:
    """One overflight of one tile."""

    tile: str
    acquired_at: datetime
    platform: str
    """A or B."""

    view: View

    @property
    def id(self) -> str:
        return f"S2{self.platform}_{self.tile}_{self.acquired_at:%Y%m%d}_0_L2A"


def make_scenes(directory: Path, *, now: datetime) -> Scenes:
    """Six dates over the month before `now`, of two tiles. Made once: a `directory` that is there is taken as it is."""
    if not directory.is_dir():
        partial = directory.with_name(directory.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda one: _write(partial, one), _passes(now)))
        (partial / FIELD).write_text(json.dumps(_field()), "utf-8")
        # In one step, so that a crash leaves no half-made folder to be taken for a whole one.
        partial.rename(directory)
    scenes = load_scenes(directory)
    field: dict[str, Any] = json.loads((directory / FIELD).read_text("utf-8"))
    return Scenes(scenes=scenes.scenes, collections=scenes.collections, aoi=field["geometry"])


def _passes(now: datetime) -> Iterator[_Pass]:
    landscape = Landscape(ROWS, SIZE, seed=33)
    for number, (days, fraction) in enumerate(zip(DAYS_AGO, CLOUD_FRACTIONS, strict=True)):
        noon = datetime.combine(now.date() - timedelta(days=days), time(9, 57, 57), now.tzinfo)
        whole = landscape.view(DAYS_AGO[0] - days, cloud_fraction=fraction)
        for tile, first in TILES.items():
            yield _Pass(
                tile=tile,
                acquired_at=noon + timedelta(seconds=15 * first / 200),
                platform="AB"[number % 2],
                view=_part(whole, first),
            )


def _part(view: View, first: int) -> View:
    """The rows one tile sees."""
    bands = {key: band[first : first + SIZE] for key, band in view.reflectance.items()}
    return View(reflectance=bands, scl=view.scl[first // 2 : (first + SIZE) // 2])


def _write(directory: Path, one: _Pass) -> None:
    folder = directory / one.id
    folder.mkdir()
    corner = Affine(10, 0, LEFT, 0, -10, TOP - 10 * TILES[one.tile])
    for key, band in BANDS.items():
        # DN as after Earth Search's offset step: reflectance times 10 000; 0 is kept for nodata.
        numbers = np.clip(np.rint(one.view.reflectance[key] * 10_000), 1, 10_000).astype(np.uint16)
        _write_cog(folder / f"{band}.tif", numbers, corner, overviews="AVERAGE")
    _write_cog(folder / "SCL.tif", one.view.scl, scaled(corner, 2, 2), overviews="NEAREST")
    item = _item(one, footprint(folder / "B04.tif"), corner)
    (folder / f"{one.id}.json").write_text(json.dumps(item), "utf-8")


def _write_cog(path: Path, array: NDArray[Any], transform: Affine, *, overviews: str) -> None:
    rows, columns = array.shape
    profile = {"count": 1, "dtype": array.dtype, "width": columns, "height": rows, "nodata": 0}
    options = {"compress": "DEFLATE", "predictor": 2, "blocksize": 256, "overview_resampling": overviews}
    with rasterio.open(path, "w", driver="COG", crs=CRS, transform=transform, **profile, **options) as raster:
        raster.write(array, 1)


def _item(one: _Pass, geometry: dict[str, Any], corner: Affine) -> dict[str, Any]:
    ring = geometry["coordinates"][0]
    longitudes, latitudes = [point[0] for point in ring], [point[1] for point in ring]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            f"https://stac-extensions.github.io/{name}/schema.json"
            for name in ("eo/v1.1.0", "grid/v1.0.0", "mgrs/v1.0.0", "projection/v1.1.0", "raster/v1.1.0")
        ],
        "id": one.id,
        "collection": COLLECTION,
        "geometry": geometry,
        "bbox": [min(longitudes), min(latitudes), max(longitudes), max(latitudes)],
        "properties": _properties(one),
        "links": [],
        "assets": {
            **{key: _asset(f"{band}.tif", one.view.reflectance[key], corner, 10) for key, band in BANDS.items()},
            "scl": _asset("SCL.tif", one.view.scl, corner, 20),
        },
    }


def _properties(one: _Pass) -> dict[str, Any]:
    scl = one.view.scl
    published = format_instant(one.acquired_at + timedelta(hours=6))
    return {
        "datetime": format_instant(one.acquired_at),
        "created": published,
        "updated": published,
        "platform": f"sentinel-2{one.platform.lower()}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "eo:cloud_cover": round(float(np.isin(scl, (8, 9, 10)).mean() * 100), 6),
        "proj:epsg": 32633,
        "mgrs:utm_zone": int(one.tile[:2]),
        "mgrs:latitude_band": one.tile[2],
        "mgrs:grid_square": one.tile[3:],
        "grid:code": f"MGRS-{one.tile}",
        "s2:nodata_pixel_percentage": 0.0,
        "s2:vegetation_percentage": round(float((scl == 4).mean() * 100), 6),
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": "05.11",
        "s2:sequence": "0",
        "earthsearch:boa_offset_applied": True,
    }


def _asset(name: str, array: NDArray[Any], corner: Affine, metres: int) -> dict[str, Any]:
    band: dict[str, Any] = {"nodata": 0, "data_type": "uint8", "spatial_resolution": metres}
    roles = ["data"]
    if metres == 10:
        band |= {"data_type": "uint16", "bits_per_sample": 15, "scale": 0.0001, "offset": -0.1}
        roles = ["data", "reflectance"]
    return {
        "href": name,
        "type": media_type(Path(name)),
        "roles": roles,
        "gsd": metres,
        "proj:shape": list(array.shape),
        "proj:transform": [metres, 0, corner.c, 0, -metres, corner.f],
        "raster:bands": [band],
    }


def _field() -> dict[str, Any]:
    """A parcel that both tiles see, a little smaller than it is sown."""
    corners = parcel_corners(356, 256, margin=0.12)
    ring = [(LEFT + 10 * column, TOP - 10 * row) for row, column in [*corners, corners[0]]]
    geometry = transform_geom(CRS, "EPSG:4326", {"type": "Polygon", "coordinates": [ring]})
    outline = orient(shape(geometry))  # RFC 7946 wants outer rings counter-clockwise
    rounded = [[round(x, 7), round(y, 7)] for x, y in outline.exterior.coords]
    return {
        "type": "Feature",
        "properties": {"name": "a parcel of the sandbox"},
        "geometry": {"type": "Polygon", "coordinates": [rounded]},
    }
