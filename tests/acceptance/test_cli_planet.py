"""`imagery sandbox planet`, started as its user starts it, and killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

IMAGERY = (sys.executable, "-m", "imagery.cli")
ORDERS = "/compute/ops/orders/v2"


@contextmanager
def _sandbox(workdir: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client, dict[str, Any]]]:
    process = subprocess.Popen(
        (*IMAGERY, "sandbox", "planet", "--port", "0", "--workdir", str(workdir), "--json", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        said = json.loads(process.stdout.readline())  # type: ignore[union-attr]
        with httpx.Client(base_url=said["url"], auth=("k", ""), trust_env=False) as client:
            yield process, client, said
    finally:
        process.terminate()
        process.communicate(timeout=15)


def _order(client: httpx.Client, aoi: dict[str, Any]) -> str:
    everything = {"item_types": ["PSScene"], "filter": {"type": "AssetFilter", "config": ["ortho_analytic_4b_sr"]}}
    items = client.post("/data/v1/quick-search", json=everything).json()["features"]
    product = {"item_ids": [items[0]["id"]], "item_type": "PSScene", "product_bundle": "analytic_sr_udm2"}
    body = {"name": "survives", "products": [product], "tools": [{"clip": {"aoi": aoi}}]}
    return str(client.post(ORDERS, json=body).json()["id"])


def test_an_order_survives_the_sandbox_being_killed(tmp_path: Path) -> None:
    with _sandbox(tmp_path, "--set", "queued_s=1", "--api-key", "k") as (process, client, said):
        order_id = _order(client, said["aoi"])
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    with _sandbox(tmp_path, "--set", "running_s=0", "--set", "rate_scale=0") as (_, client, again):
        deadline = time.monotonic() + 15
        while (order := client.get(f"{ORDERS}/{order_id}").json())["state"] != "success":
            assert time.monotonic() < deadline, order
            time.sleep(0.05)
        by_name = client.get("/_orders").json()["by_name"]
        locations = [one["location"] for one in order["_links"]["results"]]
        statuses = {httpx.get(location, trust_env=False).status_code for location in locations}

    assert (again["scenes"], again["aoi"]) == (said["scenes"], said["aoi"])
    assert by_name == {"survives": 1}
    assert statuses == {200}


def test_a_setting_that_does_not_exist_is_named(tmp_path: Path) -> None:
    failed = subprocess.run(
        (*IMAGERY, "sandbox", "planet", "--set", "runing_s=1"), capture_output=True, text=True, timeout=60, check=False
    )

    assert failed.returncode != 0
    assert "there is no 'runing_s'; there are queued_s" in failed.stderr
