"""A furnished house on a temporary folder, with a provider whose scenes are real files made here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.transform import from_origin

from imagery.catalogs.sqlite.catalog import SqliteCatalog
from imagery.catalogs.sqlite.store import CatalogStore
from imagery.checkers.feed import FeedReader
from imagery.checkers.update import UpdateChecker
from imagery.errors import CollectionUnknown, FeedUnsupported, ItemUnknown, ProviderUnavailable
from imagery.model.aoi import parse_aoi
from imagery.model.codec import to_dict
from imagery.model.request import Request
from imagery.model.search import Search
from imagery.model.subscription import Subscription
from imagery.objects import open_objects
from imagery.ports import FeedStore, Provider
from imagery.queues.sqlite import SqliteProcessingQueue
from imagery.service.discovery import Asker
from imagery.service.joining import Joiner
from imagery.service.looks import Lookback, Looker, Progress
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.events import SqliteEventStore
from imagery.stores.sqlite.failures import SqliteFailureStore
from imagery.stores.sqlite.feeds import SqliteFeedStore
from imagery.stores.sqlite.ledger import SqliteLedger
from imagery.stores.sqlite.looks import SqliteLookStore
from imagery.stores.sqlite.products import SqliteProductStore
from imagery.stores.sqlite.subscriptions import SqliteSubscriptionStore
from imagery.workflow.steps import Neighbours, Step, steps

LEFT, TOP = 500_000.0, 5_100_000.0
"""Upper left corner of every scene; EPSG:32633, 10 m, 100 x 100 pixels."""

OVERLAP, LATE = timedelta(hours=1), timedelta(days=3)

ACQUIRED = datetime(2026, 4, 20, 10, tzinfo=UTC)


@dataclass
class ProviderOfFiles:
    """A Provider whose collection is a list in memory and whose assets are files."""

    folder: Path
    items: dict[str, pystac.Item] = field(default_factory=dict)
    searches: list[Search] = field(default_factory=list)
    is_down: bool = False
    has_feed: bool = True
    reads: list[datetime] = field(default_factory=list)
    """The `since` of each read of the feed."""

    def publish(self, item_id: str, **properties: Any) -> pystac.Item:
        """Make a scene known; its pixels count upwards from 1."""
        href = self.folder / f"{item_id}.tif"
        values = np.arange(1, 10_001, dtype="uint16").reshape(1, 100, 100)
        profile = {"driver": "GTiff", "height": 100, "width": 100, "count": 1, "dtype": "uint16", "nodata": 0}
        with rasterio.open(href, "w", crs="EPSG:32633", transform=from_origin(LEFT, TOP, 10, 10), **profile) as out:
            out.write(values)
        updated = properties.pop("updated", "2026-04-20T12:00:00Z")
        item = pystac.Item(
            id=item_id,
            geometry=square(0, 0, 100)["geometry"],
            bbox=[14.99, 46.04, 15.02, 46.06],
            datetime=properties.pop("datetime", ACQUIRED),
            properties={"eo:cloud_cover": 10.0, "updated": updated, "created": updated, **properties},
            collection="sentinel-2-l2a",
        )
        for key in ("red", "nir"):
            item.add_asset(key, pystac.Asset(href=str(href), media_type=pystac.MediaType.COG, roles=["data"]))
        item.set_self_href(f"https://stac.example.com/items/{item_id}")
        self.items[item_id] = item
        return item

    def search(self, search: Search) -> Iterator[pystac.Item]:
        if self.is_down:
            raise ProviderUnavailable("the provider does not answer")
        self.searches.append(search)
        for item in list(self.items.values()):
            updated = item.common_metadata.updated
            is_recent = search.updated_since is None or updated is None or updated >= search.updated_since
            if is_recent and item.datetime and search.acquired_from <= item.datetime <= search.acquired_to:
                yield item.clone()

    def changes(self, collection_id: str, *, since: datetime) -> Iterator[pystac.Item]:
        if not self.has_feed:
            raise FeedUnsupported("it cannot filter by `updated`")
        if self.is_down:
            raise ProviderUnavailable("the provider does not answer")
        self.reads.append(since)
        stamped = [(item.common_metadata.updated, item) for item in self.items.values()]
        for updated, item in sorted(stamped, key=lambda each: (each[0], each[1].id)):
            if item.collection_id == collection_id and updated >= since:
                yield item.clone()

    def get(self, collection_id: str, item_id: str) -> pystac.Item:
        if item_id not in self.items:
            raise ItemUnknown(f"no item {item_id}")
        return self.items[item_id].clone()

    def get_collection(self, collection_id: str) -> pystac.Collection:
        if collection_id != "sentinel-2-l2a":
            raise CollectionUnknown(f"no collection {collection_id}")
        extent = pystac.Extent(pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]]))
        return pystac.Collection(id=collection_id, description="Sentinel-2", extent=extent, license="other")


def square(column: int, row: int, size: int) -> dict[str, Any]:
    """A GeoJSON Feature over `size` x `size` pixels of the scenes."""
    from rasterio.warp import transform_geom

    left, top = LEFT + 10 * column, TOP - 10 * row
    right, bottom = left + 10 * size, top - 10 * size
    ring = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
    geometry = transform_geom("EPSG:32633", "EPSG:4326", {"type": "Polygon", "coordinates": [ring]})
    return {"type": "Feature", "properties": {}, "geometry": geometry}


@dataclass(frozen=True)
class House:
    """What a test of the workflow needs in its hands."""

    neighbours: Neighbours
    provider: ProviderOfFiles
    objects_dir: Path
    steps: dict[str, Step]
    feeds: FeedStore

    @property
    def joiner(self) -> Joiner:
        return Joiner(subscriptions=self.neighbours.subscriptions, late_arrivals=LATE)

    @property
    def update_checker(self) -> UpdateChecker:
        n = self.neighbours
        reader = FeedReader(
            subscriptions=n.subscriptions,
            feeds=self.feeds,
            joiner=self.joiner,
            asker=n.looker.asker,
            overlap=OVERLAP,
            first_reach=timedelta(days=30),
        )
        return UpdateChecker(
            subscriptions=n.subscriptions,
            providers=n.providers,
            looks=n.looker.looks,
            looker=n.looker,
            reader=reader,
            joiner=self.joiner,
            asker=n.looker.asker,
            overlap=OVERLAP,
            late_arrivals=LATE,
        )

    @property
    def lookback(self) -> Lookback:
        n = self.neighbours
        return Lookback(
            subscriptions=n.subscriptions,
            looks=n.looker.looks,
            queue=n.queue,
            progress=Progress(feeds=self.feeds, looks=n.looker.looks),
            longest=timedelta(days=90),
        )

    def work(self) -> list[Request]:
        """Carry out all that is in the queue, and what that leads to; gives the requests in order."""
        done: list[Request] = []
        while messages := self.neighbours.queue.receive(1):
            payload = {"request": to_dict(messages[0].request)}
            answer = self.steps["PublicProvider"](payload)
            self.steps["Register"]({**payload, "entries": answer["entries"]})
            self.neighbours.queue.acknowledge(messages[0].receipt)
            done.append(messages[0].request)
        return done

    def subscribe(self, number: int = 1, aoi: dict[str, Any] | None = None, **changes: Any) -> Subscription:
        now = self.neighbours.clock()
        parsed, _ = parse_aoi(aoi or square(20, 20, 10), max_vertices=100, max_area_km2=100)
        subscription = Subscription(
            id=f"sub_{number:026d}",
            owner="ana",
            aoi=parsed,
            provider="earth-search",
            collection="sentinel-2-l2a",
            assets=("red", "nir"),
            start_at=datetime(2026, 4, 1, tzinfo=UTC),
            created_at=now - timedelta(days=1),
            updated_at=now,
        )
        return self.neighbours.subscriptions.add(replace(subscription, **changes))

    def objects(self) -> list[str]:
        return sorted(str(p.relative_to(self.objects_dir)) for p in self.objects_dir.rglob("*") if p.is_file())


@pytest.fixture
def house(tmp_path: Path, clock: Callable[[], datetime]) -> Iterator[House]:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    provider = ProviderOfFiles(scenes)
    providers: dict[str, Provider] = {"earth-search": provider}
    with Database(tmp_path / "imagery.db") as database, closing(CatalogStore(tmp_path / "catalog.db")) as store:
        subscriptions, ledger = SqliteSubscriptionStore(database), SqliteLedger(database)
        queue, looks = SqliteProcessingQueue(database, clock=clock), SqliteLookStore(database)
        asker = Asker(ledger=ledger, queue=queue, together=database.write, per_request=200)
        neighbours = Neighbours(
            providers=providers,
            subscriptions=subscriptions,
            ledger=ledger,
            products=SqliteProductStore(database),
            failures=SqliteFailureStore(database),
            events=SqliteEventStore(database),
            together=database.write,
            queue=queue,
            looker=Looker(
                asker=asker, looks=looks, subscriptions=subscriptions, together=database.write, overlap=OVERLAP
            ),
            objects=open_objects((tmp_path / "objects").as_uri()),
            catalog=SqliteCatalog(store),
            clock=clock,
            max_clip_pixels=1_000_000,
            superseded_retention=timedelta(days=30),
        )
        yield House(neighbours, provider, tmp_path / "objects", steps(neighbours), SqliteFeedStore(database))
