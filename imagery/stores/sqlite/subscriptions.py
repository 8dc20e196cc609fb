"""Subscriptions in SQLite: what queries test in columns and an R*Tree, the rest in a JSON body."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import datetime

from imagery.errors import IdempotencyConflict, SubscriptionUnknown, VersionConflict
from imagery.model.codec import format_instant, from_json, parse_instant, to_json
from imagery.model.paging import Page
from imagery.model.subscription import Idempotency, Subscription, SubscriptionQuery, SubscriptionStatus
from imagery.stores.sqlite import subscription_counts
from imagery.stores.sqlite.boxes import Bbox, parts_of
from imagery.stores.sqlite.cursors import page_of, parse_cursor
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.subscription_counts import is_live, refuse_one_more
from imagery.stores.sqlite.subscription_search import search

MIGRATIONS = (
    (
        # `number` is the order of creation: AUTOINCREMENT, because a number used again would slip past a cursor.
        """CREATE TABLE subscription (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
            provider TEXT NOT NULL, status TEXT NOT NULL, delete_at TEXT,
            west REAL NOT NULL, south REAL NOT NULL, east REAL NOT NULL, north REAL NOT NULL,
            version INTEGER NOT NULL, checked_through TEXT, last_update_at TEXT, body TEXT NOT NULL)""",
        # Every index ends in the row's number, so each walk of one is in order of creation already.
        "CREATE INDEX subscription_by_owner ON subscription (owner, status)",
        "CREATE INDEX subscription_by_provider ON subscription (provider, status)",
        "CREATE INDEX subscription_by_status ON subscription (status)",
        "CREATE INDEX subscription_by_delete_at ON subscription (delete_at) WHERE delete_at IS NOT NULL",
        # Two rows a subscription at most: an R*Tree knows no antimeridian. Its id is 2 * number, and one more.
        "CREATE VIRTUAL TABLE subscription_box USING rtree (id, west, east, south, north)",
        """CREATE TABLE idempotency (
            owner TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, subscription_id TEXT NOT NULL,
            PRIMARY KEY (owner, key)) WITHOUT ROWID""",
        "CREATE INDEX idempotency_by_subscription ON idempotency (subscription_id)",
    ),
    (
        "ALTER TABLE subscription ADD COLUMN collection TEXT NOT NULL DEFAULT ''",
        "UPDATE subscription SET collection = json_extract(body, '$.collection')",
        "CREATE INDEX subscription_by_feed ON subscription (status, provider, collection)",
    ),
    (
        "ALTER TABLE subscription ADD COLUMN end_at TEXT",
        # Cut to milliseconds here: such a row is found a little early, and never late.
        """UPDATE subscription SET end_at = strftime('%Y-%m-%dT%H:%M:%f', json_extract(body, '$.end_at')) || '000Z'
            WHERE json_extract(body, '$.end_at') IS NOT NULL""",
        "CREATE INDEX subscription_by_end_at ON subscription (status, end_at) WHERE end_at IS NOT NULL",
    ),
)


_NEXT_FEED = """SELECT provider, collection FROM subscription INDEXED BY subscription_by_feed
    WHERE status = 'active' AND (provider, collection) > (?, ?) ORDER BY provider, collection LIMIT 1"""


class SqliteSubscriptionStore:
    """A SubscriptionStore; no call but a search costs more as subscriptions grow to millions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("subscription", MIGRATIONS)
        database.migrate("subscription_count", subscription_counts.MIGRATIONS)

    def add(
        self, subscription: Subscription, *, idempotency: Idempotency | None = None, most: int | None = None
    ) -> Subscription:
        """See the port. Raises VersionConflict when there is one of this id."""
        with self._database.write() as connection:
            if idempotency is not None:
                earlier = _earlier(connection, subscription.owner, idempotency)
                if earlier is not None:
                    return earlier
            refuse_one_more(connection, subscription, most)
            _insert(connection, subscription)
            if idempotency is not None:
                connection.execute(
                    "INSERT INTO idempotency (owner, key, fingerprint, subscription_id) VALUES (?, ?, ?, ?)",
                    (subscription.owner, idempotency.key, idempotency.fingerprint, subscription.id),
                )
        return subscription

    def get(self, subscription_id: str) -> Subscription:
        """See the port."""
        with self._database.read() as connection:
            return _get(connection, subscription_id)

    def replace(self, subscription: Subscription, *, most: int | None = None) -> None:
        """See the port."""
        with self._database.write() as connection:
            row = connection.execute(
                "SELECT number, version, status FROM subscription WHERE id = ?", (subscription.id,)
            ).fetchone()
            if row is None:
                raise _unknown(subscription.id)
            if row["version"] != subscription.version - 1:
                raise VersionConflict(
                    f"subscription {subscription.id} stands at version {row['version']}; read it again, then change it"
                )
            if not is_live(SubscriptionStatus(row["status"])):
                refuse_one_more(connection, subscription, most)
            connection.execute(
                """UPDATE subscription SET owner = :owner, provider = :provider, collection = :collection,
                status = :status, delete_at = :delete_at, end_at = :end_at, west = :west, south = :south, east = :east,
                north = :north, version = :version, body = :body
                WHERE number = :number""",
                {**_columns(subscription), "number": row["number"]},
            )
            _remove_box(connection, row["number"])
            _insert_box(connection, row["number"], subscription.aoi.bbox)

    def mark(
        self, subscription_id: str, *, checked_through: datetime | None = None, last_update_at: datetime | None = None
    ) -> None:
        """See the port."""
        marks = {"checked_through": checked_through, "last_update_at": last_update_at}
        with self._database.write() as connection:
            for column, instant in marks.items():
                if instant is not None:
                    text = format_instant(instant)
                    connection.execute(
                        f"UPDATE subscription SET {column} = ? WHERE id = ? AND ({column} IS NULL OR {column} < ?)",
                        (text, subscription_id, text),
                    )

    def find(self, query: SubscriptionQuery) -> Page[Subscription]:
        """See the port."""
        position = parse_cursor(query, (int,))
        after = int(position[0]) if position else 0
        with self._database.read() as connection:
            rows = search(connection, query, after)
        return page_of(query, [((row["number"],), _read(row)) for row in rows])

    def feeds(self) -> tuple[tuple[str, str], ...]:
        """See the port."""
        found: list[tuple[str, str]] = []
        last = ("", "")
        with self._database.read() as connection:
            # From each to the one after it: DISTINCT would walk every active subscription.
            while row := connection.execute(_NEXT_FEED, last).fetchone():
                last = (row["provider"], row["collection"])
                found.append(last)
        return tuple(found)

    def remove(self, subscription_id: str) -> None:
        """See the port."""
        with self._database.write() as connection:
            row = connection.execute("SELECT number FROM subscription WHERE id = ?", (subscription_id,)).fetchone()
            if row is not None:
                _remove_box(connection, row["number"])
                connection.execute("DELETE FROM subscription WHERE number = ?", (row["number"],))
                connection.execute("DELETE FROM idempotency WHERE subscription_id = ?", (subscription_id,))


