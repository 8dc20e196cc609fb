"""From POST to searchable item, beside a bare script that reads, clips and writes the same: the price of durability.

python tests/benchmarks/deliver.py [--rounds 5] [--data DIR]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import httpx
import pystac
import rasterio
from pystac_client import Client
from rasterio.mask import mask
from rasterio.warp import transform_geom
from rich.console import Console
from rich.table import Table

from imagery.api.app import create_app
from imagery.items.acquisition import acquisition_of_item
from imagery.sandbox.earth_search import create_app as create_sandbox
from imagery.sandbox.fields import default_aoi
from imagery.sandbox.opening import open_sandbox
from imagery.sandbox.serving import serving
from imagery.settings import Settings
from imagery.wiring import build
from imagery.worker import Worker

PATIENCE_S = 60.0


def served(api_url: str, key: str, body: dict[str, object], expected: int) -> float:
    """Seconds from the POST until every item is found by a search."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=api_url, headers=headers, timeout=30) as client:
        begun = time.perf_counter()
        deadline = begun + PATIENCE_S
        created = client.post("/v1/subscriptions", json=body).raise_for_status().json()
        query = {"filter": f"imagery:subscription_id = '{created['id']}'", "limit": 100}
        while True:
            found = client.get("/stac/search", params=query).raise_for_status().json()["features"]
            if len(found) >= expected:
                return time.perf_counter() - begun
            if time.perf_counter() > deadline:
                raise SystemExit(f"{len(found)} of {expected} items came in {PATIENCE_S:g} s")
            time.sleep(0.02)


def bare(sandbox_url: str, collection: str, aoi: dict[str, object], keys: list[str], folder: Path) -> float:
    """Seconds for pystac-client, rasterio's mask and plain files, one after another."""
    begun = time.perf_counter()
    search = Client.open(sandbox_url).search(collections=[collection], intersects=aoi)
    for item in search.items():
        for key in keys:
            with rasterio.open(item.assets[key].href) as source:
                shape = transform_geom("EPSG:4326", source.crs, aoi)
                pixels, transform = mask(source, [shape], crop=True)
                profile = {
                    **source.profile,
                    "height": pixels.shape[1],
                    "width": pixels.shape[2],
                    "transform": transform,
                }
                profile.update(driver="GTiff", tiled=False, compress="deflate")
                profile.pop("blockxsize", None)
                profile.pop("blockysize", None)
            with rasterio.open(folder / f"{item.id}-{key}.tif", "w", **profile) as out:
                out.write(pixels)
    return time.perf_counter() - begun


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = open_sandbox(given.data, folder / "sandbox", datetime.now(UTC))
        aoi, keys = default_aoi(scenes), sorted(scenes.asset_keys(scenes.main_collection))
        items = [pystac.Item.from_dict(s.item) for s in scenes.scenes if s.collection == scenes.main_collection]
        expected = len({acquisition_of_item(item).id for item in items})
        with serving(create_sandbox(scenes)) as sandbox_url:
            settings = Settings(data_dir=folder / "service", stac_providers={"sandbox": sandbox_url})
            body = {
                "aoi": aoi, "provider": "sandbox", "collection": scenes.main_collection, "assets": keys,
                "start_at": min(str(scene.item["properties"]["datetime"]) for scene in scenes.scenes),
            }  # fmt: skip
            with build(settings) as imagery:
                worker = Worker(imagery=imagery)
                worker.start()
                _, key = imagery.keys.create("benchmark")
                with serving(create_app(imagery)) as api_url:
                    ours = [served(api_url, key, body, expected) for _ in range(given.rounds)]
                worker.stop()
            # In a process of its own, as a script is; beside the server, GDAL's lock would hold both up.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as script:
                asked = (sandbox_url, scenes.main_collection, aoi, keys, folder)
                bares = [script.submit(bare, *asked).result() for _ in range(given.rounds)]
    table = Table(
        "way",
        "median s",
        "max s",
        title=f"deliver: {len(items)} scenes, {expected} acquisitions x {len(keys)} assets, one field",
    )
    for way, seconds in (("POST to the last searchable item", ours), ("bare script", bares)):
        table.add_row(way, f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
