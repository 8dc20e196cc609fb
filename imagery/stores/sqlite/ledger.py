"""The ledger in SQLite: one row a (subscription, source item)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from imagery.model.codec import format_instant, from_json, to_json
from imagery.model.outcome import Outcome, OutcomeQuery, OutcomeStatus
from imagery.model.paging import Page
from imagery.stores.sqlite.cursors import page_of, parse_cursor
from imagery.stores.sqlite.database import Database

MIGRATIONS = (
    (
        """CREATE TABLE outcome (
            subscription_id TEXT NOT NULL, item_id TEXT NOT NULL, status TEXT NOT NULL, acquired_at TEXT NOT NULL,
            source_updated_at TEXT, body TEXT NOT NULL, UNIQUE (subscription_id, item_id))""",
        "CREATE INDEX outcome_by_time ON outcome (subscription_id, acquired_at, item_id)",
        "CREATE INDEX outcome_by_status ON outcome (subscription_id, status, acquired_at, item_id)",
    ),
)

_RECORD = """INSERT INTO outcome (subscription_id, item_id, status, acquired_at, source_updated_at, body)
    VALUES (:subscription_id, :item_id, :status, :acquired_at, :source_updated_at, :body)
    ON CONFLICT (subscription_id, item_id) DO UPDATE SET status = excluded.status, acquired_at = excluded.acquired_at,
    source_updated_at = excluded.source_updated_at, body = excluded.body
    WHERE excluded.status <> 'waiting' OR status = 'waiting'
    OR (excluded.source_updated_at IS NOT NULL AND coalesce(source_updated_at, '') < excluded.source_updated_at)
    OR ((status = 'failed' OR json_extract(outcome.body, '$.reason') IN ('inactive', 'cloudy', 'coverage', 'unclear'))
    AND json_extract(outcome.body, '$.request_id') <> json_extract(excluded.body, '$.request_id'))"""
"""Last lines: work begins again only on a later state of the item, by a replay, or by another request where none was
done because the subscription was paused at the time or had other filters; a late WAITING hides no outcome."""


class SqliteLedger:
    """A Ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("ledger", MIGRATIONS)

    def record(self, outcome: Outcome) -> None:
        """See the port."""
        columns = {
            "subscription_id": outcome.subscription_id,
            "item_id": outcome.item_id,
            "status": outcome.status.value,
            "acquired_at": format_instant(outcome.acquired_at),
            "source_updated_at": format_instant(outcome.source_updated_at) if outcome.source_updated_at else None,
            "body": to_json(outcome),
        }
        with self._database.write() as connection:
            connection.execute(_RECORD, columns)

    def get(self, subscription_id: str, item_id: str) -> Outcome | None:
        """See the port."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT body FROM outcome WHERE subscription_id = ? AND item_id = ?", (subscription_id, item_id)
            ).fetchone()
        return from_json(Outcome, row["body"]) if row else None

    def find(self, query: OutcomeQuery) -> Page[Outcome]:
        """See the port."""
        position = parse_cursor(query, (str, str))
        where, values = _tests(query)
        if position is not None:
            where.append("(acquired_at, item_id) < (:before, :before_id)")
            values |= {"before": position[0], "before_id": position[1]}
        index = "outcome_by_status" if query.status else "outcome_by_time"
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT acquired_at, item_id, body FROM outcome INDEXED BY {index} WHERE {' AND '.join(where)} "
                "ORDER BY acquired_at DESC, item_id DESC LIMIT :count",
                {**values, "count": query.limit + 1},
            ).fetchall()
        return page_of(query, [_placed(row) for row in rows])

    def counts(self, subscription_id: str) -> Mapping[OutcomeStatus, int]:
        """See the port."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT status, count(*) FROM outcome INDEXED BY outcome_by_status WHERE subscription_id = ? "
                "GROUP BY status",
                (subscription_id,),
            ).fetchall()
        return dict.fromkeys(OutcomeStatus, 0) | {OutcomeStatus(status): count for status, count in rows}

    def remove(self, subscription_id: str) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM outcome WHERE subscription_id = ?", (subscription_id,))


def _tests(query: OutcomeQuery) -> tuple[list[str], dict[str, Any]]:
    where = ["subscription_id = :subscription_id"]
    values: dict[str, Any] = {"subscription_id": query.subscription_id}
    if query.status is not None:
        where.append("status = :status")
        values["status"] = query.status.value
    if query.acquired_from is not None:
        where.append("acquired_at >= :acquired_from")
        values["acquired_from"] = format_instant(query.acquired_from)
    if query.acquired_to is not None:
        where.append("acquired_at <= :acquired_to")
        values["acquired_to"] = format_instant(query.acquired_to)
    return where, values


def _placed(row: sqlite3.Row) -> tuple[tuple[str, str], Outcome]:
    return (row["acquired_at"], row["item_id"]), from_json(Outcome, row["body"])
