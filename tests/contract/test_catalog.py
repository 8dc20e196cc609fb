"""What every imagery.ports.Catalog promises. A further adapter is one line in ADAPTERS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pystac
import pytest

from imagery.catalogs.sqlite.catalog import SqliteCatalog
from imagery.catalogs.sqlite.store import CatalogStore
from imagery.errors import CollectionUnknown, ItemInvalid
from imagery.items import superseded
from imagery.ports import Catalog


@contextmanager
def sqlite(tmp_path: Path) -> Iterator[Catalog]:
    store = CatalogStore(tmp_path / "catalog.db")
    yield SqliteCatalog(store)
    store.close()


ADAPTERS: dict[str, Callable[[Path], AbstractContextManager[Catalog]]] = {
    "sqlite": sqlite,
}


@pytest.fixture(params=ADAPTERS)
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    """With an empty collection `clips`."""
    with ADAPTERS[request.param](tmp_path) as opened:
        opened.ensure_collection(collection())
        yield opened


def collection(description: str = "Clips") -> pystac.Collection:
    extent = pystac.Extent(pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]]))
    return pystac.Collection("clips", description, extent, license="other")


def item(item_id: str, **properties: object) -> pystac.Item:
    ring = [[14, 46], [15, 46], [15, 47], [14, 47], [14, 46]]
    made = pystac.Item(
        item_id,
        {"type": "Polygon", "coordinates": [ring]},
        [14, 46, 15, 47],
        datetime(2024, 5, 3, 10, 0, 0, 24_000, tzinfo=UTC),
        {"imagery:owner": "anna", **properties},
        collection="clips",
    )
    made.add_asset("red", pystac.Asset("https://example.com/red.tif", roles=["data"]))
    made.add_link(pystac.Link("derived_from", "https://example.com/source.json"))
    return made


def test_a_published_item_is_got_as_it_was(catalog):
    sent = item("a", title="Feld")
    catalog.publish([sent, item("b")])
    found = catalog.get("clips", "a")
    assert found is not None
    assert found.properties == sent.properties
    assert found.datetime == sent.datetime
    assert found.geometry == sent.geometry
    assert found.assets["red"].to_dict() == sent.assets["red"].to_dict()
    assert [link.href for link in found.links if link.rel == "derived_from"] == ["https://example.com/source.json"]


def test_publishing_again_replaces(catalog):
    catalog.publish([item("a", version="1")])
    catalog.publish([item("a", version="2")])
    catalog.publish([item("a", version="2")])
    assert catalog.get("clips", "a").properties["version"] == "2"


def test_an_item_that_was_superseded_keeps_its_links_to_its_siblings_relative(catalog):
    old = item("a", version="1")
    catalog.publish([old])
    catalog.publish([superseded(old, successor_id="a.v2", expires_at=datetime(2026, 6, 1, tzinfo=UTC))])
    found = catalog.get("clips", "a")
    assert found.properties["deprecated"] is True
    assert found.properties["expires"] == "2026-06-01T00:00:00Z"
    assert [link.href for link in found.links if link.rel == "successor-version"] == ["./a.v2"]


def test_publishing_nothing_is_nothing(catalog):
    catalog.publish([])


def test_what_is_not_there_is_none(catalog):
    assert catalog.get("clips", "a") is None
    assert catalog.get("nowhere", "a") is None


def test_retracting_is_safe_to_repeat(catalog):
    catalog.publish([item("a"), item("b")])
    catalog.retract("clips", ["a", "never-was"])
    catalog.retract("clips", ["a"])
    catalog.retract("nowhere", ["a"])
    catalog.retract("clips", [])
    assert catalog.get("clips", "a") is None
    assert catalog.get("clips", "b") is not None


def test_a_collection_that_is_there_is_left_alone(catalog):
    catalog.publish([item("a")])
    catalog.ensure_collection(collection("Something else"))
    assert catalog.get("clips", "a") is not None


def test_an_item_without_its_collection_is_refused(catalog):
    stray = item("a")
    stray.collection_id = "nowhere"
    with pytest.raises(CollectionUnknown):
        catalog.publish([stray])


def test_an_item_nobody_could_hold_is_refused(catalog):
    nowhere = item("a")
    nowhere.geometry = None
    with pytest.raises(ItemInvalid):
        catalog.publish([nowhere])
    with pytest.raises(ItemInvalid):
        catalog.publish([item("a b/c")])
