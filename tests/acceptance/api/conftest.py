"""The HTTP API of a real house on a temporary folder, served on a port of this machine, and two owners with keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pystac
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from imagery.api.app import create_app
from imagery.sandbox.serving import serving
from imagery.settings import Settings
from imagery.wiring import Imagery, build


@dataclass
class Ticks:
    """A monotonic clock that moves only when told; seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Api:
    """A served house."""

    imagery: Imagery
    url: str
    ticks: Ticks
    _stack: ExitStack
    _keys: dict[str, str] = field(default_factory=dict)

    def key_of(self, owner: str, *, operator: bool = False) -> str:
        if owner not in self._keys:
            self._keys[owner] = self.imagery.keys.create(owner, operator=operator)[1]
        return self._keys[owner]

    def client(self, owner: str | None, *, operator: bool = False) -> httpx.Client:
        """A client that sends `owner`'s key; None: none."""
        headers = {"Authorization": f"Bearer {self.key_of(owner, operator=operator)}"} if owner else {}
        return self._stack.enter_context(httpx.Client(base_url=self.url, headers=headers, timeout=20))


@pytest.fixture(scope="session")
def provider_url() -> Iterator[str]:
    """A provider with one collection and nothing in it."""

    async def collection(request: Request) -> JSONResponse:
        if request.path_params["id"] != "sentinel-2-l2a":
            return JSONResponse({"code": "NotFound", "description": "Not Found"}, status_code=404)
        extent = pystac.Extent(pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]]))
        found = pystac.Collection("sentinel-2-l2a", "Nothing yet", extent)
        assets = {key: {"title": key, "roles": ["data"]} for key in ("blue", "green", "red", "nir", "scl")}
        return JSONResponse(found.to_dict(include_self_link=False) | {"item_assets": assets})

    with serving(Starlette(routes=[Route("/collections/{id}", collection)])) as url:
        yield url


def open_house(
    stack: ExitStack, data_dir: Path, provider_url: str, clock: Callable[[], datetime], **changes: Any
) -> Api:
    """Serve a house, until the stack unwinds, whose settings may differ from the usual ones."""
    usual: dict[str, Any] = {
        "data_dir": data_dir,
        "stac_providers": {"earth-search": provider_url},
        "requests_per_second": 1000.0,
    }
    house = stack.enter_context(build(Settings(**usual | changes), clock=clock))
    ticks = Ticks()
    url = stack.enter_context(serving(create_app(house, monotonic=ticks)))
    return Api(imagery=house, url=url, ticks=ticks, _stack=stack)


@pytest.fixture
def open_api(tmp_path: Path, clock: Callable[[], datetime], provider_url: str) -> Iterator[Callable[..., Api]]:
    with ExitStack() as stack:
        yield lambda **changes: open_house(stack, tmp_path / "data", provider_url, clock, **changes)


@pytest.fixture
def api(open_api: Callable[..., Api]) -> Api:
    return open_api()


@pytest.fixture(scope="module")
def shared_api(tmp_path_factory: pytest.TempPathFactory, provider_url: str) -> Iterator[Api]:
    """For tests that mind nothing others leave behind, served once for all of a module."""
    with ExitStack() as stack:
        data_dir = tmp_path_factory.mktemp("shared")
        yield open_house(stack, data_dir, provider_url, lambda: datetime(2026, 5, 1, 12, tzinfo=UTC))


@pytest.fixture
def refused(shared_api: Api) -> httpx.Client:
    """A caller nothing of whom is accepted."""
    return shared_api.client("rita")


@pytest.fixture
def ana(api: Api) -> httpx.Client:
    return api.client("ana")


@pytest.fixture
def ben(api: Api) -> httpx.Client:
    return api.client("ben")


@pytest.fixture
def operator(api: Api) -> httpx.Client:
    return api.client("olga", operator=True)
