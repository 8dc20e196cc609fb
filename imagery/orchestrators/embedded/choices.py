"""Choice rules: whether one holds. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from imagery.orchestrators.embedded.errors import RUNTIME, StateFailed
from imagery.orchestrators.embedded.paths import MISSING, Scope, compile_path

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d+))?(?:Z|[+-]\d\d:\d\d)")


def parse_timestamp(value: object) -> datetime | None:
    """An instant of the States Language (RFC 3339, capital T and Z), or None if it is none."""
    if not isinstance(value, str) or not (match := _TIMESTAMP.fullmatch(value)):
        return None
    if match[1] and len(match[1]) > 6:  # finer than a microsecond: datetime holds no more
        value = value.replace("." + match[1], "." + match[1][:6])
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _number(value: object) -> float | int | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


@lru_cache(256)
def _pattern(text: str) -> re.Pattern[str]:
    pieces = re.findall(r"\\[\\*]|.", text, re.DOTALL)
    return re.compile("".join(".*" if piece == "*" else re.escape(piece[-1]) for piece in pieces), re.DOTALL)


def _like(value: str, pattern: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


KINDS: dict[str, Callable[[object], Any]] = {
    "String": _string,
    "Numeric": _number,
    "Boolean": _boolean,
    "Timestamp": parse_timestamp,
}
"""What a comparison reads a value as; None when it is of another type."""

_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}

COMPARISONS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    **{
        kind + relation: (kind, compare)
        for kind in ("String", "Numeric", "Timestamp")
        for relation, compare in _RELATIONS.items()
    },
    "BooleanEquals": ("Boolean", operator.eq),
    "StringMatches": ("String", _like),
}
"""Operator without `Path` → what both sides are read as, and the comparison."""

PATH_COMPARISONS = {f"{name}Path": name for name in COMPARISONS if name != "StringMatches"}

TESTS: dict[str, Callable[[Any], bool]] = {
    "IsNull": lambda value: value is None,
    "IsString": lambda value: _string(value) is not None,
    "IsNumeric": lambda value: _number(value) is not None,
    "IsBoolean": lambda value: _boolean(value) is not None,
    "IsTimestamp": lambda value: parse_timestamp(value) is not None,
}

OPERATORS = frozenset({*COMPARISONS, *PATH_COMPARISONS, *TESTS, "IsPresent"})


def holds(rule: Mapping[str, Any], scope: Scope) -> bool:
    """Whether a checked rule holds. Raises StateFailed for a path that leads nowhere, except under IsPresent."""
    if "And" in rule:
        return all(holds(part, scope) for part in rule["And"])
    if "Or" in rule:
        return any(holds(part, scope) for part in rule["Or"])
    if "Not" in rule:
        return not holds(rule["Not"], scope)
    name = next(key for key in rule if key in OPERATORS)
    value = compile_path(rule["Variable"]).find(scope)
    if name == "IsPresent":
        return (value is not MISSING) is rule[name]
    if value is MISSING:
        raise _unresolved(rule["Variable"])
    if name in TESTS:
        return TESTS[name](value) is rule[name]
    kind, compare = COMPARISONS[PATH_COMPARISONS.get(name, name)]
    other = rule[name]
    if name in PATH_COMPARISONS:
        other = compile_path(other).find(scope)
        if other is MISSING:
            raise _unresolved(rule[name])
    left, right = KINDS[kind](value), KINDS[kind](other)
    return left is not None and right is not None and compare(left, right)


def _unresolved(path: str) -> StateFailed:
    return StateFailed(
        RUNTIME, f"Invalid path '{path}': The choice state's condition path references an invalid value."
    )
