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
        attempt: int = 1,
    ) -> Request:
        """Make one item for these subscriptions.

        The same item, state of it, subscriptions and attempt give the same id.
        """
        ids = tuple(sorted(subscription_ids))
        state = format_instant(item_updated_at) if item_updated_at else ""
        return cls(
            id=_numbered(_name("item", provider, collection, item_id, state, *ids), attempt),
            kind=kind,
            priority=priority,
            provider=provider,
            collection=collection,
            subscription_ids=ids,
            item_ids=(item_id,),
            attempt=attempt,
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
        version: int,
        now: datetime,
    ) -> Request:
        """Look for everything acquired in a window over one subscription's AOI, as its owner left it at `version`."""
        span = (format_instant(window.start_at), format_instant(window.end_at), str(version))
        return cls(
            id=_name("window", provider, collection, subscription_id, *span),
            kind=kind,
            priority=priority,
            provider=provider,
            collection=collection,
            subscription_ids=(subscription_id,),
            window=window,
            created_at=now,
        )

    def replayed(self, *, now: datetime) -> Request:
        """The same work, tried once more, at its old priority."""
        again = self.attempt + 1
        return replace(self, id=_numbered(self.id, again), kind=RequestKind.REPLAY, attempt=again, created_at=now)


def attempt_of(request_id: str) -> int:
    """Which attempt at its work a request of this id was."""
    return int(request_id.partition("-")[2] or 1)


def _numbered(request_id: str, attempt: int) -> str:
    root = request_id.partition("-")[0]
    return root if attempt == 1 else f"{root}-{attempt}"


def _name(*parts: str) -> str:
    return "req_" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]
