"""Paging cursors: a position in the answer to one query, opaque to callers and useless for any other query."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TypeVar

from imagery.errors import CursorInvalid, InvalidInput
from imagery.model.codec import to_dict
from imagery.model.deletion import DeletionQuery
from imagery.model.event import EventQuery
from imagery.model.failure import FailureQuery
from imagery.model.order import OrderQuery
from imagery.model.outcome import OutcomeQuery
from imagery.model.paging import Page
from imagery.model.subscription import SubscriptionQuery

Query = SubscriptionQuery | OutcomeQuery | FailureQuery | EventQuery | DeletionQuery | OrderQuery
Position = tuple[int | str, ...]
T = TypeVar("T")

_LONGEST = 4096
_LARGEST = 2**63 - 1


def page_of(query: Query, values: Sequence[tuple[Position, T]]) -> Page[T]:
    """A page from up to `query.limit` + 1 values with their positions; one too many says there is a next page."""
    kept = values[: query.limit]
    is_last = len(values) <= query.limit
    return Page(values=tuple(value for _, value in kept), next_cursor=None if is_last else _written(query, kept[-1][0]))


def parse_cursor(query: Query, shape: tuple[type, ...]) -> Position | None:
    """Where the last page ended; None on the first. Raises CursorInvalid, and InvalidInput for a limit below 1."""
    if query.limit < 1:
        raise InvalidInput("limit must be at least 1", field="/limit")
    if query.cursor is None:
        return None
    try:
        fingerprint, *position = _parsed(query.cursor)
    except (ValueError, RecursionError) as error:
        raise _invalid() from error
    if fingerprint != _fingerprint(query) or [type(part) for part in position] != list(shape):
        raise _invalid()
    return tuple(position)


def _written(query: Query, position: Position) -> str:
    text = json.dumps([_fingerprint(query), *position], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _parsed(cursor: str) -> list[int | str]:
    if len(cursor) > _LONGEST:
        raise ValueError("too long")
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    parts = json.loads(text)
    if not isinstance(parts, list) or not parts:
        raise ValueError("not a list")
    for part in parts:
        if isinstance(part, int) and abs(part) > _LARGEST:
            raise ValueError("no such number")
        if isinstance(part, str):
            part.encode()  # a lone surrogate is JSON, but no text that SQLite takes
    return parts


def _fingerprint(query: Query) -> str:
    asked = to_dict(replace(query, limit=1, cursor=None))
    for field in fields(query):
        # Sets come in another order in another process; the cursor must hold there too.
        if isinstance(getattr(query, field.name), frozenset):
            asked[field.name] = sorted(asked[field.name])
    text = json.dumps([type(query).__name__, asked], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _invalid() -> CursorInvalid:
    return CursorInvalid("this cursor is not of this query; start again from the first page", field="/cursor")
