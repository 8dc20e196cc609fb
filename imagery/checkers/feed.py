"""Reads a provider's feed of changes from its cursor on, and asks for what active subscriptions want of it.

Why no item falls between a subscription's first look and the feed, nor between two reads:

- A subscription and its first look are saved together, at C. The look's search runs at T > C and finds whatever the
  provider shows at T (the newest window reaches up to T, not only up to C); older windows are searched later still.
- An item that the provider shows only after T is read from the feed after T, hence after C: whoever reads it first
  finds the subscription in the store and joins it. The feed passes over an item only if it is in `seen`, which holds
  what was read before, and nobody can have read what was not shown yet.
- The feed still asks for such an item, for it reads again from an overlap before the newest `updated` it has taken,
  and an item is shown at most that long after its `updated`. What is shown later is found by the reconciliation.
- A feed read for the first time begins an overlap before the oldest active subscription was created; one whose
  subscriptions were all paused goes on from its cursor. A subscription that is resumed looks for itself at what was
  published meanwhile.

What both find is asked for once: see `Asker`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice

import pystac

from imagery.errors import ProviderAnswerInvalid
from imagery.model.codec import format_instant
from imagery.model.feed import FeedCursor
from imagery.model.request import RequestKind
from imagery.model.subscription import SubscriptionQuery, SubscriptionStatus
from imagery.ports import FeedStore, Provider, SubscriptionStore
from imagery.service.discovery import BATCH, ROWS, Asker
from imagery.service.feeds import health_of, read_to_end
from imagery.service.joining import Joiner, Match, updated_at

logger = logging.getLogger(__name__)

MAX_ITEMS = 50_000
"""New items taken in one read; the next one goes on from there, and other feeds get their turn in between."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedReport:
    """What one read came to."""

    found: int
    """Items that were new."""

    requested: int
    """(item, subscription) pairs asked for."""


@dataclass(frozen=True, kw_only=True)
class FeedReader:
    """Reads feeds; one request an item, however many subscriptions it serves."""

    subscriptions: SubscriptionStore
    feeds: FeedStore
    joiner: Joiner
    asker: Asker
    overlap: timedelta
    """Read again each time: an item may become visible so long after its `updated`."""

    first_reach: timedelta
    """How far back a feed is read at most that was never read before."""

    batch: int = BATCH
    """Items between two savings of the cursor."""

    def read(self, provider: Provider, *, name: str, collection: str, now: datetime) -> FeedReport:
        """Ask for all that is new. Raises FeedUnsupported, and what the provider raises.

        Safe to repeat and to interrupt: the cursor is saved in the transaction of the requests it led to.
        """
        reading = _Reading(cursor=self._cursor(name, collection, now), overlap=self.overlap, now=now)
        news = (item for item in provider.changes(collection, since=reading.since) if reading.takes(item))
        requested = 0
        matches: list[Match] = []
        for item in islice(news, MAX_ITEMS):
            matches.append(self.joiner.match(item, provider=name, collection=collection, now=now))
            reading.matched(item)
            if len(matches) >= self.batch or sum(len(match.takers) for match in matches) >= ROWS:
                requested += self._ask(matches, reading)
                matches = []
        requested += self._ask(matches, reading, is_end=reading.found < MAX_ITEMS)
        self._warn(name, collection, now)
        return FeedReport(found=reading.found, requested=requested)

    def _ask(self, matches: list[Match], reading: _Reading, *, is_end: bool = False) -> int:
        cursor = reading.at_end() if is_end else reading.so_far()
        return self.asker.ask(
            matches,
            provider=cursor.provider,
            collection=cursor.collection,
            kind=RequestKind.UPDATE,
            now=reading.now,
            also=lambda: self.feeds.save(cursor),
        )

    def _cursor(self, provider: str, collection: str, now: datetime) -> FeedCursor:
        cursor = self.feeds.get(provider, collection)
        if cursor is not None:
            return cursor
        query = SubscriptionQuery(
            provider=provider, collection=collection, statuses=frozenset({SubscriptionStatus.ACTIVE}), limit=1
        )
        oldest = self.subscriptions.find(query).values
        start_at = (oldest[0].checked_through or oldest[0].created_at) if oldest else now
        start_at = max(min(start_at, now), now - self.first_reach)
        return FeedCursor(provider=provider, collection=collection, checked_through=start_at, checked_at=start_at)

    def _warn(self, provider: str, collection: str, now: datetime) -> None:
        health = health_of(self.feeds.get(provider, collection), provider=provider, collection=collection, now=now)
        if health.is_stale:
            logger.warning(
                "feed is stale: %s", health.explanation, extra={"provider": provider, "collection": collection}
            )


@dataclass(kw_only=True)
class _Reading:
    """How far one read of a feed has come."""

    cursor: FeedCursor
    overlap: timedelta
    now: datetime
    found: int = 0
    _newest: datetime = field(init=False)
    _is_ordered: bool = True
    _seen: dict[str, datetime | None] = field(init=False)
    """Change → its `updated`; None: not known here, for it was read from the cursor."""

    def __post_init__(self) -> None:
        self._newest = self.cursor.checked_through
        self._seen = dict.fromkeys(self.cursor.seen)

    @property
    def since(self) -> datetime:
        return self.cursor.checked_through - self.overlap

    def takes(self, item: pystac.Item) -> bool:
        """Whether this state of the item was not taken before."""
        try:
            updated = updated_at(item) or self.now
        except ProviderAnswerInvalid as error:
            logger.warning("item passed over: %s", error, extra={"item": item.id})
            return False
        change = f"{item.id}@{format_instant(updated)}"
        is_new = change not in self._seen
        self._seen[change] = updated
        return is_new

    def matched(self, item: pystac.Item) -> None:
        """It will be in the next transaction."""
        self.found += 1
        updated = min(updated_at(item) or self.now, self.now)
        # A provider that does not sort: going on from its newest would leave out what comes after it. Once known, the
        # cursor stands still until the read has come to its end.
        self._is_ordered = self._is_ordered and updated >= self._newest - self.overlap
        self._newest = max(self._newest, updated)

    def so_far(self) -> FeedCursor:
        """To be saved with what was found so far."""
        through = self._newest if self._is_ordered else self.cursor.checked_through
        return replace(self.cursor, checked_through=through, seen=frozenset(self._kept(through - self.overlap)))

    def at_end(self) -> FeedCursor:
        """To be saved with the last of what there is."""
        cursor = replace(
            self.cursor, checked_through=self._newest, seen=frozenset(self._kept(self._newest - self.overlap))
        )
        return read_to_end(cursor, is_news=self.found > 0, now=self.now)

    def _kept(self, since: datetime) -> Iterator[str]:
        """What the next read will meet again."""
        for change, updated in self._seen.items():
            at = updated or datetime.fromisoformat(change.rpartition("@")[2])
            if at >= since:
                yield change
