"""A local Planet whose clock stands still until it is moved, asked without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from imagery.sandbox.planet.app import create_planet_app
from imagery.sandbox.planet.behaviour import Behaviour
from imagery.sandbox.planet.catalogue import Catalogue
from imagery.sandbox.planet.opening import LocalPlanet, open_planet
from imagery.sandbox.planet.synthetic import make_scenes

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ORDERS = "/compute/ops/orders/v2"


class Clock:
    """Stands still until moved; both of a day and of a stopwatch."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.now.timestamp()

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class _InProcess(httpx.BaseTransport):
    """To an ASGI app, without a socket."""

    def __init__(self, app: Any) -> None:
        self._app = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            response = await self._app.handle_async_request(request)
            content = await response.aread()
            return httpx.Response(response.status_code, headers=response.headers, content=content)

        return asyncio.run(ask())


def asking(planet: LocalPlanet) -> httpx.Client:
    """One with a key."""
    transport = _InProcess(create_planet_app(planet))
    headers = {"Authorization": "api-key k"}
    return httpx.Client(transport=transport, base_url="http://planet.test", headers=headers, follow_redirects=True)


@dataclass(kw_only=True)
class Desk:
    """A Planet and one who asks it."""

    planet: LocalPlanet
    clock: Clock
    client: httpx.Client
    workdir: Path

    @property
    def aoi(self) -> dict[str, Any]:
        assert self.planet.account.catalogue.aoi is not None
        return dict(self.planet.account.catalogue.aoi)

    def ids(self, *assets: str) -> list[str]:
        """Of published scenes that have all these assets, by acquisition."""
        scenes = self.planet.account.catalogue.list(self.clock())
        return sorted(scene.id for scene in scenes if all(key in scene.files for key in assets))

    def body(self, name: str = "an order", *, ids: list[str] | None = None, **more: Any) -> dict[str, Any]:
        """Of an order's creation."""
        items = ids or self.ids("ortho_analytic_4b_sr")[:1]
        product = {"item_ids": items, "item_type": "PSScene", "product_bundle": "analytic_sr_udm2"}
        return {"name": name, "products": [product], "tools": [{"clip": {"aoi": self.aoi}}], **more}

    def create(self, name: str = "an order", *, ids: list[str] | None = None, **more: Any) -> str:
        """The id of an order that was taken."""
        response = self.client.post(ORDERS, json=self.body(name, ids=ids, **more))
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def get(self, order_id: str) -> dict[str, Any]:
        return dict(self.client.get(f"{ORDERS}/{order_id}").json())

    def finish(self, order_id: str) -> dict[str, Any]:
        """The order after all the time it needs."""
        for _ in range(2):
            self.clock.advance(1.01)
            self.planet.turn()
        return self.get(order_id)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic scenes, made once."""
    folder = tmp_path_factory.mktemp("planet") / "scenes"
    make_scenes(folder, now=NOW)
    return folder


@pytest.fixture
def catalogue(scenes: Path) -> Catalogue:
    return make_scenes(scenes, now=NOW)


@pytest.fixture
def desk(tmp_path: Path, catalogue: Catalogue) -> Iterator[Desk]:
    """Requests a second are not limited."""
    clock = Clock()
    with (
        open_planet(
            tmp_path,
            catalogue=catalogue,
            behaviour=Behaviour(rate_scale=0),
            clock=clock,
            monotonic=clock.monotonic,
            turns_itself=False,
        ) as planet,
        asking(planet) as client,
    ):
        yield Desk(planet=planet, clock=clock, client=client, workdir=tmp_path)


@dataclass(kw_only=True)
class Receiver:
    """Listens for webhooks."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    got = Receiver(url="")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.headers.append(dict(self.headers))
            got.bodies.append({"raw": body})
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        got.url = f"http://user:secret@127.0.0.1:{server.server_port}/webhooks/planet/key"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield got
        server.shutdown()
        thread.join()
