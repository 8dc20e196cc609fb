"""Starts everything, subscribes over HTTP as anybody would, and follows what happens."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from starlette.responses import Response

from imagery.api.app import create_app
from imagery.demo.planet import planet_body, planet_settings
from imagery.demo.state import StateDir, open_state
from imagery.demo.wishes import PROVIDER, Wishes, idempotency_key, subscription_body
from imagery.errors import InvalidInput, StatusConflict
from imagery.model.order import OrderStatus
from imagery.model.subscription import Subscription, SubscriptionStatus
from imagery.ports import Clock
from imagery.sandbox.earth_search import create_app as create_sandbox
from imagery.sandbox.opening import open_sandbox
from imagery.sandbox.planet.app import create_planet_app
from imagery.sandbox.planet.opening import open_planet
from imagery.sandbox.serving import serving
from imagery.serving.following import Progress, follow
from imagery.settings import Settings
from imagery.wiring import Imagery, build, now_utc
from imagery.worker import Worker

logger = logging.getLogger(__name__)

DRAIN = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True)
class Demo:
    """A running service with one subscription."""

    imagery: Imagery
    state: StateDir
    subscription: Subscription
    remarks: tuple[str, ...]
    """What was mended in the AOI."""

    scenes: int
    """How many the sandbox serves, of all collections."""

    sandbox_url: str
    api_url: str

    @property
    def stac_url(self) -> str:
        return f"{self.api_url}/stac"

    @property
    def orders(self) -> Mapping[OrderStatus, int]:
        """How many stand how; none at a provider whose assets are read where they lie."""
        return {status: number for status, number in self.imagery.orders.counts().items() if number}

    def follow(self) -> Iterator[Progress]:
        """How it stands, until the first look has ended and nothing is waiting.

        Then an update check, as the service does every few minutes: it finds nothing more, or it is followed as well.
        """
        for progress in follow(self.imagery, self.subscription):
            yield progress
        if progress.trouble is None:
            self.imagery.update_checker.run(now=self.imagery.clock())
            yield from follow(self.imagery, self.subscription)


@contextmanager
def open_demo(wishes: Wishes, *, clock: Clock = now_utc) -> Iterator[Demo]:
    """A sandbox and a service on loopback, for as long as the block lasts.

    Run again with the same wishes it goes on with the same subscription, wherever the last run was cut off. Raises
    InvalidInput, AlreadyRunning.
    """
    with ExitStack() as closing:
        state = closing.enter_context(open_state(wishes.state_dir))
        if wishes.fresh:
            state.forget()
        address = _Address()
        api_url = _serve(closing, address, preferred=wishes.port)
        stage = (_planet_stage if wishes.planet else _stage)(closing, wishes, state, api_url, clock)
        imagery = closing.enter_context(build(stage.settings, clock=clock))
        worker = Worker(imagery=imagery)
        worker.start()
        closing.callback(worker.stop, drain=DRAIN)
        address.app = create_app(imagery)
        state.keep_url(api_url)
        answer = _subscribe(api_url, state.api_key(imagery.keys), stage.body, idempotency_key(wishes, stage.body))
        yield Demo(
            imagery=imagery,
            state=state,
            subscription=_as_kept(imagery, answer["id"]),
            remarks=tuple(answer.get("remarks") or ()),
            scenes=stage.scenes,
            sandbox_url=stage.sandbox_url,
            api_url=api_url,
        )


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """A sandbox that is served, and the service that is to take from it."""

    settings: Settings
    body: Mapping[str, Any]
    scenes: int
    sandbox_url: str


@dataclass(kw_only=True)
class _Address:
    """ASGI: an address that is known before who is at it."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.app is None:
            await Response(status_code=503)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _stage(closing: ExitStack, wishes: Wishes, state: StateDir, api_url: str, clock: Clock) -> _Stage:
    del api_url
    scenes = open_sandbox(wishes.data, state.sandbox, clock())
    body = subscription_body(wishes, scenes)
    url = _serve(closing, create_sandbox(scenes), preferred=wishes.port + 1 if wishes.port else 0)
    settings = Settings(data_dir=state.service, stac_providers={PROVIDER: url}, public_catalog=True)
    return _Stage(settings=settings, body=body, scenes=len(scenes.scenes), sandbox_url=url)


def _planet_stage(closing: ExitStack, wishes: Wishes, state: StateDir, api_url: str, clock: Clock) -> _Stage:
    planet = closing.enter_context(open_planet(state.sandbox / "planet", data=wishes.data, clock=clock))
    body = planet_body(wishes, planet, clock())
    url = _serve(closing, create_planet_app(planet), preferred=wishes.port + 1 if wishes.port else 0)
    return _Stage(
        settings=planet_settings(state.service, planet_url=url, api_url=api_url),
        body=body,
        scenes=len(planet.account.catalogue),
        sandbox_url=url,
    )


def _serve(closing: ExitStack, app: Any, *, preferred: int) -> str:
    try:
        return closing.enter_context(serving(app, port=preferred))
    except (OSError, OverflowError) as error:
        logger.warning("port %d cannot be had (%s); taking one that is free", preferred, error)
        return closing.enter_context(serving(app, port=0))


def _subscribe(api_url: str, key: str, body: Mapping[str, Any], idempotency: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": idempotency}
    # Straight to loopback: a proxy in the environment is not for this.
    with httpx.Client(trust_env=False, timeout=30) as client:
        answer = client.post(f"{api_url}/v1/subscriptions", json=dict(body), headers=headers)
    if answer.is_success:
        created: dict[str, Any] = answer.json()
        return created
    problem = answer.json()
    raise InvalidInput(
        str(problem.get("detail") or problem.get("title") or f"the service answered {answer.status_code}"),
        field=problem.get("field"),
    )


def _as_kept(imagery: Imagery, subscription_id: str) -> Subscription:
    subscription = imagery.subscriptions.store.get(subscription_id)
    if subscription.status in (SubscriptionStatus.PAUSED, SubscriptionStatus.MARKED_FOR_DELETION):
        raise StatusConflict(
            f"the demo's subscription {subscription.id} is {subscription.status}; start over with --fresh"
        )
    return subscription
