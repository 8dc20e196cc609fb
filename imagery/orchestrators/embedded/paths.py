"""JSONPath as the States Language uses it: `$` the data, `$$` the context object, `$name` a variable. Pure.

Definite paths (names and indices only) are walked by our own few lines, an order of magnitude faster than the library;
wildcards, slices, filters and `..` go to python-jsonpath and always give a list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any, Final

import jsonpath

from imagery.orchestrators.embedded.errors import RUNTIME, StateFailed

MISSING: Final = object()
"""Where a definite path leads nowhere; JSON null is None."""


class PathInvalid(ValueError):
    """Not a JSONPath, or not one of the kind this place takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What paths and intrinsic functions of one state may look at."""

    data: Any
    """`$`."""

    context: Mapping[str, Any]
    """`$$`."""

    variables: Mapping[str, Any]
    """`$name`."""

    chance: Random
    """Where States.UUID and States.MathRandom get their numbers from."""

    def over(self, data: Any) -> Scope:
        """The same surroundings over other data."""
        return Scope(data=data, context=self.context, variables=self.variables, chance=self.chance)


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """A compiled path: the root, the definite steps, then whatever the library must answer."""

    text: str
    root: str
    """`$`, `$$` or the name of a variable."""

    steps: tuple[str | int, ...]
    query: Any = None
    """Compiled by python-jsonpath, applied to where the steps lead; None for a definite path."""

    @property
    def is_reference(self) -> bool:
        """Whether it names exactly one place."""
        return self.query is None

    def find(self, scope: Scope) -> Any:
        """The value, or MISSING. Never MISSING for an indefinite path whose definite beginning exists.

        Raises StateFailed for an indefinite path over data that the library cannot take.
        """
        if self.root == "$":
            value = scope.data
        elif self.root == "$$":
            value = scope.context
        else:
            value = scope.variables.get(self.root, MISSING)
        for step in self.steps:
            value = _step(value, step)
            if value is MISSING:
                return MISSING
        if self.query is None or value is MISSING:
            return value
        try:
            return self.query.findall(value)
        except Exception as error:  # the library raises several unrelated classes for data it cannot take
            cause = f"The JSONPath '{self.text}' cannot be followed in the input: {error}"
            raise StateFailed(RUNTIME, cause) from error

    def canonical(self) -> str:
        """The way error messages of Step Functions spell it: `$['a'][0]`."""
        root = self.root if self.root.startswith("$") else f"${self.root}"
        return root + "".join(f"[{step}]" if isinstance(step, int) else f"['{step}']" for step in self.steps)


_ROOT = re.compile(r"\$\$|\$(?P<variable>[A-Za-z_]\w*)|\$")
_STEP = re.compile(
    r"""\.(?P<name>(?:\\.|[^\s.\[\]'"*@?()$,:\\|!=<>~])+)
      | \[\s*(?P<index>-?\d+)\s*\]
      | \[\s*'(?P<single>(?:[^'\\]|\\.)*)'\s*\]
      | \[\s*"(?P<double>(?:[^"\\]|\\.)*)"\s*\]""",
    re.VERBOSE | re.DOTALL,
)
_DOT_BRACKET = re.compile(r"(?<![.\\])\.(?=\[)")
"""`$.['a']` and `$.[?(…)]`, which the service takes for `$['a']` and `$[?(…)]`."""

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@lru_cache(4096)
def compile_path(text: str) -> Path:
    """Raises PathInvalid."""
    root = _ROOT.match(text)
    if root is None:
        raise PathInvalid(f"{text!r} is not a JSONPath: it must begin with $")
    whole = _DOT_BRACKET.sub("", text[root.end() :])
    position, steps = 0, []
    while position < len(whole) and (match := _STEP.match(whole, position)):
        steps.append(_step_of(match))
        position = match.end()
    rest = whole[position:]
    if "$" in rest:
        # A filter that looks back at the root must be asked from the root.
        rest, steps = whole, []
    query = _query("$" + rest, text) if rest else None
    return Path(text=text, root=root["variable"] or root[0], steps=tuple(steps), query=query)


def compile_reference(text: str) -> Path:
    """A path that names exactly one place. Raises PathInvalid."""
    path = compile_path(text)
    if not path.is_reference:
        raise PathInvalid(f"{text!r} must be a Reference Path: names and indices only, without * .. @ , : ? or ( )")
    return path


def put(path: Path, data: Any, value: Any) -> Any:
    """`data` with `value` at the reference path; only what lies on the way is copied.

    Missing objects on the way are made. Raises LookupError where something else is in the way.
    """
    return _put(data, path.steps, value)


def _put(data: Any, steps: tuple[str | int, ...], value: Any) -> Any:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        if not isinstance(data, list) or not -len(data) <= step < len(data):
            raise LookupError(step)
        items = list(data)
        items[step] = _put(items[step], rest, value)
        return items
    if data is MISSING:
        data = {}
    if not isinstance(data, dict):
        raise LookupError(step)  # noqa: TRY004 - the place is wrong, not a type of ours
    return {**data, step: _put(data.get(step, MISSING), rest, value)}


def _step(value: Any, step: str | int) -> Any:
    if isinstance(step, int):
        if isinstance(value, list) and -len(value) <= step < len(value):
            return value[step]
        return MISSING
    return value.get(step, MISSING) if isinstance(value, Mapping) else MISSING


def _step_of(match: re.Match[str]) -> str | int:
    if match["index"] is not None:
        return int(match["index"])
    name = next(match[group] for group in ("name", "single", "double") if match[group] is not None)
    return _ESCAPE.sub(r"\1", name)


def _query(rest: str, text: str) -> Any:
    # The library would take these; Step Functions would not, and they hide typing errors.
    if rest.rstrip(" ") != rest or rest.endswith((".", "[")) or re.match(r"\$[^.\[]", rest):
        raise PathInvalid(f"{text!r} is not a JSONPath: it cannot be read from {rest[1:]!r} on")
    try:
        return jsonpath.compile(rest)
    except Exception as error:  # the library raises several unrelated classes for bad syntax
        raise PathInvalid(f"{text!r} is not a JSONPath: {str(error).splitlines()[0]}") from error
