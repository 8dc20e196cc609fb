"""Yes-or-no questions about JSON values: whether a field of somebody else's item may be repeated as it stands."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime

Check = Callable[[object], bool]


def is_text(value: object) -> bool:
    """A string with something in it."""
    return isinstance(value, str) and value != ""


def is_number(value: object) -> bool:
    """A finite number; JSON's true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_positive(value: object) -> bool:
    """A number above 0."""
    return isinstance(value, (int, float)) and is_number(value) and value > 0


def is_count(value: object) -> bool:
    """An integer from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_flag(value: object) -> bool:
    """True or false."""
    return isinstance(value, bool)


def is_within(low: float, high: float) -> Check:
    """A number from `low` to `high`."""
    return lambda value: isinstance(value, (int, float)) and is_number(value) and low <= value <= high


def is_one_of(*words: str) -> Check:
    """One of these strings."""
    return lambda value: isinstance(value, str) and value in words


def is_like(pattern: str) -> Check:
    """A string that matches all of the pattern."""
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def is_list_of(check: Check) -> Check:
    """A list of such values, each once, at least one."""
    return lambda value: (
        isinstance(value, list) and 0 < len(value) == len(set(map(repr, value))) and all(map(check, value))
    )


def is_plain(value: object) -> bool:
    """Text, a number, a flag, or a list of those: what can be repeated without knowing what it means."""
    if isinstance(value, list):
        return len(value) > 0 and all(is_text(part) or is_number(part) or is_flag(part) for part in value)
    return is_text(value) or is_number(value) or is_flag(value)


def to_rfc3339(value: object) -> str | None:
    """An instant in UTC ending in Z, to the precision given; None if it is none."""
    instant = value
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(instant, datetime):
        return None
    # STAC before 1.0 did not ask for an offset, and meant UTC.
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
