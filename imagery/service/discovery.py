"""From what a provider has to requests for it: each item of each subscription is asked for once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pystac

from imagery.errors import ImageryError
from imagery.items.acquisition import acquisition_of_item
from imagery.model.codec import format_instant
from imagery.model.outcome import BY_FILTER, Outcome, OutcomeStatus, SkipReason
from imagery.model.request import Request, RequestKind
from imagery.model.search import Search
from imagery.model.subscription import Priority, Subscription
from imagery.ports import Ledger, ProcessingQueue, Provider, Together
from imagery.service.joining import Match, Taker, acquired_at, updated_at

logger = logging.getLogger(__name__)

BATCH = 100
"""Items looked at together: a search over years is not held in memory, and a crash repeats little."""

ROWS = 1000
"""Ledger rows in one transaction: an item over a hundred thousand fields must not keep others from writing."""

MAX_AREA_KM2 = 10_000.0
"""Area of all subscriptions of one request together: their clips wait in one temporary folder until all are cut."""

_RANKS = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}

IsLost = Callable[[Outcome], bool]
"""Whether the work a WAITING row waits for will never be done."""

IsPast = Callable[[Outcome], bool]
"""Whether a row was skipped by filters that may have changed since."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Discovery:
    """What a look at the provider came to."""

    found: int
    """Items that match."""

    requested: int
    """Items for a subscription that were new, or newer than what was delivered."""


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Asks for items. The ledger's WAITING row and the request are saved in one transaction: one proves the other.

    So a row that waits for the same state of an item means "asked for already", whoever found it: the feed, a push, a
    first look or the reconciliation, in whatever order and however often.
    """

    ledger: Ledger
    queue: ProcessingQueue
    together: Together
    per_request: int
    """Subscriptions one request serves at most."""

    def ask(
        self,
        matches: Iterable[Match],
        *,
        provider: str,
        collection: str,
        kind: RequestKind,
        now: datetime,
        is_lost: IsLost | None = None,
        is_past: IsPast | None = None,
        also: Callable[[], None] | None = None,
    ) -> int:
        """Ask for what its takers have not had; gives the number of (item, subscription) pairs asked for.

        `also` is done in the last transaction. An interrupted call can be repeated: what was asked for stays so.
        """
        asking = _Asking(
            asker=self, provider=provider, collection=collection, kind=kind, now=now, is_lost=is_lost, is_past=is_past
        )
        pieces = list(_pieces(matches)) or [[]]
        requested = 0
        for number, piece in enumerate(pieces, start=1):
            with self.together():
                requested += asking.save(piece)
                if also is not None and number == len(pieces):
                    also()
        return requested

    def look(
        self,
        subscription: Subscription,
        *,
        search: Search,
        kind: RequestKind,
        provider: Provider,
        now: datetime,
        is_past: IsPast | None = None,
    ) -> Discovery:
        """Ask for every item of `search` that this subscription has not had.

        Safe to repeat. If the search raises, what was found so far stays asked for.
        """
        found = requested = 0
        taker = Taker.of(subscription)
        for batch in _batches(provider.search(search)):
            found += len(batch)
            requested += self.ask(
                [Match(item=item, takers=(taker,)) for item in batch],
                provider=subscription.provider,
                collection=subscription.collection,
                kind=kind,
                now=now,
                is_past=is_past,
            )
        logger.info(
            "discovery finished", extra={"subscription_id": subscription.id, "found": found, "requested": requested}
        )
        return Discovery(found=found, requested=requested)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """A taker, and what its ledger says of the item so far."""

    taker: Taker
    row: Outcome | None
    is_again: bool = False
    """Whether the row's own work is to be made anew, not that of a later state of the item."""


