"""The door for pushed messages: open without a key, and of no use to strangers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.unit.providers.sns_messages import TOPIC, as_body, item, notification

from .conftest import Api
from .examples import assert_problem, subscribe

RAW = {"x-amz-sns-rawdelivery": "true", "content-type": "text/plain; charset=UTF-8"}
PATH = "/v1/notifications/earth-search"


@pytest.fixture
def stranger(shared_api: Api) -> httpx.Client:
    return shared_api.client(None)


def test_a_raw_item_of_a_collection_nobody_wants_is_taken_and_led_nowhere(stranger: httpx.Client) -> None:
    answer = stranger.post(PATH, content=json.dumps(item("a", collection="none")), headers=RAW)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_raw_item_the_provider_does_not_have_is_taken_and_led_nowhere(api: Api, ana: httpx.Client) -> None:
    subscribe(ana)

    answer = api.client(None).post(PATH, content=json.dumps(item("made-up")), headers=RAW)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert {one["kind"] for one in ana.get("/v1/requests").json()["requests"]} == {"initial"}


def test_raw_items_are_taken_only_so_often_from_one_address(api: Api, ana: httpx.Client) -> None:
    subscribe(ana)
    stranger = api.client(None)

    answers = [stranger.post(PATH, content=json.dumps(item("made-up")), headers=RAW) for _ in range(101)]

    assert [answer.status_code for answer in answers] == [200] * 100 + [429]
    assert_problem(answers[-1], 429, "throttled")
    unwanted = json.dumps(item("a", collection="none"))
    assert stranger.post(PATH, content=unwanted, headers=RAW).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"", 400, "notification-invalid"),
        (b"\xff", 400, "notification-invalid"),
        (b"{}", 400, "notification-invalid"),
        (as_body(notification(TopicArn=TOPIC + "2")), 403, "notification-forged"),
        (as_body(notification(SigningCertURL="https://example.com/a.pem")), 403, "notification-forged"),
        (as_body(notification() | {"SignatureVersion": "9"}), 403, "notification-forged"),
        (b" " * (2**20 + 1), 413, "body-too-large"),
    ],
)
def test_garbage_and_forgeries_are_refused_with_a_problem(
    stranger: httpx.Client, body: bytes, status: int, name: str
) -> None:
    assert_problem(stranger.post(PATH, content=body), status, name)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"type": "Feature"}', b"\xff\xfe", b"[" * 100_000])
def test_raw_garbage_is_refused_with_a_problem(stranger: httpx.Client, body: bytes) -> None:
    assert_problem(stranger.post(PATH, content=body, headers=RAW), 400, "notification-invalid")


def test_a_provider_that_pushes_nothing_is_unknown(stranger: httpx.Client) -> None:
    assert_problem(stranger.post("/v1/notifications/moonshots", content=b"{}"), 404, "provider-unknown")


def test_only_this_door_is_open(stranger: httpx.Client) -> None:
    for path in ("/v1/notificationsx/earth-search", "/v1/failures"):
        assert_problem(stranger.post(path), 401, "key-unknown")


def test_the_answer_is_the_same_whether_a_key_is_given(ana: httpx.Client, api: Any) -> None:
    body = json.dumps(item("a", collection="none"))
    answers = [client.post(PATH, content=body, headers=RAW).json() for client in (ana, api.client(None))]
    assert answers[0] == answers[1]
