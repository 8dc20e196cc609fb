"""CQL2 and the older `query` parameter read into one tree (CQL2 JSON), within limits that keep the parser safe."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import cql2

from imagery.errors import FilterInvalid

Node = Any
"""CQL2 JSON: a literal, or an object with `op` and `args`, `property`, `timestamp` …"""

MAX_TEXT = 16_000
MAX_PARENTHESES = 10
"""Nested. The parser of `cql2` 0.6 doubles its time with each one and overruns the stack at thousands."""

MAX_OPERATORS = 200
MAX_DEPTH = 64

_TEXTS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_COORDINATES = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?(?:\s+[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)+")
_OPERATORS = re.compile(r"[-+*/^%]|\b(?:not|div)\b", re.IGNORECASE)
_QUERY_OPERATORS = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_QUERY_PATTERNS = {"startsWith": "{}%", "endsWith": "%{}", "contains": "%{}%"}


def parse_filter(expression: str | Mapping[str, Any]) -> Node:
    """The tree of CQL2 text (str) or CQL2 JSON (an object). Raises FilterInvalid."""
    try:
        if isinstance(expression, str):
            _refuse_costly(expression)
            parsed = cql2.parse_text(expression)
        else:
            refuse_deep(expression)
            parsed = cql2.parse_json(json.dumps(_with_new_between(expression), allow_nan=False))
        tree = parsed.to_json()
    except (cql2.ParseError, cql2.ValidationError, ValueError, TypeError, UnicodeError) as error:
        raise FilterInvalid(f"filter: it is no CQL2: {str(error).strip()[:500]}", field="/filter") from error
    refuse_deep(tree)
    return tree


def parse_query(query: Mapping[str, Any]) -> Node:
    """The tree of the Query extension's object. Raises FilterInvalid.

    pystac-client sends `eo:cloud_cover<5` with "5" as text, so a text that reads as a number is taken for either.
    """
    tests: list[Node] = []
    for name, wanted in query.items():
        if not isinstance(wanted, Mapping):
            raise FilterInvalid(f'query: {name[:60]!r} needs an object such as {{"lt": 5}}', field="/query")
        tests += [_query_test({"property": name}, operator, value) for operator, value in wanted.items()]
    return {"op": "and", "args": tests} if tests else True


def refuse_deep(value: object) -> None:
    """Raises FilterInvalid for a tree that is nested beyond MAX_DEPTH."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise FilterInvalid(f"filter: it is nested more than {MAX_DEPTH} levels deep", field="/filter")


def _children(node: object) -> list[object]:
    if isinstance(node, Mapping):
        return list(node.values())
    return list(node) if isinstance(node, list | tuple) else []


def _refuse_costly(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise FilterInvalid(f"filter: more than {MAX_TEXT} characters; send CQL2 JSON in a POST", field="/filter")
    bare = _TEXTS.sub("", text)
    depth = deepest = 0
    for character in bare:
        depth += {"(": 1, ")": -1}.get(character, 0)
        deepest = max(deepest, depth)
        if depth < 0:
            break
    if depth != 0 or "'" in bare or '"' in bare:
        raise FilterInvalid("filter: a parenthesis or a quote is not closed", field="/filter")
    if deepest > MAX_PARENTHESES:
        raise FilterInvalid(
            f"filter: more than {MAX_PARENTHESES} parentheses in one another; send CQL2 JSON in a POST",
            field="/filter",
        )
    if len(_OPERATORS.findall(_COORDINATES.sub("", bare))) > MAX_OPERATORS:
        raise FilterInvalid(f"filter: more than {MAX_OPERATORS} arithmetic operators and NOTs", field="/filter")


def _with_new_between(node: Node) -> Node:
    # Drafts of CQL2 JSON wrote between as [x, [low, high]]; the STAC API validator and older clients still do.
    if isinstance(node, Mapping):
        args = node.get("args")
        if node.get("op") == "between" and isinstance(args, list) and len(args) == 2 and isinstance(args[1], list):
            return {**node, "args": [args[0], *args[1]]}
        return {key: _with_new_between(value) for key, value in node.items()}
    return [_with_new_between(value) for value in node] if isinstance(node, list) else node


def _query_test(prop: Node, operator: str, value: Any) -> Node:
    if operator in _QUERY_OPERATORS:
        op = _QUERY_OPERATORS[operator]
        as_sent = {"op": op, "args": [prop, value]}
        number = _number(value)
        if number is None:
            return as_sent
        return {"op": "and" if operator == "neq" else "or", "args": [{"op": op, "args": [prop, number]}, as_sent]}
    if operator == "in" and isinstance(value, list):
        return {"op": "in", "args": [prop, value]}
    if operator in _QUERY_PATTERNS and isinstance(value, str):
        plain = re.sub(r"([\\%_])", r"\\\1", value)
        return {"op": "like", "args": [prop, _QUERY_PATTERNS[operator].format(plain)]}
    raise FilterInvalid(f"query: cannot apply {operator[:20]!r} to {str(value)[:60]!r}", field="/query")


def _number(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
