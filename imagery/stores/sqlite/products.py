"""Products in SQLite: one row an item of ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from imagery.model.codec import format_instant, from_json, to_json
from imagery.model.product import Product, ProductStatus
from imagery.stores.sqlite.database import Database

MIGRATIONS = (
    (
        """CREATE TABLE product (
            subscription_id TEXT NOT NULL, collection_id TEXT NOT NULL, item_id TEXT NOT NULL,
            acquisition TEXT NOT NULL, version INTEGER NOT NULL, expires_at TEXT, body TEXT NOT NULL,
            PRIMARY KEY (subscription_id, collection_id, item_id)) WITHOUT ROWID""",
        "CREATE INDEX product_by_acquisition ON product (subscription_id, acquisition, version)",
        # Only superseded ones have an `expires_at` here, so that this stays as small as what waits for its removal.
        "CREATE INDEX product_by_expiry ON product (expires_at) WHERE expires_at IS NOT NULL",
    ),
)

PAGE = 500
"""Rows read at once by `all_of`."""


class SqliteProductStore:
    """A ProductStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("product", MIGRATIONS)

    def save(self, product: Product) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute(
                """INSERT OR REPLACE INTO product
                (subscription_id, collection_id, item_id, acquisition, version, expires_at, body)
                VALUES (?, ?, ?, ?, ?, ?, ?)""",
                (*_key(product), product.acquisition, product.version, _due_at(product), to_json(product)),
            )

    def of(self, subscription_id: str, acquisition: str) -> tuple[Product, ...]:
        """See the port."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT body FROM product WHERE subscription_id = ? AND acquisition = ? "
                "ORDER BY version, collection_id, item_id",
                (subscription_id, acquisition),
            ).fetchall()
        return tuple(from_json(Product, row["body"]) for row in rows)

    def all_of(self, subscription_id: str) -> Iterator[Product]:
        """See the port. Read page by page: whoever takes them slowly holds nothing open."""
        after = ("", "")
        while True:
            with self._database.read() as connection:
                rows = connection.execute(
                    "SELECT collection_id, item_id, body FROM product "
                    "WHERE subscription_id = ? AND (collection_id, item_id) > (?, ?) "
                    "ORDER BY collection_id, item_id LIMIT ?",
                    (subscription_id, *after, PAGE),
                ).fetchall()
            for row in rows:
                yield from_json(Product, row["body"])
            if len(rows) < PAGE:
                return
            after = (rows[-1]["collection_id"], rows[-1]["item_id"])

    def expired(self, *, now: datetime, limit: int) -> tuple[Product, ...]:
        """See the port."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT body FROM product WHERE expires_at <= ? "
                "ORDER BY expires_at, subscription_id, collection_id, item_id LIMIT ?",
                (format_instant(now), limit),
            ).fetchall()
        return tuple(from_json(Product, row["body"]) for row in rows)

    def remove(self, product: Product) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute(
                "DELETE FROM product WHERE subscription_id = ? AND collection_id = ? AND item_id = ?", _key(product)
            )

    def forget(self, subscription_id: str) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM product WHERE subscription_id = ?", (subscription_id,))


def _key(product: Product) -> tuple[str, str, str]:
    return (product.subscription_id, product.collection_id, product.item_id)


def _due_at(product: Product) -> str | None:
    """When it is to be removed, if it has been superseded; a current one never is."""
    if product.status is not ProductStatus.SUPERSEDED or product.expires_at is None:
        return None
    return format_instant(product.expires_at)
