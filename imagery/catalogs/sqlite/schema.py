"""Tables and indexes of the catalog file. What a search tests lies apart from the bodies it only gives back."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence

from imagery.errors import CatalogUnavailable, FilterInvalid

VERSION = 1

INDEXED = ("imagery:subscription_id", "eo:cloud_cover")
"""Properties with an index of their own: an equality on one is answered without looking at other items."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS collections(id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS extents(
      collection TEXT NOT NULL, owner TEXT NOT NULL, items INTEGER NOT NULL, south REAL, north REAL,
      east_min REAL, east_max REAL, west_min REAL, west_max REAL, t0 INTEGER, t1 INTEGER,
      PRIMARY KEY (collection, owner)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS extents_owner ON extents(owner)",
    # dt: `datetime`, or the start of the range when that is null. t0, t1: the range, or dt twice. All microseconds.
    """CREATE TABLE IF NOT EXISTS items(
      pk INTEGER PRIMARY KEY, id TEXT NOT NULL, collection TEXT NOT NULL, owner TEXT NOT NULL,
      dt INTEGER NOT NULL, t0 INTEGER NOT NULL, t1 INTEGER NOT NULL,
      west REAL NOT NULL, south REAL NOT NULL, east REAL NOT NULL, north REAL NOT NULL,
      wkb BLOB NOT NULL, props TEXT NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS bodies(pk INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    "CREATE UNIQUE INDEX IF NOT EXISTS items_id ON items(id, collection)",
    "CREATE INDEX IF NOT EXISTS items_time ON items(dt, pk)",
    "CREATE INDEX IF NOT EXISTS items_owner_time ON items(owner, dt, pk)",
    "CREATE INDEX IF NOT EXISTS items_collection_time ON items(collection, dt, pk)",
    "CREATE INDEX IF NOT EXISTS items_collection_owner_time ON items(collection, owner, dt, pk)",
    # rid is 2 pk, and 2 pk + 1 for the second half of a footprint split at the antimeridian. Days since 2000.
    "CREATE VIRTUAL TABLE IF NOT EXISTS items_rtree USING rtree(rid, minx, maxx, miny, maxy, tmin, tmax)",
    # How far `dt` lies from t0 or t1 at most, of all items there ever were: how much wider a walk by time must look.
    "CREATE TABLE IF NOT EXISTS spread(us INTEGER NOT NULL)",
    "INSERT INTO spread SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM spread)",
)

_NAME = re.compile(r"[A-Za-z0-9_:.\-]{1,200}")
_COLUMNS = {
    "id": "id",
    "collection": "collection",
    "geometry": "wkb",
    "datetime": "dt",
    "start_datetime": "t0",
    "end_datetime": "t1",
}
TIME_COLUMNS = frozenset({"dt", "t0", "t1"})


def expression(name: str) -> str:
    """SQL of a queryable, spelt as the indexes spell it; `properties.` may stand before it. Raises FilterInvalid."""
    name = name.removeprefix("properties.")
    if name in _COLUMNS:
        return _COLUMNS[name]
    if not _NAME.fullmatch(name):
        raise FilterInvalid(f"{name[:60]!r} cannot be a property's name here; letters, digits and _ : . - can")
    return f"json_extract(props, '$.\"{name}\"')"


def index_name(name: str) -> str:
    """Of a property's own index, quoted."""
    return f'"property:{name}"'


def prepare(db: sqlite3.Connection, *, indexed: Sequence[str]) -> None:
    """Make what is missing, in one transaction. Raises CatalogUnavailable for a file of a later version."""
    if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise CatalogUnavailable("the catalog's file cannot use WAL here; keep it on a local disk, not a network share")
    db.execute("BEGIN IMMEDIATE")
    try:
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise CatalogUnavailable(
                f"the catalog's file has version {found}, this program knows {VERSION}; upgrade it"
            )
        for statement in _TABLES:
            db.execute(statement)
        for name in indexed:
            db.execute(f"CREATE INDEX IF NOT EXISTS {index_name(name)} ON items({expression(name)}, dt, pk)")
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
