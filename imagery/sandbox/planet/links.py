"""Links to files that work for a while: signed, so that nothing is kept for them and they outlive a restart."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime


class Links:
    """Signs and reads tokens."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, *parts: str, expires_at: datetime) -> str:
        """A token that says these until then; safe in a URL."""
        said = base64.urlsafe_b64encode(json.dumps([*parts, expires_at.timestamp()]).encode()).decode().rstrip("=")
        return f"{said}.{self._signature(said)}"

    def read(self, token: str, now: datetime) -> tuple[tuple[str, ...], bool] | None:
        """(what it says, whether it still works); None: it is not one of ours."""
        said, _, signature = token.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(said).encode()):
            return None
        *parts, expires = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
        return tuple(parts), now < datetime.fromtimestamp(expires, UTC)

    def _signature(self, said: str) -> str:
        return hmac.new(self._secret, said.encode(), hashlib.sha256).hexdigest()[:32]
