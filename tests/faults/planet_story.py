"""The life of two orders, told so that it can be broken off anywhere and told again from the beginning.

Run as a program, this file forks a process for each line it is given, which runs the service and is killed where the
line says.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from imagery.api.app import create_app
from imagery.model.outcome import OutcomeStatus
from imagery.sandbox.serving import serving
from imagery.service.subscriptions import NewSubscription
from imagery.settings import Settings
from imagery.wiring import Imagery, build
from imagery.worker import Worker
from tests.faults.house import ANA, BEGIN, FastClock, until
from tests.faults.nursery import raise_lives
from tests.faults.story import Point, Witness, is_at_rest

SPEED = 60

PHASES = {
    "ordering": ("imagery/service/orders.py", "imagery/service/reserving.py", "imagery/workflow/planet.py"),
    "asking": ("imagery/providers/planet/client.py",),
    "fetching": ("imagery/providers/planet/download.py",),
    "cutting": ("imagery/workflow/delivery.py",),
    "registration": ("imagery/workflow/registering.py", "imagery/workflow/steps.py"),
    "execution": ("imagery/orchestrators/embedded/pump.py",),
}


@dataclass(frozen=True, kw_only=True)
class Telling:
    """One process's try to tell the story to its end."""

    data_dir: str
    planet_url: str
    port: int
    """Where Planet calls."""

    aoi: dict[str, Any]
    scenes: int
    origin: float
    point: Point | None = None
    after_s: float | None = None
    """Killed by another process after so long. None: not so."""


def settings_of(telling: Telling) -> Settings:
    return Settings(
        data_dir=Path(telling.data_dir),
        stac_providers={},
        public_url=f"http://127.0.0.1:{telling.port}",
        public_catalog=True,
        planet_url=telling.planet_url,
        planet_api_key="key-of-the-story",
        update_check_every=timedelta(seconds=0.5),
        concurrency=4,
    )


def tell(telling: Telling) -> None:
    """Run the service and tell the story to its end. Every step may have been done before."""
    clock = FastClock(speed=SPEED, origin=telling.origin)
    with build(settings_of(telling), clock=clock, sleep=clock.sleep) as imagery:
        worker = Worker(imagery=imagery)
        worker.start()
        with serving(create_app(imagery), port=telling.port):
            subscription = _subscribed(imagery, telling)
            until(lambda: _is_delivered(imagery, subscription, telling.scenes), "everything is delivered")
            until(lambda: is_at_rest(imagery), "nothing is under way")
            until(lambda: not any(order.look_at for order in imagery.orders.due(now=clock(), limit=9)), "none is due")
        worker.stop(drain=timedelta(seconds=2))


def _subscribed(imagery: Imagery, telling: Telling) -> str:
    new = NewSubscription(
        aoi=telling.aoi,
        provider="planet",
        collection="PSScene",
        assets=("ortho_analytic_4b_sr", "ortho_udm2"),
        start_at=BEGIN - timedelta(days=60),
        end_at=BEGIN,
    )
    return imagery.subscriptions.create(ANA, new, idempotency_key="story").subscription.id


def _is_delivered(imagery: Imagery, subscription: str, scenes: int) -> bool:
    return imagery.subscriptions.ledger.counts(subscription)[OutcomeStatus.DELIVERED] == scenes


def _live(given: dict[str, Any]) -> None:
    point = given.pop("point", None)
    telling = Telling(**given, point=Point(**point) if point else None)
    witness = Witness(point=telling.point, phases=PHASES, counts=Counter())
    witness.watch()
    tell(telling)
    Path(telling.data_dir, "counts.json").write_text(json.dumps(witness.counts))


if __name__ == "__main__":
    raise_lives(_live)
