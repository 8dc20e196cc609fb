"""Looks planned and done, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from imagery.model.codec import format_instant, parse_instant
from imagery.model.look import Look
from imagery.model.request import RequestKind, Window
from imagery.stores.sqlite.database import Database

MIGRATIONS = (
    (
        """CREATE TABLE look (
            request_id TEXT PRIMARY KEY, subscription_id TEXT NOT NULL REFERENCES subscription (id) ON DELETE CASCADE,
            kind TEXT NOT NULL, start_at TEXT NOT NULL, end_at TEXT NOT NULL, planned_at TEXT NOT NULL,
            done_at TEXT)""",
        "CREATE INDEX look_by_subscription ON look (subscription_id, end_at)",
        "CREATE INDEX look_pending ON look (kind, planned_at, request_id) WHERE done_at IS NULL",
    ),
)


class SqliteLookStore:
    """A LookStore; open it after the subscriptions', whose table it refers to."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("look", MIGRATIONS)

    def plan(self, looks: Sequence[Look]) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.executemany(
                """INSERT INTO look (request_id, subscription_id, kind, start_at, end_at, planned_at, done_at)
                VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request_id) DO NOTHING""",
                [_columns(look) for look in looks],
            )

    def done(self, request_id: str, *, now: datetime) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE look SET done_at = ? WHERE request_id = ? AND done_at IS NULL",
                (format_instant(now), request_id),
            )

    def of(self, subscription_id: str) -> tuple[Look, ...]:
        """See the port."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT * FROM look WHERE subscription_id = ? ORDER BY end_at DESC, request_id", (subscription_id,)
            ).fetchall()
        return tuple(map(_read, rows))

    def pending(
        self, kind: RequestKind, *, planned_before: datetime, limit: int, after: Look | None = None
    ) -> tuple[Look, ...]:
        """See the port."""
        position = (format_instant(after.planned_at), after.request_id) if after else ("", "")
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT * FROM look INDEXED BY look_pending WHERE done_at IS NULL AND kind = ? AND planned_at < ?
                AND (planned_at, request_id) > (?, ?) ORDER BY planned_at, request_id LIMIT ?""",
                (kind.value, format_instant(planned_before), *position, limit),
            ).fetchall()
        return tuple(map(_read, rows))


def _columns(look: Look) -> tuple[str | None, ...]:
    return (
        look.request_id,
        look.subscription_id,
        look.kind.value,
        format_instant(look.window.start_at),
        format_instant(look.window.end_at),
        format_instant(look.planned_at),
        format_instant(look.done_at) if look.done_at else None,
    )


def _read(row: sqlite3.Row) -> Look:
    return Look(
        subscription_id=row["subscription_id"],
        request_id=row["request_id"],
        kind=RequestKind(row["kind"]),
        window=Window(start_at=parse_instant(row["start_at"]), end_at=parse_instant(row["end_at"])),
        planned_at=parse_instant(row["planned_at"]),
        done_at=parse_instant(row["done_at"]) if row["done_at"] else None,
    )