def _earlier(connection: sqlite3.Connection, owner: str, idempotency: Idempotency) -> Subscription | None:
    row = connection.execute(
        "SELECT fingerprint, subscription_id FROM idempotency WHERE owner = ? AND key = ?", (owner, idempotency.key)
    ).fetchone()
    if row is None:
        return None
    if row["fingerprint"] != idempotency.fingerprint:
        raise IdempotencyConflict(
            f"the idempotency key {idempotency.key!r} came with another body before; send a new key with a new body"
        )
    return _get(connection, row["subscription_id"])


def _get(connection: sqlite3.Connection, subscription_id: str) -> Subscription:
    row = connection.execute(
        "SELECT checked_through, last_update_at, body FROM subscription WHERE id = ?", (subscription_id,)
    ).fetchone()
    if row is None:
        raise _unknown(subscription_id)
    return _read(row)


def _insert(connection: sqlite3.Connection, subscription: Subscription) -> None:
    progress = {
        "checked_through": _instant(subscription.checked_through),
        "last_update_at": _instant(subscription.last_update_at),
    }
    try:
        cursor = connection.execute(
            """INSERT INTO subscription (id, owner, provider, collection, status, delete_at, end_at, west, south, east,
            north, version, checked_through, last_update_at, body) VALUES (:id, :owner, :provider, :collection, :status,
            :delete_at, :end_at, :west, :south, :east, :north, :version, :checked_through, :last_update_at, :body)""",
            {**_columns(subscription), **progress},
        )
    except sqlite3.IntegrityError as error:
        raise VersionConflict(f"there is a subscription {subscription.id} already; replace it") from error
    assert cursor.lastrowid is not None
    _insert_box(connection, cursor.lastrowid, subscription.aoi.bbox)


def _insert_box(connection: sqlite3.Connection, number: int, bbox: Bbox) -> None:
    for part, (west, south, east, north) in enumerate(parts_of(bbox)):
        connection.execute(
            "INSERT INTO subscription_box (id, west, east, south, north) VALUES (?, ?, ?, ?, ?)",
            (2 * number + part, west, east, south, north),
        )


def _remove_box(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("DELETE FROM subscription_box WHERE id IN (?, ?)", (2 * number, 2 * number + 1))


def _columns(subscription: Subscription) -> dict[str, object]:
    west, south, east, north = subscription.aoi.bbox
    return {
        "id": subscription.id,
        "owner": subscription.owner,
        "provider": subscription.provider,
        "collection": subscription.collection,
        "status": subscription.status.value,
        "delete_at": _instant(subscription.delete_at),
        "end_at": _instant(subscription.end_at),
        "west": west,
        "south": south,
        "east": east,
        "north": north,
        "version": subscription.version,
        # Progress has columns of its own, which `replace` does not touch.
        "body": to_json(replace(subscription, checked_through=None, last_update_at=None)),
    }


def _read(row: sqlite3.Row) -> Subscription:
    checked_through, last_update_at = row["checked_through"], row["last_update_at"]
    return replace(
        from_json(Subscription, row["body"]),
        checked_through=parse_instant(checked_through) if checked_through else None,
        last_update_at=parse_instant(last_update_at) if last_update_at else None,
    )


def _instant(instant: datetime | None) -> str | None:
    return format_instant(instant) if instant else None


def _unknown(subscription_id: str) -> SubscriptionUnknown:
    return SubscriptionUnknown(f"no subscription {subscription_id}")
