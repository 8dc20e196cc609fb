"""The whole service against a local Planet that can be told to misbehave, on a clock that runs fast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from starlette.responses import Response

from imagery.api.app import create_app
from imagery.model.execution import ExecutionQuery, ExecutionStatus
from imagery.model.failure import Failure, FailureQuery
from imagery.model.order import Order, OrderQuery
from imagery.model.outcome import Outcome, OutcomeQuery, OutcomeStatus
from imagery.model.subscription import Subscription
from imagery.sandbox.planet.app import create_planet_app
from imagery.sandbox.planet.behaviour import Behaviour
from imagery.sandbox.planet.catalogue import Catalogue
from imagery.sandbox.planet.faults import Faults, Rule
from imagery.sandbox.planet.opening import LocalPlanet, open_planet
from imagery.sandbox.planet.synthetic import make_scenes
from imagery.sandbox.serving import serving
from imagery.service.subscriptions import NewSubscription
from imagery.settings import Settings
from imagery.wiring import Imagery, build
from imagery.worker import Worker
from tests.faults.house import ANA, BEGIN, FastClock, impatient_workflow, until

KEY = "key-of-the-test-0123456789"
ASSETS = ("ortho_analytic_4b_sr", "ortho_udm2")
SPEED = 60


@dataclass(kw_only=True)
class Address:
    """ASGI: an address that is there before who answers at it, and after."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.app is None:
            await Response(status_code=503)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


@dataclass(frozen=True, kw_only=True)
class House:
    """A running service, and the Planet it orders from."""

    imagery: Imagery
    planet: LocalPlanet
    url: str
    aoi: dict[str, Any]

    def subscribe(self, *assets: str, **changes: Any) -> Subscription:
        fields: dict[str, Any] = {
            "aoi": self.aoi,
            "provider": "planet",
            "collection": "PSScene",
            "assets": assets or ASSETS,
            "start_at": BEGIN - timedelta(days=60),
            "end_at": BEGIN,
        }
        return self.imagery.subscriptions.create(ANA, NewSubscription(**{**fields, **changes})).subscription

    def ledger(self, subscription: Subscription) -> dict[str, Outcome]:
        query = OutcomeQuery(subscription_id=subscription.id, limit=500)
        return {outcome.item_id: outcome for outcome in self.imagery.subscriptions.ledger.find(query).values}

    def statuses(self, subscription: Subscription) -> list[OutcomeStatus]:
        return [outcome.status for outcome in self.ledger(subscription).values()]

    def failures(self) -> list[Failure]:
        return list(self.imagery.failures.find(ANA, FailureQuery()).values)

    def orders(self) -> list[Order]:
        return list(self.imagery.orders.find(OrderQuery()).values)

    def bought(self) -> dict[str, int]:
        """Name → orders ever created at Planet under it."""
        return self.planet.account.book.count_by_name()

    def calls(self) -> list[str | None]:
        """How each webhook was answered."""
        return [call.outcome for call in self.planet.account.book.calls()]

    def settle(self) -> None:
        """Until nothing is queued or under way."""
        until(self._is_at_rest, "nothing is under way")

    def _is_at_rest(self) -> bool:
        executions = self.imagery.orchestrator.find(ExecutionQuery(limit=500)).values
        queued = sum(self.imagery.queue.depth().values())
        return bool(executions) and not queued and all(one.status is not ExecutionStatus.RUNNING for one in executions)


def some_scenes(folder: Path, count: int) -> Catalogue:
    """The oldest: whole, and not changed any more."""
    made = make_scenes(folder, now=BEGIN)
    return Catalogue(made.list(BEGIN)[:count], aoi=made.aoi)


@contextmanager
def open_planet_house(
    folder: Path, scenes: Catalogue, *rules: Rule, behaviour: Behaviour | None = None, **settings: Any
) -> Iterator[House]:
    """Running, for as long as the block lasts. `rules` hold from the start."""
    clock, address = FastClock(speed=SPEED), Address()
    manners = behaviour or Behaviour(rate_scale=0.0, queued_s=2.0, running_s=2.0)
    with ExitStack() as closing:
        planet = closing.enter_context(
            open_planet(
                folder / "planet",
                catalogue=scenes,
                api_key=KEY,
                behaviour=manners,
                faults=Faults(*rules),
                clock=clock,
            )
        )
        planet_url = closing.enter_context(serving(create_planet_app(planet)))
        url = closing.enter_context(serving(address))
        usual = {
            "data_dir": folder / "service",
            "stac_providers": {},
            "public_url": url,
            "planet_url": planet_url,
            "planet_api_key": KEY,
            "planet_webhook_user": "planet",
            "planet_webhook_password": "p@ss:word/0123",
            "update_check_every": timedelta(seconds=0.5),
            "concurrency": 4,
        }
        everything = Settings(**{**usual, **settings})
        imagery = closing.enter_context(
            build(everything, clock=clock, sleep=clock.sleep, workflow=impatient_workflow())
        )
        address.app = create_app(imagery)
        # FastAPI completes its routes at the first request, behind `catch_warnings`, which other threads undo for it;
        # where warnings are errors that request would fail.
        httpx.get(f"{url}/health", trust_env=False)
        worker = Worker(imagery=imagery)
        worker.start()
        closing.callback(worker.stop, drain=timedelta(seconds=2))
        assert scenes.aoi is not None
        yield House(imagery=imagery, planet=planet, url=url, aoi=dict(scenes.aoi))
