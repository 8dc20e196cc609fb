"""Messages of Amazon SNS over HTTP: parsed, and believed only if Amazon signed them for a topic we listen to.

As docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html says it. Knows no STAC.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from imagery.errors import NotificationForged, NotificationInvalid, ProviderUnavailable, Throttled

NOTIFICATION = "Notification"
CONFIRMATION = "SubscriptionConfirmation"
UNSUBSCRIBED = "UnsubscribeConfirmation"

MAX_ANSWER_BYTES = 64 * 1024
"""A certificate has 2 KB, the answer to a confirmation less."""

MAX_FIELD_CHARS = 4096
"""Of every field but the message itself."""

_SIGNED: Mapping[str, tuple[str, ...]] = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    UNSUBSCRIBED: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""What is signed, in this order; of a notification the subject only if it has one."""

_HASHES: Mapping[str, Callable[[], HashAlgorithm]] = {"1": SHA1, "2": SHA256}
_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{1,32}):\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")
_PEM_PATH = re.compile(r"/[A-Za-z0-9._-]{1,200}\.pem")

Fetch = Callable[[str], bytes]
"""The body behind an https URL, bounded, no redirect followed. Raises ProviderUnavailable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """A message as SNS wraps it, not yet believed."""

    type: str
    message_id: str
    topic_arn: str
    message: str
    fields: Mapping[str, str]
    """Everything in it, by SNS's own names."""

    @property
    def host(self) -> str:
        """Where SNS of the topic's region is: nothing else is ever asked for a certificate or a confirmation."""
        found = _ARN.fullmatch(self.topic_arn)
        assert found is not None  # parse_envelope took it
        return f"sns.{found[2]}.amazonaws.com" + (".cn" if found[1] == "aws-cn" else "")


