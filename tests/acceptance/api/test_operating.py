"""/health and /metrics: how the service stands, for people, for load balancers and for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from imagery.model.control import Usage

from .conftest import Api
from .examples import a_body, assert_problem, subscribe


def samples(answer: httpx.Response) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """(name, labels) → value."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_health_says_that_and_why_the_service_is_paused(api: Api) -> None:
    stranger = api.client(None)
    assert (stranger.get("/health").json()["status"], stranger.get("/health").json()["paused"]) == ("ok", None)
    api.imagery.admission.pause(by="olga", reason="disk full")

    health = stranger.get("/health").json()

    assert health["status"] == "paused"
    assert health["paused"] == {"at": "2026-05-01T12:00:00Z", "reason": "disk full"}
    assert "olga" not in str(health)


def test_health_names_the_limits_that_are_reached(open_api: Callable[..., Api]) -> None:
    api = open_api(max_bytes_per_day=100)
    api.imagery.admission.usage.add(api.imagery.clock().date(), Usage(bytes_read=70, bytes_written=40))

    limits = {limit["name"]: limit for limit in api.client(None).get("/health").json()["limits"]}

    assert set(limits) == {"concurrency", "max_executions_per_minute", "max_bytes_per_day"}
    assert limits["max_bytes_per_day"] == {
        "name": "max_bytes_per_day",
        "limit": 100,
        "used": 110,
        "is_reached": True,
        "lifts_at": "2026-05-02T00:00:00Z",
    }
    assert not limits["concurrency"]["is_reached"]


def test_health_lists_the_feeds_that_subscriptions_hang_on(api: Api) -> None:
    assert api.client(None).get("/health").json()["feeds"] == []
    subscribe(api.client("ana"))

    (feed,) = api.client(None).get("/health").json()["feeds"]

    assert (feed["provider"], feed["collection"]) == ("earth-search", "sentinel-2-l2a")
    assert not feed["is_stale"]


def test_metrics_say_what_the_stores_hold(api: Api, clock: Any) -> None:
    subscribe(api.client("ana"))
    clock.advance(timedelta(seconds=90))
    api.imagery.admission.usage.add(clock().date(), Usage(bytes_read=1000, bytes_written=10))
    api.imagery.admission.pause(by="olga")

    found = samples(api.client("olga", operator=True).get("/metrics"))

    assert found[key("imagery_queue_depth", priority="high")] == 1
    assert found[key("imagery_queue_oldest_age_seconds", priority="high")] == 90
    assert found[key("imagery_queue_oldest_age_seconds", priority="low")] == 0
    assert found[key("imagery_executions_total", status="SUCCEEDED")] == 0
    assert found[key("imagery_bytes_read_total")] == 1000
    assert found[key("imagery_limit_used", limit="max_bytes_per_day")] == 1010
    assert found[key("imagery_paused")] == 1


def test_no_metric_carries_an_id(api: Api) -> None:
    subscription = subscribe(api.client("ana"))
    text = api.client("olga", operator=True).get("/metrics").text

    assert subscription["id"] not in text
    assert "req_" not in text


def test_metrics_are_for_operators(api: Api) -> None:
    assert_problem(api.client(None).get("/metrics"), 401, "key-unknown")
    assert_problem(api.client("ana").get("/metrics"), 403, "forbidden")


def test_metrics_are_for_everyone_where_that_is_set(open_api: Callable[..., Api]) -> None:
    assert samples(open_api(metrics_public=True).client(None).get("/metrics"))


@pytest.mark.parametrize("method", ["create", "restore"])
def test_one_more_subscription_than_an_owner_may_have_is_refused(open_api: Callable[..., Api], method: str) -> None:
    api = open_api(max_subscriptions_per_owner=2)
    ana = api.client("ana")
    first = subscribe(ana)
    subscribe(ana)
    ana.delete(f"/v1/subscriptions/{first['id']}")
    subscribe(ana)

    answer = (
        ana.post("/v1/subscriptions", json=a_body())
        if method == "create"
        else ana.post(f"/v1/subscriptions/{first['id']}/restore")
    )

    problem = assert_problem(answer, 409, "limit-reached")
    assert "max_subscriptions_per_owner is 2" in problem["detail"]
    subscribe(api.client("ben"))
