"""Rows in and out of the catalog's tables, within a transaction its caller opened; the extents follow along."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from itertools import islice

from imagery.catalogs.sqlite import extents
from imagery.catalogs.sqlite.conditions import days
from imagery.catalogs.sqlite.extents import Extent
from imagery.catalogs.sqlite.records import Record
from imagery.errors import CollectionUnknown, ItemExists, ItemUnknown

Key = tuple[str, str]
"""(collection, id): of items; (collection, owner): of extents."""


class Mode(Enum):
    """What is to be there before a write."""

    INSERT = "insert"
    """Nothing, or ItemExists."""

    REPLACE = "replace"
    """An item of the scope, or ItemUnknown."""

    UPSERT = "upsert"
    """Either."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What the tables know of an item that is there."""

    pk: int
    id: str
    collection: str
    owner: str
    extent: Extent


def put(db: sqlite3.Connection, records: Iterable[Record], *, mode: Mode, owner: str | None) -> None:
    """Write all, over what was there. Of one id given twice the last counts. `owner` is the scope of REPLACE.

    Raises CollectionUnknown, ItemExists, ItemUnknown.
    """
    wanted = {(record.collection, record.id): record for record in records}
    for collection_id in {record.collection for record in wanted.values()}:
        _require_collection(db, collection_id)
    before = {(row.collection, row.id): row for row in rows_of(db, {key[1] for key in wanted})}
    before = {key: row for key, row in before.items() if key in wanted}
    _require_mode(wanted, before, mode=mode, owner=owner)
    _write_rows(db, wanted, before)
    _move_extents(db, wanted, before)
    spread = max((max(r.t1 - r.dt, r.dt - r.t0) for r in wanted.values()), default=0)
    db.execute("UPDATE spread SET us = ? WHERE us < ?", (spread, spread))


def remove(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Take items out."""
    db.executemany("DELETE FROM items_rtree WHERE rid IN (?, ?)", [(2 * row.pk, 2 * row.pk + 1) for row in rows])
    db.executemany("DELETE FROM bodies WHERE pk = ?", [(row.pk,) for row in rows])
    db.executemany("DELETE FROM items WHERE pk = ?", [(row.pk,) for row in rows])
    for (collection_id, owner), extent in _grouped((r.collection, r.owner, r.extent) for r in rows).items():
        extents.take(db, collection_id, owner, extent)


def rows_of(db: sqlite3.Connection, ids: Iterable[str]) -> list[Row]:
    """Items of these ids, of any collection and owner."""
    rows: list[Row] = []
    rest = iter(sorted(set(ids)))
    # Not (id, collection) IN (VALUES …): SQLite scans the whole index for that.
    while chunk := list(islice(rest, 500)):
        sql = f"""SELECT pk, id, collection, owner, west, south, east, north, t0, t1
            FROM items INDEXED BY items_id WHERE id IN ({",".join("?" * len(chunk))})"""
        for pk, item_id, collection, owner, *bbox, t0, t1 in db.execute(sql, chunk):
            extent = Extent.of((bbox[0], bbox[1], bbox[2], bbox[3]), t0, t1)
            rows.append(Row(pk=pk, id=item_id, collection=collection, owner=owner, extent=extent))
    return rows


def _require_collection(db: sqlite3.Connection, collection_id: str) -> None:
    if db.execute("SELECT 1 FROM collections WHERE id = ?", (collection_id,)).fetchone() is None:
        raise CollectionUnknown(f"there is no collection {collection_id!r}; make it before its items")


def _require_mode(wanted: dict[Key, Record], before: dict[Key, Row], *, mode: Mode, owner: str | None) -> None:
    if mode is Mode.INSERT and before:
        collection_id, item_id = next(iter(before))
        raise ItemExists(f"{collection_id} has an item {item_id!r} already; choose another id, or replace it")
    if mode is Mode.REPLACE:
        for key in wanted:
            if key not in before or (owner is not None and before[key].owner != owner):
                raise ItemUnknown(f"{key[0]} has no item {key[1]!r}")


def _write_rows(db: sqlite3.Connection, wanted: dict[Key, Record], before: dict[Key, Row]) -> None:
    next_pk = 1 + (db.execute("SELECT max(pk) FROM items").fetchone()[0] or 0)
    items, bodies, boxes = [], [], []
    for key, record in wanted.items():
        if key in before:
            pk = before[key].pk
        else:
            pk, next_pk = next_pk, next_pk + 1
        times = (record.dt, record.t0, record.t1)
        items.append((pk, record.id, record.collection, record.owner, *times, *record.bbox, record.wkb, record.props))
        bodies.append((pk, record.body))
        span = days(record.t0), days(record.t1)
        for half, (west, south, east, north) in enumerate(record.boxes):
            boxes.append((2 * pk + half, west, east, south, north, *span))
    old = [(2 * row.pk, 2 * row.pk + 1) for row in before.values()]
    db.executemany("DELETE FROM items_rtree WHERE rid IN (?, ?)", old)
    db.executemany("INSERT OR REPLACE INTO items VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", items)
    db.executemany("INSERT OR REPLACE INTO bodies VALUES (?,?)", bodies)
    db.executemany("INSERT INTO items_rtree VALUES (?,?,?,?,?,?,?)", boxes)


def _move_extents(db: sqlite3.Connection, wanted: dict[Key, Record], before: dict[Key, Row]) -> None:
    came, went = [], []
    for key, record in wanted.items():
        row = before.get(key)
        if row is not None and (row.owner, row.extent) == (record.owner, record.extent):
            continue
        came.append((record.collection, record.owner, record.extent))
        if row is not None:
            went.append((row.collection, row.owner, row.extent))
    for (collection_id, owner), extent in _grouped(came).items():
        extents.add(db, collection_id, owner, extent)
    for (collection_id, owner), extent in _grouped(went).items():
        extents.take(db, collection_id, owner, extent)


def _grouped(changes: Iterable[tuple[str, str, Extent]]) -> dict[Key, Extent]:
    groups: dict[Key, list[Extent]] = {}
    for collection_id, owner, extent in changes:
        groups.setdefault((collection_id, owner), []).append(extent)
    return {key: reduce(Extent.joined, several) for key, several in groups.items()}
