"""API keys: made once, shown once, kept as hashes."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from imagery.errors import InvalidInput, KeyUnknown
from imagery.model.access import ApiKey, Caller
from imagery.ports import Clock, KeyStore

_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_KEY = re.compile(r"imk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Make, check and revoke API keys."""

    store: KeyStore
    clock: Clock

    def create(self, owner: str, *, operator: bool = False) -> tuple[ApiKey, str]:
        """A new key of `owner`, and its text, which nobody can ask for again."""
        if not _OWNER.fullmatch(owner):
            raise InvalidInput(
                f"{owner!r} cannot be an owner's name; use up to 64 letters, digits and . _ @ -", field="/owner"
            )
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        key = ApiKey(id=key_id, owner=owner, operator=operator, secret_sha256=_sha256(secret), created_at=self.clock())
        self.store.add(key)
        return key, f"imk_{key_id}_{secret}"

    def authenticate(self, text: str) -> tuple[ApiKey, Caller]:
        """The key behind `text` and who it speaks for. Raises KeyUnknown, the same for every way of being wrong."""
        match = _KEY.fullmatch(text)
        refusal = KeyUnknown("the API key is not valid; make one with `imagery keys create --owner NAME`")
        if match is None:
            raise refusal
        try:
            key = self.store.get(match[1])
        except KeyUnknown:
            raise refusal from None
        if key.revoked_at is not None or not hmac.compare_digest(key.secret_sha256, _sha256(match[2])):
            raise refusal
        return key, Caller(owner=key.owner, operator=key.operator)

    def list(self) -> tuple[ApiKey, ...]:
        """All keys ever made, oldest first; their secrets are not among them."""
        return self.store.list()

    def revoke(self, key_id: str) -> None:
        """It opens nothing from now on. Raises KeyUnknown."""
        self.store.revoke(key_id, now=self.clock())


def is_key_shaped(text: str) -> bool:
    """Whether it could be a key, good or not."""
    return _KEY.fullmatch(text) is not None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
