"""API keys in SQLite, hashed."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from imagery.errors import Conflict, KeyUnknown
from imagery.model.access import ApiKey
from imagery.model.codec import format_instant, parse_instant
from imagery.stores.sqlite.database import Database

MIGRATIONS = (
    (
        """CREATE TABLE api_key (
            id TEXT PRIMARY KEY, owner TEXT NOT NULL, secret_sha256 TEXT NOT NULL, operator INTEGER NOT NULL,
            created_at TEXT NOT NULL, revoked_at TEXT)""",
    ),
)


class SqliteKeyStore:
    """A KeyStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("key", MIGRATIONS)

    def add(self, key: ApiKey) -> None:
        """See the port. Raises Conflict when there is one of this id."""
        revoked_at = format_instant(key.revoked_at) if key.revoked_at else None
        values = (key.id, key.owner, key.secret_sha256, key.operator, format_instant(key.created_at), revoked_at)
        try:
            with self._database.write() as connection:
                connection.execute(
                    "INSERT INTO api_key (id, owner, secret_sha256, operator, created_at, revoked_at) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    values,
                )
        except sqlite3.IntegrityError as error:
            raise Conflict(f"there is an API key {key.id} already; make one with another id") from error

    def get(self, key_id: str) -> ApiKey:
        """See the port."""
        with self._database.read() as connection:
            row = connection.execute("SELECT * FROM api_key WHERE id = ?", (key_id,)).fetchone()
        if row is None:
            raise KeyUnknown(f"no API key {key_id}")
        return _read(row)

    def list(self) -> tuple[ApiKey, ...]:
        """See the port."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT * FROM api_key ORDER BY created_at, id").fetchall()
        return tuple(map(_read, rows))

    def revoke(self, key_id: str, *, now: datetime) -> None:
        """See the port. One that is revoked already keeps its time."""
        with self._database.write() as connection:
            changed = connection.execute(
                "UPDATE api_key SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (format_instant(now), key_id)
            ).rowcount
        if changed == 0:
            raise KeyUnknown(f"no API key {key_id}")


def _read(row: sqlite3.Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        owner=row["owner"],
        secret_sha256=row["secret_sha256"],
        operator=bool(row["operator"]),
        created_at=parse_instant(row["created_at"]),
        revoked_at=parse_instant(row["revoked_at"]) if row["revoked_at"] else None,
    )