@dataclass(frozen=True, kw_only=True)
class _Asking:
    """One call of `Asker.ask`."""

    asker: Asker
    provider: str
    collection: str
    kind: RequestKind
    now: datetime
    is_lost: IsLost | None
    is_past: IsPast | None

    def save(self, piece: Sequence[Match]) -> int:
        """Requests before rows, for back ends without transactions: a request sent twice is harmless, none is not."""
        requested = 0
        for match in piece:
            wanted = [one for one in (self._wanted(match.item, taker) for taker in match.takers) if one is not None]
            for request, group in self._requests(match.item, wanted):
                self.asker.queue.send([request])
                for one in group:
                    row = waiting(match.item, one.taker.subscription_id, request, self.now, earlier=one.row)
                    self.asker.ledger.record(row)
            requested += len(wanted)
        return requested

    def _wanted(self, item: pystac.Item, taker: Taker) -> _Wanted | None:
        row = self.asker.ledger.get(taker.subscription_id, item.id)
        if row is None or _is_newer(updated_at(item), row.source_updated_at):
            return _Wanted(taker=taker, row=row)
        is_lost = row.status is OutcomeStatus.WAITING and self.is_lost is not None and self.is_lost(row)
        is_past = row.reason in BY_FILTER and self.is_past is not None and self.is_past(row)
        is_again = row.reason is SkipReason.INACTIVE or is_lost or is_past
        return _Wanted(taker=taker, row=row, is_again=True) if is_again else None

    def _requests(self, item: pystac.Item, wanted: Sequence[_Wanted]) -> Iterator[tuple[Request, list[_Wanted]]]:
        """Split by sorted id, so that the same takers give the same requests."""
        for is_again in (False, True):
            chosen = [one for one in wanted if one.is_again is is_again]
            for group in _groups(sorted(chosen, key=lambda one: one.taker.subscription_id), self.asker.per_request):
                yield self._request(item, group), group

    def _request(self, item: pystac.Item, group: Sequence[_Wanted]) -> Request:
        # An execution of the first request's name may have been; only another name will run.
        earlier = [format_instant(one.row.updated_at) for one in group if one.is_again and one.row is not None]
        return Request.for_item(
            kind=self.kind,
            priority=_priority(self.kind, [one.taker for one in group]),
            provider=self.provider,
            collection=self.collection,
            item_id=item.id,
            item_updated_at=updated_at(item),
            subscription_ids=[one.taker.subscription_id for one in group],
            now=self.now,
            occasion=f"again after {max(earlier)}" if earlier else "",
        )


def _batches(items: Iterator[pystac.Item]) -> Iterator[list[pystac.Item]]:
    """BATCH at a time; when the answer breaks off, what came before it is given first."""
    batch: list[pystac.Item] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except ImageryError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def waiting(
    item: pystac.Item, subscription_id: str, request: Request, now: datetime, *, earlier: Outcome | None = None
) -> Outcome:
    """The row of an item that was asked for; what was delivered of its `earlier` state is still published."""
    return Outcome(
        subscription_id=subscription_id,
        item_id=item.id,
        collection=request.collection,
        acquisition=acquisition_of_item(item).id,
        status=OutcomeStatus.WAITING,
        acquired_at=acquired_at(item),
        source_updated_at=updated_at(item),
        explanation="found at the provider; in the queue or being worked on",
        published_item_id=earlier.published_item_id if earlier else None,
        published_collection=earlier.published_collection if earlier else None,
        request_id=request.id,
        updated_at=now,
    )


def _is_newer(updated: datetime | None, known: datetime | None) -> bool:
    return updated is not None and known is not None and updated > known


def _priority(kind: RequestKind, takers: Sequence[Taker]) -> Priority:
    """The first look outranks all, a backfill nothing; else the highest among those it serves."""
    if kind is RequestKind.INITIAL:
        return Priority.HIGH
    if kind is RequestKind.BACKFILL:
        return Priority.LOW
    return min((taker.priority for taker in takers), key=_RANKS.__getitem__)


def _groups(wanted: Sequence[_Wanted], per_request: int) -> Iterator[list[_Wanted]]:
    """In order, as many together as one request may serve."""
    group: list[_Wanted] = []
    area = 0.0
    for one in wanted:
        if group and (len(group) >= per_request or area + one.taker.area_km2 > MAX_AREA_KM2):
            yield group
            group, area = [], 0.0
        group.append(one)
        area += one.taker.area_km2
    if group:
        yield group


def _pieces(matches: Iterable[Match]) -> Iterator[list[Match]]:
    """As much as one transaction takes; the takers of one item may fall into several."""
    piece: list[Match] = []
    room = ROWS
    for match in matches:
        takers = sorted(match.takers, key=lambda taker: taker.subscription_id)
        while takers:
            part, takers = takers[:room], takers[room:]
            piece.append(replace(match, takers=tuple(part)))
            room -= len(part)
            if room == 0:
                yield piece
                piece, room = [], ROWS
    if piece:
        yield piece
