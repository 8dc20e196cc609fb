"""Which messages are believed to be Amazon's, and what is asked of Amazon to find out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from imagery.errors import NotificationForged, NotificationInvalid, ProviderUnavailable, Throttled
from imagery.providers.sns import Verifier, fetch_over, parse_envelope

from .sns_messages import (
    CERTIFICATE,
    DAY,
    HOST,
    TOPIC,
    Amazon,
    as_body,
    certificate,
    confirmation,
    key,
    notification,
    signed,
)


@pytest.fixture
def amazon() -> Amazon:
    return Amazon()


@pytest.fixture
def verifier(amazon: Amazon, clock: Any) -> Iterator[Verifier]:
    with amazon.client() as client:
        yield Verifier(fetch=fetch_over(client), clock=clock)


def verify(verifier: Verifier, message: dict[str, Any]) -> None:
    verifier.verify(parse_envelope(as_body(message)))


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "", "An item", "☂ \n two lines"])
def test_what_amazon_signed_is_believed(verifier: Verifier, version: str, subject: str | None) -> None:
    verify(verifier, notification('{"a": "Ž \\n"}', SignatureVersion=version, Subject=subject))
    verify(verifier, confirmation(SignatureVersion=version))
    verify(verifier, confirmation(SignatureVersion=version, Type="UnsubscribeConfirmation"))


@pytest.mark.parametrize("name", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn"])
def test_a_message_changed_after_it_was_signed_is_forged(verifier: Verifier, name: str) -> None:
    message = notification("hello", Subject="greeting")
    other = TOPIC.replace("publish", "other") if name == "TopicArn" else message[name] + "!"
    with pytest.raises(NotificationForged):
        verify(verifier, message | {name: other})


@pytest.mark.parametrize("name", ["SubscribeURL", "Token"])
def test_a_confirmation_changed_after_it_was_signed_is_forged(verifier: Verifier, name: str) -> None:
    with pytest.raises(NotificationForged):
        verify(verifier, confirmation() | {name: f"{HOST}/?Action=ConfirmSubscription&Token=other"})


def test_what_another_key_signed_is_forged(verifier: Verifier) -> None:
    with pytest.raises(NotificationForged):
        verify(verifier, signed({"Type": "Notification", "Message": "hello"}, by=key(2)))


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.us-west-2.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.us-west-2.amazonaws.com.example.com/a.pem",
        "https://sns.us-west-2.amazonaws.com@example.com/a.pem",
        "https://example.com/sns.us-west-2.amazonaws.com/a.pem",
        "https://sns.eu-central-1.amazonaws.com/a.pem",
        "https://s3.us-west-2.amazonaws.com/a.pem",
        "https://sns.us-west-2.amazonaws.com:8443/a.pem",
        "https://sns.us-west-2.amazonaws.com/a.txt",
        "https://sns.us-west-2.amazonaws.com/../a.pem",
        "https://sns.us-west-2.amazonaws.com/a/b.pem",
        "https://sns.us-west-2.amazonaws.com/?x=/a.pem",
        "https://sns.us-west-2.amazonaws.com/a.pem?b",
        "https://sns.us-west-2.amazonaws.com/a.pem#b",
        "https://sns.us-west-2.amazonaws.com\\@example.com/a.pem",
        "https://sns.us-west-2.amazonaws.com/a.pem\n",
        "https://SNS.us-west-2.amazonaws.com/a.pem",
        "file:///etc/ssl/a.pem",
        "//sns.us-west-2.amazonaws.com/a.pem",
        "",
    ],
)
def test_a_certificate_from_elsewhere_is_not_even_fetched(verifier: Verifier, amazon: Amazon, url: str) -> None:
    with pytest.raises(NotificationForged):
        verify(verifier, notification(SigningCertURL=url))
    assert amazon.asked == []


def test_a_certificate_is_fetched_once_a_day(verifier: Verifier, amazon: Amazon, clock: Any) -> None:
    for _ in range(3):
        verify(verifier, notification())
    assert amazon.asked == [CERTIFICATE]
    clock.advance(DAY + timedelta(seconds=1))
    verify(verifier, notification())
    assert amazon.asked == [CERTIFICATE] * 2


def test_certificates_made_up_without_end_are_not_all_fetched(verifier: Verifier, amazon: Amazon, clock: Any) -> None:
    for n in range(20):
        with pytest.raises(ProviderUnavailable):
            verify(verifier, notification(SigningCertURL=f"{HOST}/{n}.pem"))
    with pytest.raises(Throttled) as refusal:
        verify(verifier, notification(SigningCertURL=f"{HOST}/another.pem"))
    assert len(amazon.asked) == 20
    clock.advance(timedelta(seconds=refusal.value.retry_after_s))
    verify(verifier, notification())


@pytest.mark.parametrize(
    "pem",
    [b"", b"no certificate", certificate(key(3, 1024)), certificate(key(), ends=datetime(2026, 2, 1, tzinfo=UTC))],
)
def test_a_certificate_that_proves_nothing_is_refused(verifier: Verifier, amazon: Amazon, pem: bytes) -> None:
    amazon.answers[CERTIFICATE] = pem
    with pytest.raises(NotificationForged):
        verify(verifier, notification())


def test_an_endless_certificate_is_given_up(verifier: Verifier, amazon: Amazon) -> None:
    amazon.answers[CERTIFICATE] = b"x" * 1_000_000
    with pytest.raises(ProviderUnavailable):
        verify(verifier, notification())


@pytest.mark.parametrize("status", [302, 403, 500])
def test_when_amazon_does_not_answer_as_it_should_the_message_may_come_again(
    verifier: Verifier, amazon: Amazon, status: int
) -> None:
    amazon.status = status
    with pytest.raises(ProviderUnavailable):
        verify(verifier, notification())


@pytest.mark.parametrize("changes", [{"SignatureVersion": "3"}, {"Signature": "no base64 ☂"}, {"Signature": ""}])
def test_a_signature_of_another_kind_is_forged(verifier: Verifier, changes: dict[str, str]) -> None:
    with pytest.raises(NotificationForged):
        verify(verifier, notification() | changes)


def test_a_subscription_is_confirmed_at_amazon_only(verifier: Verifier, amazon: Amazon) -> None:
    verifier.confirm(parse_envelope(as_body(confirmation())))
    assert len(amazon.asked) == 1
    assert amazon.asked[0].startswith(f"{HOST}/?Action=ConfirmSubscription")


@pytest.mark.parametrize(
    "url",
    [
        f"https://example.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t",
        f"https://sns.us-west-2.amazonaws.com.example.com/?Action=ConfirmSubscription&TopicArn={TOPIC}",
        f"http://169.254.169.254/?Action=ConfirmSubscription&TopicArn={TOPIC}",
        f"{HOST}/?Action=DeleteTopic&TopicArn={TOPIC}",
        f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}other",
        f"{HOST}/path?Action=ConfirmSubscription&TopicArn={TOPIC}",
        f"{HOST}/",
    ],
)
def test_a_confirmation_that_leads_elsewhere_is_not_followed(verifier: Verifier, amazon: Amazon, url: str) -> None:
    with pytest.raises(NotificationForged):
        verifier.confirm(parse_envelope(as_body(confirmation(SubscribeURL=url))))
    assert amazon.asked == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b"[]",
        b'{"Type": "Notification"}',
        b'{"Type": ["Notification"]}',
        as_body(notification(Type="Poke")),
        as_body(notification(MessageId=None)),
        as_body(notification() | {"Message": {"a": 1}}),
        as_body(notification() | {"Signature": 7}),
        as_body(notification(TopicArn="arn:aws:sqs:us-west-2:608149789419:queue")),
        as_body(notification(TopicArn=f"{TOPIC}\n")),
        as_body(notification() | {"Timestamp": "x" * 5000}),
    ],
)
def test_garbage_is_invalid(body: bytes) -> None:
    with pytest.raises(NotificationInvalid):
        parse_envelope(body)


def test_text_that_is_no_text_is_invalid(verifier: Verifier) -> None:
    with pytest.raises(NotificationInvalid):
        verifier.verify(parse_envelope(as_body(notification() | {"Message": "\ud800"})))
