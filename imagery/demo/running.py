"""Starts everything, subscribes over HTTP as anybody would, and follows what happens."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from imagery.api.app import create_app
from imagery.demo.state import StateDir, open_state
from imagery.demo.wishes import PROVIDER, Wishes, idempotency_key, subscription_body
from imagery.errors import InvalidInput, StatusConflict
from imagery.model.subscription import Subscription, SubscriptionStatus
from imagery.ports import Clock
from imagery.sandbox.earth_search import create_app as create_sandbox
from imagery.sandbox.opening import open_sandbox
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
        scenes = open_sandbox(wishes.data, state.sandbox, clock())
        body = subscription_body(wishes, scenes)
        sandbox_url = _serve(closing, create_sandbox(scenes), preferred=wishes.port + 1 if wishes.port else 0)
        settings = Settings(data_dir=state.service, stac_providers={PROVIDER: sandbox_url}, public_catalog=True)
        imagery = closing.enter_context(build(settings, clock=clock))
        worker = Worker(imagery=imagery)
        worker.start()
        closing.callback(worker.stop, drain=DRAIN)
        api_url = _serve(closing, create_app(imagery), preferred=wishes.port)
        state.keep_url(api_url)
        answer = _subscribe(api_url, state.api_key(imagery.keys), body, idempotency_key(wishes, body))
        yield Demo(
            imagery=imagery,
            state=state,
            subscription=_as_kept(imagery, answer["id"]),
            remarks=tuple(answer.get("remarks") or ()),
            scenes=len(scenes.scenes),
            sandbox_url=sandbox_url,
            api_url=api_url,
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
