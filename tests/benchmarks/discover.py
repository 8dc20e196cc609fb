"""How discovery grows: the update checker on 200 new items over 10 thousand to a million subscriptions.

    python -m tests.benchmarks.discover --sizes 10000 100000 1000000

Fields lie fifty to a tile, all over the world's land side by side; the new items cover 200 tiles, so that the matches
are 10 000 whatever the number of subscriptions. Each check runs in a process of its own, whose peak memory is told.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from imagery.checkers.feed import FeedReader
from imagery.checkers.update import UpdateChecker
from imagery.model.aoi import Aoi
from imagery.model.codec import format_instant
from imagery.model.subscription import Subscription
from imagery.providers.earth_search import EarthSearch
from imagery.queues.sqlite import SqliteProcessingQueue
from imagery.service.discovery import Asker
from imagery.service.joining import Joiner
from imagery.service.looks import Looker
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.feeds import SqliteFeedStore
from imagery.stores.sqlite.ledger import SqliteLedger
from imagery.stores.sqlite.looks import SqliteLookStore
from imagery.stores.sqlite.subscriptions import SqliteSubscriptionStore

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ITEMS = 200
FIELDS_A_TILE = 50
TILE, FIELD = 0.5, 0.002
"""Degrees a side."""

TILES_A_ROW = 700
ROOT = "https://stac.test/v1"
COLLECTION = "sentinel-2-l2a"


def tile(number: int) -> tuple[float, float]:
    """Its lower left corner."""
    return -175.0 + TILE * (number % TILES_A_ROW), -60.0 + TILE * (number // TILES_A_ROW)


def square(west: float, south: float, size: float) -> dict[str, Any]:
    east, north = west + size, south + size
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def fields(count: int) -> Iterator[Subscription]:
    for number in range(count):
        west, south = tile(number // FIELDS_A_TILE)
        place = number % FIELDS_A_TILE
        west, south = west + 0.02 + 0.045 * (place % 10), south + 0.02 + 0.09 * (place // 10)
        yield Subscription(
            id=f"sub_{number:026d}",
            owner=f"owner-{number % 1000}",
            aoi=Aoi(
                geometry=square(west, south, FIELD), bbox=(west, south, west + FIELD, south + FIELD), area_km2=0.03
            ),
            provider="earth-search",
            collection=COLLECTION,
            assets=("red", "nir", "scl"),
            start_at=NOW - timedelta(days=30),
            checked_through=NOW - timedelta(hours=1),
            created_at=NOW - timedelta(days=30),
            updated_at=NOW - timedelta(days=30),
        )


def build(path: Path, count: int) -> float:
    """Fill the store; gives seconds."""
    begun = time.perf_counter()
    with Database(path, patience=timedelta(minutes=10)) as database:
        store, left = SqliteSubscriptionStore(database), fields(count)
        while batch := list(islice(left, 20_000)):
            with database.write():
                for subscription in batch:
                    store.add(subscription)
    return time.perf_counter() - begun


class Api:
    """A STAC API at the transport with 200 new items; counts what it is asked."""

    def __init__(self) -> None:
        self.requests = 0
        self.items = [self._item(number) for number in range(ITEMS)]

    def _item(self, number: int) -> dict[str, Any]:
        west, south = tile(number)
        updated = format_instant(NOW - timedelta(minutes=30) + timedelta(seconds=number))
        return {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": f"S2C_{number:05}_20260501_0_L2A",
            "collection": COLLECTION,
            "geometry": square(west, south, TILE),
            "bbox": [west, south, west + TILE, south + TILE],
            "properties": {"datetime": "2026-05-01T10:00:00Z", "created": updated, "updated": updated},
            "links": [],
            "assets": {key: {"href": f"https://cogs.test/{number}/{key}.tif"} for key in ("red", "nir", "scl")},
        }

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if request.method == "GET":
            names = ("query", "sort")
            return httpx.Response(
                200, json={"conformsTo": [f"https://api.stacspec.org/v1.0.0/item-search#{name}" for name in names]}
            )
        body = json.loads(request.content)
        since, first = body["query"]["updated"]["gte"], int(body.get("next", 0))
        found = [item for item in self.items if item["properties"]["updated"] >= since]
        page, links = found[first : first + body["limit"]], []
        if first + len(page) < len(found):
            following = {**body, "next": first + len(page)}
            links = [{"rel": "next", "method": "POST", "href": f"{ROOT}/search", "body": following}]
        return httpx.Response(200, json={"type": "FeatureCollection", "features": page, "links": links})


def check(path: Path) -> dict[str, float]:
    """Two checks: one that finds the items, one that finds nothing new."""
    api = Api()
    with Database(path) as database, httpx.Client(transport=httpx.MockTransport(api.handle)) as client:
        provider = EarthSearch("earth-search", ROOT, client=client)
        checker = checker_of(database, provider)
        before_mb = peak_mb()
        begun, worked = time.perf_counter(), time.process_time()
        requested = checker.run(now=NOW).requested
        first_s, worked_s, asked = time.perf_counter() - begun, time.process_time() - worked, api.requests
        begun = time.perf_counter()
        again = checker.run(now=NOW + timedelta(minutes=5)).requested
        return {
            "matches": requested,
            "http_requests": asked,
            "seconds": first_s,
            "cpu_seconds": worked_s,
            "again": again,
            "again_seconds": time.perf_counter() - begun,
            "peak_mb": peak_mb(),
            "grown_mb": peak_mb() - before_mb,
        }


def peak_mb() -> float:
    """Of this process alone: Linux's ru_maxrss begins with that of the process it was started from."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def checker_of(database: Database, provider: EarthSearch) -> UpdateChecker:
    subscriptions, ledger, looks = SqliteSubscriptionStore(database), SqliteLedger(database), SqliteLookStore(database)
    queue = SqliteProcessingQueue(database, clock=lambda: NOW)
    asker = Asker(ledger=ledger, queue=queue, together=database.write, per_request=200)
    hour, late = timedelta(hours=1), timedelta(days=3)
    joiner = Joiner(subscriptions=subscriptions, late_arrivals=late)
    return UpdateChecker(
        subscriptions=subscriptions,
        providers={"earth-search": provider},
        looks=looks,
        looker=Looker(asker=asker, looks=looks, subscriptions=subscriptions, together=database.write, overlap=hour),
        reader=FeedReader(
            subscriptions=subscriptions,
            feeds=SqliteFeedStore(database),
            joiner=joiner,
            asker=asker,
            overlap=hour,
            first_reach=timedelta(days=30),
        ),
        joiner=joiner,
        asker=asker,
        overlap=hour,
        late_arrivals=late,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--check", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.check:
        print(json.dumps(check(arguments.check)))
        return
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---:" * len(COLUMNS) + "|")
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "imagery.db"
            built_s = build(path, size)
            command = [sys.executable, "-m", "tests.benchmarks.discover", "--check", str(path)]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(f"| {' | '.join(row(size, path.stat().st_size, told))} |", flush=True)
            print(f"  (made in {built_s:.0f} s)", file=sys.stderr, flush=True)


def row(size: int, file_bytes: int, told: dict[str, float]) -> tuple[str, ...]:
    return (
        f"{size:,}",
        f"{file_bytes / 2**20:,.0f} MB",
        f"{told['matches']:,}",
        str(told["http_requests"]),
        f"{told['seconds']:.2f} s",
        f"{told['cpu_seconds']:.2f} s",
        f"{told['again_seconds'] * 1000:.0f} ms",
        f"{told['peak_mb']:.0f} MB",
        f"{told['grown_mb']:.0f} MB",
    )


COLUMNS = (
    *("subscriptions", "file", "matches", "requests to the provider", "check", "of it CPU", "next check"),
    *("peak memory", "grown"),
)


if __name__ == "__main__":
    main()
