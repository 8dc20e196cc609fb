"""What a formula is once it was read: a small tree of numbers, bands, functions and comparisons over arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


class Node(Protocol):
    """A part of it."""

    def value(self, bands: Mapping[str, Numbers]) -> Any:
        """float64, of the bands' shape or a single number. May warn of numbers that are not finite."""


@dataclass(frozen=True, slots=True)
class Number:
    """As written."""

    number: float

    def value(self, bands: Mapping[str, Numbers]) -> Any:  # noqa: ARG002  # a number is the same whatever the bands
        return np.float64(self.number)


@dataclass(frozen=True, slots=True)
class Name:
    """A band's values."""

    name: str

    def value(self, bands: Mapping[str, Numbers]) -> Any:
        return bands[self.name]


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an operator of its arguments."""

    function: Callable[..., Any]
    arguments: tuple[Node, ...]

    def value(self, bands: Mapping[str, Numbers]) -> Any:
        return self.function(*(argument.value(bands) for argument in self.arguments))


@dataclass(frozen=True, slots=True)
class Comparison:
    """1 where it holds, 0 where not, nan where either side is nan."""

    compare: Callable[[Any, Any], Any]
    left: Node
    right: Node

    def value(self, bands: Mapping[str, Numbers]) -> Any:
        left, right = self.left.value(bands), self.right.value(bands)
        return np.where(np.isnan(left) | np.isnan(right), np.nan, self.compare(left, right))


def _maximum(*values: Numbers) -> Any:
    return reduce(np.maximum, values)


def _minimum(*values: Numbers) -> Any:
    return reduce(np.minimum, values)


def _where(condition: Numbers, then: Numbers, otherwise: Numbers) -> Any:
    return np.where(np.isnan(condition), np.nan, np.where(condition != 0, then, otherwise))


def _clip(value: Numbers, low: Numbers, high: Numbers) -> Any:
    return np.minimum(np.maximum(value, low), high)


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """What it is called by, and with how many arguments; `most` None: any number."""

    call: Callable[..., Any]
    least: int
    most: int | None


FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(call=np.abs, least=1, most=1),
    "clip": Function(call=_clip, least=3, most=3),
    "exp": Function(call=np.exp, least=1, most=1),
    "log": Function(call=np.log, least=1, most=1),
    "max": Function(call=_maximum, least=2, most=None),
    "min": Function(call=_minimum, least=2, most=None),
    "sqrt": Function(call=np.sqrt, least=1, most=1),
    "where": Function(call=_where, least=3, most=3),
}

ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
