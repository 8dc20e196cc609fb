"""Names for new things: they sort by time of creation and cannot be guessed."""

from __future__ import annotations

import secrets
from datetime import datetime

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str, *, now: datetime) -> str:
    """`prefix_` and a ULID (48 bits of milliseconds, 80 random bits; github.com/ulid/spec) in lower case."""
    number = (int(now.timestamp() * 1000) << 80) | secrets.randbits(80)
    digits = (_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))
    return f"{prefix}_{''.join(digits)}"
