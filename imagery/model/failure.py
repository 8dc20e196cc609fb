"""A request that failed for good: kept until somebody replays or deletes it; nothing expires silently."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from imagery.model.request import Request


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Named after the work that failed: telling it twice is telling it once, and a replay's failure takes its place."""

    id: str
    """The `root` of its request."""

    request: Request
    """As it was tried last."""

    owner: str | None
    """Whose it is, when all its subscriptions have one owner; operators see the rest."""

    error: str
    """Class name of the error."""

    cause: str
    state: str | None
    """The state of the workflow that failed."""

    retryable: bool
    """Whether waiting can help."""

    failed_at: datetime
    replay_id: str | None = None
    """Id of the request that tries it again, while that is under way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureQuery:
    """Which failures to list, newest first; every field given must match."""

    owner: str | None = None
    subscription_id: str | None = None
    provider: str | None = None
    error: str | None = None
    retryable: bool | None = None
    """True: waiting can help; False: final."""

    replayed: bool | None = None
    """True: those whose replay is under way; False: all others."""

    failed_from: datetime | None = None
    failed_to: datetime | None = None
    """Both ends included."""

    text: str | None = None
    """Part of the cause; the case of ASCII letters does not matter."""

    limit: int = 100
    cursor: str | None = None
