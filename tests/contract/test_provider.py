"""What every provider promises, over real HTTP: to add one, add a way to open it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pystac
import pytest
import rasterio
from shapely.geometry import shape

from imagery.errors import CollectionUnknown, ItemUnknown, ProviderUnavailable
from imagery.model.aoi import Aoi
from imagery.model.search import Search
from imagery.ports import Provider
from imagery.providers.earth_search import EarthSearch
from imagery.sandbox.earth_search import create_app
from imagery.sandbox.fields import default_aoi
from imagery.sandbox.scenes import Scene, Scenes, load_scenes
from imagery.sandbox.serving import serving
from imagery.sandbox.shelf import Shelf
from imagery.sandbox.synthetic import make_scenes

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class World:
    """A provider, what it has, and a way to make something new arrive."""

    provider: Provider
    scenes: Scenes
    aoi: Aoi
    publish: Callable[[Scene, datetime], None]

    @property
    def collection(self) -> str:
        return self.scenes.main_collection

    @property
    def seen(self) -> list[Scene]:
        """Scenes whose footprint meets the AOI."""
        area = shape(self.aoi.geometry)
        return [scene for scene in self.scenes.scenes if shape(scene.item["geometry"]).intersects(area)]

    def search(self, **changes: Any) -> list[pystac.Item]:
        fields: dict[str, Any] = {
            "collection": self.collection,
            "aoi": self.aoi,
            "acquired_from": datetime(2017, 1, 1, tzinfo=UTC),
            "acquired_to": datetime(2030, 1, 1, tzinfo=UTC),
        }
        return list(self.provider.search(Search(**{**fields, **changes})))


@pytest.fixture(scope="session")
def synthetic_scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    return make_scenes(tmp_path_factory.mktemp("provider") / "synthetic", now=NOW)


@contextmanager
def open_earth_search(scenes: Scenes) -> Iterator[World]:
    shelf, geometry = Shelf(scenes), default_aoi(scenes)
    with serving(create_app(shelf)) as url, EarthSearch("earth-search", url, sleep=lambda _: None) as provider:
        yield World(
            provider=provider,
            scenes=scenes,
            aoi=Aoi(geometry=geometry, bbox=shape(geometry).bounds, area_km2=1.0),
            publish=lambda scene, now: shelf.publish(scene, now=now),
        )


OPENERS = {"earth-search": open_earth_search}


@pytest.fixture(params=["synthetic", "earthsearch_33T_2023-08", "sentinel-cogs_29RKH_20200219", "planet"])
def scenes(request: pytest.FixtureRequest) -> Scenes:
    if request.param == "synthetic":
        found: Scenes = request.getfixturevalue("synthetic_scenes")
        return found
    shared: Path = request.getfixturevalue("shared_data")
    return load_scenes(shared / "imagery" / request.param)


@pytest.fixture(params=OPENERS.values(), ids=OPENERS.keys())
def world(request: pytest.FixtureRequest, scenes: Scenes) -> Iterator[World]:
    with request.param(scenes) as opened:
        yield opened


@pytest.fixture(params=OPENERS.values(), ids=OPENERS.keys())
def small_world(request: pytest.FixtureRequest, synthetic_scenes: Scenes) -> Iterator[World]:
    with request.param(synthetic_scenes) as opened:
        yield opened


def acquired(scene: Scene) -> datetime:
    return datetime.fromisoformat(scene.item["properties"]["datetime"])


def test_every_matching_item_comes_once(world: World) -> None:
    found = world.search()
    assert len(found) == len(world.seen) > 0
    assert {item.id for item in found} == {scene.id for scene in world.seen}


def test_nothing_comes_from_where_or_when_nothing_was_acquired(world: World) -> None:
    elsewhere = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
    assert world.search(aoi=Aoi(geometry=elsewhere, bbox=(0, 0, 1, 1), area_km2=12_000.0)) == []
    assert world.search(acquired_to=datetime(2017, 1, 2, tzinfo=UTC)) == []
    assert world.search(collection="no-such-collection") == []


def test_both_ends_of_the_window_are_included(world: World) -> None:
    instant = acquired(world.seen[0])
    assert world.seen[0].id in {item.id for item in world.search(acquired_from=instant, acquired_to=instant)}


def test_assets_can_be_read_where_they_say_they_are(world: World) -> None:
    item = world.search()[0]
    key = world.scenes.asset_keys(world.collection)[0]
    scene = next(scene for scene in world.scenes.scenes if scene.id == item.id)
    # Not `checksum`: rasterio holds the interpreter's lock in it, and the sandbox lives in this process.
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        with rasterio.open(f"/vsicurl/{item.assets[key].href}") as remote:
            pixels = remote.read()
        with rasterio.open(scene.files[key]) as local:
            assert (pixels == local.read()).all()


def test_an_item_and_its_collection_can_be_got_by_id(world: World) -> None:
    found = world.search()[0]
    assert world.provider.get(world.collection, found.id).to_dict() == found.to_dict()
    assert world.provider.get_collection(world.collection).id == world.collection


def test_unknown_ids_are_unknown(world: World) -> None:
    with pytest.raises(ItemUnknown):
        world.provider.get(world.collection, "no-such-item")
    with pytest.raises(ItemUnknown):
        world.provider.get(world.collection, "../../../etc/passwd")
    with pytest.raises(CollectionUnknown):
        world.provider.get_collection("no-such-collection")


def test_a_new_acquisition_is_found_by_its_publication(small_world: World) -> None:
    first = small_world.seen[0]
    assert small_world.search(updated_since=NOW) == []
    small_world.publish(Scene(item={**copy.deepcopy(first.item), "id": "NEW"}, files=first.files), NOW)
    assert [item.id for item in small_world.search(updated_since=NOW)] == ["NEW"]
    assert small_world.search(updated_since=NOW + timedelta(microseconds=1)) == []


def test_an_item_published_anew_is_found_again(small_world: World) -> None:
    small_world.publish(small_world.seen[0], NOW)
    assert [item.id for item in small_world.search(updated_since=NOW)] == [small_world.seen[0].id]


def test_a_search_of_many_pages_is_whole(small_world: World) -> None:
    first = small_world.seen[0]
    for number in range(250):
        item = {**copy.deepcopy(first.item), "id": f"N{number:03}"}
        small_world.publish(Scene(item=item, files=first.files), NOW + timedelta(seconds=number % 3))
    found = [item.id for item in small_world.search()]
    assert len(found) == len(set(found)) == 250 + len(small_world.seen)
    recent = [item.id for item in small_world.search(updated_since=NOW)]
    assert sorted(recent) == [f"N{number:03}" for number in range(250)]


def test_a_provider_that_is_gone_is_unavailable() -> None:
    with serving(lambda scope, receive, send: None) as url:
        pass
    with EarthSearch("earth-search", url, sleep=lambda _: None) as provider, pytest.raises(ProviderUnavailable):
        provider.get_collection("sentinel-2-l2a")


def test_a_provider_that_hangs_is_unavailable() -> None:
    async def hang(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await receive()
            while (await receive())["type"] != "http.disconnect":
                pass

    with (
        serving(hang) as url,
        httpx.Client() as client,
        pytest.raises(ProviderUnavailable, match="did not answer within"),
    ):
        EarthSearch("earth-search", url, client=client, timeout_s=0.1, attempts=2, sleep=lambda _: None).get("a", "b")


def changes(world: World, since: datetime) -> list[str]:
    return [item.id for item in world.provider.changes(world.collection, since=since)]


def test_the_feed_gives_what_was_published_since_oldest_first(small_world: World) -> None:
    first = small_world.seen[0]
    assert changes(small_world, NOW) == []
    for number in (2, 0, 1):
        item = {**copy.deepcopy(first.item), "id": f"N{number}"}
        small_world.publish(Scene(item=item, files=first.files), NOW + timedelta(minutes=number))
    assert changes(small_world, NOW) == ["N0", "N1", "N2"]
    assert changes(small_world, NOW + timedelta(minutes=1)) == ["N1", "N2"]


def test_the_feed_is_whole_over_many_pages_of_one_instant(small_world: World) -> None:
    first = small_world.seen[0]
    for number in range(250):
        item = {**copy.deepcopy(first.item), "id": f"N{number:03}"}
        small_world.publish(Scene(item=item, files=first.files), NOW)
    assert changes(small_world, NOW) == [f"N{number:03}" for number in range(250)]


def test_an_item_published_anew_is_in_the_feed_again(small_world: World) -> None:
    small_world.publish(small_world.seen[0], NOW)
    assert changes(small_world, NOW) == [small_world.seen[0].id]
