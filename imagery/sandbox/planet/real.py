"""Real PlanetScope scenes of a folder as scenes of the local Planet. The folder is only read."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling

from imagery.errors import InvalidInput
from imagery.model.codec import format_instant, parse_instant
from imagery.sandbox.planet.bundles import ASSETS, ITEM_TYPE
from imagery.sandbox.planet.catalogue import Catalogue, PlanetScene
from imagery.sandbox.planet.synthetic import percents, write_cog
from imagery.sandbox.rasters import footprint
from imagery.sandbox.scenes import Scene, load_scenes

logger = logging.getLogger(__name__)

OLD_NAMES = {
    "analytic": "ortho_analytic_4b",
    "analytic_sr": "ortho_analytic_4b_sr",
    "analytic_xml": "ortho_analytic_4b_xml",
}
"""Asset types of PSScene4Band → those of PSScene, into which Planet moved them in 2022."""

MAX_CLOUD_PIXELS = 4_000_000
"""Of the reading that percents are counted in."""


def load_real_scenes(directory: Path, workdir: Path) -> Catalogue:
    """Every STAC item below `directory` with four-band PlanetScope files.

    An old unusable data mask is rewritten as UDM2 below `workdir`. Raises InvalidInput when there is none.
    """
    scenes = [_scene(scene, workdir) for scene in load_scenes(directory).scenes]
    found = tuple(scene for scene in scenes if scene is not None)
    if not found:
        raise InvalidInput(
            f"no PlanetScope scene is below {directory}; name a folder with STAC items that have an asset `analytic`, "
            "`analytic_sr` or `ortho_analytic_4b_sr`, or leave --data out for synthetic ones",
            field="data",
        )
    return Catalogue(found, aoi=_middle(found[0]))


def _scene(scene: Scene, workdir: Path) -> PlanetScene | None:
    files = {OLD_NAMES.get(key, key): path for key, path in scene.files.items()}
    files = {key: path for key, path in files.items() if key in ASSETS}
    pixels = files.get("ortho_analytic_4b_sr") or files.get("ortho_analytic_4b")
    if pixels is None:
        logger.warning("scene passed over: no four-band asset", extra={"item_id": scene.id})
        return None
    if "ortho_udm2" not in files and "udm" in scene.files:
        files["ortho_udm2"] = _udm2_of(scene.files["udm"], workdir / f"{scene.id}_{ASSETS['ortho_udm2']}")
    return PlanetScene(
        id=scene.id, geometry=footprint(pixels), properties=_properties(scene, files.get("ortho_udm2")), files=files
    )


def _udm2_of(udm: Path, path: Path) -> Path:
    """UDM: bit 0 no data, bit 1 cloud, the others bands that are missing or suspect (product specification)."""
    if not path.is_file():
        with rasterio.open(udm) as raster:
            bits, transform, crs = raster.read(1), raster.transform, raster.crs
        masks = np.zeros((8, *bits.shape), np.uint8)
        masks[0], masks[5], masks[6], masks[7] = bits == 0, (bits & 2) > 0, np.where(bits & 1, 0, 50), bits
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        write_cog(partial, masks, transform, crs=crs, nodata=None)
        partial.rename(path)
    return path


def _properties(scene: Scene, udm2: Path | None) -> dict[str, Any]:
    said = scene.item["properties"]
    own = {name.removeprefix("pl:"): value for name, value in said.items() if name.startswith("pl:")}
    acquired = parse_instant(str(said["datetime"]))
    published = _whole_seconds(parse_instant(str(said.get("created", format_instant(acquired + timedelta(hours=6))))))
    return {
        "publishing_stage": "finalized",
        "provider": "planetscope",
        "instrument": (said.get("instruments") or ["PS2"])[0],
        "satellite_id": said.get("platform"),
        "gsd": said.get("gsd", 3.0),
        "view_angle": said.get("view:off_nadir", 0.0),
        "sun_azimuth": said.get("view:sun_azimuth"),
        "sun_elevation": said.get("view:sun_elevation"),
        "cloud_cover": float(said.get("eo:cloud_cover", 0)) / 100,
        **own,
        "quality_category": "standard",
        "item_type": ITEM_TYPE,
        "acquired": format_instant(acquired),
        "published": published,
        "updated": _whole_seconds(parse_instant(str(said["updated"]))) if "updated" in said else published,
        **({} if udm2 is None else _clouds(udm2)),
    }


def _clouds(udm2: Path) -> dict[str, int]:
    with rasterio.open(udm2) as raster:
        step = max(1, round((raster.width * raster.height / MAX_CLOUD_PIXELS) ** 0.5))
        shape = (raster.count, max(1, raster.height // step), max(1, raster.width // step))
        return percents(raster.read(out_shape=shape, resampling=Resampling.nearest))


def _middle(scene: PlanetScene) -> dict[str, Any]:
    """A tenth of the scene's sides around its middle."""
    west, south, east, north = scene.outline.bounds
    x, y, half_x, half_y = (west + east) / 2, (south + north) / 2, (east - west) / 20, (north - south) / 20
    ring = [(x - half_x, y - half_y), (x + half_x, y - half_y), (x + half_x, y + half_y), (x - half_x, y + half_y)]
    return {"type": "Polygon", "coordinates": [[list(one) for one in [*ring, ring[0]]]]}


def _whole_seconds(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
