"""Signatures as Standard Webhooks describes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from imagery.errors import InvalidInput
from imagery.notifiers.signing import parse_secret, sign, why_not_genuine

# The example that the libraries of standard-webhooks/standard-webhooks are tested with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

OTHER = "whsec_" + base64.b64encode(b"another secret of many bytes").decode()


def headers_of(*secrets: str) -> dict[str, str]:
    return sign(BODY, message_id=MESSAGE_ID, at=AT, secrets=secrets or (SECRET,))


def test_a_message_is_signed_as_the_specification_s_example_is() -> None:
    assert headers_of() == {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_a_signature_covers_id_time_and_body() -> None:
    key = base64.b64decode(OTHER.removeprefix("whsec_"))
    signed = f"{MESSAGE_ID}.1614265330.".encode() + BODY

    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()

    assert headers_of(OTHER)["webhook-signature"] == f"v1,{expected}"


def test_with_two_secrets_a_receiver_may_know_either() -> None:
    headers = headers_of(SECRET, OTHER)

    assert headers["webhook-signature"].startswith(SIGNATURE + " v1,")
    assert all(why_not_genuine(BODY, headers, secret=secret, now=AT) is None for secret in (SECRET, OTHER))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"webhook-id": "msg_other"}, "not signed with this secret"),
        ({"webhook-timestamp": "1614265331"}, "not signed with this secret"),
        ({"webhook-timestamp": "soon"}, "no number"),
        ({"webhook-timestamp": "9" * 400}, "no number"),
        ({"webhook-signature": "v1,AAAA"}, "not signed with this secret"),
        ({"webhook-signature": SIGNATURE.replace("v1", "v2")}, "not signed with this secret"),
        ({"webhook-signature": "é ,"}, "not signed with this secret"),
    ],
)
def test_a_message_that_was_touched_is_not_genuine(changed: dict[str, str], why: str) -> None:
    assert why in (why_not_genuine(BODY, headers_of() | changed, secret=SECRET, now=AT) or "")


def test_another_body_another_secret_or_no_signature_is_not_genuine() -> None:
    assert why_not_genuine(BODY + b" ", headers_of(), secret=SECRET, now=AT)
    assert why_not_genuine(BODY, headers_of(), secret=OTHER, now=AT)
    assert why_not_genuine(BODY, {}, secret=SECRET, now=AT) == "it has no header webhook-id"


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_message_or_one_of_the_future_is_not_genuine(minutes: int) -> None:
    now = AT + timedelta(minutes=minutes)

    assert "more than" in (why_not_genuine(BODY, headers_of(), secret=SECRET, now=now) or "")


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_not base64!", SECRET.removeprefix("whsec_"), "whsec_é"])
def test_what_is_no_secret_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_secret(text)

    assert not text or text not in str(refusal.value) or text == "whsec_"
