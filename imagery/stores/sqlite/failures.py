"""Failures in SQLite."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
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
    (
        "ALTER TABLE failure ADD COLUMN provider TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE failure ADD COLUMN cause TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE failure ADD COLUMN retryable INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE failure ADD COLUMN replayed INTEGER NOT NULL DEFAULT 0",
        """UPDATE failure SET provider = json_extract(body, '$.request.provider'),
            cause = json_extract(body, '$.cause'), retryable = json_extract(body, '$.retryable')""",
        "CREATE INDEX failure_by_provider ON failure (provider, failed_at, id)",
        "CREATE INDEX failure_by_retryable ON failure (retryable, failed_at, id)",
        "CREATE INDEX failure_replayed ON failure (failed_at, id) WHERE replayed = 1",
        # For counts: as many rows as there are, but no bodies.
        "CREATE INDEX failure_by_owner_and_error ON failure (owner, error)",
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
                "INSERT INTO failure (id, owner, error, failed_at, provider, cause, retryable, replayed, body) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(failure.id, failure.owner, failure.error, failed_at, failure.request.provider, failure.cause),
                    *(failure.retryable, failure.replay_id is not None, to_json(failure)),
                ),
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
        source, where, values = _tests(query)
        key = "s.failed_at, s.failure_id" if query.subscription_id is not None else "f.failed_at, f.id"
        if position is not None:
            where.append(f"({key}) < (:before, :before_id)")
            values |= {"before": position[0], "before_id": position[1]}
        order = key.replace(",", " DESC,") + " DESC"
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT f.id, f.failed_at, f.body FROM {source} WHERE {' AND '.join(where)} ORDER BY {order} "
                "LIMIT :count",
                {**values, "count": query.limit + 1},
            ).fetchall()
        return page_of(query, [((row["failed_at"], row["id"]), from_json(Failure, row["body"])) for row in rows])

    def counts(self, query: FailureQuery) -> Mapping[str, int]:
        """See the port."""
        source, where, values = _tests(query, ordered=False)
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT f.error, count(*) FROM {source} WHERE {' AND '.join(where)} GROUP BY f.error ORDER BY f.error",
                values,
            ).fetchall()
        return dict(map(tuple, rows))

    def remove(self, failure_id: str) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM failure WHERE id = ?", (failure_id,))


_TESTS = {
    "subscription_id": "s.subscription_id = :subscription_id",
    "owner": "f.owner = :owner",
    "provider": "f.provider = :provider",
    "error": "f.error = :error",
    "retryable": "f.retryable = :retryable",
    "failed_from": "f.failed_at >= :failed_from",
    "failed_to": "f.failed_at <= :failed_to",
    "text": "instr(lower(f.cause), lower(:text)) > 0",
}
_REPLAYED = {True: "f.replayed = 1", False: "f.replayed = 0"}
"""Written out: a partial index serves no parameter."""


def _tests(query: FailureQuery, *, ordered: bool = True) -> tuple[str, list[str], dict[str, Any]]:
    """The tables, the conditions and their values. `ordered`: along an index that is in order of time already."""
    given = {name: getattr(query, name) for name in _TESTS if getattr(query, name) is not None}
    where = ["true", *(_TESTS[name] for name in given)]
    if query.replayed is not None:
        where.append(_REPLAYED[query.replayed])
    if query.subscription_id is not None:
        # CROSS JOIN: SQLite keeps this order of tables.
        source = "failure_subscription AS s CROSS JOIN failure AS f ON f.id = s.failure_id"
    else:
        source = f"failure AS f INDEXED BY {_index(query)}" if ordered else "failure AS f"
    values = {name: format_instant(value) if isinstance(value, datetime) else value for name, value in given.items()}
    return source, where, values


def _index(query: FailureQuery) -> str:
    if query.replayed:
        return "failure_replayed"
    for name in ("owner", "error", "provider", "retryable"):
        if getattr(query, name) is not None:
            return f"failure_by_{name}"
    return "failure_by_time"
