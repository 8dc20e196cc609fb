"""A value in the document together with where it stands, so that a refusal can name the place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from imagery.errors import DefinitionInvalid
from imagery.orchestrators.embedded.expressions import ExpressionInvalid, compile_expression
from imagery.orchestrators.embedded.paths import Path, PathInvalid, compile_path, compile_reference

_WORDS = {dict: "an object", list: "an array", str: "a string", bool: "true or false", int: "an integer"}


def join(pointer: str, token: str | int) -> str:
    """One step further down a JSON pointer (RFC 6901)."""
    return f"{pointer}/{str(token).replace('~', '~0').replace('/', '~1')}"


@dataclass(frozen=True, slots=True)
class Place:
    """A value and its JSON pointer."""

    value: Any
    pointer: str = ""

    def wrong(self, reason: str) -> DefinitionInvalid:
        """The error to raise, naming this place."""
        return DefinitionInvalid(f"{self.pointer or 'the state machine'}: {reason}", field=self.pointer)

    def at(self, key: str | int) -> Place:
        """The member or item of this name."""
        return Place(self.value[key], join(self.pointer, key))

    def has(self, key: str) -> bool:
        return key in self.value

    def items(self) -> Iterator[Place]:
        """An array's items."""
        return (self.at(index) for index in range(len(self.value)))

    def members(self) -> Iterator[tuple[str, Place]]:
        """An object's members."""
        return ((key, self.at(key)) for key in self.value)

    def must_be(self, kind: type) -> Place:
        """Itself, if it is of the kind; booleans are no integers."""
        if not isinstance(self.value, kind) or (kind is int and isinstance(self.value, bool)):
            raise self.wrong(f"must be {_WORDS[kind]}")
        return self

    def must_have(self, key: str) -> Place:
        """The member of this name."""
        if key not in self.value:
            raise self.wrong(f"{key!r} is missing")
        return self.at(key)

    def must_not_be_empty(self) -> Place:
        if not self.value:
            raise self.wrong("must not be empty")
        return self

    def integer(self, least: int, most: int) -> None:
        """Must be an integer in [least, most]."""
        self.must_be(int)
        if not least <= self.value <= most:
            raise self.wrong(f"must be an integer from {least} to {most}, not {self.value}")

    def path(self) -> Path:
        """Must be a Path."""
        path: Path = self._compiled(compile_path)
        return path

    def reference(self) -> Path:
        """Must be a Reference Path."""
        path: Path = self._compiled(compile_reference)
        return path

    def expression(self) -> None:
        """Must be a Path or an intrinsic call."""
        self._compiled(compile_expression)

    def reference_or_call(self) -> None:
        """Must be a Reference Path or an intrinsic call."""
        self.must_be(str)
        self._compiled(compile_expression if self.value.startswith("States.") else compile_reference)

    def template(self) -> None:
        """Must be a payload template: every `.$` field holds an expression, and no two fields end up as one."""
        if isinstance(self.value, dict):
            for key, member in self.members():
                if not key.endswith(".$"):
                    member.template()
                    continue
                if key[:-2] in self.value:
                    raise member.wrong(f"{key!r} and {key[:-2]!r} would be one field")
                member.expression()
        elif isinstance(self.value, list):
            for item in self.items():
                item.template()

    def _compiled(self, read: Callable[[str], Any]) -> Any:
        self.must_be(str)
        try:
            return read(self.value)
        except (PathInvalid, ExpressionInvalid) as error:
            raise self.wrong(str(error)) from error
