"""What rasters themselves say: where they lie, which pixels hold data, and items for folders of GeoTIFFs alone."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import rasterio
from affine import Affine
from rasterio.warp import transform_geom
from shapely.geometry import box, mapping, shape

from imagery.model.codec import format_instant
from imagery.raster.band_names import SENTINEL_2

logger = logging.getLogger(__name__)

WGS84 = "EPSG:4326"
COLLECTION = "sandbox"
"""Of scenes that name none."""

MADE_UP = "sandbox:made_up"
"""Property of an item made up for files without one: what of it is guessed, for a person."""

SENTINEL_2_KEYS = {
    **SENTINEL_2,
    "SCL": "scl",
    "AOT": "aot",
    "WVP": "wvp",
    "TCI": "visual",
}
"""Band → asset key of Earth Search."""


def is_raster(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() in (".tif", ".tiff", ".jp2")


def media_type(path: Path) -> str:
    """Of a file, by its name."""
    return {
        ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
        ".tiff": "image/tiff; application=geotiff; profile=cloud-optimized",
        ".jp2": "image/jp2",
        ".json": "application/json",
        ".xml": "application/xml",
        ".jpg": "image/jpeg",
        ".png": "image/png",
    }.get(path.suffix.lower(), "application/octet-stream")


def footprint(path: Path) -> dict[str, Any]:
    """GeoJSON Polygon in degrees around all pixels of a raster."""
    with rasterio.open(path) as raster:
        if raster.crs is None:
            raise ValueError(f"{path.name} has no coordinate system")
        # Edges straight in the raster's own system bend in degrees; 21 points a side follow them.
        outline = box(*raster.bounds).segmentize(max(raster.width, raster.height) * abs(raster.transform.a) / 20)
        geometry: dict[str, Any] = transform_geom(raster.crs, WGS84, mapping(outline))
    return geometry


def placed(transform: Affine, column: float, row: float) -> tuple[float, float]:
    """(x, y) of a pixel's corner. Written out: affine 2 and 3 want different operators for it."""
    a, b, c, d, e, f = tuple(transform)[:6]
    return a * column + b * row + c, d * column + e * row + f


def scaled(transform: Affine, columns: float, rows: float) -> Affine:
    """The transform of pixels so many times as wide and as high."""
    a, b, c, d, e, f = tuple(transform)[:6]
    return Affine(a * columns, b * rows, c, d * columns, e * rows, f)


def loose_items(root: Path) -> Iterator[tuple[dict[str, Any], dict[str, Path]]]:
    """Items made up for GeoTIFFs that came without any: one for each folder and common beginning of names."""
    groups: dict[tuple[Path, str], dict[str, Path]] = defaultdict(dict)
    for path in sorted(path for path in root.rglob("*") if is_raster(path) and path.is_file()):
        if path.resolve().is_relative_to(root):
            name, key = _split(path)
            groups[path.parent, name][key] = path.resolve()
    guessed: dict[str, str] = {}
    for number, ((folder, name), files) in enumerate(groups.items()):
        try:
            item = _made_up(root, folder, name, files, number)
            guessed[item["id"]] = item["properties"][MADE_UP]
            yield item, files
        except Exception as error:  # a folder holds whatever it holds; one odd file must not keep the others back
            logger.warning("raster passed over", extra={"path": str(folder / name), "error": str(error)})
    if guessed:
        example, guess = next(iter(guessed.items()))
        logger.warning("%d items made up for GeoTIFFs without STAC; of %s: %s", len(guessed), example, guess)


def _split(path: Path) -> tuple[str, str]:
    """(item's part of a name, asset key): `S2A_33TWL_20230818_0_L2A_B04.tif` → (`S2A_…_L2A`, `red`)."""
    name, _, last = path.stem.rpartition("_")
    band = re.sub(r"_?\d+m$", "", last, flags=re.IGNORECASE).upper()
    if band in SENTINEL_2_KEYS:
        return name, SENTINEL_2_KEYS[band]
    return path.stem, "data"


def _made_up(root: Path, folder: Path, name: str, files: dict[str, Path], number: int) -> dict[str, Any]:
    """The item says itself what of it is guessed. Nothing is said of scale and offset: the files alone know them."""
    first = next(iter(files.values()))
    geometry = footprint(first)
    identifier = re.sub(r"[^A-Za-z0-9_.-]+", "_", name or "_".join((root.name, *folder.relative_to(root).parts)))
    instant, whence = _acquired(root, folder / (name or "x"), first, number)
    acquired = format_instant(instant)
    guessed = f"no STAC came with the files; the date is {whence}" + (
        "" if "data" in files else ", the bands are taken from the files' names"
    )
    with rasterio.open(first) as raster:
        epsg = raster.crs.to_epsg()
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.1.0/schema.json"],
        "id": identifier,
        "collection": COLLECTION,
        "geometry": geometry,
        "bbox": list(shape(geometry).bounds),
        "properties": {
            "title": f"{identifier} (made up)",
            "description": f"Made up by the sandbox: {guessed}. Scale and offset of the numbers are not known.",
            MADE_UP: guessed,
            "datetime": acquired,
            "created": acquired,
            "updated": acquired,
            "proj:epsg": epsg,
        },
        "links": [],
        "assets": {
            key: {"href": path.name, "type": media_type(path), "roles": ["data"]} for key, path in files.items()
        },
    }


def _acquired(root: Path, path: Path, file: Path, number: int) -> tuple[datetime, str]:
    """A date in the names, the nearest first; else a day for each item of a year in them; else the file's own time.

    With it, where it is from.
    """
    names = [path.name, *reversed(path.relative_to(root).parts[:-1]), root.name]
    for name in names:
        for found in re.finditer(r"(?<!\d)((?:19|20)\d\d)-?([01]\d)-?([0-3]\d)(?!\d)", name):
            try:
                return datetime(*map(int, found.groups()), 10, tzinfo=UTC), f"read from the name {name!r}"  # type: ignore[arg-type, misc]
            except ValueError:
                continue
    for name in names:
        if year := re.search(r"(?<!\d)((?:19|20)\d\d)(?!\d)", name):
            day = datetime(int(year[1]), 1, 1, 10, tzinfo=UTC) + timedelta(days=number)
            return day, f"some day of the year in the name {name!r}"
    return datetime.fromtimestamp(int(file.stat().st_mtime), UTC), "that of the file"
