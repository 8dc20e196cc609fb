"""Deletions in SQLite."""

from __future__ import annotations

from imagery.model.codec import format_instant, from_json, to_json
from imagery.model.deletion import Deletion, DeletionQuery
from imagery.model.paging import Page
from imagery.stores.sqlite.cursors import page_of, parse_cursor
from imagery.stores.sqlite.database import Database

MIGRATIONS = (
    (
        """CREATE TABLE deletion (
            subscription_id TEXT PRIMARY KEY, owner TEXT NOT NULL, began_at TEXT NOT NULL, finished INTEGER NOT NULL,
            body TEXT NOT NULL)""",
        "CREATE INDEX deletion_by_time ON deletion (began_at, subscription_id)",
        "CREATE INDEX deletion_by_owner ON deletion (owner, began_at, subscription_id)",
    ),
)


class SqliteDeletionStore:
    """A DeletionStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("deletion", MIGRATIONS)

    def save(self, deletion: Deletion) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO deletion (subscription_id, owner, began_at, finished, body) "
                "VALUES (?, ?, ?, ?, ?)",
                (
                    *(deletion.subscription_id, deletion.owner, format_instant(deletion.began_at)),
                    *(deletion.finished_at is not None, to_json(deletion)),
                ),
            )

    def get(self, subscription_id: str) -> Deletion | None:
        """See the port."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT body FROM deletion WHERE subscription_id = ?", (subscription_id,)
            ).fetchone()
        return from_json(Deletion, row["body"]) if row else None

    def find(self, query: DeletionQuery) -> Page[Deletion]:
        """See the port."""
        position = parse_cursor(query, (str, str))
        where, values = ["true"], {"owner": query.owner, "finished": query.finished, "count": query.limit + 1}
        where += [f"{name} = :{name}" for name in ("owner", "finished") if values[name] is not None]
        if position is not None:
            where.append("(began_at, subscription_id) < (:before, :before_id)")
            values |= {"before": str(position[0]), "before_id": str(position[1])}
        index = "deletion_by_time" if query.owner is None else "deletion_by_owner"
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT subscription_id, began_at, body FROM deletion INDEXED BY {index} "
                f"WHERE {' AND '.join(where)} ORDER BY began_at DESC, subscription_id DESC LIMIT :count",
                values,
            ).fetchall()
        return page_of(
            query, [((row["began_at"], row["subscription_id"]), from_json(Deletion, row["body"])) for row in rows]
        )
