"""Events and webhooks over HTTP: what owners see, what nobody sees, and what a receiver gets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from imagery.notifiers.signing import why_not_genuine
from tests.conftest import MovableClock
from tests.unit.notifiers.receivers import Receiver, answering, in_turn, receiving

from .conftest import Api
from .examples import Json, a_body, assert_problem, subscribe


@pytest.fixture
def api(open_api: Callable[..., Api]) -> Api:
    return open_api(webhook_allow_http=True, webhook_allow_private=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(answering(200)) as up:
        yield up


def deliver(api: Api) -> None:
    while api.imagery.deliverer.run_once():
        assert api.imagery.deliverer.rest(20)


def events(client: httpx.Client, **query: str) -> list[Json]:
    answer = client.get("/v1/events", params=query)
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["events"]
    return found


def test_what_happens_to_a_subscription_is_told_newest_first(ana: httpx.Client, clock: MovableClock) -> None:
    mine = subscribe(ana)
    path = f"/v1/subscriptions/{mine['id']}"
    clock.advance(timedelta(minutes=1))
    ana.patch(path, json={"priority": "low"})
    ana.delete(path)
    ana.delete(path)
    ana.post(f"{path}/restore")

    found = events(ana, subscription_id=mine["id"])

    assert [one["type"].removeprefix("imagery.subscription.") for one in found] == [
        *("updated", "deleted", "updated", "created")
    ]
    created, updated = found[3], found[2]
    assert created["time"] == "2026-05-01T12:00:00.000000Z"
    assert created["source"] == path
    assert created["subject"] == created["data"]["subscription_id"] == mine["id"]
    assert updated["data"]["changed"] == ["priority"]
    assert [one["id"] for one in events(ana, type="imagery.subscription.deleted")] == [found[1]["id"]]


def test_creating_twice_with_one_key_tells_it_once(ana: httpx.Client) -> None:
    for _ in range(2):
        ana.post("/v1/subscriptions", json=a_body(), headers={"Idempotency-Key": "field-7"})

    assert len(events(ana)) == 1


def test_a_receiver_gets_what_the_api_shows_signed_with_the_secret_of_the_answer(
    api: Api, ana: httpx.Client, receiver: Receiver, clock: MovableClock
) -> None:
    secret = subscribe(ana, webhook={"url": receiver.url})["webhook"]["secret"]

    deliver(api)

    sent = receiver.received[0]
    assert why_not_genuine(sent.body, sent.headers, secret=secret, now=clock()) is None
    assert json.loads(sent.body) == events(ana)[0]
    detail = ana.get(f"/v1/events/{sent.headers['webhook-id']}").json()
    assert detail["event"] == events(ana)[0]
    assert detail["delivery"]["status"] == "delivered"
    assert [(one["status_code"], one["error"]) for one in detail["attempts"]] == [(200, None)]


def test_a_delivery_that_failed_is_in_its_log_and_can_be_asked_for_again(api: Api, ana: httpx.Client) -> None:
    with receiving(in_turn(answering(500, b"out of order"), answering(204))) as receiver:
        subscribe(ana, webhook={"url": receiver.url + "?token=hush"})
        deliver(api)
        event_id = events(ana)[0]["id"]
        failed = ana.get(f"/v1/events/{event_id}").json()
        again = ana.post(f"/v1/events/{event_id}/redeliver")
        deliver(api)

    assert failed["delivery"]["status"] == "pending"
    assert failed["attempts"][0]["snippet"] == "out of order"
    assert "hush" not in json.dumps(failed)
    assert again.status_code == 202
    assert ana.get(f"/v1/events/{event_id}").json()["delivery"]["status"] == "delivered"
    assert [one.headers["webhook-id"] for one in receiver.received] == [event_id, event_id]


def test_an_event_nobody_is_to_be_told_of_cannot_be_redelivered(ana: httpx.Client) -> None:
    subscribe(ana)
    event_id = events(ana)[0]["id"]

    assert ana.get(f"/v1/events/{event_id}").json()["delivery"] is None
    assert_problem(ana.post(f"/v1/events/{event_id}/redeliver"), 409, "status-conflict")


def test_owners_see_their_own_events_only_and_operators_all(
    ana: httpx.Client, ben: httpx.Client, operator: httpx.Client
) -> None:
    theirs = subscribe(ana)["id"]
    subscribe(ben)
    event_id = events(ana)[0]["id"]

    assert len(events(ben)) == 1
    assert events(ben, subscription_id=theirs) == []
    assert len(events(operator)) == 2
    unknown = ben.get("/v1/events/evt_nobody").json()
    for answer in (ben.get(f"/v1/events/{event_id}"), ben.post(f"/v1/events/{event_id}/redeliver")):
        problem = assert_problem(answer, 404, "event-unknown")
        assert problem["detail"] == unknown["detail"].replace("evt_nobody", event_id)
    assert_problem(ben.post(f"/v1/subscriptions/{theirs}/webhook/rotate"), 404, "subscription-unknown")


def test_pages_of_events_lead_to_each_other(ana: httpx.Client) -> None:
    for _ in range(3):
        subscribe(ana)

    first = ana.get("/v1/events", params={"limit": 2})
    rest = ana.get(first.links["next"]["url"]).json()

    assert len(first.json()["events"]) == 2
    assert [one["id"] for one in (*first.json()["events"], *rest["events"])] == [one["id"] for one in events(ana)]
    assert rest["next"] is None


def test_the_secret_is_shown_when_it_is_made_and_never_again(
    api: Api, ana: httpx.Client, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    body = a_body(webhook={"url": receiver.url})
    with caplog.at_level(logging.DEBUG):
        created = ana.post("/v1/subscriptions", json=body, headers={"Idempotency-Key": "field-7"})
        secret = created.json()["webhook"]["secret"]
        path = f"/v1/subscriptions/{created.json()['id']}"
        deliver(api)
        event_id = events(ana)[0]["id"]
        answers = [
            ana.post("/v1/subscriptions", json=body, headers={"Idempotency-Key": "field-7"}),
            ana.get(path),
            ana.get("/v1/subscriptions"),
            ana.patch(path, json={"priority": "low"}),
            ana.patch(path, json={"webhook": {"url": receiver.url}}),
            ana.delete(path),
            ana.post(f"{path}/restore"),
            ana.get("/v1/events"),
            ana.get(f"/v1/events/{event_id}"),
            ana.post(f"/v1/events/{event_id}/redeliver"),
        ]
        deliver(api)

    assert secret.startswith("whsec_")
    assert all(answer.is_success for answer in answers)
    key = secret.removeprefix("whsec_")
    assert [str(answer.url) for answer in answers if key in answer.text or key in str(answer.headers)] == []
    assert answers[0].json()["webhook"]["secret"] is None
    assert key not in caplog.text
    assert not any(key in str(vars(record)) for record in caplog.records)
    assert all(key.encode() not in one.body and key not in str(one.headers) for one in receiver.received)


def test_another_url_gets_another_secret_and_null_removes_the_webhook(
    api: Api, ana: httpx.Client, receiver: Receiver, clock: MovableClock
) -> None:
    mine = subscribe(ana, webhook={"url": "http://127.0.0.1:65535/"})
    path = f"/v1/subscriptions/{mine['id']}"

    moved = ana.patch(path, json={"webhook": {"url": receiver.url}}).json()
    deliver(api)
    removed = ana.patch(path, json={"webhook": None}).json()
    deliver(api)

    assert moved["webhook"]["secret"] not in (None, mine["webhook"]["secret"])
    assert removed["webhook"] is None
    types = [json.loads(one.body)["type"] for one in receiver.received]
    assert types == ["imagery.subscription.created", "imagery.subscription.updated"]
    for one in receiver.received:
        assert why_not_genuine(one.body, one.headers, secret=moved["webhook"]["secret"], now=clock()) is None


def test_a_rotated_secret_is_shown_once_and_the_old_one_counts_for_a_day(
    api: Api, ana: httpx.Client, receiver: Receiver, clock: MovableClock
) -> None:
    mine = subscribe(ana, webhook={"url": receiver.url})
    path = f"/v1/subscriptions/{mine['id']}"
    deliver(api)

    rotated = ana.post(f"{path}/webhook/rotate").json()
    deliver(api)
    clock.advance(timedelta(days=1))
    ana.patch(path, json={"priority": "low"})
    deliver(api)

    old, new = mine["webhook"]["secret"], rotated["webhook"]["secret"]
    assert old != new
    assert ana.get(path).json()["webhook"]["secret"] is None

    def fits(number: int, secret: str) -> bool:
        one = receiver.received[number]
        at = datetime.fromtimestamp(int(one.headers["webhook-timestamp"]), UTC)
        return why_not_genuine(one.body, one.headers, secret=secret, now=at) is None

    assert [(fits(n, old), fits(n, new)) for n in range(3)] == [(True, False), (True, True), (False, True)]


def test_a_webhook_that_is_not_there_cannot_be_rotated(ana: httpx.Client) -> None:
    mine = subscribe(ana)["id"]

    assert_problem(ana.post(f"/v1/subscriptions/{mine}/webhook/rotate"), 409, "status-conflict")


def test_a_receiver_that_is_gone_is_said_to_be_so_until_the_webhook_is_set_again(api: Api, ana: httpx.Client) -> None:
    with receiving(in_turn(answering(410), answering(200))) as receiver:
        mine = subscribe(ana, webhook={"url": receiver.url})
        path = f"/v1/subscriptions/{mine['id']}"
        before = ana.get(path).headers["etag"]
        deliver(api)
        disabled = ana.get(path, headers={"If-None-Match": before})
        enabled = ana.patch(path, json={"webhook": {"url": receiver.url}})
        deliver(api)

    assert disabled.json()["webhook"] == {"url": receiver.url, "disabled_at": "2026-05-01T12:00:00Z", "secret": None}
    assert enabled.json()["webhook"]["disabled_at"] is None
    assert len(receiver.received) == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://localhost/",
        "https://2130706433/",
        "http://example.com/",
        "https://ana:secret@1.1.1.1/",
        "https://1.1.1.1:22/",
        "ftp://1.1.1.1/",
        "no url",
        "https://nobody.invalid/",
    ],
)
def test_a_url_that_leads_where_it_must_not_is_refused_by_its_field(refused: httpx.Client, url: str) -> None:
    created = refused.post("/v1/subscriptions", json=a_body(webhook={"url": url}))
    mine = subscribe(refused)["id"]
    changed = refused.patch(f"/v1/subscriptions/{mine}", json={"webhook": {"url": url}})

    for answer in (created, changed):
        problem = assert_problem(answer, 422, "address-refused", field="/webhook/url")
        assert "secret" not in problem["detail"]


def test_metadata_addresses_are_refused_even_where_private_ones_are_allowed(ana: httpx.Client) -> None:
    answer = ana.post("/v1/subscriptions", json=a_body(webhook={"url": "http://169.254.169.254/"}))

    assert_problem(answer, 422, "address-refused", field="/webhook/url")


@pytest.mark.parametrize("webhook", ["https://1.1.1.1/", {}, {"url": 5}, {"url": "https://1.1.1.1/", "secret": "x"}])
def test_a_webhook_of_another_shape_is_refused(refused: httpx.Client, webhook: object) -> None:
    answer = refused.post("/v1/subscriptions", json=a_body(webhook=webhook))

    assert answer.status_code == 422
