"""Standard Webhooks signatures (standardwebhooks.com, version 1, symmetric). No clock, no socket."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from imagery.errors import InvalidInput

PREFIX = "whsec_"
TOLERANCE = timedelta(minutes=5)
"""How far a message's time may lie from a receiver's clock: an older one is somebody's replay."""


def sign(body: bytes, *, message_id: str, at: datetime, secrets: Sequence[str]) -> dict[str, str]:
    """The headers of a message; signed with each of the secrets, so that a receiver may know either."""
    timestamp = str(int(at.timestamp()))
    signatures = (_signature(secret, message_id, timestamp, body) for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def why_not_genuine(body: bytes, headers: Mapping[str, str], *, secret: str, now: datetime) -> str | None:
    """Why a message is not to be trusted; None when it is genuine. `headers` have lower-case names."""
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if name not in headers]
    if missing:
        return f"it has no header {missing[0]}"
    timestamp = headers["webhook-timestamp"]
    try:
        at = datetime.fromtimestamp(int(timestamp), UTC)
    except (ValueError, OverflowError, OSError):
        return "webhook-timestamp is no number of seconds"
    if abs(now - at) > TOLERANCE:
        return f"it was signed at {at:%Y-%m-%d %H:%M:%S} UTC, more than {TOLERANCE} from now"
    expected = _signature(secret, headers["webhook-id"], timestamp, body)
    for given in headers["webhook-signature"].split():
        version, _, signature = given.partition(",")
        if version == "v1" and hmac.compare_digest(signature.encode(), expected.encode()):
            return None
    return "it was not signed with this secret"


def parse_secret(text: str) -> bytes:
    """The key in a secret's text. Raises InvalidInput, which does not repeat it."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(PREFIX) or not key:
        raise InvalidInput(f"a webhook's secret is {PREFIX} and base64, as it was shown once", field="--secret")
    return key


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return base64.b64encode(hmac.new(parse_secret(secret), signed, hashlib.sha256).digest()).decode()
