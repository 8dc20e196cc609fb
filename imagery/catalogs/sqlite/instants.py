"""Instants as whole microseconds since 1970 UTC: what SQLite compares, sorts and keeps."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from imagery.errors import FilterInvalid

EARLIEST_US = -(2**62)
LATEST_US = 2**62
"""The ends of an open interval."""

DAY_US = 86_400_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_TIME = re.compile(_DATE.pattern + r"[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")


def parse_us(text: object) -> int:
    """Microseconds of an RFC 3339 date-time, or of a date's midnight UTC. Raises ValueError."""
    if isinstance(text, str) and _DATE.fullmatch(text):
        text += "T00:00:00Z"
    if not isinstance(text, str) or not _DATE_TIME.fullmatch(text):
        raise ValueError(f"{str(text)[:60]!r} is not an RFC 3339 date-time such as 2024-05-03T10:00:00Z")
    try:
        instant = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:60]!r} is no instant of the calendar") from error
    return (instant - _EPOCH) // timedelta(microseconds=1)


def us_or_none(text: object) -> int | None:
    """As `parse_us`, but None for anything else: a property is whatever a publisher wrote."""
    try:
        return parse_us(text)
    except ValueError:
        return None


def format_us(us: int) -> str:
    """RFC 3339 in UTC, without needless zeros."""
    instant = _EPOCH + timedelta(microseconds=us)
    fraction = f".{instant.microsecond:06d}".rstrip("0") if instant.microsecond else ""
    return f"{instant.replace(microsecond=0, tzinfo=None).isoformat()}{fraction}Z"


def parse_interval(text: str) -> tuple[int, int]:
    """Both ends of STAC's `datetime` parameter, included. Raises FilterInvalid."""
    start, slash, end = text.partition("/")
    try:
        if not slash:
            return (parse_us(start),) * 2
        low = EARLIEST_US if start in ("", "..") else parse_us(start)
        high = LATEST_US if end in ("", "..") else parse_us(end)
    except ValueError as error:
        raise FilterInvalid(f"datetime: {error}", field="/datetime") from error
    if (low, high) == (EARLIEST_US, LATEST_US):
        raise FilterInvalid("datetime: an interval open at both ends says nothing; leave it out", field="/datetime")
    if low > high:
        raise FilterInvalid("datetime: the interval starts after its end", field="/datetime")
    return low, high
