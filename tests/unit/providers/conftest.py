"""A STAC API at the transport: it answers what a test says, and remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from imagery.model.aoi import Aoi
from imagery.model.search import Search
from imagery.providers.earth_search import EarthSearch

ROOT = "https://earth-search.aws.element84.com/v1"
CONFORMS = ["https://api.stacspec.org/v1.0.0/item-search#query", "https://api.stacspec.org/v1.0.0/item-search#sort"]


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def an_aoi(west: float = 15.0, south: float = 46.0, east: float = 15.1, north: float = 46.1) -> Aoi:
    return Aoi(geometry=square(west, south, east, north), bbox=(west, south, east, north), area_km2=80.0)


def a_search(**changes: Any) -> Search:
    fields: dict[str, Any] = {
        "collection": "sentinel-2-l2a",
        "aoi": an_aoi(),
        "acquired_from": datetime(2023, 8, 1, tzinfo=UTC),
        "acquired_to": datetime(2023, 8, 31, tzinfo=UTC),
    }
    return Search(**{**fields, **changes})


def an_item(item_id: str = "S2A_33TWM_20230815_0_L2A", **changes: Any) -> dict[str, Any]:
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item_id,
        "collection": "sentinel-2-l2a",
        "geometry": square(14.0, 45.0, 16.0, 47.0),
        "bbox": [14.0, 45.0, 16.0, 47.0],
        "properties": {"datetime": "2023-08-15T09:57:57.246000Z", "updated": "2023-08-15T21:19:47.562Z"},
        "links": [],
        "assets": {"red": {"href": "https://cogs.test/B04.tif", "raster:bands": [{"nodata": 0}]}},
    }
    return {**item, **changes}


def a_page(*items: Any, links: list[dict[str, Any]] | None = None) -> httpx.Response:
    return httpx.Response(200, json={"type": "FeatureCollection", "features": list(items), "links": links or []})


def next_link(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"rel": "next", "method": "POST", "merge": False, "href": f"{ROOT}/search", "body": body, **changes}


@dataclass
class Api:
    """Answers in turn; the last answer stays. The landing page answers by itself."""

    answers: list[httpx.Response | Exception] = field(default_factory=list)
    conforms_to: list[str] = field(default_factory=lambda: list(CONFORMS))
    asked: list[httpx.Request] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        if request.url == httpx.URL(ROOT):
            return httpx.Response(200, json={"conformsTo": self.conforms_to})
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.asked]


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def provider(api: Api) -> Iterator[EarthSearch]:
    with httpx.Client(transport=httpx.MockTransport(api.handle)) as client:
        yield EarthSearch("earth-search", ROOT, client=client, sleep=api.slept.append, jitter=lambda: 1.0)


@dataclass(frozen=True)
class Recording:
    """One recorded exchange."""

    request: dict[str, Any]
    response: httpx.Response

    @classmethod
    def read(cls, path: Path) -> Recording:
        exchange = json.loads(path.read_text())
        response = exchange["response"]
        return cls(exchange["request"], httpx.Response(response["status"], json=response["body"]))


@pytest.fixture
def recorded(shared_data: Path) -> Callable[[str], Recording]:
    return lambda name: Recording.read(shared_data / "api" / "earth_search" / "exchanges" / f"{name}.json")
