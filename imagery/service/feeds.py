"""How the feeds are: how far each has been read, and whether one has gone quiet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from imagery.model.feed import FeedCursor
from imagery.ports import FeedStore, SubscriptionStore

QUIET = timedelta(hours=6)
"""No feed is called stale sooner."""

GAPS = 4
"""Usual gaps that may pass before a feed is called stale."""

_WEIGHT = 0.2
"""Of the newest gap in the running mean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedHealth:
    """One feed as it stands."""

    provider: str
    collection: str
    checked_through: datetime | None
    """`updated` of the newest item taken. None: never read."""

    checked_at: datetime | None
    """When it was last read to its end: what the provider published until then has been looked at."""

    last_item_at: datetime | None
    """When it last gave something new."""

    usual_gap: timedelta | None
    is_stale: bool
    explanation: str
    """One sentence for a person."""


def feeds_health(feeds: FeedStore, subscriptions: SubscriptionStore, *, now: datetime) -> tuple[FeedHealth, ...]:
    """Every feed that has an active subscription."""
    return tuple(
        health_of(feeds.get(provider, collection), provider=provider, collection=collection, now=now)
        for provider, collection in subscriptions.feeds()
    )


def health_of(cursor: FeedCursor | None, *, provider: str, collection: str, now: datetime) -> FeedHealth:
    """Stale: not read to its end for long, or quiet for much longer than usual. Never read, or searched: not stale."""
    explanation = ""
    if cursor is not None:
        explanation = _staleness(cursor, now)
    return FeedHealth(
        provider=provider,
        collection=collection,
        checked_through=cursor.checked_through if cursor else None,
        checked_at=cursor.checked_at if cursor else None,
        last_item_at=cursor.last_item_at if cursor else None,
        usual_gap=cursor.usual_gap if cursor else None,
        is_stale=bool(explanation),
        explanation=explanation or ("up to date" if cursor else "not read yet"),
    )


def read_to_end(cursor: FeedCursor, *, is_news: bool, now: datetime) -> FeedCursor:
    """The cursor after a read that came to the feed's end. A gap in which nobody looked teaches nothing of the feed."""
    if not is_news:
        return replace(cursor, checked_at=now)
    gap = now - cursor.last_item_at if cursor.last_item_at else None
    if gap is None or now - cursor.checked_at > QUIET:
        return replace(cursor, checked_at=now, last_item_at=now)
    usual = gap if cursor.usual_gap is None else cursor.usual_gap + _WEIGHT * (gap - cursor.usual_gap)
    return replace(cursor, checked_at=now, last_item_at=now, usual_gap=usual)


def _staleness(cursor: FeedCursor, now: datetime) -> str:
    unread = now - cursor.checked_at
    if unread > QUIET:
        return f"not read to its end for {_hours(unread)}: the provider does not answer as it should; see the log"
    if cursor.last_item_at is None or cursor.usual_gap is None:
        return ""
    quiet = now - cursor.last_item_at
    if quiet <= max(QUIET, GAPS * cursor.usual_gap):
        return ""
    return f"nothing new for {_hours(quiet)}, where {_hours(cursor.usual_gap)} is usual: ask the provider"


def _hours(span: timedelta) -> str:
    hours = span / timedelta(hours=1)
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
