"""Planet at the transport: it answers what a test says, and remembers what it was asked. Time is a number."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from imagery.model.order import OrderWish
from imagery.providers.planet.client import PLANET_URL, PlanetClient

KEY = "PLAK-not-a-real-key"
ORDER_ID = "83bb5318-4d39-4903-a7af-5d4515b0e4e0"


@dataclass
class Time:
    """Stands still until somebody sleeps."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, span_s: float) -> None:
        self.slept.append(span_s)
        self.now += span_s


@dataclass
class Api:
    """Answers in turn; the last answer stays."""

    time: Time
    answers: list[httpx.Response | Exception] = field(default_factory=list)
    asked: list[httpx.Request] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)

    def handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        self.asked_at.append(self.time.now)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def says(self, *answers: httpx.Response | Exception | dict[str, Any]) -> None:
        self.answers = [httpx.Response(200, json=one) if isinstance(one, dict) else one for one in answers]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.asked]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def api(time: Time) -> Api:
    return Api(time)


@pytest.fixture
def client(api: Api, time: Time) -> Iterator[PlanetClient]:
    with httpx.Client(transport=httpx.MockTransport(api.handle)) as http:
        yield PlanetClient(KEY, client=http, sleep=time.sleep, jitter=lambda: 1.0, monotonic=time)


@pytest.fixture
def recorded(shared_data: Path) -> Callable[[str], Any]:
    """A recorded body, by its path below `api/planet`."""
    return lambda name: json.loads((shared_data / "api" / "planet" / f"{name}.json").read_text())


def square(west: float = 15.0, south: float = 46.0, side: float = 0.1) -> dict[str, Any]:
    east, north = west + side, south + side
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def a_wish(**changes: Any) -> OrderWish:
    fields: dict[str, Any] = {
        "collection": "PSScene",
        "item_ids": ("20200925_161029_69_2223",),
        "item_states": ("2022-04-04T18:57:56Z",),
        "assets": ("ortho_analytic_4b_sr", "ortho_udm2"),
        "aoi": square(),
        "harmonise_to": "Sentinel-2",
    }
    return OrderWish(**{**fields, **changes})


def an_order(**changes: Any) -> dict[str, Any]:
    order: dict[str, Any] = {
        "_links": {"_self": f"{PLANET_URL}/compute/ops/orders/v2/{ORDER_ID}"},
        "created_on": "2026-05-01T12:00:00.000Z",
        "error_hints": [],
        "id": ORDER_ID,
        "last_message": "Preparing order",
        "name": "planet-root",
        "products": [{"item_ids": ["A"], "item_type": "PSScene", "product_bundle": "analytic_sr_udm2"}],
        "state": "queued",
    }
    return {**order, **changes}
