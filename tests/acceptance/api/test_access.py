"""Who gets in, how often, and what is kept and told of a key."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from imagery.api.throttle import TokenBuckets

from .conftest import Api, Ticks
from .examples import a_body, assert_problem, subscribe, wait_for


@pytest.mark.parametrize(
    "path", ["/v1/subscriptions", "/v1/failures", "/v1/requests", "/v1/executions", "/v1/providers", "/v1", "/v1/none"]
)
def test_nothing_under_v1_is_given_without_a_key(shared_api: Api, path: str) -> None:
    answer = shared_api.client(None).get(path)
    assert_problem(answer, 401, "key-unknown")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/", "/health", "/docs", "/openapi.json", "/problems/aoi-invalid"])
def test_what_is_said_to_everybody_needs_no_key(shared_api: Api, path: str) -> None:
    assert shared_api.client(None).get(path).status_code == 200


def test_a_key_is_taken_from_either_header(shared_api: Api) -> None:
    key, stranger = shared_api.key_of("kim"), shared_api.client(None)
    for headers in ({"Authorization": f"Bearer {key}"}, {"authorization": f"bearer  {key}"}, {"X-API-Key": key}):
        assert stranger.get("/v1/subscriptions", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "scheme", ["Basic {key}", "{key}", "Bearer", "Bearer {key}x", "Bearer {key} {key}", "Bearer ü"]
)
def test_what_is_no_key_opens_nothing(shared_api: Api, scheme: str) -> None:
    header = scheme.format(key=shared_api.key_of("kim")).encode("latin-1")
    answer = shared_api.client(None).get("/v1/subscriptions", headers=[(b"Authorization", header)])
    assert_problem(answer, 401, "key-unknown")


def test_a_revoked_key_opens_nothing_at_once(api: Api, ana: httpx.Client) -> None:
    assert ana.get("/v1/subscriptions").status_code == 200
    api.imagery.keys.revoke(api.imagery.keys.list()[0].id)
    assert_problem(ana.get("/v1/subscriptions"), 401, "key-unknown")
    assert ana.get("/stac/search").status_code == 401


def test_each_key_has_its_own_rate_with_bursts_of_five_seconds_worth(open_api: Callable[..., Api]) -> None:
    api = open_api(requests_per_second=2.0)
    ana, ben = api.client("ana"), api.client("ben")
    statuses = [ana.get("/v1/providers").status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    refused = ana.get("/v1/providers")
    assert_problem(refused, 429, "throttled")
    assert refused.headers["retry-after"] == "1"
    assert ana.get("/stac/search").status_code == 429
    assert ben.get("/v1/providers").status_code == 200
    api.ticks.now += 1.0
    assert [ana.get("/v1/providers").status_code for _ in range(3)] == [200, 200, 429]


def test_guessing_keys_is_slowed_down_but_keeps_out_nobody_with_a_key(api: Api, ana: httpx.Client) -> None:
    guesser, guess = api.client(None), "imk_0123456789ab_" + "A" * 43
    statuses = [guesser.get("/v1/providers", headers={"X-API-Key": guess}).status_code for _ in range(25)]
    assert statuses == [401] * 20 + [429] * 5
    assert ana.get("/v1/providers").status_code == 200
    api.ticks.now += 2.0
    assert guesser.get("/v1/providers", headers={"X-API-Key": guess}).status_code == 401


def test_strangers_are_held_to_the_rate_of_one_key_an_address(open_api: Callable[..., Api]) -> None:
    api = open_api(requests_per_second=1.0, public_catalog=True)
    stranger = api.client(None)
    assert [stranger.get("/v1/providers").status_code for _ in range(3)] == [401] * 3
    assert [stranger.get("/stac/search").status_code for _ in range(3)] == [200, 200, 429]
    assert api.client("ana").get("/v1/providers").status_code == 200


def test_a_bucket_fills_at_its_rate_and_never_above_its_burst() -> None:
    ticks = Ticks()
    buckets = TokenBuckets(rate=4.0, burst=2.0, monotonic=ticks)
    assert [buckets.take("ana") for _ in range(3)] == [0.0, 0.0, 0.25]
    ticks.now += 0.125
    assert buckets.take("ana") == pytest.approx(0.125)
    ticks.now += 3600
    assert [buckets.take("ana") for _ in range(3)] == [0.0, 0.0, 0.25]


def test_buckets_of_ever_new_names_do_not_fill_the_memory() -> None:
    buckets = TokenBuckets(rate=1.0, burst=1.0, monotonic=Ticks(), max_names=10)
    for number in range(1000):
        buckets.take(f"address {number}")
    assert len(buckets._buckets) == 10


def test_a_key_is_kept_only_as_its_hash(api: Api, ana: httpx.Client) -> None:
    subscribe(ana)
    key = api.key_of("ana")
    secret = key.split("_", 2)[2]
    files = [path for path in api.imagery.settings.data_dir.rglob("*") if path.is_file()]
    assert any(b"ana" in path.read_bytes() for path in files)
    assert not [path for path in files if secret.encode() in path.read_bytes()]


def at_least(count: int, records: list[logging.LogRecord]) -> list[logging.LogRecord]:
    """A request is logged when its answer has been sent: the caller may have it a moment before the log does."""
    return records if len(records) >= count else []


def test_a_key_is_never_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = api.key_of("ana")
    stranger = api.client(None)
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}, {"X-API-Key": key + "x"}):
        stranger.get("/v1/subscriptions", headers=headers, params={"api_key": key})
        stranger.post("/v1/subscriptions", headers=headers, json=a_body(provider="nobody"))
        stranger.get("/stac/search", headers=headers)
    # The client's own log, and the access log of uvicorn that the service switches off for ours, do not count.
    others = ("httpcore", "httpx", "uvicorn.access")
    ours = wait_for(lambda: at_least(9, [one for one in caplog.records if not one.name.startswith(others)]))
    secret = key.split("_", 2)[2]
    assert not [record for record in ours if secret in str(vars(record))]
    assert any(vars(record).get("key_id") == key.split("_", 2)[1] for record in ours)


def test_a_request_is_named_in_the_answer_and_in_the_log(shared_api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stranger = shared_api.client(None)
    given = stranger.get("/health", headers={"X-Request-Id": "my-trace.7"})
    made = stranger.get("/health", headers={"X-Request-Id": "no good: spaces"})
    assert given.headers["x-request-id"] == "my-trace.7"
    assert made.headers["x-request-id"] not in ("", "no good: spaces")
    logged = {vars(record).get("request_id"): record.message for record in caplog.records}
    assert logged["my-trace.7"] == "GET /health 200"


def test_restarting_keeps_the_keys(open_api: Callable[..., Api], tmp_path: Path) -> None:
    first, second = open_api(), open_api()
    key = first.key_of("ana")
    assert second.client(None).get("/v1/providers", headers={"X-API-Key": key}).status_code == 200


def test_the_stac_api_answers_with_and_without_a_slash_at_its_end(shared_api: Api) -> None:
    stranger = shared_api.client(None)

    bare, whole = (stranger.get(path, follow_redirects=False) for path in ("/stac", "/stac/"))

    assert bare.status_code == whole.status_code == 200
    assert bare.json() == whole.json()