def parse_envelope(body: bytes) -> Envelope:
    """Raises NotificationInvalid unless it has every field a message of its type is signed over."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotificationInvalid("the body is not JSON") from error
    if not isinstance(given, dict):
        raise NotificationInvalid("the body is not a message of Amazon SNS: it is no JSON object")
    kind = given.get("Type")
    if not isinstance(kind, str) or kind not in _SIGNED:
        raise NotificationInvalid(f"Type is none of {', '.join(_SIGNED)}", field="/Type")
    fields = {name: value for name, value in given.items() if isinstance(value, str)}
    needed = {*_SIGNED[kind], "SignatureVersion", "Signature", "SigningCertURL"} - {"Subject"}
    for name in sorted(needed):
        if name not in fields:
            raise NotificationInvalid(f"{name} is missing, or not text", field=f"/{name}")
    for name, value in fields.items():
        if name != "Message" and len(value) > MAX_FIELD_CHARS:
            raise NotificationInvalid(f"a field has over {MAX_FIELD_CHARS} characters", field=f"/{name[:64]}")
    if not _ARN.fullmatch(fields["TopicArn"]):
        raise NotificationInvalid("TopicArn is not the ARN of a topic", field="/TopicArn")
    return Envelope(
        type=kind,
        message_id=fields["MessageId"],
        topic_arn=fields["TopicArn"],
        message=fields["Message"],
        fields=fields,
    )


def signed_text(envelope: Envelope) -> bytes:
    """What the signature is over: names and values, a line each."""
    lines = [(name, envelope.fields[name]) for name in _SIGNED[envelope.type] if name in envelope.fields]
    try:
        return "".join(f"{name}\n{value}\n" for name, value in lines).encode()
    except UnicodeEncodeError as error:
        raise NotificationInvalid("the message holds characters that are no text") from error


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """Tells Amazon's messages from others'. May be used from any thread."""

    fetch: Fetch
    clock: Callable[[], datetime]
    keep: timedelta = timedelta(days=1)
    """How long a certificate is used without being fetched again."""

    max_certificates: int = 16
    max_fetches: int = 20
    """In `fetch_span`: whoever names ever new certificates does not make us ask for all of them."""

    fetch_span: timedelta = timedelta(minutes=10)
    _keys: OrderedDict[str, tuple[RSAPublicKey, datetime]] = field(default_factory=OrderedDict, repr=False)
    _fetched: list[datetime] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def verify(self, envelope: Envelope) -> None:
        """Raises NotificationForged; ProviderUnavailable if the certificate cannot be had just now, and Throttled."""
        algorithm = _HASHES.get(envelope.fields["SignatureVersion"])
        if algorithm is None:
            raise NotificationForged("SignatureVersion is neither 1 nor 2")
        try:
            signature = base64.b64decode(envelope.fields["Signature"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise NotificationForged("the signature is not base64") from error
        text = signed_text(envelope)
        key = self._key(_pinned(envelope, "SigningCertURL", _PEM_PATH))
        try:
            key.verify(signature, text, PKCS1v15(), algorithm())
        except InvalidSignature as error:
            raise NotificationForged("the signature does not fit the message") from error

    def confirm(self, envelope: Envelope) -> None:
        """Tell SNS that the subscription is wanted: of a message that was verified. Raises ProviderUnavailable."""
        url = _pinned(envelope, "SubscribeURL", re.compile(r"/?"))
        query = parse_qs(urlsplit(url).query)
        if query.get("Action") != ["ConfirmSubscription"] or query.get("TopicArn") != [envelope.topic_arn]:
            raise NotificationForged("SubscribeURL does not confirm a subscription to this topic")
        self.fetch(url)

    def _key(self, url: str) -> RSAPublicKey:
        now = self.clock()
        with self._lock:
            known = self._keys.get(url)
            if known is not None and now < known[1]:
                self._keys.move_to_end(url)
                return known[0]
            self._count_fetch(now)
        key, until = _read_certificate(self.fetch(url), now)
        with self._lock:
            self._keys[url] = (key, min(until, now + self.keep))
            while len(self._keys) > self.max_certificates:
                self._keys.popitem(last=False)
        return key

    def _count_fetch(self, now: datetime) -> None:
        self._fetched[:] = [at for at in self._fetched if now - at < self.fetch_span]
        if len(self._fetched) >= self.max_fetches:
            wait = self._fetched[0] + self.fetch_span - now
            raise Throttled(
                "too many certificates were asked for; send it again later", retry_after_s=wait.total_seconds()
            )
        self._fetched.append(now)


def fetch_over(client: httpx.Client, *, timeout_s: float = 5.0) -> Fetch:
    """Fetches with this client."""

    def fetch(url: str) -> bytes:
        host = urlsplit(url).hostname
        try:
            with client.stream("GET", url, follow_redirects=False, timeout=timeout_s) as answer:
                if answer.status_code != 200:
                    raise ProviderUnavailable(f"{host} answered {answer.status_code}; the message may come again")
                body = b""
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        raise ProviderUnavailable(f"{host} answered with over {MAX_ANSWER_BYTES} bytes")
                return body
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderUnavailable(f"{host} does not answer ({type(error).__name__})") from error

    return fetch


def _pinned(envelope: Envelope, name: str, path: re.Pattern[str]) -> str:
    """The URL in this field. Raises NotificationForged unless it is SNS's own, in the topic's region."""
    url = envelope.fields[name]
    # Compared as text, not as parsed: what parsers disagree about is refused.
    start = f"https://{envelope.host}"
    rest = url.removeprefix(start)
    before_query = rest.partition("?")[0]
    has_query = "?" in rest
    if not url.startswith(start) or not url.isascii() or not url.isprintable() or " " in url or "#" in url:
        raise NotificationForged(f"{name} does not lead to {envelope.host}")
    if not path.fullmatch(before_query) or has_query != (name == "SubscribeURL"):
        raise NotificationForged(f"{name} does not lead to what SNS has there")
    return url


def _read_certificate(pem: bytes, now: datetime) -> tuple[RSAPublicKey, datetime]:
    """Its key, and until when it is good."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key: Any = certificate.public_key()
    except Exception as error:  # the parser raises whatever odd bytes trip
        raise NotificationForged("the signing certificate cannot be read") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < 2048:
        raise NotificationForged("the signing certificate's key is not RSA of 2048 bits or more")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise NotificationForged("the signing certificate is not valid now")
    return key, certificate.not_valid_after_utc
