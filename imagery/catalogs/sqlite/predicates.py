"""A CQL2 tree as a SQLite condition. Three-valued as SQL is: a comparison with a missing property is never true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imagery.catalogs.sqlite.bindings import Bindings
from imagery.catalogs.sqlite.cql2 import Node
from imagery.catalogs.sqlite.geometry import box_geometry, boxes_of, search_geometry
from imagery.catalogs.sqlite.instants import EARLIEST_US, LATEST_US, parse_us
from imagery.catalogs.sqlite.schema import TIME_COLUMNS, expression
from imagery.errors import FilterInvalid

_COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_ARITHMETIC = {
    "+": "({} + {})",
    "-": "({} - {})",
    "*": "({} * {})",
    "/": "(1.0 * {} / {})",
    "%": "({} % {})",
    "div": "CAST({} / {} AS INTEGER)",
    "^": "power({}, {})",
}
_TEXT_FUNCTIONS = {"casei": "casefold({})", "accenti": "unaccent({})", "upper": "upper({})", "lower": "lower({})"}
_SPATIAL = frozenset({"intersects", "within", "contains", "equals", "touches", "overlaps", "crosses", "disjoint"})
_TURNED = {"within": "contains", "contains": "within"}
_TEMPORAL = {
    "t_after": "{a0} > {b1}",
    "t_before": "{a1} < {b0}",
    "t_disjoint": "{a1} < {b0} OR {a0} > {b1}",
    "t_equals": "{a0} = {b0} AND {a1} = {b1}",
    "t_intersects": "{a0} <= {b1} AND {a1} >= {b0}",
    "t_during": "{a0} > {b0} AND {a1} < {b1}",
    "t_contains": "{a0} < {b0} AND {a1} > {b1}",
    "t_starts": "{a0} = {b0} AND {a1} < {b1}",
    "t_startedby": "{a0} = {b0} AND {a1} > {b1}",
    "t_finishes": "{a0} > {b0} AND {a1} = {b1}",
    "t_finishedby": "{a0} < {b0} AND {a1} = {b1}",
    "t_meets": "{a1} = {b0}",
    "t_metby": "{a0} = {b1}",
    "t_overlaps": "{a0} < {b0} AND {a1} > {b0} AND {a1} < {b1}",
    "t_overlappedby": "{a0} > {b0} AND {a0} < {b1} AND {a1} > {b1}",
}
_MAX_WILDCARDS = 8
"""In one pattern. SQLite matches by trying; its time grows with every one more."""


class Translator:
    """Writes conditions, and notes what a planner wants to know of them."""

    def __init__(self, bindings: Bindings, register: Callable[[Any], int]) -> None:
        self._bindings = bindings
        self._register = register
        self.geometries: list[Any] = []
        """Each match touches all of these."""

        self.equal: set[str] = set()
        """Names of properties that each match has a certain value of."""

    def condition(self, node: Node, *, always: bool = True) -> str:  # noqa: PLR0911 - one for each kind of node
        """SQL of a boolean tree; `always`: each match fulfils it. Raises FilterInvalid."""
        if isinstance(node, bool):
            return str(int(node))
        if isinstance(node, dict) and "property" in node:
            return f"({self._operand(node)})"
        op, args = _call(node)
        if op in ("and", "or"):
            inner = [self.condition(arg, always=always and op == "and") for arg in args]
            return f"({f' {op.upper()} '.join(inner)})" if inner else "1"
        if op == "not":
            return f"(NOT {self.condition(_exactly(1, op, args)[0], always=False)})"
        if op in _COMPARISONS:
            return self._comparison(op, *_exactly(2, op, args), always=always)
        if op == "between":
            value, low, high = _exactly(3, op, args)
            lower = self._comparison(">=", value, low, always=False)
            return f"({lower} AND {self._comparison('<=', value, high, always=False)})"
        if op == "isnull":
            return f"({self._operand(_exactly(1, op, args)[0])} IS NULL)"
        return self._rarer(op, args, always=always)

    def _rarer(self, op: str, args: list[Node], *, always: bool) -> str:
        if op == "in":
            return self._membership(*_exactly(2, op, args))
        if op == "like":
            return self._pattern(*_exactly(2, op, args))
        if op.removeprefix("s_") in _SPATIAL and op.startswith("s_"):
            return self._spatial(op.removeprefix("s_"), *_exactly(2, op, args), always=always)
        if op in _TEMPORAL:
            first, second = map(self._ends, _exactly(2, op, args))
            ends = {"a0": first[0], "a1": first[1], "b0": second[0], "b1": second[1]}
            return f"({_TEMPORAL[op].format(**ends)})"
        if op.startswith("a_"):
            return self._array(op, *_exactly(2, op, args))
        raise FilterInvalid(f"filter: {op[:40]!r} is not supported here", field="/filter")

    def _operand(self, node: Node, *, as_time: bool = False) -> str:  # noqa: PLR0911 - likewise
        if as_time and isinstance(node, str | int | float):
            return self._bindings.bind(_instant(node))
        if node is None or isinstance(node, str | int | float):
            return self._bindings.bind(node)
        if not isinstance(node, dict):
            raise FilterInvalid(f"filter: cannot compare {str(node)[:60]!r}", field="/filter")
        if "property" in node:
            sql = expression(_text(node["property"]))
            return f"rfc_us({sql})" if as_time and sql not in TIME_COLUMNS else sql
        for key in ("timestamp", "date"):
            if key in node:
                return self._bindings.bind(_instant(node[key]))
        op, args = _call(node)
        if op in _ARITHMETIC:
            return _ARITHMETIC[op].format(*map(self._operand, _exactly(2, op, args)))
        if op in _TEXT_FUNCTIONS:
            return _TEXT_FUNCTIONS[op].format(self._operand(_exactly(1, op, args)[0]))
        return self.condition(node, always=False)

    def _comparison(self, op: str, first: Node, second: Node, *, always: bool) -> str:
        as_time = _is_time(first) or _is_time(second)
        left, right = self._operand(first, as_time=as_time), self._operand(second, as_time=as_time)
        if always and op == "=" and isinstance(first, dict) and not isinstance(second, dict):
            self.equal.add(str(first.get("property", "")).removeprefix("properties."))
        sql = f"{left} {op} {right}"
        if op in ("=", "<>") or as_time:
            return f"({sql})"
        # SQLite puts every text above every number; a comparison across the two is to fail instead.
        return f"({sql} AND (typeof({left}) = 'text') = (typeof({right}) = 'text'))"

    def _membership(self, value: Node, candidates: Node) -> str:
        if not isinstance(candidates, list):
            raise FilterInvalid("filter: `in` needs a list", field="/filter")
        as_time = _is_time(value) or any(map(_is_time, candidates))
        inner = ",".join(self._operand(candidate, as_time=as_time) for candidate in candidates)
        return f"({self._operand(value, as_time=as_time)} IN ({inner}))"

    def _pattern(self, value: Node, pattern: Node) -> str:
        text = pattern
        while isinstance(text, dict) and text.get("args"):
            text = text["args"][0]
        if not isinstance(text, str) or text.count("%") > _MAX_WILDCARDS:
            raise FilterInvalid(f"filter: LIKE needs a text with at most {_MAX_WILDCARDS} %", field="/filter")
        return f"({self._operand(value)} LIKE {self._operand(pattern)} ESCAPE '\\')"

    def _spatial(self, relation: str, first: Node, second: Node, *, always: bool) -> str:
        if isinstance(second, dict) and "property" in second:
            first, second, relation = second, first, _TURNED.get(relation, relation)
        if not isinstance(first, dict) or expression(_text(first.get("property", ""))) != "wkb":
            raise FilterInvalid("filter: a spatial function takes `geometry` and a literal", field="/filter")
        if isinstance(second, dict) and "bbox" in second:
            geometry = box_geometry(boxes_of(_numbers(second["bbox"])))
        else:
            geometry = search_geometry(second, field="/filter")
        if always and relation != "disjoint":
            self.geometries.append(geometry)
        return f"st_rel('{relation}', wkb, {self._register(geometry)})"

    def _ends(self, node: Node) -> tuple[str, str]:
        """SQL of both ends of a temporal operand."""
        if isinstance(node, dict) and "interval" in node:
            ends = node["interval"]
            if not isinstance(ends, list) or len(ends) != 2:
                raise FilterInvalid("filter: an interval has two ends", field="/filter")
            start = self._bindings.bind(EARLIEST_US) if ends[0] == ".." else self._ends(ends[0])[0]
            end = self._bindings.bind(LATEST_US) if ends[1] == ".." else self._ends(ends[1])[1]
            return start, end
        if isinstance(node, dict) and node.get("property", "") in ("datetime", "properties.datetime"):
            return "t0", "t1"
        sql = self._operand(node, as_time=True)
        return sql, sql

    def _array(self, op: str, first: Node, second: Node) -> str:
        if not isinstance(first, dict) or "property" not in first or not isinstance(second, list):
            raise FilterInvalid("filter: an array function takes a property and a list", field="/filter")
        column = expression(_text(first["property"]))
        if not column.startswith("json_extract"):
            raise FilterInvalid(f"filter: {first['property']!r} is no array", field="/filter")
        values = self._bindings.bind_all(list(dict.fromkeys(map(_plain, second))))
        # json_each fails on a text that is no JSON, so what is no array counts as an empty one.
        path = column.removeprefix("json_extract(props, ").removesuffix(")")
        each = f"json_each(CASE WHEN json_type(props, {path}) = 'array' THEN {column} ELSE '[]' END)"
        has = f"(SELECT count(DISTINCT value) FROM {each} WHERE value IN ({values}))"
        others = f"(SELECT count(*) FROM {each} WHERE value NOT IN ({values}))"
        all_of_them = f"{has} = {len(set(map(_plain, second)))}"
        known = f"json_type(props, {path}) = 'array'"
        tests = {
            "a_overlaps": f"{has} > 0",
            "a_contains": all_of_them,
            "a_containedby": f"{others} = 0",
            "a_equals": f"{all_of_them} AND {others} = 0",
        }
        if op not in tests:
            raise FilterInvalid(f"filter: {op[:40]!r} is not supported here", field="/filter")
        return f"({known} AND {tests[op]})"


def _call(node: Node) -> tuple[str, list[Node]]:
    if isinstance(node, dict) and isinstance(node.get("op"), str) and isinstance(node.get("args", []), list):
        return node["op"].lower(), node.get("args", [])
    raise FilterInvalid(f"filter: {str(node)[:60]!r} is no condition", field="/filter")


def _exactly(count: int, op: str, args: list[Node]) -> list[Node]:
    if len(args) != count:
        raise FilterInvalid(f"filter: {op!r} takes {count} arguments, not {len(args)}", field="/filter")
    return args


def _is_time(node: Node) -> bool:
    if not isinstance(node, dict):
        return False
    return bool({"timestamp", "date"} & node.keys()) or (
        isinstance(node.get("property"), str) and expression(node["property"]) in TIME_COLUMNS
    )


def _instant(text: object) -> int:
    try:
        return parse_us(text)
    except ValueError as error:
        raise FilterInvalid(f"filter: {error}", field="/filter") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise FilterInvalid(f"filter: {str(value)[:60]!r} is no property name", field="/filter")
    return value


def _numbers(values: object) -> list[float]:
    if isinstance(values, list) and all(isinstance(v, int | float) for v in values):
        return values
    raise FilterInvalid("filter: a bbox is a list of numbers", field="/filter")


def _plain(value: object) -> object:
    if isinstance(value, str | int | float):
        return value
    raise FilterInvalid("filter: an array function's list holds texts and numbers", field="/filter")
