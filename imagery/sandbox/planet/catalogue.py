"""The scenes the local Planet has: each as its Data API shows it at an instant. They may grow while it is served."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from imagery.model.codec import parse_instant
from imagery.sandbox.planet.bundles import ASSETS, ITEM_TYPE

SCENE = "scene.json"


@dataclass(frozen=True, kw_only=True)
class PlanetScene:
    """One item."""

    id: str
    geometry: Mapping[str, Any] = field(repr=False)
    """GeoJSON Polygon, EPSG:4326."""

    properties: Mapping[str, Any] = field(repr=False)
    """As first published, with `acquired` and `published`; stage `standard` if it is finalized later."""

    files: Mapping[str, Path] = field(repr=False)
    """Asset type → file. The item has no other assets."""

    finalized_at: datetime | None = None
    """When it takes the stage `finalized`; None: it has its last stage."""

    @property
    def published_at(self) -> datetime:
        """Before it, nobody sees it."""
        return parse_instant(str(self.properties["published"]))

    @property
    def outline(self) -> BaseGeometry:
        """For measuring and searching, in degrees."""
        return shape(self.geometry)

    def properties_at(self, now: datetime) -> dict[str, Any]:
        """What is said of it at an instant."""
        said = dict(self.properties)
        if self.finalized_at is not None and self.finalized_at <= now:
            said |= {"publishing_stage": "finalized", "updated": _instant(self.finalized_at)}
        return said

    def feature(self, now: datetime, *, url: str) -> dict[str, Any]:
        """As a quick-search shows it; `url` is the API's root."""
        here = f"{url}/data/v1/item-types/{ITEM_TYPE}/items/{self.id}"
        keys = sorted(self.files)
        return {
            "_links": {"_self": here, "assets": f"{here}/assets/", "thumbnail": f"{here}/thumb"},
            "_permissions": [f"assets.{key}:download" for key in keys],
            "assets": keys,
            "geometry": dict(self.geometry),
            "id": self.id,
            "properties": self.properties_at(now),
            "type": "Feature",
        }


class Catalogue:
    """Scenes by id. Any thread."""

    def __init__(self, scenes: tuple[PlanetScene, ...], *, aoi: Mapping[str, Any] | None = None) -> None:
        """`aoi` is a polygon worth trying."""
        self._lock = threading.Lock()
        self._scenes = {scene.id: scene for scene in scenes}
        self.aoi = aoi

    def publish(self, scene: PlanetScene) -> None:
        """Put a scene in, over one of its id; it is seen from its `published` on."""
        with self._lock:
            self._scenes[scene.id] = scene

    def get(self, item_id: str, now: datetime) -> PlanetScene | None:
        """One that is published."""
        with self._lock:
            scene = self._scenes.get(item_id)
        return scene if scene is not None and scene.published_at <= now else None

    def list(self, now: datetime) -> tuple[PlanetScene, ...]:
        """Those published."""
        with self._lock:
            return tuple(scene for scene in self._scenes.values() if scene.published_at <= now)

    def __len__(self) -> int:
        with self._lock:
            return len(self._scenes)


def save_scene(folder: Path, scene: PlanetScene) -> None:
    """Write what `read_scene` reads; the files lie in the folder already, under the names Planet gives them."""
    document = {
        "id": scene.id,
        "geometry": scene.geometry,
        "properties": scene.properties,
        "finalized_at": None if scene.finalized_at is None else _instant(scene.finalized_at),
    }
    (folder / SCENE).write_text(json.dumps(document), "utf-8")


def read_scene(folder: Path) -> PlanetScene:
    """The scene of a folder of ours."""
    said = json.loads((folder / SCENE).read_text("utf-8"))
    files = {key: folder / f"{said['id']}_{name}" for key, name in ASSETS.items()}
    finalized_at = said["finalized_at"]
    return PlanetScene(
        id=said["id"],
        geometry=said["geometry"],
        properties=said["properties"],
        files={key: path for key, path in files.items() if path.is_file()},
        finalized_at=None if finalized_at is None else parse_instant(finalized_at),
    )


def _instant(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
