"""One delivery to a real receiver on loopback: what it is sent, and what becomes of every kind of answer."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import ssl
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imagery.model.event import Attempt, Event, EventType
from imagery.model.subscription import Webhook
from imagery.notifiers.addresses import AddressPolicy
from imagery.notifiers.signing import why_not_genuine
from imagery.notifiers.webhook import WebhookNotifier
from tests.unit.notifiers.receivers import answering, dripping, endless, receiving

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = AddressPolicy(allow_http=True, allow_private=True)


def an_event(**changes: Any) -> Event:
    event = Event.of(
        EventType.ITEM_PUBLISHED,
        owner="ana",
        subscription_id="sub_1",
        subject="item_1",
        state="1",
        at=NOW,
        data={"item_id": "item_1", "item_path": "/stac/collections/c/items/item_1", "numbers": {"coverage": 1.0}},
    )
    return replace(event, **changes)


def send(url: str, policy: AddressPolicy = LOOPBACK, event: Event | None = None, **options: Any) -> Attempt:
    notifier = WebhookNotifier(policy=policy, base_url="https://imagery.example.com", **options)
    return notifier.send(Webhook(url=url, secret=SECRET), event or an_event(), now=NOW)


def test_a_receiver_gets_a_signed_cloudevent() -> None:
    with receiving(answering(204)) as receiver:
        attempt = send(receiver.url + "?token=hush")

    assert (attempt.is_success, attempt.status_code, attempt.at) == (True, 204, NOW)
    assert attempt.url == receiver.url
    received = receiver.received[0]
    assert received.path == "/in?token=hush"
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert received.headers["content-type"].startswith("application/cloudevents+json")
    assert received.headers["webhook-id"] == an_event().id
    assert why_not_genuine(received.body, received.headers, secret=SECRET, now=NOW) is None
    assert json.loads(received.body) == {
        "specversion": "1.0",
        "id": an_event().id,
        "source": "/v1/subscriptions/sub_1",
        "type": "imagery.item.published",
        "subject": "item_1",
        "time": "2026-05-01T12:00:00.000000Z",
        "datacontenttype": "application/json",
        "data": {
            "subscription_id": "sub_1",
            "item_id": "item_1",
            "item_url": "https://imagery.example.com/stac/collections/c/items/item_1",
            "numbers": {"coverage": 1.0},
        },
    }


@pytest.mark.parametrize("status", [400, 401, 404, 409, 429, 500, 503])
def test_only_a_2xx_counts(status: int) -> None:
    with receiving(answering(status, b"no \x1b[31mthanks\n")) as receiver:
        attempt = send(receiver.url)

    assert not attempt.is_success
    assert attempt.status_code == status
    assert str(status) in (attempt.error or "")
    assert attempt.snippet == "no  [31mthanks"


def test_a_redirect_is_not_followed() -> None:
    with receiving(answering(200)) as elsewhere, receiving(answering(302, Location=elsewhere.url)) as receiver:
        attempt = send(receiver.url)

    assert "redirect" in (attempt.error or "")
    assert elsewhere.received == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        ((NOW + timedelta(minutes=3)).strftime("%a, %d %b %Y %H:%M:%S GMT"), 180.0),
        ("Fri, 01 May 2020 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_what_a_receiver_asks_for_in_retry_after_is_understood(header: str, seconds: float | None) -> None:
    with receiving(answering(503, Retry_After=header)) as receiver:
        assert send(receiver.url).retry_after_s == seconds


def test_of_a_body_without_end_only_the_beginning_is_read() -> None:
    with receiving(endless) as receiver:
        attempt = send(receiver.url)

    assert attempt.is_success
    assert 0 < len(attempt.snippet) <= 1024
    assert attempt.snippet.isprintable()


def test_a_compressed_answer_is_not_unpacked() -> None:
    with receiving(answering(200, b"\x1f\x8b\x08" + b"0" * 50, Content_Encoding="gzip")) as receiver:
        assert send(receiver.url).is_success


def test_a_receiver_that_drips_is_cut_off_in_time() -> None:
    with receiving(dripping) as receiver:
        began = time.monotonic()
        attempt = send(receiver.url, timeout_s=0.3)

    assert time.monotonic() - began < 3
    assert "no answer in time" in (attempt.error or "")


def test_a_receiver_that_is_not_there_is_said_to_be_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        attempt = send(f"http://127.0.0.1:{free.getsockname()[1]}/")

    assert attempt.status_code is None
    assert "connection failed" in (attempt.error or "")


def test_a_receiver_that_speaks_no_http_is_an_attempt_that_failed() -> None:
    def nonsense(handler: Any, number: int) -> None:
        handler.wfile.write(b"\x00\x01 hello\r\n\r\n")

    with receiving(nonsense) as receiver:
        assert "connection failed" in (send(receiver.url).error or "")


def test_loopback_is_refused_unless_it_is_allowed() -> None:
    with receiving(answering(200)) as receiver:
        attempt = send(receiver.url, AddressPolicy(allow_http=True))

    assert "public internet" in (attempt.error or "")
    assert receiver.received == []


def test_a_name_that_leads_elsewhere_by_the_time_of_delivery_is_refused() -> None:
    answers = [["8.8.8.8"], ["127.0.0.1"]]
    policy = AddressPolicy(allow_http=True, resolve=lambda host, port: answers.pop(0))
    notifier = WebhookNotifier(policy=policy, base_url="")
    with receiving(answering(200)) as receiver:
        url = f"http://rebinding.example.com:{receiver.port}/"
        notifier.check(url)
        attempt = notifier.send(Webhook(url=url, secret=SECRET), an_event(), now=NOW)

    assert "public internet" in (attempt.error or "")
    assert receiver.received == []


def test_the_connection_goes_to_the_address_that_was_checked_under_the_name_that_was_given() -> None:
    looked_up: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"]

    policy = replace(LOOPBACK, resolve=resolve)
    with receiving(answering(200)) as receiver:
        attempt = send(f"http://hooks.example.com:{receiver.port}/in", policy)

    assert attempt.is_success
    assert looked_up == ["hooks.example.com"]
    assert receiver.received[0].headers["host"] == f"hooks.example.com:{receiver.port}"


def test_of_a_name_s_addresses_the_first_that_can_be_connected_to_is_used() -> None:
    policy = replace(LOOPBACK, resolve=lambda host, port: ["127.0.0.2", "::1", "127.0.0.1"])
    with receiving(answering(200)) as receiver:
        attempt = send(f"http://hooks.example.com:{receiver.port}/in", policy)

    assert attempt.is_success, attempt
    assert len(receiver.received) == 1


def test_an_answer_from_one_address_is_not_asked_for_again_at_the_next() -> None:
    policy = replace(LOOPBACK, resolve=lambda host, port: ["127.0.0.1", "127.0.0.1"])
    with receiving(answering(500)) as receiver:
        send(f"http://hooks.example.com:{receiver.port}/in", policy)

    assert len(receiver.received) == 1


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with receiving(answering(200)) as receiver:
        assert send(receiver.url).is_success


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of hooks.example.com in one file, signed by itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("certificates for the TLS tests are made with openssl, which is not installed")
    path = tmp_path_factory.mktemp("tls") / "hooks.pem"
    command = [
        *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", str(path), "-out", str(path) + ".crt", "-days", "2", "-subj", "/CN=hooks.example.com"),
        *("-addext", "subjectAltName=DNS:hooks.example.com"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(str(path) + ".crt").read_text())
    return path


@pytest.mark.parametrize(("name", "is_taken"), [("hooks.example.com", True), ("other.example.com", False)])
def test_tls_is_verified_against_the_name_and_not_the_address(certificate: Path, name: str, is_taken: bool) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate) + ".crt")
    policy = replace(LOOPBACK, resolve=lambda host, port: ["127.0.0.1"])
    with receiving(answering(200), server) as receiver:
        attempt = send(f"https://{name}:{receiver.port}/in", policy, tls=trusting)

    assert attempt.is_success is is_taken, attempt
    assert len(receiver.received) == is_taken


def test_a_certificate_nobody_vouches_for_is_refused(certificate: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    policy = replace(LOOPBACK, resolve=lambda host, port: ["127.0.0.1"])
    with receiving(answering(200), server) as receiver:
        attempt = send(f"https://hooks.example.com:{receiver.port}/in", policy)

    assert "CERTIFICATE_VERIFY_FAILED" in (attempt.error or "")
    assert receiver.received == []


def test_an_event_too_large_to_send_names_itself_without_its_data() -> None:
    large = an_event(data={"cause": "☂" * 70_000})
    with receiving(answering(200)) as receiver:
        send(receiver.url, event=large)

    assert len(receiver.received[0].body) < 64 * 1024
    assert json.loads(receiver.received[0].body)["data"] == {"subscription_id": "sub_1", "truncated": True}


def test_text_that_is_no_unicode_can_be_sent() -> None:
    with receiving(answering(200)) as receiver:
        assert send(receiver.url, event=an_event(data={"cause": "lone \udc80 surrogate"})).is_success
    assert json.loads(receiver.received[0].body)["id"] == an_event().id


def test_the_secret_is_in_no_log_no_attempt_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    webhook = Webhook(url="https://hooks.example.com/", secret=SECRET, earlier_secret=SECRET, earlier_until=NOW)
    with caplog.at_level(logging.DEBUG), receiving(answering(500, b"no")) as receiver:
        attempt = send(receiver.url)

    said = "".join((caplog.text, repr(attempt), repr(webhook), *(str(vars(record)) for record in caplog.records)))
    assert SECRET not in said
    assert SECRET.removeprefix("whsec_") not in said


def test_after_a_rotation_deliveries_are_signed_with_both_secrets_for_a_day() -> None:
    webhook = Webhook(url="https://hooks.example.com/", secret="whsec_b25l").rotated(
        "whsec_dHdv", earlier_until=NOW + timedelta(days=1)
    )

    assert webhook.secrets_at(NOW) == ("whsec_dHdv", "whsec_b25l")
    assert webhook.secrets_at(NOW + timedelta(days=1)) == ("whsec_dHdv",)
