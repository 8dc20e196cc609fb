"""Events in SQLite, each added in the transaction of what it tells of."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from imagery.errors import EventUnknown
from imagery.model.codec import format_instant, from_json, to_json
from imagery.model.event import DeliveryStatus, Event, EventQuery, endpoint_of
from imagery.model.paging import Page
from imagery.model.subscription import Webhook
from imagery.stores.sqlite.cursors import page_of, parse_cursor
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.subscriptions import MIGRATIONS as SUBSCRIPTION_MIGRATIONS

MIGRATIONS = (
    (
        """CREATE TABLE event (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
            subscription_id TEXT NOT NULL, type TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL)""",
        # Every index ends in the row's number, so each walk of one is in order of creation already.
        "CREATE INDEX event_by_owner ON event (owner)",
        "CREATE INDEX event_by_subscription ON event (subscription_id)",
        "CREATE INDEX event_by_time ON event (at)",
        """CREATE TABLE delivery (
            number INTEGER PRIMARY KEY REFERENCES event (number) ON DELETE CASCADE,
            subscription_id TEXT NOT NULL, owner TEXT NOT NULL, endpoint TEXT NOT NULL, status TEXT NOT NULL,
            tries INTEGER NOT NULL, asked_at TEXT NOT NULL, next_at TEXT)""",
        # Small however many were delivered: only what is pending is in it.
        "CREATE INDEX delivery_pending ON delivery (endpoint, number) WHERE status = 'pending'",
        "CREATE INDEX delivery_pending_of ON delivery (subscription_id, number) WHERE status = 'pending'",
        """CREATE TABLE attempt (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            event INTEGER NOT NULL REFERENCES event (number) ON DELETE CASCADE, body TEXT NOT NULL)""",
        "CREATE INDEX attempt_of_event ON attempt (event, number)",
        "CREATE TABLE endpoint_pause (endpoint TEXT PRIMARY KEY, until TEXT NOT NULL, refusals INTEGER NOT NULL)",
    ),
)

PRUNED_AT_ONCE = 1000
"""Events removed in one transaction: writers wait for no more than that."""


class SqliteEventStore:
    """An EventStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Whether anybody is to be told stands with the subscription.
        database.migrate("subscription", SUBSCRIPTION_MIGRATIONS)
        database.migrate("event", MIGRATIONS)

    def add(self, events: Sequence[Event]) -> None:
        """See the port."""
        with self._database.write() as connection:
            for event in events:
                _add(connection, event)

    def get(self, event_id: str) -> Event:
        """See the port."""
        with self._database.read() as connection:
            row = connection.execute("SELECT body FROM event WHERE id = ?", (event_id,)).fetchone()
        if row is None:
            raise EventUnknown(f"no event {event_id}; events are kept for a while only")
        return from_json(Event, row["body"])

    def find(self, query: EventQuery) -> Page[Event]:
        """See the port."""
        position = parse_cursor(query, (int,))
        where, values = ["true"], {"count": query.limit + 1, "before": position[0] if position else None}
        for name, value in (("owner", query.owner), ("subscription_id", query.subscription_id), ("type", query.type)):
            if value is not None:
                where.append(f"{name} = :{name}")
                values[name] = str(value)
        if position is not None:
            where.append("number < :before")
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT number, body FROM event {_index(query)} WHERE {' AND '.join(where)} "
                "ORDER BY number DESC LIMIT :count",
                values,
            ).fetchall()
        return page_of(query, [((row["number"],), from_json(Event, row["body"])) for row in rows])

    def prune(self, *, before: datetime) -> int:
        """See the port."""
        pruned = 0
        while True:
            with self._database.write() as connection:
                cursor = connection.execute(
                    "DELETE FROM event WHERE number IN (SELECT number FROM event WHERE at < ? ORDER BY at LIMIT ?)",
                    (format_instant(before), PRUNED_AT_ONCE),
                )
                pruned += cursor.rowcount
                connection.execute("DELETE FROM endpoint_pause WHERE until < ?", (format_instant(before),))
            if cursor.rowcount < PRUNED_AT_ONCE:
                return pruned


def _add(connection: sqlite3.Connection, event: Event) -> None:
    at = format_instant(event.at)
    cursor = connection.execute(
        "INSERT OR IGNORE INTO event (id, owner, subscription_id, type, at, body) VALUES (?, ?, ?, ?, ?, ?)",
        (event.id, event.owner, event.subscription_id, event.type.value, at, to_json(event)),
    )
    if cursor.rowcount == 0:
        return
    webhook = _webhook(connection, event.subscription_id)
    if webhook is None or webhook.disabled_at is not None:
        return
    connection.execute(
        "INSERT INTO delivery (number, subscription_id, owner, endpoint, status, tries, asked_at, next_at) "
        "VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
        (
            *(cursor.lastrowid, event.subscription_id, event.owner, endpoint_of(event.owner, webhook.url)),
            *(DeliveryStatus.PENDING.value, at, at),
        ),
    )


def _webhook(connection: sqlite3.Connection, subscription_id: str) -> Webhook | None:
    """Of the subscription as it stands in this transaction."""
    row = connection.execute(
        "SELECT json_extract(body, '$.webhook') AS webhook FROM subscription WHERE id = ?", (subscription_id,)
    ).fetchone()
    return from_json(Webhook, row["webhook"]) if row is not None and row["webhook"] else None


def _index(query: EventQuery) -> str:
    if query.subscription_id is not None:
        return "INDEXED BY event_by_subscription"
    return "INDEXED BY event_by_owner" if query.owner is not None else "NOT INDEXED"
