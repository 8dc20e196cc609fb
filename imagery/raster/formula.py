"""The language in which a subscriber says an index: numbers, bands, arithmetic, a few functions, and nothing else.

    sum      := product (("+" | "-") product)*            where(cond, a, b): a where cond is true, else b
    product  := sign (("*" | "/") sign)*                  comparisons give 1 or 0, and bind loosest; they
    sign     := ("-" | "+") sign | power                  are not chained, and one with nan gives nan
    power    := atom ("**" ["-"] number)?                 the power is a number, 10 at most
    atom     := number | band | function "(" … ")" | "(" comparison ")"

Read by hand rather than by Python's own parser, so that nothing can be reached but what stands here and that an error
can point at its column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from imagery.errors import FormulaInvalid
from imagery.raster.expression import (
    ARITHMETIC,
    COMPARISONS,
    FUNCTIONS,
    Call,
    Comparison,
    Function,
    Name,
    Node,
    Number,
    Numbers,
)

MAX_LENGTH = 500
MAX_DEPTH = 40
"""Of parentheses, functions and signs inside one another."""

MAX_POWER = 10.0

ALLOWED = (
    "allowed are numbers, names of bands (letters, digits and _), + - * /, ** with a number, parentheses, "
    f"comparisons (< <= > >= == !=), and the functions {', '.join(FUNCTIONS)}"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Formula:
    """A formula that was read and found good."""

    text: str
    names: frozenset[str]
    """Of the bands it needs; one at least."""

    _root: Node = field(repr=False, compare=False)

    def evaluate(self, values: Mapping[str, Numbers]) -> Numbers:
        """In float64, element by element; nan where the result is no finite number (0/0, the root of -1).

        `values` holds an array for every name, all of one shape. Raises FormulaInvalid if one is missing.
        """
        missing = sorted(self.names - set(values))
        if missing:
            raise FormulaInvalid(
                f"the formula {self.text!r} needs {', '.join(missing)} as well; give every band a value"
            )
        given = {name: np.asarray(values[name], dtype=np.float64) for name in self.names}
        with np.errstate(all="ignore"):
            result = np.asarray(self._root.value(given), dtype=np.float64)
        return np.where(np.isfinite(result), result, np.nan)


def parse_formula(text: str) -> Formula:
    """Raises FormulaInvalid, which names the column (from 1) and what could stand there."""
    if len(text) > MAX_LENGTH:
        raise FormulaInvalid(f"the formula has {len(text)} characters, the limit is {MAX_LENGTH}; make it shorter")
    parser = _Parser(list(_tokens(text)))
    root = parser.comparison(0)
    parser.expect_end()
    if not parser.names:
        raise FormulaInvalid(f"the formula {text!r} names no band, so it is the same everywhere; {ALLOWED}")
    return Formula(text=text, names=frozenset(parser.names), _root=root)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Token:
    kind: str
    """`number`, `name`, `sign`, or `end`."""
    text: str
    column: int


_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![0-9A-Za-z_.]))"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>\*\*|<=|>=|==|!=|[-+*/<>(),])"
)


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _invalid(place + 1, f"{text[place]!r} cannot be read here", hint=_hint(text[place]))
        if match.lastgroup is not None and match.lastgroup != "space":
            yield _Token(kind=match.lastgroup, text=match.group(), column=place + 1)
        place = match.end()
    yield _Token(kind="end", text="", column=len(text) + 1)


def _hint(character: str) -> str:
    hints = {"^": "a power is written **", "=": "equal is written ==", "!": "not equal is written !="}
    if character.isdigit():
        return "a number has digits, one point and an exponent (12, 0.5, 1e-3), and a name does not begin with a digit"
    return hints.get(character, ALLOWED)


def _invalid(column: int, problem: str, *, hint: str = ALLOWED) -> FormulaInvalid:
    return FormulaInvalid(f"column {column} of the formula: {problem}; {hint}")


class _Parser:
    """One descent over the tokens; `depth` counts what is inside what."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self.names: set[str] = set()
        self._tokens = tokens
        self._place = 0

    def comparison(self, depth: int) -> Node:
        left = self._sum(depth)
        sign = self._taken(*COMPARISONS)
        if sign is None:
            return left
        right = self._sum(depth)
        again = self._next
        if again.text in COMPARISONS:
            raise _invalid(again.column, "comparisons are not chained", hint="multiply them: (a < b) * (b < c)")
        return Comparison(COMPARISONS[sign.text], left, right)

    def expect_end(self) -> None:
        if self._next.kind != "end":
            raise self._unexpected("an operator or the end")

    def _sum(self, depth: int) -> Node:
        return self._chain(("+", "-"), self._product, depth)

    def _product(self, depth: int) -> Node:
        return self._chain(("*", "/"), self._sign, depth)

    def _chain(self, signs: tuple[str, ...], part: Callable[[int], Node], depth: int) -> Node:
        left = part(depth)
        while (sign := self._taken(*signs)) is not None:
            left = Call(ARITHMETIC[sign.text], (left, part(depth)))
        return left

    def _sign(self, depth: int) -> Node:
        sign = self._taken("-", "+")
        if sign is None:
            return self._power(depth)
        inner = self._sign(self._deeper(depth, sign))
        return Call(np.negative, (inner,)) if sign.text == "-" else inner

    def _power(self, depth: int) -> Node:
        base = self._atom(depth)
        if self._taken("**") is None:
            return base
        sign = self._taken("-", "+")
        token = self._next
        if token.kind != "number":
            raise _invalid(token.column, "the power must be a number", hint=f"from -{MAX_POWER:g} to {MAX_POWER:g}")
        power = self._number(self._take())
        if power > MAX_POWER:
            raise _invalid(token.column, f"the power {token.text} is too large", hint=f"the limit is {MAX_POWER:g}")
        if self._next.text == "**":
            raise _invalid(self._next.column, "a power of a power", hint="write the product of both powers instead")
        return Call(np.power, (base, Number(-power if sign is not None and sign.text == "-" else power)))

    def _atom(self, depth: int) -> Node:
        token = self._next
        if token.kind == "number":
            return Number(self._number(self._take()))
        if token.kind == "name":
            return self._name(self._take(), depth)
        if self._taken("(") is None:
            raise self._unexpected("a number, a band, a function or a parenthesis")
        inner = self.comparison(self._deeper(depth, token))
        self._expect(")")
        return inner

    def _name(self, token: _Token, depth: int) -> Node:
        function = FUNCTIONS.get(token.text)
        is_call = self._next.text == "("
        if function is not None and is_call:
            return self._call(token, function, depth)
        if function is not None:
            raise _invalid(token.column, f"{token.text!r} is a function", hint=f"write {token.text}(…)")
        if is_call:
            raise _invalid(token.column, f"there is no function {token.text!r}")
        self.names.add(token.text)
        return Name(token.text)

    def _call(self, token: _Token, function: Function, depth: int) -> Node:
        self._expect("(")
        inner = self._deeper(depth, token)
        arguments = [self.comparison(inner)]
        while self._taken(",") is not None:
            arguments.append(self.comparison(inner))
        self._expect(")")
        if len(arguments) < function.least or (function.most is not None and len(arguments) > function.most):
            wanted = f"{function.least}" if function.most is not None else f"{function.least} or more"
            raise _invalid(
                token.column,
                f"{token.text!r} was given {len(arguments)} argument(s)",
                hint=f"it takes {wanted}, with commas between them",
            )
        return Call(function.call, tuple(arguments))

    def _number(self, token: _Token) -> float:
        number = float(token.text)
        if not math.isfinite(number):
            raise _invalid(token.column, f"{token.text} is too large a number", hint="give one below 1e308")
        return number

    def _deeper(self, depth: int, token: _Token) -> int:
        if depth >= MAX_DEPTH:
            raise _invalid(token.column, "too much is inside one another", hint=f"the limit is {MAX_DEPTH} levels")
        return depth + 1

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self) -> _Token:
        token = self._next
        self._place += 1
        return token

    def _taken(self, *signs: str) -> _Token | None:
        return self._take() if self._next.kind == "sign" and self._next.text in signs else None

    def _expect(self, sign: str) -> None:
        if self._taken(sign) is None:
            raise self._unexpected(repr(sign))

    def _unexpected(self, wanted: str) -> FormulaInvalid:
        token = self._next
        met = "the formula ends" if token.kind == "end" else f"{token.text!r} stands"
        return _invalid(token.column, f"{met} where {wanted} is expected")
