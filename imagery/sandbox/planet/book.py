"""What the local Planet remembers: orders, calls to webhooks, searches. SQLite, so that killing it loses nothing."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from imagery.model.codec import format_instant

_TABLES = """
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, state TEXT NOT NULL,
    request TEXT NOT NULL, url TEXT NOT NULL, hectares REAL NOT NULL, created_on TEXT NOT NULL,
    last_modified TEXT NOT NULL, next_at TEXT, message TEXT NOT NULL, hints TEXT NOT NULL, results TEXT NOT NULL,
    fault TEXT);
CREATE INDEX IF NOT EXISTS orders_due ON orders (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS orders_name ON orders (name);
CREATE TABLE IF NOT EXISTS calls (
    number INTEGER PRIMARY KEY AUTOINCREMENT, order_id TEXT NOT NULL, url TEXT NOT NULL, body TEXT NOT NULL,
    due_at TEXT, outcome TEXT);
CREATE INDEX IF NOT EXISTS calls_due ON calls (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS searches (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS activations (item_id TEXT, asset TEXT, active_at TEXT, PRIMARY KEY (item_id, asset));
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One order."""

    id: str
    name: str
    state: str
    request: Mapping[str, Any] = field(repr=False)
    """The body it was created with."""

    url: str
    """Root of the API it was created at."""

    hectares: float
    created_on: str
    last_modified: str
    next_at: str | None
    """When it takes its next state; None: it stays as it is."""

    message: str
    hints: Sequence[str] = ()
    results: Sequence[str] = ()
    """Paths of its files below its folder; the manifest last."""

    fault: str | None = None
    """What was decided to go wrong with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call to a webhook."""

    number: int
    order_id: str
    url: str = field(repr=False)
    body: str = field(repr=False)
    outcome: str | None
    """Status it was answered with, or why there was none; None: not called yet."""


_COLUMNS = tuple(one.name for one in fields(Row))
_AS_JSON = ("request", "hints", "results")


class Book:
    """Any thread. `close` it."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_TABLES)

    def close(self) -> None:
        """Nothing may be asked of it afterwards."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written inside is written whole or not at all, and no other thread comes between."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def save(self, row: Row) -> None:
        """Add an order, or change it."""
        values = [_written(row, name) for name in _COLUMNS]
        updates = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "id")
        self._run(
            f"INSERT INTO orders ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(values))}) "
            f"ON CONFLICT (id) DO UPDATE SET {updates}",
            *values,
        )

    def get(self, order_id: str) -> Row | None:
        """One order."""
        found = self._run("SELECT * FROM orders WHERE id = ?", order_id)
        return _row(found[0]) if found else None

    def orders(self, *, name: str | None = None) -> list[Row]:
        """All orders, or those of a name, the newest first."""
        if name is not None:
            found = self._run("SELECT * FROM orders WHERE name = ? ORDER BY number DESC", name)
        else:
            found = self._run("SELECT * FROM orders ORDER BY number DESC")
        return [_row(one) for one in found]

    def count_by_name(self) -> dict[str, int]:
        """Name → orders ever created under it."""
        found = self._run("SELECT name, count(*) AS orders FROM orders GROUP BY name ORDER BY min(number)")
        return {one["name"]: one["orders"] for one in found}

    def due(self, now: datetime, *, limit: int = 50) -> list[Row]:
        """Orders whose next state has come, longest due first."""
        found = self._run(
            "SELECT * FROM orders WHERE next_at <= ? ORDER BY next_at, number LIMIT ?", format_instant(now), limit
        )
        return [_row(one) for one in found]

    def hectares(self) -> float:
        """Of all orders that were neither cancelled nor failed."""
        found = self._run("SELECT total(hectares) AS sum FROM orders WHERE state NOT IN ('cancelled', 'failed')")
        return float(found[0]["sum"])

    def plan_call(self, order_id: str, url: str, body: str, *, due_at: datetime | None, outcome: str | None) -> int:
        """Keep a call that is to be made, or that was lost; its number."""
        due = None if due_at is None else format_instant(due_at)
        with self.together():
            self._run(
                "INSERT INTO calls (order_id, url, body, due_at, outcome) VALUES (?, ?, ?, ?, ?)",
                *(order_id, url, body, due, outcome),
            )
            return int(self._run("SELECT last_insert_rowid() AS number")[0]["number"])

    def calls_due(self, now: datetime) -> list[Call]:
        """Calls to be made."""
        found = self._run("SELECT * FROM calls WHERE due_at <= ? ORDER BY number LIMIT 50", format_instant(now))
        return [_call(one) for one in found]

    def called(self, number: int, outcome: str) -> None:
        """It was made."""
        self._run("UPDATE calls SET due_at = NULL, outcome = ? WHERE number = ?", outcome, number)

    def calls(self) -> list[Call]:
        """All calls, oldest first."""
        return [_call(one) for one in self._run("SELECT * FROM calls ORDER BY number")]

    def save_search(self, search_id: str, kind: str, document: Mapping[str, Any]) -> None:
        """Add a search (`quick` or `saved`), or change it."""
        self._run(
            "INSERT INTO searches (id, kind, document) VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET document = excluded.document",
            *(search_id, kind, json.dumps(document)),
        )

    def searches(self, *, kind: str | None = None, search_id: str | None = None) -> list[dict[str, Any]]:
        """Documents of searches, newest first."""
        found = self._run(
            "SELECT document FROM searches WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR id = ?2) "
            "ORDER BY number DESC",
            *(kind, search_id),
        )
        return [json.loads(one["document"]) for one in found]

    def forget_search(self, search_id: str) -> None:
        """If there is one."""
        self._run("DELETE FROM searches WHERE id = ?", search_id)

    def activate(self, item_id: str, asset: str, *, active_at: datetime) -> None:
        """Once: a second time changes nothing."""
        self._run("INSERT OR IGNORE INTO activations VALUES (?, ?, ?)", item_id, asset, format_instant(active_at))

    def active_at(self, item_id: str, asset: str) -> str | None:
        """When an asset is or becomes active; None: nobody asked for it."""
        found = self._run("SELECT active_at FROM activations WHERE item_id = ? AND asset = ?", item_id, asset)
        return str(found[0]["active_at"]) if found else None

    def secret(self) -> bytes:
        """What links are signed with; the same after a restart."""
        self._run("INSERT OR IGNORE INTO secrets VALUES ('links', ?)", secrets.token_hex(32))
        return bytes.fromhex(self._run("SELECT value FROM secrets WHERE name = 'links'")[0]["value"])

    def _run(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()


def _written(row: Row, name: str) -> Any:
    value = getattr(row, name)
    return json.dumps(value) if name in _AS_JSON else value


def _row(found: sqlite3.Row) -> Row:
    values = {name: json.loads(found[name]) if name in _AS_JSON else found[name] for name in _COLUMNS}
    return Row(**values)


def _call(found: sqlite3.Row) -> Call:
    return Call(**{one.name: found[one.name] for one in fields(Call)})
