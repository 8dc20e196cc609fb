"""The catalog's file, as its readers and writers see it. Every read is for a scope: one owner, or everybody (None)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagery.catalogs.sqlite import extents, writing
from imagery.catalogs.sqlite.conditions import ItemQuery, conditions_of
from imagery.catalogs.sqlite.connections import Connections
from imagery.catalogs.sqlite.extents import Extent
from imagery.catalogs.sqlite.geometry import SENT, Limits
from imagery.catalogs.sqlite.records import StoredItem, kept_links, parse_id, record_of, records_of, to_json
from imagery.catalogs.sqlite.schema import INDEXED
from imagery.catalogs.sqlite.search import ItemPage, search
from imagery.catalogs.sqlite.writing import Mode
from imagery.errors import CollectionUnknown, ItemExists, ItemUnknown


class CatalogStore:
    """STAC collections and items in one SQLite file on a local disk.

    Any number of processes and threads of one host may read and write at once. Readers never wait for writers; writers
    queue. Nothing is opened before it is used, and each process opens its own, so a store outlives a fork.

    Every method may raise CatalogUnavailable.
    """

    def __init__(self, path: Path, *, indexed: Sequence[str] = INDEXED, query_timeout_s: float = 20.0) -> None:
        """`indexed`: properties to keep an index of. A search that runs for longer than the timeout is refused."""
        self._path = Path(path)
        self._indexed = frozenset(indexed)
        self._query_timeout_s = query_timeout_s
        self._by_process: dict[int, Connections] = {}
        """Those of a parent process are kept but never touched: closing them here could undo its locks."""

    def close(self) -> None:
        """Close this process's connections; they open again when needed."""
        connections = self._by_process.pop(os.getpid(), None)
        if connections is not None:
            connections.close()

    def put_collection(self, body: Mapping[str, Any], *, mode: Mode = Mode.UPSERT) -> None:
        """Raises ItemInvalid, ItemExists (INSERT), CollectionUnknown (REPLACE)."""
        collection_id = parse_id(body.get("id"), field="/id")
        text = to_json({**body, "type": "Collection", "links": kept_links(body)}, field="/")
        with self._connections.write() as db:
            there = db.execute("SELECT 1 FROM collections WHERE id = ?", (collection_id,)).fetchone() is not None
            if there and mode is Mode.INSERT:
                raise ItemExists(f"there is a collection {collection_id!r} already")
            if not there and mode is Mode.REPLACE:
                raise CollectionUnknown(f"there is no collection {collection_id!r}")
            db.execute("INSERT OR REPLACE INTO collections VALUES (?, ?)", (collection_id, text))

    def get_collection(self, collection_id: str, *, owner: str | None = None) -> dict[str, Any]:
        """With its true extent for the scope. Raises CollectionUnknown, also where the owner has no item."""
        with self._connections.read() as session:
            found = extents.read(session.db, collection_id, owner=owner)
            row = session.db.execute("SELECT body FROM collections WHERE id = ?", (collection_id,)).fetchone()
        if row is None or (owner is not None and found is None):
            raise CollectionUnknown(f"there is no collection {collection_id[:200]!r}")
        return _collection(row[0], found)

    def collections(self, *, owner: str | None = None) -> list[dict[str, Any]]:
        """By id: those with items of the owner; for everybody, the empty ones too."""
        with self._connections.read() as session:
            found = extents.read_all(session.db, owner=owner)
            rows = session.db.execute("SELECT id, body FROM collections ORDER BY id").fetchall()
        return [_collection(body, found.get(name)) for name, body in rows if owner is None or name in found]

    def remove_collection(self, collection_id: str) -> None:
        """And all its items. Raises CollectionUnknown."""
        with self._connections.write() as db:
            if db.execute("DELETE FROM collections WHERE id = ?", (collection_id,)).rowcount == 0:
                raise CollectionUnknown(f"there is no collection {collection_id[:200]!r}")
            pks = [pk for (pk,) in db.execute("SELECT pk FROM items WHERE collection = ?", (collection_id,))]
            db.executemany("DELETE FROM items_rtree WHERE rid IN (?, ?)", [(2 * pk, 2 * pk + 1) for pk in pks])
            db.executemany("DELETE FROM bodies WHERE pk = ?", [(pk,) for pk in pks])
            db.execute("DELETE FROM items WHERE collection = ?", (collection_id,))
            db.execute("DELETE FROM extents WHERE collection = ?", (collection_id,))

    def put_items(
        self,
        items: Iterable[Mapping[str, Any]],
        *,
        mode: Mode = Mode.UPSERT,
        owner: str | None = None,
        limits: Limits = SENT,
    ) -> None:
        """All of them, durably, or none. `owner`: whose items REPLACE may replace.

        Raises ItemInvalid, CollectionUnknown, ItemExists, ItemUnknown.
        """
        records = records_of(items, limits=limits)
        with self._connections.write() as db:
            writing.put(db, records, mode=mode, owner=owner)

    def change_item(
        self,
        collection_id: str,
        item_id: str,
        change: Callable[[StoredItem], Mapping[str, Any]],
        *,
        owner: str | None = None,
        limits: Limits = SENT,
    ) -> None:
        """Read, change and write one item with no other writer in between. Raises ItemUnknown, ItemInvalid."""
        with self._connections.write() as db:
            row = db.execute(_ITEM, (item_id, collection_id)).fetchone()
            stored = _visible(row, collection_id, item_id, owner=owner)
            writing.put(db, [record_of(change(stored), limits=limits)], mode=Mode.REPLACE, owner=owner)

    def remove_item(
        self, collection_id: str, item_id: str, allow: Callable[[StoredItem], None], *, owner: str | None = None
    ) -> None:
        """Take one out unless `allow` raises, with no other writer in between. Raises ItemUnknown."""
        with self._connections.write() as db:
            row = db.execute(_ITEM, (item_id, collection_id)).fetchone()
            allow(_visible(row, collection_id, item_id, owner=owner))
            writing.remove(db, [row for row in writing.rows_of(db, [item_id]) if row.collection == collection_id])

    def remove_items(self, collection_id: str, item_ids: Iterable[str], *, owner: str | None = None) -> int:
        """How many of them were there, for the scope, and are gone."""
        with self._connections.write() as db:
            rows = [
                row
                for row in writing.rows_of(db, item_ids)
                if row.collection == collection_id and (owner is None or row.owner == owner)
            ]
            writing.remove(db, rows)
        return len(rows)

    def get_item(self, collection_id: str, item_id: str, *, owner: str | None = None) -> StoredItem:
        """Raises ItemUnknown, also for another owner's."""
        with self._connections.read() as session:
            row = session.db.execute(_ITEM, (item_id, collection_id)).fetchone()
        return _visible(row, collection_id, item_id, owner=owner)

    def search(self, query: ItemQuery, *, owner: str | None = None) -> ItemPage:
        """One page. Raises FilterInvalid, CursorInvalid."""
        asked = conditions_of(query, owner=owner)
        with self._connections.read() as session:
            return search(session, query, asked, indexed=self._indexed)

    @property
    def _connections(self) -> Connections:
        mine = self._by_process.get(os.getpid())
        if mine is None:
            fresh = Connections(self._path, indexed=sorted(self._indexed), query_timeout_s=self._query_timeout_s)
            mine = self._by_process.setdefault(os.getpid(), fresh)
        return mine


_ITEM = """SELECT i.id, i.collection, i.owner, i.props, b.body FROM items i INDEXED BY items_id
    JOIN bodies b USING (pk) WHERE i.id = ? AND i.collection = ?"""


def _visible(row: Any, collection_id: str, item_id: str, *, owner: str | None) -> StoredItem:
    if row is None or (owner is not None and row[2] != owner):
        raise ItemUnknown(f"{collection_id[:200]} has no item {item_id[:200]!r}")
    return StoredItem.of_row(*row)


def _collection(text: str, extent: Extent | None) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(text)
    if extent is not None:
        body["extent"] = extent.to_stac()
    return body
