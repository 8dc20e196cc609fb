"""Small synthetic PlanetScope scenes in a folder: strips of two over a made-up countryside, on several days."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform_geom

from imagery.sandbox.landscape import Landscape, View, parcel_corners
from imagery.sandbox.planet.bundles import ASSETS, ITEM_TYPE
from imagery.sandbox.planet.catalogue import Catalogue, PlanetScene, read_scene, save_scene

CRS = "EPSG:32633"
METRES = 3
SIZE = 448
ROWS = 768
FIRST_ROWS = (0, ROWS - SIZE)
"""Of the two scenes of a strip, which share 128 rows."""

SLANT = 24
"""Columns without data: the ground track is not the grid's north, so corners of the raster are empty."""

LEFT, TOP = 540_000, 5_099_001
DAYS_AGO = (23, 18, 13, 8, 3, 1)
CLOUD_FRACTIONS = (0.05, 0.0, 0.5, 0.02, 0.8, 0.0)
LATE_DAY = 3
"""Index of the day whose scenes are published late: not before the sandbox has been open for a while."""

WITHOUT_SR_DAY = 2
"""Index of the day whose surface reflectance is not there, as before it is published."""

LATE_AFTER = timedelta(seconds=60)
FINALIZED_AFTER = timedelta(seconds=120)
FIELD = "field.geojson"


@dataclass(frozen=True, kw_only=True)
class _Shot:
    """One scene of one day."""

    day: int
    number: int
    """Along the strip."""

    acquired_at: datetime
    published_at: datetime
    finalized_at: datetime
    view: View

    @property
    def id(self) -> str:
        hundredths = self.acquired_at.microsecond // 10_000
        return f"{self.acquired_at:%Y%m%d_%H%M%S}_{hundredths:02d}_24{0xB0 + self.day:02x}"


def make_scenes(
    directory: Path,
    *,
    now: datetime,
    late_after: timedelta = LATE_AFTER,
    finalized_after: timedelta = FINALIZED_AFTER,
) -> Catalogue:
    """Six dates over the weeks before `now`. Made once: a `directory` that is there is taken as it is.

    One date is published `late_after` from `now`; the newest is `standard` until `finalized_after` from `now`.
    """
    if not directory.is_dir():
        partial = directory.with_name(directory.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        shots = _shots(now, late_at=now + late_after, finalized_at=now + finalized_after)
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda one: _write(partial, one), shots))
        (partial / FIELD).write_text(json.dumps(_field()), "utf-8")
        # In one step, so that a crash leaves no half-made folder to be taken for a whole one.
        partial.rename(directory)
    scenes = tuple(read_scene(folder) for folder in sorted(directory.iterdir()) if folder.is_dir())
    return Catalogue(scenes, aoi=json.loads((directory / FIELD).read_text("utf-8")))


