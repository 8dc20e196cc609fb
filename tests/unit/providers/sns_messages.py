"""Messages as SNS sends them, signed with a certificate made here; Amazon as a transport."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

TOPIC = "arn:aws:sns:us-west-2:608149789419:cirrus-es-prod-publish"
HOST = "https://sns.us-west-2.amazonaws.com"
CERTIFICATE = f"{HOST}/SimpleNotificationService-0123456789abcdef.pem"
BEGINS, ENDS = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)

Json = dict[str, Any]


@cache
def key(number: int = 1, bits: int = 2048) -> RSAPrivateKey:
    """The same for the same number."""
    del number
    return generate_private_key(public_exponent=65537, key_size=bits)


def certificate(of: RSAPrivateKey, *, ends: datetime = ENDS) -> bytes:
    """PEM, signed by itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder(name, name, of.public_key(), 7, BEGINS, ends)
    return builder.sign(of, SHA256()).public_bytes(Encoding.PEM)


def notification(message: str = "{}", **changes: Any) -> Json:
    """A signed notification; fields changed to None are left out. Changes are signed too."""
    return signed({"Type": "Notification", "Message": message, **changes})


def confirmation(**changes: Any) -> Json:
    """SNS asks whether the subscription is wanted."""
    url = f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t0ken"
    usual = {"Type": "SubscriptionConfirmation", "Message": "Do you?", "SubscribeURL": url, "Token": "t0ken"}
    return signed(usual | changes)


def signed(fields: Json, *, by: RSAPrivateKey | None = None) -> Json:
    """With what every message has, and Amazon's signature as its documentation says it."""
    usual = {
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Timestamp": "2026-05-01T12:00:00.000Z",
        "SignatureVersion": "1",
        "SigningCertURL": CERTIFICATE,
        "UnsubscribeURL": f"{HOST}/?Action=Unsubscribe",
    }
    body = {name: value for name, value in (usual | fields).items() if value is not None}
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if body.get("Type") != "Notification":
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{body[name]}\n" for name in names if name in body)
    algorithm = SHA1() if body.get("SignatureVersion") == "1" else SHA256()
    signature = (by or key()).sign(text.encode(), PKCS1v15(), algorithm)
    return {"Signature": base64.b64encode(signature).decode(), **body}


def as_body(message: Json) -> bytes:
    return json.dumps(message).encode()


def item(item_id: str = "a", **changes: Any) -> Json:
    """A STAC item as Earth Search publishes it, as far as anybody looks at it."""
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item_id,
        "collection": "sentinel-2-l2a",
        "bbox": [14.9, 45.9, 15.1, 46.1],
        "properties": {"datetime": "2026-04-20T10:00:00Z"},
        **changes,
    }


@dataclass
class Amazon:
    """sns.us-west-2.amazonaws.com."""

    answers: dict[str, bytes] = field(default_factory=dict)
    status: int = 200
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answers.setdefault(CERTIFICATE, certificate(key()))

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if "Action=ConfirmSubscription" in str(request.url):
            return httpx.Response(self.status, text="<ConfirmSubscriptionResponse/>")
        if str(request.url) not in self.answers:
            return httpx.Response(404)
        return httpx.Response(self.status, content=self.answers[str(request.url)])


Clock = Callable[[], datetime]
DAY = timedelta(days=1)
