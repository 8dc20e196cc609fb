"""Failures in SQLite."""

from __future__ import annotations

from typing import Any

from imagery.errors import FailureUnknown
from imagery.model.codec import format_instant, from_json, to_json
from imagery.model.failure import Failure, FailureQuery
from imagery.model.paging import Page
from imagery.stores.sqlite.cursors import page_of, parse_cursor
from imagery.stores.sqlite.database import Database

MIGRATIONS = (
    (
        """CREATE TABLE failure (
            id TEXT PRIMARY KEY, owner TEXT, error TEXT NOT NULL, failed_at TEXT NOT NULL, body TEXT NOT NULL)""",
        "CREATE INDEX failure_by_time ON failure (failed_at, id)",
        "CREATE INDEX failure_by_owner ON failure (owner, failed_at, id)",
        "CREATE INDEX failure_by_error ON failure (error, failed_at, id)",
        # A request may serve many subscriptions; this finds the failures of one of them, in order.
        """CREATE TABLE failure_subscription (
            subscription_id TEXT NOT NULL, failed_at TEXT NOT NULL,
            failure_id TEXT NOT NULL REFERENCES failure (id) ON DELETE CASCADE,
            PRIMARY KEY (subscription_id, failed_at, failure_id)) WITHOUT ROWID""",
        "CREATE INDEX failure_subscription_by_failure ON failure_subscription (failure_id)",
    ),
)


class SqliteFailureStore:
    """A FailureStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("failure", MIGRATIONS)

    def add(self, failure: Failure) -> None:
        """See the port."""
        failed_at = format_instant(failure.failed_at)
        with self._database.write() as connection:
            connection.execute("DELETE FROM failure WHERE id = ?", (failure.id,))
            connection.execute(
                "INSERT INTO failure (id, owner, error, failed_at, body) VALUES (?, ?, ?, ?, ?)",
                (failure.id, failure.owner, failure.error, failed_at, to_json(failure)),
            )
            connection.executemany(
                "INSERT INTO failure_subscription (subscription_id, failed_at, failure_id) VALUES (?, ?, ?)",
                [(each, failed_at, failure.id) for each in sorted(set(failure.request.subscription_ids))],
            )

    def get(self, failure_id: str) -> Failure:
        """See the port."""
        with self._database.read() as connection:
            row = connection.execute("SELECT body FROM failure WHERE id = ?", (failure_id,)).fetchone()
        if row is None:
            raise FailureUnknown(f"no failure {failure_id}; it may have been replayed or deleted")
        return from_json(Failure, row["body"])

    def find(self, query: FailureQuery) -> Page[Failure]:
        """See the port."""
        position = parse_cursor(query, (str, str))
        values: dict[str, Any] = {
            "owner": query.owner,
            "subscription_id": query.subscription_id,
            "error": query.error,
            "count": query.limit + 1,
        }
        if position is not None:
            values |= {"before": position[0], "before_id": position[1]}
        with self._database.read() as connection:
            rows = connection.execute(_search(query, is_first=position is None), values).fetchall()
        return page_of(query, [((row["failed_at"], row["id"]), from_json(Failure, row["body"])) for row in rows])

    def remove(self, failure_id: str) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM failure WHERE id = ?", (failure_id,))


def _search(query: FailureQuery, *, is_first: bool) -> str:
    """The statement, along an index that is in order already."""
    source, key = f"failure AS f INDEXED BY {_index(query)}", "f.failed_at, f.id"
    where = ["true"]
    if query.subscription_id is not None:
        # CROSS JOIN: SQLite keeps this order of tables.
        source, key = (
            "failure_subscription AS s CROSS JOIN failure AS f ON f.id = s.failure_id",
            "s.failed_at, s.failure_id",
        )
        where.append("s.subscription_id = :subscription_id")
    if query.owner is not None:
        where.append("f.owner = :owner")
    if query.error is not None:
        where.append("f.error = :error")
    if not is_first:
        where.append(f"({key}) < (:before, :before_id)")
    order = key.replace(",", " DESC,") + " DESC"
    return f"SELECT f.id, f.failed_at, f.body FROM {source} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT :count"


def _index(query: FailureQuery) -> str:
    if query.owner is not None:
        return "failure_by_owner"
    return "failure_by_error" if query.error is not None else "failure_by_time"
