"""Scale and offset as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

Pair = tuple[float, float]
"""(scale, offset)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Radiometry:
    """physical value = stored number x scale + offset."""

    scale: float | None
    """Of all bands; None where they differ."""

    offset: float | None
    source: str
    """Why these, for a person."""

    bands: tuple[Pair | None, ...] = ()
    """Of each band, in the file's order, where they differ; None: nothing is said of that one."""


def agreed(pairs: list[Pair | None], source: str) -> Radiometry | None:
    """One word for all bands where they have the same, else a word for each; None if nothing is said of any."""
    if not any(pairs):
        return None
    first = pairs[0]
    if first is not None and pairs.count(first) == len(pairs):
        return Radiometry(scale=first[0], offset=first[1], source=source)
    return Radiometry(scale=None, offset=None, source=f"{source}, which differ", bands=tuple(pairs))


def of_file(scales: Sequence[float], offsets: Sequence[float]) -> Radiometry | None:
    """What a file itself says, where nobody else says anything; None where it says nothing: 1 and 0 in every band."""
    pairs: list[Pair | None] = [
        None if pair == (1.0, 0.0) or pair[0] == 0 or not (isfinite(pair[0]) and isfinite(pair[1])) else pair
        for pair in zip(scales, offsets, strict=True)
    ]
    return agreed(pairs, "scale and offset that the file itself gives")
