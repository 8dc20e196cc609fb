"""Orders at providers that deliver later, in SQLite."""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import date, datetime
from typing import Any

from imagery.model.codec import format_instant, from_json, to_json
from imagery.model.order import Order, OrderQuery, OrderStatus
from imagery.model.paging import Page
from imagery.stores.sqlite.cursors import page_of, parse_cursor
from imagery.stores.sqlite.database import Database

MIGRATIONS = (
    (
        """CREATE TABLE provider_order (
            name TEXT PRIMARY KEY, key_hash TEXT NOT NULL UNIQUE, status TEXT NOT NULL, look_at TEXT,
            created_at TEXT NOT NULL, hectares REAL NOT NULL, body TEXT NOT NULL)""",
        "CREATE INDEX provider_order_due ON provider_order (look_at, name) WHERE look_at IS NOT NULL",
        "CREATE INDEX provider_order_by_time ON provider_order (created_at, name)",
        "CREATE INDEX provider_order_by_status ON provider_order (status, created_at, name)",
        """CREATE TABLE provider_order_item (
            provider TEXT NOT NULL, item_id TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (provider, item_id, name))
            WITHOUT ROWID""",
        "CREATE INDEX provider_order_item_by_name ON provider_order_item (name)",
    ),
)

_SAVE = """INSERT INTO provider_order (name, key_hash, status, look_at, created_at, hectares, body)
    VALUES (:name, :key_hash, :status, :look_at, :created_at, :hectares, :body)
    ON CONFLICT (name) DO UPDATE SET key_hash = excluded.key_hash, status = excluded.status,
    look_at = excluded.look_at, created_at = excluded.created_at, hectares = excluded.hectares, body = excluded.body"""


class SqliteOrderStore:
    """An OrderStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("order", MIGRATIONS)

    def save(self, order: Order) -> None:
        """See the port."""
        items = [(order.provider, item_id, order.name) for item_id in order.wish.item_ids]
        with self._database.write() as connection:
            connection.execute(_SAVE, _columns(order))
            # What it is for may change until it is placed.
            connection.execute("DELETE FROM provider_order_item WHERE name = ?", (order.name,))
            connection.executemany("INSERT OR IGNORE INTO provider_order_item VALUES (?, ?, ?)", items)

    def get(self, name: str) -> Order | None:
        """See the port."""
        return self._one("SELECT body FROM provider_order WHERE name = ?", name)

    def by_webhook_key(self, webhook_key: str) -> Order | None:
        """See the port: what is compared is a hash, so how long it takes tells nothing of the key."""
        return self._one("SELECT body FROM provider_order WHERE key_hash = ?", _hashed(webhook_key))

    def due(self, *, now: datetime, limit: int) -> tuple[Order, ...]:
        """See the port."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT body FROM provider_order INDEXED BY provider_order_due WHERE look_at <= ? "
                "ORDER BY look_at, name LIMIT ?",
                (format_instant(now), limit),
            ).fetchall()
        return tuple(from_json(Order, row["body"]) for row in rows)

    def of_item(self, provider: str, item_id: str) -> tuple[Order, ...]:
        """See the port."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT body FROM provider_order_item JOIN provider_order USING (name) "
                "WHERE provider = ? AND item_id = ? ORDER BY created_at DESC, name DESC",
                (provider, item_id),
            ).fetchall()
        return tuple(from_json(Order, row["body"]) for row in rows)

    def find(self, query: OrderQuery) -> Page[Order]:
        """See the port."""
        position = parse_cursor(query, (str, str))
        where, values = ["1"], dict[str, Any]()
        if query.status is not None:
            where.append("status = :status")
            values["status"] = query.status.value
        if position is not None:
            where.append("(created_at, name) < (:before, :before_name)")
            values |= {"before": position[0], "before_name": position[1]}
        index = "provider_order_by_status" if query.status else "provider_order_by_time"
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT created_at, name, body FROM provider_order INDEXED BY {index} WHERE {' AND '.join(where)} "
                "ORDER BY created_at DESC, name DESC LIMIT :count",
                {**values, "count": query.limit + 1},
            ).fetchall()
        return page_of(query, [_placed(row) for row in rows])

    def hectares(self, day: date) -> float:
        """See the port."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT coalesce(sum(hectares), 0.0) AS total FROM provider_order INDEXED BY provider_order_by_time "
                "WHERE created_at >= ? AND created_at < ?",
                (f"{day.isoformat()}T", f"{day.isoformat()}U"),
            ).fetchone()
        return float(row["total"])

    def counts(self) -> dict[OrderStatus, int]:
        """See the port."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT status, count(*) AS number FROM provider_order INDEXED BY provider_order_by_status "
                "GROUP BY status"
            ).fetchall()
        found = {row["status"]: row["number"] for row in rows}
        return {status: found.get(status.value, 0) for status in OrderStatus}

    def _one(self, query: str, value: str) -> Order | None:
        with self._database.read() as connection:
            row = connection.execute(query, (value,)).fetchone()
        return from_json(Order, row["body"]) if row else None


def _columns(order: Order) -> dict[str, Any]:
    return {
        "name": order.name,
        "key_hash": _hashed(order.webhook_key),
        "status": order.status.value,
        "look_at": format_instant(order.look_at) if order.look_at else None,
        "created_at": format_instant(order.created_at),
        "hectares": order.hectares,
        "body": to_json(order),
    }


def _hashed(webhook_key: str) -> str:
    return hashlib.sha256(webhook_key.encode("utf-8", "surrogatepass")).hexdigest()


def _placed(row: sqlite3.Row) -> tuple[tuple[str, str], Order]:
    return (row["created_at"], row["name"]), from_json(Order, row["body"])
