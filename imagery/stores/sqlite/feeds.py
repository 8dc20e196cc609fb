"""How far each feed has been read, in SQLite."""

from __future__ import annotations

from imagery.model.codec import from_json, to_json
from imagery.model.feed import FeedCursor
from imagery.stores.sqlite.database import Database

MIGRATIONS = (
    (
        """CREATE TABLE feed (
            provider TEXT NOT NULL, collection TEXT NOT NULL, body TEXT NOT NULL,
            PRIMARY KEY (provider, collection))""",
    ),
)


class SqliteFeedStore:
    """A FeedStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: dict[tuple[str, str], tuple[str, FeedCursor]] = {}
        """As last read: lists of subscriptions ask for each of theirs, and parsing a long `seen` takes milliseconds."""
        database.migrate("feed", MIGRATIONS)

    def get(self, provider: str, collection: str) -> FeedCursor | None:
        """See the port."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT body FROM feed WHERE provider = ? AND collection = ?", (provider, collection)
            ).fetchone()
        if row is None:
            return None
        known = self._read.get((provider, collection))
        if known is None or known[0] != row["body"]:
            known = (row["body"], from_json(FeedCursor, row["body"]))
            self._read[provider, collection] = known
        return known[1]

    def save(self, cursor: FeedCursor) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO feed (provider, collection, body) VALUES (?, ?, ?)",
                (cursor.provider, cursor.collection, to_json(cursor)),
            )

    def list(self) -> tuple[FeedCursor, ...]:
        """See the port; by provider and collection."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT body FROM feed ORDER BY provider, collection").fetchall()
        return tuple(from_json(FeedCursor, row["body"]) for row in rows)
