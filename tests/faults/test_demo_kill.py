"""The demo killed at any moment, and run again: as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pystac_client import Client

from imagery.model.outcome import OutcomeQuery
from imagery.sandbox.serving import serving
from imagery.settings import Settings
from imagery.wiring import build

DEMO = (sys.executable, "-m", "imagery.cli", "demo", "--no-stay", "--json", "--port", "0")
SEED = 20260501
WORKING_S = 1.5
"""About how long a demo is at work after it has said which subscription it works for."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a demo leaves, with its subscription's id taken out of every name."""

    ledger: Counter[tuple[str, str]]
    """(source item, status)"""

    items: Counter[str]
    """As a search over all pages finds them."""

    objects: dict[str, str]
    """Path → SHA-256; of item.json, which holds the time it was made, only that it is there."""


@pytest.mark.slow
def test_killed_at_random_moments_and_run_again_every_item_is_there_once(tmp_path: Path) -> None:
    undisturbed = _finish(tmp_path / "undisturbed")
    scenes = tmp_path / "undisturbed" / "sandbox" / "synthetic"
    wishes = ("--data", str(scenes), "--aoi", str(scenes / "field.geojson"))
    chance = random.Random(SEED)

    killed_at_work = 0
    for number in range(6):
        # Each kill leaves less for the next: every other one begins anew.
        state = tmp_path / f"killed-{number // 2}"
        killed_at_work += _kill(state, wishes, after_s=chance.uniform(0.0, WORKING_S), early=number == 4)
    resumed = [_finish(tmp_path / f"killed-{number}", *wishes) for number in range(3)]

    expected = _left(tmp_path / "undisturbed", undisturbed)
    assert killed_at_work >= 2, "the kills came too late to show anything"
    assert len(expected.items) == 6  # twelve tiles of six dates
    for number, document in enumerate(resumed):
        assert _left(tmp_path / f"killed-{number}", document) == expected


def _kill(state: Path, wishes: tuple[str, ...], *, after_s: float, early: bool) -> bool:
    """Start a demo and kill it: `early` while it starts, else while it works. Whether it was still running."""
    process = subprocess.Popen(
        (*DEMO, "--state-dir", str(state), *wishes), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stderr is not None
        if not early:
            any(line.startswith("subscription sub_") for line in process.stderr)
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return process.returncode == -signal.SIGKILL


def _finish(state: Path, *wishes: str) -> dict[str, Any]:
    command = (*DEMO, "--state-dir", str(state), *wishes)
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def _left(state: Path, document: dict[str, Any]) -> Left:
    subscription = document["subscription"]
    settings = Settings(data_dir=state / "service", public_catalog=True)
    with build(settings) as imagery:
        page = imagery.subscriptions.ledger.find(OutcomeQuery(subscription_id=subscription, limit=500))
        # Pages of five, so that an item that is there twice, or slips between two pages, shows.
        with serving(imagery.stac_app(lambda _request: None)) as url:
            items = Counter(item.id.replace(subscription, "") for item in Client.open(url).search(limit=5).items())
    return Left(
        ledger=Counter((outcome.item_id, outcome.status.value) for outcome in page.values),
        items=items,
        objects={
            str(path.relative_to(state / "service" / "objects")).replace(subscription, ""): _digest(path)
            for path in (state / "service" / "objects").rglob("*")
            if path.is_file()
        },
    )


def _digest(path: Path) -> str:
    return "there" if path.name == "item.json" else hashlib.sha256(path.read_bytes()).hexdigest()
