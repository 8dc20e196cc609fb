"""A request that failed for good: kept until somebody replays or deletes it; nothing expires silently."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from imagery.model.request import Request


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Named after the execution that failed, so that telling it twice is telling it once."""

    id: str
    request: Request
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


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureQuery:
    """Which failures to list, newest first."""

    owner: str | None = None
    subscription_id: str | None = None
    error: str | None = None
    limit: int = 100
    cursor: str | None = None
