"""A search of the sandbox, parsed and judged as stac-server does: its parameters, operators, order and tokens. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import shapely
from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry

from imagery.errors import FilterInvalid

Item = Mapping[str, Any]

DEFAULT_LIMIT = 10
MAX_LIMIT = 10_000
KNOWN = ("datetime", "collections", "bbox", "intersects", "ids", "query", "sortby", "fields", "limit")
"""Parameters that are understood, and repeated in the next link; others are ignored, as recorded."""

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": lambda value, wanted: bool(value < wanted),
    "lte": lambda value, wanted: bool(value <= wanted),
    "gt": lambda value, wanted: bool(value > wanted),
    "gte": lambda value, wanted: bool(value >= wanted),
    "startsWith": lambda value, wanted: str(value).startswith(str(wanted)),
    "endsWith": lambda value, wanted: str(value).endswith(str(wanted)),
    "contains": lambda value, wanted: wanted in value if isinstance(value, list) else str(wanted) in str(value),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sort:
    """One field to sort by."""

    field: str
    descending: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A search, ready to judge items by."""

    collections: frozenset[str]
    """Empty: any; so with `ids`."""

    ids: frozenset[str]
    area: BaseGeometry | None
    start_at: datetime | None
    end_at: datetime | None
    conditions: Mapping[str, Mapping[str, Any]]
    """Property → operator → value."""

    sorts: tuple[Sort, ...]
    limit: int
    token: str | None
    fields: Mapping[str, Any] | None

    def matches(self, item: Item) -> bool:
        """Whether the item is asked for."""
        return (
            (not self.collections or item["collection"] in self.collections)
            and (not self.ids or item["id"] in self.ids)
            and self._in_time(item)
            and all(_holds(field_of(item, name), terms) for name, terms in self.conditions.items())
            and (self.area is None or shape(item["geometry"]).intersects(self.area))
        )

    def _in_time(self, item: Item) -> bool:
        properties = item["properties"]
        first = instant(properties.get("datetime") or properties["start_datetime"])
        last = instant(properties.get("datetime") or properties["end_datetime"])
        return (self.end_at is None or first <= self.end_at) and (self.start_at is None or last >= self.start_at)


def parse_query(body: Mapping[str, Any]) -> Query:
    """A body of POST /search, or GET parameters brought into its shape. Raises FilterInvalid."""
    try:
        start_at, end_at = _interval(body.get("datetime"))
        limit = int(body.get("limit") or DEFAULT_LIMIT)
        query = Query(
            collections=frozenset(body.get("collections") or ()),
            ids=frozenset(body.get("ids") or ()),
            area=_area(body),
            start_at=start_at,
            end_at=end_at,
            conditions=dict(body.get("query") or {}),
            sorts=_sorts(body.get("sortby")),
            limit=min(limit, MAX_LIMIT),
            token=body.get("next"),
            fields=body.get("fields"),
        )
    except FilterInvalid:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, shapely.errors.ShapelyError) as error:
        raise FilterInvalid(f"the search cannot be read: {error}") from error
    if limit < 1:
        raise FilterInvalid("Invalid limit, must be greater than 0")
    unknown = {name for terms in query.conditions.values() for name in terms} - {*OPERATORS, "eq", "neq", "in"}
    if unknown:
        raise FilterInvalid(f"unknown query operator {sorted(unknown)[0]}")
    return query


def field_of(item: Item, name: str) -> Any:
    """A field by the name a query, a sort or `fields` gives it; None when it is not there."""
    if name in ("id", "collection"):
        return item[name]
    return item["properties"].get(name.removeprefix("properties."))


def instant(text: str) -> datetime:
    """An instant of an item or a query; UTC when it names no offset."""
    value = datetime.fromisoformat(text)
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def comparable(value: Any) -> Any:
    """A value as it sorts and compares: instants as such, numbers in text as numbers."""
    if isinstance(value, str):
        for convert in (float, instant):
            try:
                return convert(value)
            except ValueError:
                continue
    return value


def rank(name: str, value: Any) -> tuple[int, Any]:
    """Where a value of this field sorts: numbers, instants, text, then what is not there."""
    given = value if name in ("id", "collection") else comparable(value)
    if given is None or isinstance(given, (dict, list)):
        return 3, 0
    return (2, given) if isinstance(given, str) else (1, given) if isinstance(given, datetime) else (0, given)


def _holds(value: Any, terms: Mapping[str, Any]) -> bool:
    for operator, wanted in terms.items():
        if operator == "in":
            holds = any(_same(value, one) for one in wanted)
        elif operator in ("eq", "neq"):
            holds = _same(value, wanted) is (operator == "eq")
        elif value is None:
            holds = False
        elif operator in ("startsWith", "endsWith", "contains"):
            holds = OPERATORS[operator](value, wanted)
        else:
            try:
                holds = OPERATORS[operator](comparable(value), comparable(wanted))
            except TypeError:
                holds = False
        if not holds:
            return False
    return True


def _same(value: Any, wanted: Any) -> bool:
    return bool(value == wanted or comparable(value) == comparable(wanted))


def _area(body: Mapping[str, Any]) -> BaseGeometry | None:
    if body.get("bbox") is not None and body.get("intersects") is not None:
        raise FilterInvalid("Expected bbox OR intersects, not both")
    if body.get("intersects") is not None:
        area = shape(body["intersects"])
        return area if area.is_valid else shapely.make_valid(area)
    if body.get("bbox") is None:
        return None
    numbers = [float(number) for number in body["bbox"]]
    if len(numbers) not in (4, 6):
        raise FilterInvalid("Invalid bbox, must have 4 or 6 points")
    west, south, east, north = numbers if len(numbers) == 4 else (numbers[0], numbers[1], numbers[3], numbers[4])
    if south > north:
        raise FilterInvalid("Invalid bbox, SW latitude must be less than NE latitude")
    if west <= east:
        return box(west, south, east, north)
    return shapely.union_all([box(west, south, 180.0, north), box(-180.0, south, east, north)])


def _interval(text: Any) -> tuple[datetime | None, datetime | None]:
    if not text:
        return None, None
    start, slash, end = str(text).partition("/")
    first = None if start in ("", "..") else instant(start)
    last = (None if end in ("", "..") else instant(end)) if slash else first
    if first and last and first > last:
        raise FilterInvalid("Invalid datetime, the start is after the end")
    return first, last


def _sorts(given: Any) -> tuple[Sort, ...]:
    """As asked, then by id and collection; by default the newest acquisition first."""
    if not given:
        return tuple(Sort(field=name, descending=True) for name in ("properties.datetime", "id", "collection"))
    asked = tuple(Sort(field=one["field"], descending=one.get("direction", "asc") == "desc") for one in given)
    return (*asked, Sort(field="id", descending=False), Sort(field="collection", descending=False))
