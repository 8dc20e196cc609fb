"""An order's files, really made: scenes clipped to its AOI, metadata, a manifest with digests, archives."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import rasterio
from rasterio.features import geometry_mask
from rasterio.warp import transform_geom
from rasterio.windows import Window, from_bounds
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from imagery.raster.gdal import unwarned
from imagery.sandbox.planet.bundles import ASSETS, BUNDLES, ITEM_TYPE
from imagery.sandbox.planet.synthetic import percents
from imagery.sandbox.planet.wishes import Wanted, Wish

MANIFEST = "manifest.json"
_MEDIA_TYPES = {".tif": "image/tiff", ".json": "application/json", ".xml": "text/xml", ".zip": "application/zip"}


@dataclass(frozen=True, kw_only=True)
class Made:
    """What became of an order."""

    paths: tuple[str, ...]
    """Files below the order's folder, the manifest last; empty: nothing could be made."""

    hints: tuple[str, ...]
    """Why scenes are not among them."""


def make_results(
    folder: Path, order_id: str, wish: Wish, *, now: datetime, without_last: bool = False, wrong_digests: bool = False
) -> Made:
    """Make the files of an order; `without_last` leaves a scene out. Done again from the beginning after a crash."""
    partial = folder.with_name(folder.name + ".partial")
    for one in (partial, folder):
        shutil.rmtree(one, ignore_errors=True)
    (partial / ITEM_TYPE).mkdir(parents=True)
    hints, entries = [], []
    for number, wanted in enumerate(wish.wanted):
        if without_last and number == len(wish.wanted) - 1:
            hints.append(f"Unable to deliver item {wanted.scene.id}: an internal error occurred")
        elif (problem := _problem(wanted, wish.aoi)) is not None:
            hints.append(problem)
        else:
            entries += _make_item(partial, wanted, wish, now)
    if not entries or (hints and not wish.is_partial):
        return Made(paths=(), hints=tuple(hints))
    if wish.is_zipped:
        entries = [_zip(partial, order_id, entries)]
    manifest = {"name": "", "files": [_listed(partial, entry, wrong_digests=wrong_digests) for entry in entries]}
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=2), "utf-8")
    partial.rename(folder)
    return Made(paths=(*(entry["path"] for entry in entries), MANIFEST), hints=tuple(hints))


def _problem(wanted: Wanted, aoi: BaseGeometry | None) -> str | None:
    if wanted.bundle is None:
        return f"Item {wanted.scene.id} does not have all assets of the product bundle"
    if aoi is not None and not wanted.scene.outline.intersects(aoi):
        return f"Item {wanted.scene.id} does not intersect the clip AOI"
    return None


def _make_item(folder: Path, wanted: Wanted, wish: Wish, now: datetime) -> list[dict[str, Any]]:
    """The files of a scene; of each its path and annotations."""
    assert wanted.bundle is not None
    scene, said = wanted.scene, wanted.scene.properties_at(now)
    notes = {
        "planet/bundle_type": wanted.bundle,
        "planet/item_id": scene.id,
        "planet/item_type": ITEM_TYPE,
    }
    entries: list[dict[str, Any]] = []
    for key in BUNDLES[wanted.bundle]:
        path = f"{ITEM_TYPE}/{_file_name(scene.id, key, wish)}"
        if path.endswith(".tif"):
            _clip(scene.files[key], folder / path, wish.aoi, is_cog="file_format" in wish.tools, is_mask="udm2" in key)
        else:
            shutil.copyfile(scene.files[key], folder / path)
        entries.append({"path": path, "annotations": {"planet/asset_type": key, **notes}})
        if "udm2" in key and wish.aoi is not None:
            said |= _clipped_percents(folder / path)
    outline = scene.outline if wish.aoi is None else scene.outline.intersection(wish.aoi)
    feature = {"type": "Feature", "id": scene.id, "geometry": mapping(outline), "properties": said}
    path = f"{ITEM_TYPE}/{scene.id}_metadata.json"
    (folder / path).write_text(json.dumps(feature), "utf-8")
    return [{"path": path, "annotations": notes}, *entries]


def _file_name(item_id: str, key: str, wish: Wish) -> str:
    """Each tool leaves its name, in the order they were applied."""
    stem, dot, suffix = ASSETS[key].rpartition(".")
    is_raster = suffix == "tif"
    treated = [
        {"harmonize": "harmonized"}.get(tool, tool)
        for tool in wish.tools
        if tool == "clip" or (is_raster and (tool == "file_format" or "analytic" in key))
    ]
    return f"{item_id}_{'_'.join([stem, *treated])}{dot}{suffix}"


def _clip(source: Path, target: Path, aoi: BaseGeometry | None, *, is_cog: bool, is_mask: bool) -> None:
    with rasterio.open(source) as raster:
        window, outline = Window(0, 0, raster.width, raster.height), None
        if aoi is not None:
            outline = transform_geom("EPSG:4326", raster.crs, mapping(aoi))
            inside = from_bounds(*shape(outline).bounds, transform=raster.transform)
            window = _whole_pixels(inside).intersection(window)
        pixels, transform = raster.read(window=window), raster.window_transform(window)
        profile = {"crs": raster.crs, "transform": transform, "dtype": pixels.dtype, "nodata": raster.nodata}
    if outline is not None:
        beyond = unwarned(partial(geometry_mask, [outline], pixels.shape[1:], transform, all_touched=True))
        pixels[:, beyond] = 0
        if is_mask:
            pixels[7, beyond] = 1
    profile |= {"count": pixels.shape[0], "height": pixels.shape[1], "width": pixels.shape[2], "compress": "DEFLATE"}
    driver = "COG" if is_cog else "GTiff"
    with rasterio.open(target, "w", driver=driver, **profile) as raster:
        raster.write(pixels)


def _whole_pixels(window: Any) -> Window:
    """Every pixel that is touched."""
    left, top = int(np.floor(window.col_off + 1e-6)), int(np.floor(window.row_off + 1e-6))
    right = int(np.ceil(window.col_off + window.width - 1e-6))
    bottom = int(np.ceil(window.row_off + window.height - 1e-6))
    return Window(left, top, max(1, right - left), max(1, bottom - top))


def _clipped_percents(path: Path) -> dict[str, int]:
    with rasterio.open(path) as raster:
        return percents(raster.read())


def _zip(folder: Path, order_id: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    path = f"{order_id}.zip"
    with zipfile.ZipFile(folder / path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in entries:
            archive.write(folder / entry["path"], entry["path"])
    shutil.rmtree(folder / ITEM_TYPE)
    return {"path": path, "annotations": {}}


def _listed(folder: Path, entry: Mapping[str, Any], *, wrong_digests: bool) -> dict[str, Any]:
    content = (folder / entry["path"]).read_bytes()
    digested = content + b"not this file" if wrong_digests else content
    return {
        "path": entry["path"],
        "media_type": _MEDIA_TYPES[PurePosixPath(entry["path"]).suffix],
        "size": len(content),
        "digests": {
            "md5": hashlib.md5(digested, usedforsecurity=False).hexdigest(),
            "sha256": hashlib.sha256(digested).hexdigest(),
        },
        "annotations": dict(entry["annotations"]),
    }
