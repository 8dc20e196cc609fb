"""One piece of work for the processing queue, named after its purpose so that sending it twice is sending it once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from imagery.model.codec import format_instant
from imagery.model.subscription import Priority


class RequestKind(StrEnum):
    """Why the work is done."""

    INITIAL = "initial"
    """The first look for a new subscription; outranks all."""

    UPDATE = "update"
    BACKFILL = "backfill"
    REPLAY = "replay"


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A span of acquisition time, both ends included."""

    start_at: datetime
    end_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Either `item_ids` (make these) or `window` (find what there is, then ask for each)."""

    id: str
    kind: RequestKind
    priority: Priority
    provider: str
    collection: str
    subscription_ids: tuple[str, ...]
    item_ids: tuple[str, ...] = ()
    window: Window | None = None
    attempt: int = 1
    """1, and one more with each replay."""

    created_at: datetime
    labels: dict[str, str] = field(default_factory=dict)

    @classmethod
    def for_item(
        cls,
        *,
        kind: RequestKind,
        priority: Priority,
        provider: str,
        collection: str,
        item_id: str,
        item_updated_at: datetime | None,
        subscription_ids: Iterable[str],
        now: datetime,
        occasion: str = "",
    ) -> Request:
        """Make one item for these subscriptions. The same item, state of it and subscriptions give the same id.

        Once that work has been done, or was given up, an `occasion` is needed to ask for it anew.
        """
        ids = tuple(sorted(subscription_ids))
        state = format_instant(item_updated_at) if item_updated_at else ""
        return cls(
            id=_name("item", provider, collection, item_id, state, *((occasion,) if occasion else ()), *ids),
            kind=kind,
            priority=priority,
            provider=provider,
            collection=collection,
            subscription_ids=ids,
            item_ids=(item_id,),
            created_at=now,
        )

    @classmethod
    def for_window(
        cls,
        *,
        kind: RequestKind,
        priority: Priority,
        provider: str,
        collection: str,
        window: Window,
        subscription_id: str,
        now: datetime,
        occasion: str = "",
    ) -> Request:
        """Look for everything acquired in a window over one subscription's AOI; another `occasion` is another look."""
        span = (format_instant(window.start_at), format_instant(window.end_at))
        return cls(
            id=_name("window", provider, collection, subscription_id, *span, *((occasion,) if occasion else ())),
            kind=kind,
            priority=priority,
            provider=provider,
            collection=collection,
            subscription_ids=(subscription_id,),
            window=window,
            created_at=now,
        )

    @property
    def root(self) -> str:
        """Id of the first attempt: the name of the work, however often it is tried."""
        return self.id.partition("-")[0]

    def replayed(self, *, now: datetime) -> Request:
        """The same work, tried once more, at its old priority."""
        attempt = self.attempt + 1
        return replace(self, id=f"{self.root}-{attempt}", kind=RequestKind.REPLAY, attempt=attempt, created_at=now)

    def narrowed(self, *, subscription_id: str, item_id: str) -> Request:
        """One subscription's share of it in one item, as a request of its own; itself if that is all there is to it."""
        if self.subscription_ids == (subscription_id,) and self.item_ids == (item_id,):
            return self
        root = _name("share", self.root, subscription_id, item_id)
        return replace(
            self,
            id=root if self.attempt == 1 else f"{root}-{self.attempt}",
            subscription_ids=(subscription_id,),
            item_ids=(item_id,),
        )

    def parted(self, *, subscription_ids: Iterable[str]) -> Request:
        """The same for some of its subscriptions only, as a request of its own."""
        ids = tuple(sorted(subscription_ids))
        root = _name("part", self.root, *ids)
        return replace(self, id=root if self.attempt == 1 else f"{root}-{self.attempt}", subscription_ids=ids)


def _name(*parts: str) -> str:
    return "req_" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]
