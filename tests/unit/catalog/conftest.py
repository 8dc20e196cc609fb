"""A catalog in a temporary folder, and items to put in it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imagery.catalogs.sqlite.conditions import ItemQuery
from imagery.catalogs.sqlite.store import CatalogStore

Item = dict[str, Any]


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def item(item_id: str, *, box: tuple[float, float, float, float] = (14, 46, 14.1, 46.1), **properties: Any) -> Item:
    """`owner` and `collection` may stand among the properties."""
    owner = properties.pop("owner", "anna")
    collection = properties.pop("collection", "clips")
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": item_id,
        "collection": collection,
        "geometry": square(*box),
        "bbox": list(box),
        "properties": {"datetime": "2024-05-03T10:00:00Z", "imagery:owner": owner, **properties},
        "links": [{"rel": "derived_from", "href": "https://example.com/source"}],
        "assets": {"red": {"href": "https://example.com/red.tif", "roles": ["data"]}},
    }


def collection(collection_id: str = "clips") -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": collection_id,
        "description": "Clips",
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [],
    }


def many(count: int, *, seed: int = 1) -> list[Item]:
    """Scattered over Europe, four years, two owners and two collections, with ties in every property."""
    r = random.Random(seed)
    start = datetime(2021, 1, 1, tzinfo=UTC)
    found = []
    for number in range(count):
        west, south = r.uniform(-10, 30), r.uniform(35, 60)
        size = r.choice([0.01, 0.1, 3])
        properties: dict[str, Any] = {
            "owner": r.choice(["anna", "ben"]),
            "collection": r.choice(["clips", "planet"]),
            "datetime": (start + timedelta(days=r.randrange(300) * 5)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "gsd": r.choice([3, 10, 20]),
            "platform": r.choice(["sentinel-2a", "sentinel-2b", "PSB"]),
            "imagery:subscription_id": f"sub_{r.randrange(6)}",
            "instruments": r.choice([["msi"], ["msi", "psb"], []]),
        }
        if r.random() < 0.8:
            properties["eo:cloud_cover"] = r.randrange(0, 100, 5)
        if r.random() < 0.1:
            properties["platform"] = None
        found.append(item(f"item-{number}", box=(west, south, west + size, south + size), **properties))
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CatalogStore]:
    """Empty, but for the collections `clips` and `planet`."""
    opened = CatalogStore(tmp_path / "catalog.db")
    for collection_id in ("clips", "planet"):
        opened.put_collection(collection(collection_id))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def items() -> list[Item]:
    return many(600)


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory, items: list[Item]) -> Iterator[CatalogStore]:
    """Holds `items`; not to be written to."""
    opened = CatalogStore(tmp_path_factory.mktemp("catalog") / "catalog.db")
    for collection_id in ("clips", "planet"):
        opened.put_collection(collection(collection_id))
    opened.put_items(items)
    yield opened
    opened.close()


@pytest.fixture
def make_item() -> Callable[..., Item]:
    return item


@pytest.fixture
def make_collection() -> Callable[..., dict[str, Any]]:
    return collection


@pytest.fixture
def find() -> Callable[..., list[str]]:
    """Ids of every match, page by page, in order."""

    def found(store: CatalogStore, *, owner: str | None = None, page: int = 97, **query: Any) -> list[str]:
        ids: list[str] = []
        token = None
        while True:
            answer = store.search(ItemQuery(limit=page, token=token, **query), owner=owner)
            ids += [each.id for each in answer.items]
            token = answer.next_token
            if token is None:
                return ids

    return found
