"""Our frozen values to JSON and back; datetimes as RFC 3339 in UTC, tuples as arrays."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


_adapters: dict[type[Any], TypeAdapter[Any]] = {}
"""Building one costs a millisecond; using it, microseconds."""


def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    if cls not in _adapters:
        _adapters[cls] = TypeAdapter(cls)
    return _adapters[cls]


def to_json(value: object) -> str:
    """One line of JSON that `from_json` with the value's class gives back equal.

    Raises pydantic's PydanticSerializationError for a value whose fields are not of their types: better not written
    than never read again.
    """
    return _adapter(type(value)).dump_json(value, warnings="error").decode()


def from_json(cls: type[T], text: str | bytes) -> T:
    """The value `to_json` was given. Raises pydantic's ValidationError on anything else."""
    value: T = _adapter(cls).validate_json(text)
    return value


def to_dict(value: object) -> dict[str, Any]:
    """The value as JSON types: what a workflow's payload is made of."""
    payload: dict[str, Any] = _adapter(type(value)).dump_python(value, mode="json", warnings="error")
    return payload


def from_dict(cls: type[T], payload: object) -> T:
    """The value `to_dict` was given."""
    return from_json(cls, json.dumps(payload))


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC to the microsecond, always of one length, so that texts sort as instants do."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_instant(text: str) -> datetime:
    """An aware instant in UTC. Raises ValueError when `text` is not RFC 3339, or names no offset."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset; write it as {text}Z")
    return instant.astimezone(UTC)


def to_seconds(span: timedelta) -> float:
    """A span as a raw number, for the libraries that want one."""
    return span.total_seconds()
