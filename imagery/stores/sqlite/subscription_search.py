"""Which rows answer a SubscriptionQuery, in order of creation, by the index that makes it cheap."""

from __future__ import annotations

import sqlite3
from typing import Any

from imagery.model.codec import format_instant
from imagery.model.subscription import SubscriptionQuery, SubscriptionStatus
from imagery.stores.sqlite.boxes import Bbox, parts_of

FEW = 20_000
"""R*Tree hits up to which they are sorted; more lie so densely that walking another index finds a page sooner."""

_OVERLAP = """(south <= :north{n} AND north >= :south{n} AND
    CASE WHEN west <= east THEN west <= :east{n} AND east >= :west{n} ELSE west <= :east{n} OR east >= :west{n} END)"""
"""The R*Tree rounds outwards to float32; this is the exact test."""


def search(connection: sqlite3.Connection, query: SubscriptionQuery, after: int) -> list[sqlite3.Row]:
    """Up to `query.limit` + 1 rows whose number is above `after`."""
    if query.bbox is not None:
        numbers = _touched(connection, query.bbox, after)
        if len(numbers) <= FEW:
            return _among(connection, query, numbers)
    return _walked(connection, query, after)


def _touched(connection: sqlite3.Connection, bbox: Bbox, after: int) -> list[int]:
    """Numbers in order of those the R*Tree gives; more than FEW means there were too many to go on."""
    numbers: set[int] = set()
    for west, south, east, north in parts_of(bbox):
        rows = connection.execute(
            "SELECT id / 2 FROM subscription_box WHERE west <= ? AND east >= ? AND south <= ? AND north >= ? LIMIT ?",
            (east, west, north, south, 2 * FEW + 2),
        )
        numbers.update(row[0] for row in rows)
        if len(numbers) > FEW:
            return sorted(numbers)
    return sorted(number for number in numbers if number > after)


def _among(connection: sqlite3.Connection, query: SubscriptionQuery, numbers: list[int]) -> list[sqlite3.Row]:
    """The first of these candidates that pass every test."""
    where, values = _tests(query)
    if query.statuses:
        marks = ", ".join(f":status{n}" for n in range(len(query.statuses)))
        where.append(f"status IN ({marks})")
        values |= {f"status{n}": status.value for n, status in enumerate(sorted(query.statuses))}
    sql = f"SELECT * FROM subscription WHERE number = :number AND {' AND '.join(where)}"
    rows: list[sqlite3.Row] = []
    for number in numbers:
        rows += connection.execute(sql, {**values, "number": number})
        if len(rows) > query.limit:
            break
    return rows


def _walked(connection: sqlite3.Connection, query: SubscriptionQuery, after: int) -> list[sqlite3.Row]:
    """One walk along an index for each status, each in order already, merged."""
    rows: list[sqlite3.Row] = []
    where, values = _tests(query)
    tests = " AND ".join(["status = :status", "number > :after", *where])
    # The index is named: without statistics SQLite may choose one that it must sort.
    sql = f"SELECT * FROM subscription INDEXED BY {_index(query)} WHERE {tests} ORDER BY number LIMIT :count"
    for status in query.statuses or frozenset(SubscriptionStatus):
        rows += connection.execute(sql, {**values, "status": status.value, "after": after, "count": query.limit + 1})
    return sorted(rows, key=lambda row: int(row["number"]))[: query.limit + 1]


def _index(query: SubscriptionQuery) -> str:
    if query.delete_before is not None:
        return "subscription_by_delete_at"
    if query.end_before is not None:
        return "subscription_by_end_at"
    if query.owner is not None:
        return "subscription_by_owner"
    if query.provider is not None and query.collection is not None:
        return "subscription_by_feed"
    if query.provider is not None:
        return "subscription_by_provider"
    return "subscription_by_status"


def _tests(query: SubscriptionQuery) -> tuple[list[str], dict[str, Any]]:
    """Everything but the status."""
    where: list[str] = []
    values: dict[str, Any] = {}
    if query.owner is not None:
        where.append("owner = :owner")
        values["owner"] = query.owner
    if query.provider is not None:
        where.append("provider = :provider")
        values["provider"] = query.provider
    if query.collection is not None:
        where.append("collection = :collection")
        values["collection"] = query.collection
    if query.delete_before is not None:
        where.append("delete_at IS NOT NULL AND delete_at <= :delete_before")
        values["delete_before"] = format_instant(query.delete_before)
    if query.end_before is not None:
        where.append("end_at IS NOT NULL AND end_at <= :end_before")
        values["end_before"] = format_instant(query.end_before)
    if query.bbox is not None:
        parts = parts_of(query.bbox)
        where.append("(" + " OR ".join(_OVERLAP.format(n=n) for n in range(len(parts))) + ")")
        for n, part in enumerate(parts):
            values |= {
                f"{side}{n}": degrees for side, degrees in zip(("west", "south", "east", "north"), part, strict=True)
            }
    return where, values
