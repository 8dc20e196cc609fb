"""Paths, intrinsic calls and payload templates: reading them, and giving their value. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from imagery.orchestrators.embedded.errors import INTRINSIC, RUNTIME, StateFailed
from imagery.orchestrators.embedded.intrinsics import FUNCTIONS, NEEDS_CHANCE, to_text
from imagery.orchestrators.embedded.paths import MISSING, Path, PathInvalid, Scope, compile_path

MAX_NESTING = 10
"""Intrinsic calls within each other, as the service limits them."""


class ExpressionInvalid(ValueError):
    """Neither a path nor an intrinsic call."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, number, true, false or null as an argument."""

    value: Any


@dataclass(frozen=True, slots=True)
class Call:
    """An intrinsic function and its arguments."""

    name: str
    arguments: tuple[Call | Literal | Path, ...]


@lru_cache(4096)
def compile_expression(text: str) -> Call | Path:
    """What the value of a `.$` field may be. Raises ExpressionInvalid."""
    if text.startswith("$"):
        try:
            return compile_path(text)
        except PathInvalid as error:
            raise ExpressionInvalid(str(error)) from error
    if not text.startswith("States."):
        raise ExpressionInvalid(f"{text!r} must be a JSONPath ($…) or an intrinsic function (States.…)")
    return _Parser(text).whole()


def evaluate(expression: Call | Literal | Path, scope: Scope, *, field: str) -> Any:
    """The value. Raises StateFailed; `field` is named in the cause."""
    if isinstance(expression, Literal):
        return expression.value
    if isinstance(expression, Path):
        value = expression.find(scope)
        if value is MISSING:
            raise StateFailed(
                RUNTIME,
                f"The JSONPath '{expression.text}' specified for the field '{field}' could not be found in the input "
                f"'{to_text(scope.data)}'",
            )
        return value
    function, _, _ = FUNCTIONS[expression.name]
    arguments = [evaluate(argument, scope, field=field) for argument in expression.arguments]
    if expression.name in NEEDS_CHANCE:
        arguments.insert(0, scope.chance)
    try:
        return function(*arguments)
    except StateFailed as error:
        raise StateFailed(error.error, f"{expression.name} specified for the field '{field}': {error.cause}") from error
    except (ArithmeticError, RecursionError, TypeError, ValueError) as error:
        reason = f"it cannot work on these arguments: {error}"
        raise StateFailed(INTRINSIC, f"{expression.name} specified for the field '{field}': {reason}") from error


def fill(template: Any, scope: Scope) -> Any:
    """A payload template with every `.$` field replaced. Raises StateFailed."""
    if isinstance(template, dict):
        return {
            (key[:-2] if key.endswith(".$") else key): (
                evaluate(compile_expression(value), scope, field=key) if key.endswith(".$") else fill(value, scope)
            )
            for key, value in template.items()
        }
    if isinstance(template, list):
        return [fill(item, scope) for item in template]
    return template


_NAME = re.compile(r"States\.\w+")
_STRING = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_WORD = re.compile(r"(true|false|null)\b")
_WORDS = {"true": True, "false": False, "null": None}
_RESERVED = re.compile(r"\\(['{}\\])")
_OPEN_ESCAPE = re.compile(r"\\")


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def whole(self) -> Call:
        call = self.call(depth=1)
        self.space()
        if self.at != len(self.text):
            raise self.wrong("nothing may follow the call")
        return call

    def wrong(self, reason: str) -> ExpressionInvalid:
        return ExpressionInvalid(f"{self.text!r} is not an intrinsic call: {reason} (at character {self.at + 1})")

    def space(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def takes(self, character: str) -> bool:
        self.space()
        found = self.text.startswith(character, self.at)
        self.at += found
        return found

    def call(self, *, depth: int) -> Call:
        name = self.take(_NAME)
        if name is None or name[0] not in FUNCTIONS:
            raise self.wrong(f"there is no function {name[0] if name else 'here'}")
        if depth > MAX_NESTING:
            raise self.wrong(f"calls may be nested {MAX_NESTING} deep")
        if not self.takes("("):
            raise self.wrong("( is missing")
        arguments: list[Call | Literal | Path] = []
        if not self.takes(")"):
            arguments.append(self.argument(name[0], depth=depth, first=True))
            while self.takes(","):
                arguments.append(self.argument(name[0], depth=depth, first=False))
            if not self.takes(")"):
                raise self.wrong(", or ) is missing")
        self.count(name[0], len(arguments))
        return Call(name[0], tuple(arguments))

    def count(self, name: str, given: int) -> None:
        _, fewest, most = FUNCTIONS[name]
        if given < fewest or (most is not None and given > most):
            wanted = f"{fewest}" if most == fewest else f"{fewest} or more" if most is None else f"{fewest} to {most}"
            raise self.wrong(f"{name} takes {wanted} arguments, got {given}")

    def argument(self, name: str, *, depth: int, first: bool) -> Call | Literal | Path:
        self.space()
        if string := self.take(_STRING):
            if _OPEN_ESCAPE.search(_RESERVED.sub("", string[1])):
                raise self.wrong(r"a backslash in a string stands before ' { } or another backslash only")
            # States.Format reads the escapes of its template itself: `\{}` is no place for a value.
            kept = name == "States.Format" and first
            return Literal(string[1] if kept else _RESERVED.sub(r"\1", string[1]))
        if word := self.take(_WORD):
            return Literal(_WORDS[word[0]])
        if number := self.take(_NUMBER):
            return Literal(float(number[0]) if number[1] or number[2] else int(number[0]))
        if self.text.startswith("$", self.at):
            return self.path()
        if self.text.startswith("States.", self.at):
            return self.call(depth=depth + 1)
        raise self.wrong("an argument is a 'string', a number, true, false, null, a path or another call")

    def path(self) -> Path:
        start, depth, quote = self.at, 0, ""
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "\\":
                self.at += 1
            elif quote:
                quote = "" if character == quote else quote
            elif character in "'\"" and depth:
                quote = character
            elif character in "[(":
                depth += 1
            elif character in ",)" and depth == 0:
                break
            elif character in "])":
                depth -= 1
            self.at += 1
        try:
            return compile_path(self.text[start : self.at].strip())
        except PathInvalid as error:
            raise self.wrong(str(error)) from error
