"""How far a provider's stream of changes to one collection has been read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedCursor:
    """One a (provider, collection), however many subscriptions there are."""

    provider: str
    collection: str
    checked_through: datetime
    """`updated` of the newest item taken; the next read begins an overlap before it."""

    seen: frozenset[str] = frozenset()
    """`<item id>@<updated>` of what was taken inside the overlap, so that it is not taken twice."""

    checked_at: datetime
    """When it was last read to its end."""

    last_item_at: datetime | None = None
    """When it last gave something new. None: never yet."""

    usual_gap: timedelta | None = None
    """Running mean of the time between checks that gave something new. None: not known yet."""