def _shots(now: datetime, *, late_at: datetime, finalized_at: datetime) -> Iterator[_Shot]:
    landscape = Landscape(ROWS, SIZE, seed=29)
    for day, (days, fraction) in enumerate(zip(DAYS_AGO, CLOUD_FRACTIONS, strict=True)):
        start = datetime.combine(now.date() - timedelta(days=days), time(9, 41, 7, 310_000 + day), now.tzinfo)
        whole = landscape.view(DAYS_AGO[0] - days, cloud_fraction=fraction)
        published = start + timedelta(hours=5)
        for number, first in enumerate(FIRST_ROWS):
            yield _Shot(
                day=day,
                number=number,
                acquired_at=start + timedelta(seconds=2.11 * number),
                published_at=late_at if day == LATE_DAY else published,
                finalized_at=finalized_at if day == len(DAYS_AGO) - 1 else published + timedelta(hours=7),
                view=View(
                    reflectance={key: band[first : first + SIZE] for key, band in whole.reflectance.items()},
                    scl=whole.scl[first // 2 : (first + SIZE) // 2],
                ),
            )


def _write(directory: Path, shot: _Shot) -> None:
    folder = directory / shot.id
    folder.mkdir()
    corner = Affine(METRES, 0, LEFT, 0, -METRES, TOP - METRES * FIRST_ROWS[shot.number])
    seen = _seen()
    reflectance = np.stack([shot.view.reflectance[key] for key in ("blue", "green", "red", "nir")])
    sr = np.where(seen, np.clip(np.rint(reflectance * 10_000), 1, 10_000), 0).astype(np.uint16)
    masks = _udm2(shot.view, seen)
    if shot.day != WITHOUT_SR_DAY:
        write_cog(folder / f"{shot.id}_{ASSETS['ortho_analytic_4b_sr']}", sr, corner, crs=CRS, nodata=0)
    write_cog(
        folder / f"{shot.id}_{ASSETS['ortho_analytic_4b']}", (sr * 0.9).astype(np.uint16), corner, crs=CRS, nodata=0
    )
    write_cog(folder / f"{shot.id}_{ASSETS['ortho_udm2']}", masks, corner, crs=CRS, nodata=None)
    (folder / f"{shot.id}_{ASSETS['ortho_analytic_4b_xml']}").write_text(_xml(shot), "utf-8")
    save_scene(folder, _scene(shot, masks, corner))


def write_cog(path: Path, array: NDArray[Any], transform: Affine, *, crs: Any, nodata: int | None) -> None:
    """A COG of (bands, rows, columns)."""
    count, rows, columns = array.shape
    profile = {"count": count, "dtype": array.dtype, "width": columns, "height": rows, "nodata": nodata}
    options = {"compress": "DEFLATE", "blocksize": 256, "overview_resampling": "NEAREST"}
    with rasterio.open(path, "w", driver="COG", crs=crs, transform=transform, **profile, **options) as raster:
        raster.write(array)


def _seen() -> NDArray[np.bool_]:
    """Pixels within the slanted swath, shape (rows, columns)."""
    row, column = np.mgrid[0:SIZE, 0:SIZE]
    shift = SLANT * (1 - row / SIZE)
    inside: NDArray[np.bool_] = (column >= shift) & (column < SIZE - SLANT + shift)
    return inside


def _udm2(view: View, seen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """clear, snow, shadow, light haze, heavy haze, cloud, confidence (percent), unusable (bit 0: no data)."""
    classes = view.scl.repeat(2, axis=0).repeat(2, axis=1)
    cloud, haze, shadow = classes == 9, classes == 8, classes == 3
    nothing = np.zeros_like(seen)
    bands = [~(cloud | haze | shadow), nothing, shadow, haze, nothing, cloud]
    masks = np.zeros((8, *seen.shape), np.uint8)
    masks[:6] = np.stack(bands) & seen
    masks[6] = np.where(seen, 90, 0)
    masks[7] = ~seen
    return masks


def percents(masks: NDArray[np.uint8]) -> dict[str, int]:
    """What Planet says of a scene by its UDM2, whole percents of the pixels that hold data."""
    seen = (masks[7] & 1) == 0
    names = ("clear", "snow_ice", "shadow", "light_haze", "heavy_haze", "cloud")
    total = max(1, int(seen.sum()))
    return {f"{name}_percent": round(100 * int((masks[i] & seen).sum()) / total) for i, name in enumerate(names)}


def _scene(shot: _Shot, masks: NDArray[np.uint8], corner: Affine) -> PlanetScene:
    right, bottom = LEFT + METRES * SIZE, corner.f - METRES * SIZE
    slant = METRES * SLANT
    ring = [(LEFT + slant, corner.f), (LEFT, bottom), (right - slant, bottom), (right, corner.f)]
    geometry = transform_geom(CRS, "EPSG:4326", {"type": "Polygon", "coordinates": [[*ring, ring[0]]]})
    clouds = percents(masks)
    is_final = shot.day != len(DAYS_AGO) - 1
    return PlanetScene(
        id=shot.id,
        geometry=json.loads(json.dumps(geometry)),
        files={},
        finalized_at=None if is_final else shot.finalized_at,
        properties={
            "acquired": shot.acquired_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "anomalous_pixels": 0,
            "clear_confidence_percent": 90,
            "cloud_cover": clouds["cloud_percent"] / 100,
            **clouds,
            "ground_control": True,
            "gsd": 3.9,
            "instrument": "PSB.SD",
            "item_type": ITEM_TYPE,
            "pixel_resolution": METRES,
            "provider": "planetscope",
            "published": shot.published_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "publishing_stage": "finalized" if is_final else "standard",
            "quality_category": "standard",
            "satellite_azimuth": 98.6,
            "satellite_id": f"24{0xB0 + shot.day:02x}",
            "strip_id": str(7_100_000 + shot.day),
            "sun_azimuth": 151.2,
            "sun_elevation": 52.4,
            "updated": _updated(shot, is_final=is_final).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "view_angle": 2.1,
            "visible_confidence_percent": 90,
            "visible_percent": clouds["clear_percent"],
        },
    )


def _updated(shot: _Shot, *, is_final: bool) -> datetime:
    return max(shot.finalized_at, shot.published_at) if is_final and shot.day != LATE_DAY else shot.published_at


def _xml(shot: _Shot) -> str:
    bands = "".join(
        f"<ps:bandSpecificMetadata><ps:bandNumber>{number}</ps:bandNumber>"
        "<ps:reflectanceCoefficient>1.11e-04</ps:reflectanceCoefficient></ps:bandSpecificMetadata>"
        for number in range(1, 5)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ps:EarthObservation '
        'xmlns:ps="http://schemas.planet.com/ps/v1/planet_product_metadata_geocorrected_level">'
        f"<ps:identifier>{shot.id}_3B_AnalyticMS</ps:identifier>{bands}</ps:EarthObservation>\n"
    )


def _field() -> dict[str, Any]:
    """A parcel that both scenes of a strip see, a little smaller than it is sown; GeoJSON Polygon in degrees."""
    corners = parcel_corners(ROWS / 2, SIZE / 2, margin=0.08)
    ring = [(LEFT + METRES * column, TOP - METRES * row) for row, column in [*corners, corners[0]]]
    geometry: dict[str, Any] = transform_geom(CRS, "EPSG:4326", {"type": "Polygon", "coordinates": [ring[::-1]]})
    rounded = [[round(x, 7), round(y, 7)] for x, y in geometry["coordinates"][0]]
    return {"type": "Polygon", "coordinates": [rounded]}


def moved(scene: PlanetScene, *, published_at: datetime, **changes: Any) -> PlanetScene:
    """The same scene published at another instant, perhaps under another `id`."""
    text = published_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    properties = {**scene.properties, "published": text, "updated": text}
    return replace(scene, properties=properties, **changes)
