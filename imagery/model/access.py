"""Who is calling, and what they may see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """A key as it is kept: its hash, never itself."""

    id: str
    """Public part of the key; safe to log."""

    owner: str
    secret_sha256: str
    """Hex digest. The secret has 256 random bits, so a fast hash is as good as a slow one."""

    operator: bool = False
    """Sees every owner's things and may change shared ones."""

    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """The one behind a request."""

    owner: str
    operator: bool = False

    @property
    def scope(self) -> str | None:
        """The owner whose things they see; None: everybody's."""
        return None if self.operator else self.owner
