"""A look for what a span of acquisition time held: planned, and then done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from imagery.model.request import RequestKind, Window


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One window of one subscription, to be searched through once."""

    subscription_id: str
    request_id: str
    """Of the request that does it; the look's own name."""

    kind: RequestKind
    window: Window
    planned_at: datetime
    done_at: datetime | None = None
    """When all it found had been asked for. None: not yet."""
