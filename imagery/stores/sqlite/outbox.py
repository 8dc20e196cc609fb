"""The outbox in SQLite: which events are due to which receivers, and how each try went."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from imagery.model.codec import format_instant, from_json, parse_instant, to_json
from imagery.model.event import Attempt, Delivery, DeliveryLog, DeliveryStatus, Event
from imagery.ports import DELIVER_FOR
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.events import MIGRATIONS

PER_ENDPOINT = 4
PER_OWNER = 8
"""Deliveries under way at once: whoever has many dead receivers waits for them alone."""

LOOKED_AT = 20
"""Of an endpoint's oldest: enough to find other subscriptions behind one that is busy."""

KEPT_ATTEMPTS = 50
"""Of one event; the oldest go first."""

_ENDPOINTS = """WITH RECURSIVE pending (endpoint) AS (
    SELECT min(endpoint) FROM delivery WHERE status = 'pending'
    UNION ALL
    SELECT (SELECT min(d.endpoint) FROM delivery AS d WHERE d.status = 'pending' AND d.endpoint > p.endpoint)
    FROM pending AS p WHERE p.endpoint IS NOT NULL)
SELECT p.endpoint, (SELECT min(d.number) FROM delivery AS d WHERE d.status = 'pending' AND d.endpoint = p.endpoint)
    AS oldest, e.until, e.refusals
FROM pending AS p LEFT JOIN endpoint_pause AS e ON e.endpoint = p.endpoint
WHERE p.endpoint IS NOT NULL AND (e.until IS NULL OR e.until <= :now) ORDER BY oldest"""
"""One step along the index an endpoint, however many deliveries each has."""

_DUE = """SELECT d.*, event.body FROM delivery AS d INDEXED BY delivery_pending JOIN event USING (number)
    WHERE d.status = 'pending' AND d.endpoint = :endpoint AND d.next_at <= :now ORDER BY d.number LIMIT :count"""


class SqliteOutbox:
    """An Outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("event", MIGRATIONS)

    def due(self, *, now: datetime, limit: int, busy: Collection[Delivery] = ()) -> tuple[Delivery, ...]:
        """See the port."""
        subscriptions = {delivery.event.subscription_id for delivery in busy}
        owners = Counter(delivery.event.owner for delivery in busy)
        endpoints = Counter(delivery.endpoint for delivery in busy)
        chosen: list[Delivery] = []
        instant = format_instant(now)
        with self._database.read() as connection:
            for row in connection.execute(_ENDPOINTS, {"now": instant}).fetchall():
                if len(chosen) >= limit:
                    break
                # One that has failed is asked once, with one event, until it answers well again.
                most = PER_ENDPOINT if row["until"] is None else 1
                for delivery in _due_of(connection, row, instant):
                    event = delivery.event
                    is_free = endpoints[delivery.endpoint] < most and owners[event.owner] < PER_OWNER
                    if is_free and event.subscription_id not in subscriptions and len(chosen) < limit:
                        chosen.append(delivery)
                        subscriptions.add(event.subscription_id)
                        owners[event.owner] += 1
                        endpoints[delivery.endpoint] += 1
        return tuple(chosen)

    def settle(self, delivery: Delivery, attempt: Attempt | None = None, *, paused_until: datetime | None) -> None:
        """See the port."""
        with self._database.write() as connection:
            number = _number(connection, delivery.event.id)
            if number is None:
                return
            if attempt is not None:
                _keep(connection, number, attempt)
                _pause(connection, delivery.endpoint, paused_until, delivery.refusals)
            _update(connection, number, delivery)
            if attempt is not None and not attempt.is_success:
                connection.execute(
                    "UPDATE delivery SET status = ?, next_at = NULL "
                    "WHERE status = 'pending' AND endpoint = ? AND asked_at <= ?",
                    (DeliveryStatus.FAILED.value, delivery.endpoint, format_instant(attempt.at - DELIVER_FOR)),
                )

    def log(self, event_id: str) -> DeliveryLog:
        """See the port."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT delivery.*, event.body FROM delivery JOIN event USING (number) WHERE event.id = ?", (event_id,)
            ).fetchone()
            if row is None:
                return DeliveryLog(delivery=None)
            attempts = connection.execute(
                "SELECT body FROM attempt WHERE event = ? ORDER BY number", (row["number"],)
            ).fetchall()
        return DeliveryLog(delivery=_read(row), attempts=tuple(from_json(Attempt, one["body"]) for one in attempts))

    def redeliver(self, delivery: Delivery) -> None:
        """See the port."""
        with self._database.write() as connection:
            number = _number(connection, delivery.event.id)
            if number is not None:
                _update(connection, number, delivery)
                _pause(connection, delivery.endpoint, None)

    def retarget(self, subscription_id: str, endpoint: str | None, *, now: datetime) -> None:
        """See the port."""
        with self._database.write() as connection:
            if endpoint is None:
                connection.execute(
                    "UPDATE delivery SET status = ?, next_at = NULL WHERE status = 'pending' AND subscription_id = ?",
                    (DeliveryStatus.CANCELED.value, subscription_id),
                )
                return
            connection.execute(
                "UPDATE delivery SET endpoint = ?, next_at = ? WHERE status = 'pending' AND subscription_id = ?",
                (endpoint, format_instant(now), subscription_id),
            )
            _pause(connection, endpoint, None)


