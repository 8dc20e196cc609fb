"""Scenes of a folder: STAC items whose files lie on this machine. Reads, never writes."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pystac
from shapely.geometry import shape

from imagery.errors import InvalidInput
from imagery.sandbox.rasters import COLLECTION, footprint, is_raster, loose_items

logger = logging.getLogger(__name__)

MAX_JSON_BYTES = 8 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One acquisition."""

    item: dict[str, Any]
    """STAC item as JSON, with `collection`, geometry, bbox and `updated`; its assets are those with a file."""

    files: Mapping[str, Path]
    """Asset key → file; nothing else is ever served."""

    @property
    def id(self) -> str:
        return str(self.item["id"])

    @property
    def collection(self) -> str:
        return str(self.item["collection"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenes:
    """What a sandbox serves."""

    scenes: tuple[Scene, ...]
    collections: tuple[dict[str, Any], ...] = ()
    """STAC collections as JSON; one the scenes name and that is not here is made up by the server."""

    aoi: dict[str, Any] | None = None
    """A polygon worth trying, when the scenes came with one."""

    @property
    def main_collection(self) -> str:
        """The collection most scenes are of."""
        return Counter(scene.collection for scene in self.scenes).most_common(1)[0][0]

    def asset_keys(self, collection: str) -> tuple[str, ...]:
        """Keys of the rasters that every scene of a collection has, in the order of the first."""
        keys = [
            [key for key, file in scene.files.items() if is_raster(file)]
            for scene in self.scenes
            if scene.collection == collection
        ]
        return tuple(key for key in keys[0] if all(key in others for others in keys)) if keys else ()


def load_scenes(directory: Path) -> Scenes:
    """Every STAC item below `directory` that has a file there, whatever the layout.

    An asset's file is where its href says, if that is inside `directory`, or of the same name beside the JSON. Where
    there are no items at all, folders of GeoTIFFs are taken for items. Raises InvalidInput when nothing is found.
    """
    if not directory.is_dir():
        raise InvalidInput(f"{directory} is no folder; name one with STAC items and their files", field="data")
    root = directory.resolve()
    documents = list(_documents(root))
    collections = {str(d["id"]): (path, d) for path, d in documents if _is_collection(d)}
    scenes: dict[tuple[str, str], Scene] = {}
    for path, document in documents:
        for item in _items(document):
            scene = _scene(item, path.parent, root, collections)
            known = scenes.get((scene.collection, scene.id)) if scene else None
            if scene and (known is None or len(known.files) < len(scene.files)):
                scenes[scene.collection, scene.id] = scene
    if not scenes:
        scenes = {(s.collection, s.id): s for s in (Scene(item=i, files=f) for i, f in loose_items(root))}
    if not scenes:
        raise InvalidInput(f"{directory} holds no STAC item with a raster beside it, and no GeoTIFF", field="data")
    used = {scene.collection for scene in scenes.values()}
    declared = [c for c in (_collection(d) for _, d in collections.values()) if c is not None and c["id"] in used]
    return Scenes(scenes=tuple(scenes[key] for key in sorted(scenes)), collections=tuple(declared))


def _documents(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(root.rglob("*.json")) + sorted(root.rglob("*.geojson")):
        try:
            if not path.resolve().is_relative_to(root) or path.stat().st_size > MAX_JSON_BYTES:
                continue
            document = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            logger.warning("file passed over: not readable as JSON", extra={"path": str(path), "error": str(error)})
            continue
        if isinstance(document, dict):
            yield path, document


def _is_collection(document: Mapping[str, Any]) -> bool:
    """Before STAC 1.0 a collection did not say its type."""
    says = document.get("type")
    return isinstance(document.get("id"), str) and (says == "Collection" or (says is None and "extent" in document))


def _items(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    features = document.get("features") if document.get("type") == "FeatureCollection" else [document]
    for one in features if isinstance(features, list) else []:
        is_item = isinstance(one, dict) and one.get("type") == "Feature" and isinstance(one.get("assets"), dict)
        if is_item and isinstance(one.get("id"), str) and isinstance(one.get("properties"), dict):
            yield one


def _scene(item: dict[str, Any], folder: Path, root: Path, collections: Mapping[str, Any]) -> Scene | None:
    """The item with what is on this machine; None when that is nothing, or the item cannot be dated or placed."""
    files = {key: file for key, asset in item["assets"].items() if (file := _local_file(asset, folder, root))}
    if not any(is_raster(file) for file in files.values()):
        logger.warning("item passed over: no raster of it is here", extra={"item": item["id"]})
        return None
    try:
        return Scene(item=_completed(item, files, _collection_id(item, folder, collections)), files=files)
    except Exception as error:  # a folder holds whatever it holds; one odd item must not keep the others back
        logger.warning("item passed over", extra={"item": item["id"], "error": f"{type(error).__name__}: {error}"})
        return None


def _local_file(asset: Any, folder: Path, root: Path) -> Path | None:
    """The asset's file inside `root`, links resolved."""
    href = asset.get("href") if isinstance(asset, dict) else None
    if not isinstance(href, str) or not href:
        return None
    try:
        parts = urlsplit(href)
        name = PurePosixPath(unquote(parts.path)).name
        if parts.scheme in ("", "file"):
            # An absolute path replaces `folder`; `root` still decides.
            candidates = [folder / href, folder / unquote(parts.path), folder / name]
        else:
            candidates = [folder / name]
        for candidate in candidates:
            file = candidate.resolve()
            if file.is_file() and file.is_relative_to(root):
                return file
    except (OSError, ValueError):
        return None
    return None


def _collection_id(item: Mapping[str, Any], folder: Path, collections: Mapping[str, tuple[Path, Any]]) -> str:
    """As the item says, or that of the nearest collection.json above it."""
    if isinstance(item.get("collection"), str) and item["collection"]:
        return str(item["collection"])
    above = {path.parent: identifier for identifier, (path, _) in collections.items()}
    return next((above[parent] for parent in [folder, *folder.parents] if parent in above), COLLECTION)


def _completed(item: dict[str, Any], files: Mapping[str, Path], collection: str) -> dict[str, Any]:
    """The item with all that a served one has."""
    whole = item if _is_1_x(item) else pystac.Item.from_dict(item, migrate=True).to_dict(transform_hrefs=False)
    properties = dict(whole["properties"])
    acquired = properties.get("datetime") or properties["start_datetime"]
    datetime.fromisoformat(acquired)
    properties.setdefault("created", acquired)
    properties.setdefault("updated", properties["created"])
    geometry = whole.get("geometry") or footprint(next(file for file in files.values() if is_raster(file)))
    return {
        **whole,
        "collection": collection,
        "properties": properties,
        "geometry": geometry,
        "bbox": whole.get("bbox") or list(shape(geometry).bounds),
        "assets": {key: asset for key, asset in whole["assets"].items() if key in files},
    }


def _collection(document: dict[str, Any]) -> dict[str, Any] | None:
    try:
        whole = (
            document
            if _is_1_x(document)
            else pystac.Collection.from_dict(document, migrate=True).to_dict(transform_hrefs=False)
        )
    except Exception as error:  # as above; the server makes one up
        logger.warning("collection passed over", extra={"collection": document["id"], "error": str(error)})
        return None
    return {**whole, "type": "Collection"}


def _is_1_x(document: Mapping[str, Any]) -> bool:
    version = str(document.get("stac_version", ""))
    return version.startswith("1.") and "-" not in version
