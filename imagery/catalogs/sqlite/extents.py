"""How far a collection's items reach, kept for each owner and true after every write."""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, dataclass
from typing import Any

from imagery.catalogs.sqlite.instants import format_us

_COLUMNS = "items, south, north, east_min, east_max, west_min, west_max, t0, t1"

# Longitudes are kept by hemisphere: only so can the narrower of "across Greenwich" and "across the antimeridian" be
# told without looking at the items again.
_MEASURE = """
SELECT count(*), min(south), max(north),
  min(CASE WHEN west > east THEN west WHEN east >= 0 THEN max(west, 0) END),
  max(CASE WHEN west > east THEN 180 WHEN east >= 0 THEN east END),
  min(CASE WHEN west > east THEN -180 WHEN west < 0 THEN west END),
  max(CASE WHEN west > east THEN east WHEN west < 0 THEN min(east, 0) END),
  min(t0), max(t1)
FROM items INDEXED BY items_collection_owner_time WHERE collection = ? AND owner = ?"""

_UNITE = (
    "sum(items), min(south), max(north), min(east_min), max(east_max), min(west_min), max(west_max), min(t0), max(t1)"
)


@dataclass(frozen=True, slots=True)
class Extent:
    """Of some items; at least one. Fields in the order of the table's columns."""

    items: int
    south: float
    north: float
    east_min: float | None
    """Westernmost and easternmost longitude in 0…180; None when nothing lies there."""

    east_max: float | None
    west_min: float | None
    """The same in -180…0."""

    west_max: float | None
    t0: int
    t1: int

    @classmethod
    def of(cls, bbox: tuple[float, float, float, float], t0: int, t1: int) -> Extent:
        """Of one item; west > east crosses the antimeridian."""
        west, south, east, north = bbox
        if west > east:
            return cls(1, south, north, west, 180.0, -180.0, east, t0, t1)
        eastern = (max(west, 0.0), east) if east >= 0 else (None, None)
        western = (west, min(east, 0.0)) if west < 0 else (None, None)
        return cls(1, south, north, eastern[0], eastern[1], western[0], western[1], t0, t1)

    def joined(self, other: Extent) -> Extent:
        """Of both together."""
        return Extent(
            self.items + other.items,
            min(self.south, other.south),
            max(self.north, other.north),
            _least(self.east_min, other.east_min),
            _most(self.east_max, other.east_max),
            _least(self.west_min, other.west_min),
            _most(self.west_max, other.west_max),
            min(self.t0, other.t0),
            max(self.t1, other.t1),
        )

    def shares_an_edge(self, part: Extent) -> bool:
        """Whether taking `part` out could make this smaller."""
        pairs = list(zip(astuple(self), astuple(part), strict=True))[1:]
        return any(mine is not None and mine == theirs for mine, theirs in pairs)

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """The narrower of the two boxes that hold everything; west > east when that crosses the antimeridian."""
        if self.east_min is None or self.east_max is None:
            west, east = self.west_min, self.west_max
        elif self.west_min is None or self.west_max is None:
            west, east = self.east_min, self.east_max
        elif 360 - (self.east_min - self.west_max) < self.east_max - self.west_min:
            west, east = self.east_min, self.west_max
        else:
            west, east = self.west_min, self.east_max
        assert west is not None and east is not None
        return west, self.south, east, self.north

    def to_stac(self) -> dict[str, Any]:
        """A Collection's `extent`."""
        return {
            "spatial": {"bbox": [list(self.bbox)]},
            "temporal": {"interval": [[format_us(self.t0), format_us(self.t1)]]},
        }


def read(db: sqlite3.Connection, collection_id: str, *, owner: str | None) -> Extent | None:
    """Of one owner's items, or of everybody's (None); None when there are none."""
    return read_all(db, owner=owner, collection_id=collection_id).get(collection_id)


def read_all(db: sqlite3.Connection, *, owner: str | None, collection_id: str | None = None) -> dict[str, Extent]:
    """By collection id; collections without items of the owner are left out."""
    asked = {name: value for name, value in (("owner", owner), ("collection", collection_id)) if value is not None}
    where = " AND ".join(f"{name} = ?" for name in asked) or "1"
    sql = f"SELECT collection, {_UNITE} FROM extents WHERE {where} GROUP BY collection"
    rows = db.execute(sql, tuple(asked.values()))
    return {name: Extent(*values) for name, *values in rows}


def add(db: sqlite3.Connection, collection_id: str, owner: str, extent: Extent) -> None:
    """Some items came."""
    before = read(db, collection_id, owner=owner)
    _write(db, collection_id, owner, extent if before is None else before.joined(extent))


def take(db: sqlite3.Connection, collection_id: str, owner: str, extent: Extent) -> None:
    """Some items, already out of the table, went. The rest is measured again only where they lay at its edge."""
    before = read(db, collection_id, owner=owner)
    if before is None or before.items <= extent.items:
        db.execute("DELETE FROM extents WHERE collection = ? AND owner = ?", (collection_id, owner))
    elif before.shares_an_edge(extent):
        _write(db, collection_id, owner, Extent(*db.execute(_MEASURE, (collection_id, owner)).fetchone()))
    else:
        db.execute(
            "UPDATE extents SET items = items - ? WHERE collection = ? AND owner = ?",
            (extent.items, collection_id, owner),
        )


def _write(db: sqlite3.Connection, collection_id: str, owner: str, extent: Extent) -> None:
    db.execute(
        f"INSERT OR REPLACE INTO extents(collection, owner, {_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (collection_id, owner, *astuple(extent)),
    )


def _least(one: float | None, other: float | None) -> float | None:
    return min((v for v in (one, other) if v is not None), default=None)


def _most(one: float | None, other: float | None) -> float | None:
    return max((v for v in (one, other) if v is not None), default=None)
