"""The processing queue in SQLite, in the same file as the stores, so that one transaction can save to both."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol

from imagery.model.codec import format_instant, from_json, parse_instant, to_json
from imagery.model.request import Request
from imagery.model.subscription import Priority
from imagery.ports import AGING_INTERVAL, VISIBILITY_TIMEOUT, Clock, Message

MIGRATIONS = (
    (
        # `due_at` orders the queue and never changes, so aging costs nothing; `number` settles what came together.
        """CREATE TABLE message (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, priority TEXT NOT NULL,
            due_at TEXT NOT NULL, is_held INTEGER NOT NULL DEFAULT 0, hidden_until TEXT, receipt TEXT,
            deliveries INTEGER NOT NULL DEFAULT 0, body TEXT NOT NULL)""",
        "CREATE INDEX message_waiting ON message (due_at) WHERE is_held = 0",
        "CREATE INDEX message_held ON message (hidden_until) WHERE is_held = 1",
        "CREATE UNIQUE INDEX message_by_receipt ON message (receipt) WHERE receipt IS NOT NULL",
        # Counted as they come and go: counting them when asked would walk the backlog.
        "CREATE TABLE message_depth (priority TEXT PRIMARY KEY, messages INTEGER NOT NULL) WITHOUT ROWID",
        """CREATE TRIGGER message_came AFTER INSERT ON message BEGIN
            INSERT INTO message_depth (priority, messages) VALUES (new.priority, 1)
            ON CONFLICT (priority) DO UPDATE SET messages = messages + 1; END""",
        """CREATE TRIGGER message_went AFTER DELETE ON message BEGIN
            UPDATE message_depth SET messages = messages - 1 WHERE priority = old.priority; END""",
    ),
    # Finds the oldest of a priority at once.
    ("CREATE INDEX message_by_priority ON message (priority, due_at)",),
)

_RANKS = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}


class Transactions(Protocol):
    """What is asked of the database; `imagery.stores.sqlite.database.Database` is one."""

    def read(self) -> AbstractContextManager[sqlite3.Connection]:
        """A snapshot."""

    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """A transaction, or a part of the one this thread is in."""

    def migrate(self, subject: str, steps: Sequence[Sequence[str]]) -> None:
        """Bring the tables of a subject up to date."""


class SqliteProcessingQueue:
    """A ProcessingQueue. A call costs the same however long the backlog is."""

    def __init__(
        self,
        database: Transactions,
        *,
        clock: Clock,
        visibility: timedelta = VISIBILITY_TIMEOUT,
        aging: timedelta = AGING_INTERVAL,
    ) -> None:
        """All processes on one file must be given the same `aging`."""
        self._database = database
        self._clock = clock
        self._visibility = visibility
        self._aging = aging
        database.migrate("queue", MIGRATIONS)

    def send(self, requests: Sequence[Request]) -> None:
        """See the port."""
        if not requests:
            return
        bodies = [(request.id, request.priority.value, to_json(request)) for request in requests]
        with self._database.write() as connection:
            # The clock is read in the turn to write: what is sent later is due later.
            now = self._clock()
            due = {priority.value: format_instant(now + rank * self._aging) for priority, rank in _RANKS.items()}
            connection.executemany(
                "INSERT INTO message (id, priority, due_at, body) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                [(request_id, priority, due[priority], body) for request_id, priority, body in bodies],
            )

    def receive(self, limit: int) -> tuple[Message, ...]:
        """See the port."""
        if limit < 1 or not self._has_visible():
            return ()
        with self._database.write() as connection:
            now = self._clock()
            connection.execute(
                "UPDATE message INDEXED BY message_held SET is_held = 0 WHERE is_held = 1 AND hidden_until <= ?",
                (format_instant(now),),
            )
            rows = connection.execute(
                "SELECT number, deliveries, body FROM message INDEXED BY message_waiting WHERE is_held = 0 "
                "ORDER BY due_at, number LIMIT ?",
                (limit,),
            ).fetchall()
            return tuple(_hand_out(connection, row, hidden_until=now + self._visibility) for row in rows)

    def acknowledge(self, receipt: str) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM message WHERE receipt = ?", (receipt,))

    def release(self, receipt: str) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute("UPDATE message SET is_held = 0 WHERE receipt = ?", (receipt,))

    def depth(self) -> Mapping[Priority, int]:
        """See the port."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT priority, messages FROM message_depth").fetchall()
        return dict.fromkeys(Priority, 0) | {Priority(priority): messages for priority, messages in rows}

    def oldest(self) -> Mapping[Priority, datetime]:
        """See the port."""
        # By hand, one a priority: with GROUP BY SQLite walks the whole index.
        sql = "SELECT min(due_at) FROM message INDEXED BY message_by_priority WHERE priority = ?"
        with self._database.read() as connection:
            found = {priority: connection.execute(sql, (priority.value,)).fetchone()[0] for priority in Priority}
        return {
            priority: parse_instant(due_at) - _RANKS[priority] * self._aging
            for priority, due_at in found.items()
            if due_at is not None
        }

    def peek(self, limit: int) -> tuple[Request, ...]:
        """See the port."""
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT body FROM (
                SELECT * FROM (SELECT due_at, number, body FROM message INDEXED BY message_waiting
                    WHERE is_held = 0 ORDER BY due_at, number LIMIT :limit)
                UNION ALL SELECT * FROM (SELECT due_at, number, body FROM message INDEXED BY message_held
                    WHERE is_held = 1 AND hidden_until <= :now LIMIT :limit)
                ) ORDER BY due_at, number LIMIT :limit""",
                {"limit": max(0, limit), "now": format_instant(self._clock())},
            ).fetchall()
        return tuple(from_json(Request, row["body"]) for row in rows)

    def _has_visible(self) -> bool:
        """Asked first, so that polling an empty queue takes no turn to write."""
        with self._database.read() as connection:
            row = connection.execute(
                """SELECT EXISTS (SELECT 1 FROM message INDEXED BY message_waiting WHERE is_held = 0)
                OR EXISTS (SELECT 1 FROM message INDEXED BY message_held WHERE is_held = 1 AND hidden_until <= ?)""",
                (format_instant(self._clock()),),
            ).fetchone()
        return bool(row[0])


def _hand_out(connection: sqlite3.Connection, row: sqlite3.Row, *, hidden_until: datetime) -> Message:
    receipt = secrets.token_hex(16)
    connection.execute(
        "UPDATE message SET is_held = 1, hidden_until = ?, receipt = ?, deliveries = deliveries + 1 WHERE number = ?",
        (format_instant(hidden_until), receipt, row["number"]),
    )
    return Message(request=from_json(Request, row["body"]), receipt=receipt, deliveries=row["deliveries"] + 1)