def _due_of(connection: sqlite3.Connection, endpoint: sqlite3.Row, now: str) -> list[Delivery]:
    values = {"endpoint": endpoint["endpoint"], "now": now, "count": LOOKED_AT}
    rows = connection.execute(_DUE, values).fetchall()
    return [replace(_read(row), refusals=endpoint["refusals"] or 0) for row in rows]


def _number(connection: sqlite3.Connection, event_id: str) -> int | None:
    row = connection.execute("SELECT number FROM event WHERE id = ?", (event_id,)).fetchone()
    return int(row["number"]) if row else None


def _update(connection: sqlite3.Connection, number: int, delivery: Delivery) -> None:
    values: dict[str, Any] = {
        "number": number,
        "subscription_id": delivery.event.subscription_id,
        "owner": delivery.event.owner,
        "endpoint": delivery.endpoint,
        "status": delivery.status.value,
        "tries": delivery.tries,
        "asked_at": format_instant(delivery.asked_at),
        "next_at": format_instant(delivery.next_at) if delivery.next_at else None,
    }
    connection.execute(
        f"INSERT OR REPLACE INTO delivery ({', '.join(values)}) VALUES ({', '.join(f':{name}' for name in values)})",
        values,
    )


def _keep(connection: sqlite3.Connection, number: int, attempt: Attempt) -> None:
    connection.execute("INSERT INTO attempt (event, body) VALUES (?, ?)", (number, to_json(attempt)))
    connection.execute(
        "DELETE FROM attempt WHERE event = :event AND number NOT IN "
        "(SELECT number FROM attempt WHERE event = :event ORDER BY number DESC LIMIT :kept)",
        {"event": number, "kept": KEPT_ATTEMPTS},
    )


def _pause(connection: sqlite3.Connection, endpoint: str, until: datetime | None, refusals: int = 0) -> None:
    if until is None:
        connection.execute("DELETE FROM endpoint_pause WHERE endpoint = ?", (endpoint,))
    else:
        connection.execute(
            "INSERT OR REPLACE INTO endpoint_pause (endpoint, until, refusals) VALUES (?, ?, ?)",
            (endpoint, format_instant(until), refusals),
        )


def _read(row: sqlite3.Row) -> Delivery:
    return Delivery(
        event=from_json(Event, row["body"]),
        endpoint=row["endpoint"],
        status=DeliveryStatus(row["status"]),
        tries=row["tries"],
        asked_at=parse_instant(row["asked_at"]),
        next_at=parse_instant(row["next_at"]) if row["next_at"] else None,
    )
