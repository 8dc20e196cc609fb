"""Values bound into one SQL statement by number, so that its parts can be put together in any order."""

from __future__ import annotations

import math

from imagery.errors import FilterInvalid

_INT64 = 2**63


class Bindings:
    """`?1`, `?2` … and what stands for them."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def bind(self, value: object) -> str:
        """The placeholder of a literal. Raises FilterInvalid for what SQLite cannot hold."""
        self.values.append(_storable(value))
        return f"?{len(self.values)}"

    def bind_all(self, values: object) -> str:
        """Placeholders of several, with commas."""
        assert isinstance(values, list | tuple)
        return ",".join(map(self.bind, values))


def _storable(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        try:
            return float(value)
        except OverflowError as error:
            raise FilterInvalid("a number in the search is too large") from error
    if isinstance(value, float) and math.isnan(value):
        raise FilterInvalid("a number in the search is NaN")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise FilterInvalid("a text in the search is not valid Unicode") from error
    elif not isinstance(value, int | float | bytes | None):
        raise FilterInvalid(f"{str(value)[:60]!r} cannot be compared with a property")
    return value
