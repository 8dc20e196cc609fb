"""A whole run of the service as a process of its own: what its log says, and what it never says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from imagery.sandbox.earth_search import create_app
from imagery.sandbox.faults import Fault, Faults, Rule
from imagery.sandbox.scenes import Scenes
from imagery.sandbox.serving import serving
from imagery.sandbox.shelf import Shelf
from imagery.sandbox.synthetic import make_scenes

PROJECT = Path(__file__).resolve().parents[2]

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/geheimnis",
    "AWS_SESSION_TOKEN": "session-geheimnis",
}
PASSWORD = "vermittler-geheimnis"
HOOK_TOKEN = "haken-geheimnis"


@dataclass(frozen=True)
class Run:
    """What was left of it."""

    log: str
    lines: list[dict[str, Any]]
    secrets: tuple[str, ...]
    subscription_id: str
    ledger: list[dict[str, Any]]
    metrics: str


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A subscription whose items are partly delivered and partly damaged, and whose webhook is refused."""
    folder = tmp_path_factory.mktemp("run")
    scenes = make_scenes(folder / "scenes", now=datetime.now(UTC))
    mine = [scene for scene in scenes.scenes if scene.collection == scenes.main_collection]
    # Both tiles of one date: of one alone the other would be taken.
    damaged = Rule(fault=Fault.CORRUPT_TIFF, path=f"*{mine[-1].id[10:]}*")
    with serving(create_app(Shelf(scenes), faults=Faults(damaged))) as url:
        yield _run(folder / "data", scenes, url)


def test_no_secret_is_in_the_log_of_a_whole_run(whole_run: Run) -> None:
    assert len(whole_run.lines) > 50
    assert "Traceback" in whole_run.log
    for secret in whole_run.secrets:
        assert secret not in whole_run.log


def test_every_step_of_the_run_says_whose_it_was_and_what_it_took(whole_run: Run) -> None:
    steps = [line for line in whole_run.lines if line["message"].startswith("step ")]

    assert {line["message"].partition(":")[0] for line in steps} == {"step finished", "step failed"}
    for line in steps:
        assert line["subscription_id"] == whole_run.subscription_id
        assert line["execution_id"] == line["request_id"]
        assert line["duration_ms"] >= 0
    assert not [line for line in whole_run.lines if line["logger"].startswith("boto")]


def test_the_run_counted_what_it_read(whole_run: Run) -> None:
    delivered = [row for row in whole_run.ledger if row["status"] == "delivered"]

    assert delivered
    assert all(row["numbers"]["bytes_read"] > 0 for row in delivered)
    total = next(x for x in whole_run.metrics.splitlines() if x.startswith("imagery_bytes_read_total "))
    assert float(total.split()[1]) >= sum(row["numbers"]["bytes_read"] for row in delivered)
    assert 'imagery_failures{error="RasterUnreadable"} 2.0' in whole_run.metrics


def _run(data_dir: Path, scenes: Scenes, provider_url: str) -> Run:
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("IMAGERY_", "AWS_"))},
        **SECRETS,
        "HTTPS_PROXY": f"http://me:{PASSWORD}@127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": str(PROJECT),
        "IMAGERY_DATA_DIR": str(data_dir),
        "IMAGERY_STAC_PROVIDERS": json.dumps({"earth-search": provider_url}),
        "IMAGERY_WEBHOOK_ALLOW_HTTP": "true",
        "IMAGERY_WEBHOOK_ALLOW_PRIVATE": "true",
    }
    keys = [_make_key(env, "ana"), _make_key(env, "olga", "--operator")]
    command = [sys.executable, "-m", "imagery.cli", "serve", "--port", "0", "--json", "--log-json"]
    log = data_dir.parent / "log"
    with log.open("w") as err:
        service = subprocess.Popen(
            [*command, "--log-level", "DEBUG"], env=env, cwd=PROJECT, stdout=subprocess.PIPE, stderr=err, text=True
        )
    try:
        assert service.stdout is not None
        url = json.loads(service.stdout.readline())["url"]
        subscription, ledger, metrics = _use(url, provider_url, keys, scenes)
    finally:
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=40)
    text = log.read_text()
    secrets = (*list(SECRETS.values())[1:], PASSWORD, HOOK_TOKEN, subscription["webhook"]["secret"])
    return Run(
        log=text,
        lines=[json.loads(line) for line in text.splitlines() if line.startswith("{")],
        secrets=(*secrets, *(key.rpartition("_")[2] for key in keys)),
        subscription_id=subscription["id"],
        ledger=ledger,
        metrics=metrics,
    )


def _use(
    url: str, provider_url: str, keys: list[str], scenes: Scenes
) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    body = {
        "aoi": scenes.aoi,
        "provider": "earth-search",
        "collection": scenes.main_collection,
        "assets": ["red"],
        "start_at": (datetime.now(UTC) - timedelta(days=60)).isoformat(),
        "webhook": {"url": f"{provider_url}/hook?token={HOOK_TOKEN}"},
    }
    ana, olga = (httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=20) for key in keys)
    with ana, olga:
        ana.get("/v1/subscriptions", params={"token": HOOK_TOKEN})
        answer = ana.post("/v1/subscriptions", json=body)
        assert answer.status_code == 201, answer.text
        ledger = _settled(ana, answer.json()["id"])
        return answer.json(), ledger, olga.get("/metrics").text


def _settled(client: httpx.Client, subscription_id: str) -> list[dict[str, Any]]:
    """Its ledger, once nothing in it waits any more."""
    deadline = time.monotonic() + 60
    while True:
        answer = client.get(f"/v1/subscriptions/{subscription_id}/ledger", params={"limit": 500})
        rows: list[dict[str, Any]] = next(value for value in answer.json().values() if isinstance(value, list))
        if {"delivered", "failed"} <= {row["status"] for row in rows} and "waiting" not in {r["status"] for r in rows}:
            return rows
        assert time.monotonic() < deadline, [(row["status"], row["explanation"]) for row in rows]
        time.sleep(0.2)


def _make_key(env: dict[str, str], owner: str, *options: str) -> str:
    command = [sys.executable, "-m", "imagery.cli", "keys", "create", "--owner", owner, "--json", *options]
    made = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=True)
    return str(json.loads(made.stdout)["key"])
