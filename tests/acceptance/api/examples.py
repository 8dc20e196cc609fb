"""Bodies that are accepted, and how an answer is looked at."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

Json = dict[str, Any]


def square(west: float = 15.4, south: float = 46.1, *, degrees: float = 0.01) -> Json:
    """A GeoJSON Polygon, wound as RFC 7946 asks."""
    east, north = round(west + degrees, 6), round(south + degrees, 6)
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


def a_body(**changes: Any) -> Json:
    """A subscription that is accepted; fields set to None are sent as null."""
    body = {
        "aoi": square(),
        "provider": "earth-search",
        "collection": "sentinel-2-l2a",
        "assets": ["red", "nir"],
        "start_at": "2026-04-01T00:00:00Z",
    }
    return body | changes


def subscribe(client: httpx.Client, **changes: Any) -> Json:
    """The view of a new subscription."""
    answer = client.post("/v1/subscriptions", json=a_body(**changes))
    assert answer.status_code == 201, answer.text
    view: Json = answer.json()
    return view


def assert_problem(answer: httpx.Response, status: int, name: str, *, field: str | None = None) -> Json:
    """It is an RFC 9457 problem document of this kind."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: Json = answer.json()
    assert problem["type"] == f"/problems/{name}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    if field is not None:
        assert problem["field"] == field, problem
        assert problem["errors"][0]["field"] == field
    return problem


def wait_for(look: Callable[[], Any], *, timeout_s: float = 10.0) -> Any:
    """What `look` gives, once it gives something."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found
