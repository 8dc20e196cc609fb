"""How large and how deep JSON may be here, and the check of what comes in from outside."""

from __future__ import annotations

from typing import Any

from imagery.errors import InvalidInput
from imagery.orchestrators.embedded.rows import dump

MAX_PAYLOAD_BYTES = 262_144
"""UTF-8 JSON of an input, output or result; the limit of Step Functions."""

MAX_DEPTH = 200
"""Objects and arrays within each other: far from where Python's own recursion ends, deeper than any real document."""


def is_too_deep(value: Any) -> bool:
    """Whether it is nested deeper than MAX_DEPTH. Walks level by level, so that it cannot fail over it."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _members(outer)]
        if not level:
            return False
    return True


def checked_text(value: Any, *, field: str) -> str:
    """The value as JSON that can be stored, sent and read again. Raises InvalidInput; `field` is its name there."""
    try:
        text = dump(value)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"the {field} is not JSON: {error}", field=field) from error
    if size > MAX_PAYLOAD_BYTES:
        raise InvalidInput(f"the {field} has {size} bytes; the limit is {MAX_PAYLOAD_BYTES}", field=field)
    if is_too_deep(value):
        raise InvalidInput(f"the {field} is nested more than {MAX_DEPTH} levels deep", field=field)
    return text


def _members(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []
