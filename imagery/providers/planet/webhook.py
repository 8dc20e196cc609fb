"""What Planet posts to a webhook, in either of its two shapes: which order it is about. A hint, and never more."""

from __future__ import annotations

import json
import re

MAX_BYTES = 2**20
"""Planet's own limit for what is sent to it; what it sends is a list of file names."""

_ORDER_ID = re.compile(r"[0-9a-fA-F-]{8,64}")


def parse_notification(body: bytes) -> str | None:
    """The order's id: `order_id` of today's body, or `id` of the whole order sent until 2024; None: neither."""
    if len(body) > MAX_BYTES:
        return None
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    found = said.get("order_id", said.get("id"))
    return found if isinstance(found, str) and _ORDER_ID.fullmatch(found) else None
