"""The pause, and what is used up of the limits, in SQLite: durable, and one truth for all processes."""

from __future__ import annotations

import sqlite3
from datetime import date, datetime, timedelta

from imagery.model.codec import format_instant, from_json, parse_instant, to_json
from imagery.model.control import Pause, Usage
from imagery.stores.sqlite.database import Database

MIGRATIONS = (
    (
        "CREATE TABLE pause (number INTEGER PRIMARY KEY CHECK (number = 1), body TEXT NOT NULL)",
        # One row a batch that was admitted; rows older than the span counted are dropped with the next.
        "CREATE TABLE admitted (number INTEGER PRIMARY KEY, at TEXT NOT NULL, starts INTEGER NOT NULL)",
        "CREATE INDEX admitted_by_time ON admitted (at, starts)",
        """CREATE TABLE day_usage (
            day TEXT PRIMARY KEY, bytes_read INTEGER NOT NULL, bytes_written INTEGER NOT NULL) WITHOUT ROWID""",
    ),
)


class SqliteControlStore:
    """A ControlStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("control", MIGRATIONS)

    def pause(self, pause: Pause) -> Pause:
        """See the port."""
        with self._database.write() as connection:
            connection.execute("INSERT OR IGNORE INTO pause (number, body) VALUES (1, ?)", (to_json(pause),))
            row = connection.execute("SELECT body FROM pause").fetchone()
        return from_json(Pause, row["body"])

    def resume(self) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM pause")

    def paused(self) -> Pause | None:
        """See the port."""
        with self._database.read() as connection:
            row = connection.execute("SELECT body FROM pause").fetchone()
        return from_json(Pause, row["body"]) if row else None


class SqliteUsageStore:
    """A UsageStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("control", MIGRATIONS)

    def admit(self, wanted: int, *, limit: int, span: timedelta, now: datetime) -> int:
        """See the port."""
        since, until = format_instant(now - span), format_instant(now + span)
        with self._database.write() as connection:
            connection.execute("DELETE FROM admitted WHERE at <= ? OR at > ?", (since, until))
            taken, _ = _admitted(connection, since, until)
            granted = max(0, min(wanted, limit - taken))
            if granted:
                connection.execute("INSERT INTO admitted (at, starts) VALUES (?, ?)", (format_instant(now), granted))
        return granted

    def admitted(self, *, span: timedelta, now: datetime) -> tuple[int, datetime | None]:
        """See the port."""
        with self._database.read() as connection:
            taken, first_at = _admitted(connection, format_instant(now - span), format_instant(now + span))
        return taken, parse_instant(first_at) if first_at else None

    def add(self, day: date, used: Usage) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute(
                """INSERT INTO day_usage (day, bytes_read, bytes_written) VALUES (?, ?, ?)
                ON CONFLICT (day) DO UPDATE SET bytes_read = bytes_read + excluded.bytes_read,
                bytes_written = bytes_written + excluded.bytes_written""",
                (day.isoformat(), used.bytes_read, used.bytes_written),
            )

    def on(self, day: date) -> Usage:
        """See the port."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT bytes_read, bytes_written FROM day_usage WHERE day = ?", (day.isoformat(),)
            ).fetchone()
        return Usage(bytes_read=row["bytes_read"], bytes_written=row["bytes_written"]) if row else Usage()

    def total(self) -> Usage:
        """See the port."""
        with self._database.read() as connection:
            row = connection.execute("SELECT total(bytes_read), total(bytes_written) FROM day_usage").fetchone()
        return Usage(bytes_read=int(row[0]), bytes_written=int(row[1]))


def _admitted(connection: sqlite3.Connection, since: str, until: str) -> tuple[int, str | None]:
    row = connection.execute(
        "SELECT coalesce(sum(starts), 0), min(at) FROM admitted WHERE at > ? AND at <= ?", (since, until)
    ).fetchone()
    return int(row[0]), row[1]
