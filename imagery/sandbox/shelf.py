"""What the sandbox has, which may grow while it is served: items, collections, files, and searches over them."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from imagery.errors import CollectionUnknown, FilterInvalid, ItemUnknown
from imagery.model.codec import format_instant
from imagery.sandbox.query import Query, Sort, field_of, instant, rank
from imagery.sandbox.scenes import Scene, Scenes


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One page of a search."""

    items: tuple[Mapping[str, Any], ...]
    matched: int
    """On all pages."""

    token: str | None
    """For the next page, which is empty when this was a full result; None only after an empty page, as recorded."""


class Shelf:
    """Scenes by collection and id. May be used from any thread."""

    def __init__(self, scenes: Scenes) -> None:
        self._lock = threading.Lock()
        self._scenes = {(scene.collection, scene.id): scene for scene in scenes.scenes}
        self._collections = {str(one["id"]): one for one in scenes.collections}

    def publish(self, scene: Scene, *, now: datetime) -> None:
        """Put a scene on the shelf, over one of its id: `created` stays that of the first, `updated` is `now`."""
        item = copy.deepcopy(scene.item)
        with self._lock:
            known = self._scenes.get((scene.collection, scene.id))
            created = known.item["properties"]["created"] if known else format_instant(now)
            item["properties"] |= {"created": created, "updated": format_instant(now)}
            self._scenes[scene.collection, scene.id] = Scene(item=item, files=dict(scene.files))

    def get(self, collection: str, item_id: str) -> Scene:
        """Raises ItemUnknown."""
        with self._lock:
            scene = self._scenes.get((collection, item_id))
        if scene is None:
            raise ItemUnknown(f"no item {item_id} in {collection}")
        return scene

    def file(self, collection: str, item_id: str, asset_key: str) -> Path | None:
        """The file of an asset, or None."""
        return self.get(collection, item_id).files.get(asset_key)

    def collections(self) -> list[Mapping[str, Any]]:
        """All of them, by id."""
        with self._lock:
            names = sorted({*self._collections, *(collection for collection, _ in self._scenes)})
        return [self.collection(name) for name in names]

    def collection(self, collection: str) -> Mapping[str, Any]:
        """As it came with the scenes, or made up from them. Raises CollectionUnknown."""
        with self._lock:
            known = self._collections.get(collection)
            items = [scene.item for scene in self._scenes.values() if scene.collection == collection]
        if known is None and not items:
            raise CollectionUnknown(f"no collection {collection}")
        return known if known is not None else _made_up(collection, items)

    def search(self, query: Query) -> Found:
        """One page. Raises FilterInvalid for a token that is not of this search."""
        with self._lock:
            items = [scene.item for scene in self._scenes.values()]
        matching = [item for item in items if query.matches(item)]
        for sort in reversed(query.sorts):
            matching.sort(key=lambda item, by=sort: rank(by.field, field_of(item, by.field)), reverse=sort.descending)  # type: ignore[misc]
        rest = [item for item in matching if _is_after(item, query.token, query.sorts)] if query.token else matching
        page = tuple(rest[: query.limit])
        return Found(items=page, matched=len(matching), token=_token(page[-1], query.sorts) if page else None)


def _token(item: Mapping[str, Any], sorts: Sequence[Sort]) -> str:
    """The item's sort values: `datetime,id,collection` in the default order."""
    values = (field_of(item, sort.field) for sort in sorts)
    return ",".join("" if value is None else _as_text(value) for value in values)


def _as_text(value: object) -> str:
    if isinstance(value, str) and value[10:11] == "T":
        try:
            return format_instant(instant(value))
        except ValueError:
            pass
    return str(value)


def _is_after(item: Mapping[str, Any], token: str, sorts: Sequence[Sort]) -> bool:
    values = token.split(",")
    if len(values) != len(sorts):
        raise FilterInvalid("Invalid next token")
    for sort, value in zip(sorts, values, strict=True):
        here, there = rank(sort.field, field_of(item, sort.field)), rank(sort.field, value or None)
        if here != there:
            return (here < there) if sort.descending else (here > there)
    return False


def _made_up(collection: str, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    boxes = [item["bbox"] if len(item["bbox"]) == 4 else [*item["bbox"][:2], *item["bbox"][3:5]] for item in items]
    bbox = [min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)]
    times = sorted(
        format_instant(instant(item["properties"].get("datetime") or item["properties"]["start_datetime"]))
        for item in items
    )
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": collection,
        "title": collection,
        "description": f"{len(items)} scenes of a local sandbox",
        "license": "proprietary",
        "extent": {"spatial": {"bbox": [bbox]}, "temporal": {"interval": [[times[0], None]]}},
        "links": [],
    }
