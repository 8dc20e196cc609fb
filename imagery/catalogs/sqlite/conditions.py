"""What a search asks, as SQL conditions and the facts a plan is chosen by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import shapely

from imagery.catalogs.sqlite.bindings import Bindings
from imagery.catalogs.sqlite.connections import Session
from imagery.catalogs.sqlite.cql2 import parse_filter, parse_query
from imagery.catalogs.sqlite.geometry import SEARCHED, Box, box_geometry, boxes_around, boxes_of, search_geometry
from imagery.catalogs.sqlite.instants import DAY_US, parse_interval
from imagery.catalogs.sqlite.predicates import Translator
from imagery.errors import FilterInvalid

MAX_LIMIT = 1000
"""Items on a page; who asks for more gets this many and a link to the next."""

MAX_IDS = 10_000
_RTREE_ORIGIN_US = 10_957 * DAY_US
"""2000-01-01: the R*Tree keeps 32-bit floats, and small numbers keep them sharp."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemQuery:
    """A search as STAC API puts it. None: not asked."""

    ids: Sequence[str] | None = None
    collections: Sequence[str] | None = None
    bbox: Sequence[float] | None = None
    """4 or 6 numbers, degrees; west > east crosses the antimeridian."""

    intersects: Mapping[str, Any] | None = None
    """GeoJSON geometry."""

    datetime: str | None = None
    """RFC 3339 instant or interval, ends included."""

    filter: str | Mapping[str, Any] | None = None
    """CQL2 text, or CQL2 JSON."""

    query: Mapping[str, Any] | None = None
    sortby: Sequence[tuple[str, bool]] = ()
    """(field, descending); empty: newest first."""

    limit: int = 10
    token: str | None = None


@dataclass(kw_only=True, slots=True)
class Conditions:
    """Built once a search; the SQL parts share one list of bindings."""

    owner: str | None
    collections: tuple[str, ...] | None
    ids: tuple[str, ...] | None
    bindings: Bindings = field(default_factory=Bindings)
    parts: list[str] = field(default_factory=list)
    boxes: tuple[Box, ...] | None = None
    """A match touches one of them. None: it may lie anywhere."""

    days: tuple[float, float] | None = None
    """A match's time touches this span, in days since 2000."""

    equal: set[str] = field(default_factory=set)
    """Properties that must have one certain value."""

    geometries: list[Any] = field(default_factory=list)
    """Prepared; the SQL's `st_rel` names them by number."""

    @property
    def sql(self) -> str:
        return " AND ".join(self.parts) or "1"

    def register(self, geometry: Any) -> int:
        """Its number, for `st_rel`. Raises FilterInvalid when there is more geometry than a search may bring."""
        self.geometries.append(geometry)
        if shapely.get_num_coordinates(self.geometries).sum() > SEARCHED.vertices_together:
            raise FilterInvalid(
                f"the search's geometries have more than {SEARCHED.vertices_together} vertices together; simplify them"
            )
        shapely.prepare(geometry)
        return len(self.geometries) - 1

    @property
    def only_scope(self) -> bool:
        """Whether owner and collections are all that is asked."""
        return len(self.parts) == (self.owner is not None) + (self.collections is not None)


def conditions_of(query: ItemQuery, *, owner: str | None) -> Conditions:
    """All that can be told, and refused, before a connection is taken. Raises FilterInvalid."""
    if query.bbox and query.intersects:
        raise FilterInvalid("bbox and intersects exclude each other; send one", field="/bbox")
    asked = Conditions(owner=owner, collections=_distinct(query.collections), ids=_distinct(query.ids))
    bind = asked.bindings
    if owner is not None:
        asked.parts.append(f"owner = {bind.bind(owner)}")
    if asked.collections is not None:
        asked.parts.append(f"collection IN ({bind.bind_all(asked.collections)})")
    if asked.ids is not None:
        asked.parts.append(f"id IN ({bind.bind_all(asked.ids)})")
    if query.datetime is not None:
        _add_time(asked, query.datetime)
    if query.bbox:
        _add_bbox(asked, boxes_of(query.bbox))
    if query.intersects:
        geometry = search_geometry(query.intersects, field="/intersects")
        _add_box(asked, boxes_around(geometry))
        asked.parts.append(f"st_rel('intersects', wkb, {asked.register(geometry)})")
    _add_filters(asked, query)
    return asked


def rtree_rows(session: Session, asked: Conditions, *, limit: int) -> list[tuple[int, float, float]]:
    """(pk, first day, last day) of the items whose box and time may match; float32, rounded outwards."""
    found: dict[int, tuple[int, float, float]] = {}
    for west, south, east, north in asked.boxes or ():
        sql = "SELECT rid >> 1, tmin, tmax FROM items_rtree WHERE minx <= ? AND maxx >= ? AND miny <= ? AND maxy >= ?"
        values: list[float] = [east, west, north, south]
        if asked.days is not None:
            sql += " AND tmin <= ? AND tmax >= ?"
            values += [asked.days[1], asked.days[0]]
        for row in session.db.execute(f"{sql} LIMIT {limit}", values):
            found[row[0]] = row
    return list(found.values())


def days(us: int) -> float:
    """Since 2000: the R*Tree's third axis."""
    return (us - _RTREE_ORIGIN_US) / DAY_US


def microseconds(day: float) -> float:
    """Of a day since 2000."""
    return day * DAY_US + _RTREE_ORIGIN_US


def _distinct(values: Sequence[str] | None) -> tuple[str, ...] | None:
    # An empty list is what clients send that mean no restriction.
    if not values:
        return None
    if len(values) > MAX_IDS:
        raise FilterInvalid(f"more than {MAX_IDS} ids or collections in one search", field="/ids")
    return tuple(dict.fromkeys(values))


def _add_time(asked: Conditions, text: str) -> None:
    low, high = parse_interval(text)
    bind = asked.bindings.bind
    asked.parts.append(f"t0 <= {bind(high)} AND t1 >= {bind(low)}")
    # dt is what the indexes hold; items with a long range reach further than it says.
    spread = "(SELECT us FROM spread)"
    asked.parts.append(f"dt BETWEEN {bind(low)} - {spread} AND {bind(high)} + {spread}")
    asked.days = days(low), days(high)


def _add_bbox(asked: Conditions, boxes: tuple[Box, ...]) -> None:
    _add_box(asked, boxes)
    inside = " OR ".join(
        "(west <= east AND west >= {} AND south >= {} AND east <= {} AND north <= {})".format(
            *map(asked.bindings.bind, box)
        )
        for box in boxes
    )
    # Most matches of a large box lie wholly inside: no geometry is read for those.
    asked.parts.append(f"({inside} OR st_rel('intersects', wkb, {asked.register(box_geometry(boxes))}))")


def _add_box(asked: Conditions, boxes: tuple[Box, ...]) -> None:
    touching = " OR ".join(
        "((west > east OR (west <= {2} AND east >= {0})) AND south <= {3} AND north >= {1})".format(
            *map(asked.bindings.bind, box)
        )
        for box in boxes
    )
    asked.parts.append(f"({touching})")
    if asked.boxes is None:
        asked.boxes = boxes


def _add_filters(asked: Conditions, query: ItemQuery) -> None:
    translator = Translator(asked.bindings, asked.register)
    if query.filter is not None:
        asked.parts.append(translator.condition(parse_filter(query.filter)))
    if query.query:
        asked.parts.append(translator.condition(parse_query(query.query)))
    for geometry in translator.geometries:
        _add_box(asked, boxes_around(geometry))
    asked.equal = translator.equal
