"""A search over the catalog: which index to walk, the rows of one page, and what comes after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imagery.catalogs.sqlite import extents
from imagery.catalogs.sqlite.conditions import (
    MAX_LIMIT,
    Conditions,
    ItemQuery,
    microseconds,
    rtree_rows,
)
from imagery.catalogs.sqlite.connections import Session
from imagery.catalogs.sqlite.paging import Order
from imagery.catalogs.sqlite.records import StoredItem
from imagery.catalogs.sqlite.schema import index_name
from imagery.errors import FilterInvalid

COUNT_UP_TO = 2_000
"""Items that are looked at for `numberMatched`; past that it is left out unless it is known anyway."""

_FEW_BOXES = 2_000
_MANY_BOXES = 20_000
"""R*Tree hits up to which they are tested one by one; past that an index is walked in the order asked for."""

Near = list[tuple[int, float, float]]
"""(pk, first day, last day) of R*Tree hits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemPage:
    """Some matches, in order."""

    items: tuple[StoredItem, ...]
    next_token: str | None
    """None on the last page."""

    matched: int | None
    """All matches; None when counting them would cost too much."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How the rows are found."""

    source: str
    """After FROM."""

    near: Near | None = None
    """The only candidates, when the R*Tree gave few enough."""

    bounded: bool = False
    """Whether the source yields few rows whatever the catalog's size."""


def search(session: Session, query: ItemQuery, asked: Conditions, *, indexed: frozenset[str]) -> ItemPage:
    """One page; `asked` are the query's conditions. Raises FilterInvalid, CursorInvalid."""
    if query.limit < 1:
        raise FilterInvalid("limit: at least 1", field="/limit")
    limit = min(query.limit, MAX_LIMIT)
    order = Order.of(query.sortby)
    session.geometries = asked.geometries
    plan = _plan(session, asked, order, indexed)
    matched = _matched(session, asked, plan)
    behind = ""
    if query.token:
        behind = " AND " + order.after(order.key(query.token), asked.bindings)
    where = f"{asked.sql}{behind}{{}}"
    sql = f"SELECT {order.keys} FROM {plan.source} WHERE {where} ORDER BY {order.clause} LIMIT {limit + 1}"
    values = asked.bindings.values
    if plan.near is None:
        rows = session.db.execute(sql.format(""), values).fetchall()
    else:
        rows = _rows_near(session, plan.near, sql, values, order=order, wanted=limit + 1)
    more = len(rows) > limit
    rows = rows[:limit]
    if not query.token and not more:
        matched = len(rows)
    return ItemPage(
        items=_bodies(session, [row[-1] for row in rows]),
        next_token=order.token(rows[-1]) if more else None,
        matched=matched,
    )


def _plan(session: Session, asked: Conditions, order: Order, indexed: frozenset[str]) -> Plan:
    if asked.ids is not None:
        return Plan(source="items INDEXED BY items_id", bounded=True)
    equal = min(asked.equal & indexed, default=None)
    if asked.boxes is not None:
        most = _FEW_BOXES if equal else _MANY_BOXES
        near = rtree_rows(session, asked, limit=most + 1)
        if len(near) <= most:
            return Plan(source="items NOT INDEXED", near=near, bounded=len(near) <= COUNT_UP_TO)
    if equal:
        return Plan(source=f"items INDEXED BY {index_name(equal)}")
    return Plan(source=f"items INDEXED BY {_time_index(asked)}" if order.by_time else "items")


def _time_index(asked: Conditions) -> str:
    one_collection = asked.collections is not None and len(asked.collections) == 1
    if asked.owner is not None:
        return "items_collection_owner_time" if one_collection else "items_owner_time"
    return "items_collection_time" if one_collection else "items_time"


def _matched(session: Session, asked: Conditions, plan: Plan) -> int | None:
    """Count what is cheap to count. Called before a cursor is bound: it counts all pages."""
    if plan.bounded and not asked.only_scope:
        return _count(session, asked, plan)
    within = extents.read_all(session.db, owner=asked.owner)
    wanted = asked.collections if asked.collections is not None else tuple(within)
    in_scope = sum(within[name].items for name in wanted if name in within)
    if asked.only_scope:
        return in_scope
    return _count(session, asked, plan) if in_scope <= COUNT_UP_TO else None


def _count(session: Session, asked: Conditions, plan: Plan) -> int:
    among = "" if plan.near is None else _among(plan.near)
    sql = f"SELECT count(*) FROM {plan.source} WHERE {asked.sql}{among}"
    count: int = session.db.execute(sql, asked.bindings.values).fetchone()[0]
    return count


def _rows_near(
    session: Session, near: Near, sql: str, values: Sequence[object], *, order: Order, wanted: int
) -> list[Any]:
    """Test R*Tree hits against the rest. In time order, stop once no later hit can come before what is found."""
    if not order.by_time:
        return session.db.execute(sql.format(_among(near)), values).fetchall()
    down = order.descending
    near.sort(key=(lambda row: -row[2]) if down else (lambda row: row[1]))
    rows: list[Any] = []
    start, step = 0, max(200, 2 * wanted)
    while start < len(near):
        rows += session.db.execute(sql.format(_among(near[start : start + step])), values).fetchall()
        rows = sorted(rows, reverse=down)[:wanted]
        start, step = start + step, min(step * 4, 10_000)
        if len(rows) == wanted and start < len(near):
            edge = microseconds(near[start][2] if down else near[start][1])
            if rows[-1][0] > edge if down else rows[-1][0] < edge:
                break
    return rows


def _among(near: Near) -> str:
    return f" AND pk IN ({','.join(str(row[0]) for row in near)})"


def _bodies(session: Session, pks: list[int]) -> tuple[StoredItem, ...]:
    rows = session.db.execute(
        "SELECT i.pk, i.id, i.collection, i.owner, i.props, b.body FROM items i JOIN bodies b USING (pk)"
        f" WHERE i.pk IN ({','.join(map(str, pks))})"
    )
    found = {row[0]: StoredItem.of_row(*row[1:]) for row in rows}
    return tuple(found[pk] for pk in pks)
