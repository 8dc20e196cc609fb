"""A frame as the engine keeps it: the interpreter's frame and what the world must still do about it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, replace
from typing import Any

from imagery.orchestrators.embedded.effects import Frame

READY = "ready"
"""Its task is to be carried out, or is being."""

STEP = "step"
"""To be gone on with at once; the transaction it was in had become long."""

TOKEN, SLEEP, RETRY = "token", "sleep", "retry"
JOIN = "join"
"""Waits for its children."""

BLOCKED = "blocked"
"""A Map's item whose turn has not come (MaxConcurrency)."""

ENDED = "ended"
"""A child that has its output, until the others have theirs."""

_COLUMNS = (
    "execution", "parent", "position", "location", "state", "data", "variables", "attempts", "item", "seq", "status",
    "due", "timeout_due", "heartbeat_s", "token", "entered_at", "entered_event", "remaining", "failed", "tolerated",
)  # fmt: skip
_INSERT = f"INSERT INTO frame ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_UPDATE = f"UPDATE frame SET {', '.join(f'{column} = ?' for column in _COLUMNS)} WHERE id = ?"


@dataclass(kw_only=True, slots=True)
class Row:
    """One row of `frame`; changed in place while its transaction runs."""

    id: int = 0
    execution: int
    parent: int | None = None
    position: int | None = None
    frame: Frame
    item: dict[str, Any] | None = None
    seq: int = 0
    status: str = STEP
    due: float | None = None
    """Unix seconds, as every `due`."""

    timeout_due: float | None = None
    heartbeat_s: int | None = None
    token: str | None = None
    entered_at: str | None = None
    entered_event: int = 0
    """0 until entering the state is on record."""

    remaining: int | None = None
    failed: int | None = None
    tolerated: int | None = None

    def go(self, frame: Frame) -> None:
        """Into another state."""
        self.frame = frame
        self.entered_event = 0
        self.token = None

    def rest(self, status: str, *, due: float | None = None) -> None:
        """Wait for something. What came before is stale from now on."""
        self.seq += 1
        self.status = status
        self.due = due
        self.timeout_due = None
        self.heartbeat_s = None

    def retried(self, attempts: dict[str, int]) -> None:
        self.frame = replace(self.frame, attempts=attempts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Reads and writes rows of `frame`."""

    database: sqlite3.Connection

    def add(self, row: Row) -> None:
        row.id = self.database.execute(_INSERT, _values(row)).lastrowid or 0

    def save(self, row: Row) -> None:
        self.database.execute(_UPDATE, (*_values(row), row.id))

    def find(self, frame_id: int, seq: int | None = None) -> Row | None:
        """None if it is gone, or has moved on from `seq`."""
        found = self.database.execute("SELECT * FROM frame WHERE id = ?", (frame_id,)).fetchone()
        return None if found is None or (seq is not None and found["seq"] != seq) else _read(found)

    def by_token(self, token: str) -> Row | None:
        found = self.database.execute("SELECT * FROM frame WHERE token = ?", (token,)).fetchone()
        return None if found is None else _read(found)

    def next_blocked(self, parent: int) -> Row | None:
        found = self.database.execute(
            "SELECT * FROM frame WHERE parent = ? AND status = ? ORDER BY position LIMIT 1", (parent, BLOCKED)
        ).fetchone()
        return None if found is None else _read(found)

    def outputs(self, parent: int) -> list[Any]:
        """What the children of a finished Parallel or Map left, in order."""
        found = self.database.execute("SELECT data FROM frame WHERE parent = ? ORDER BY position", (parent,))
        return [json.loads(text) for (text,) in found]

    def remove_below(self, parent: int) -> list[int]:
        """Delete all descendants; their ids."""
        gone: list[int] = []
        parents = [parent]
        while parents:
            children = self.database.execute("SELECT id FROM frame WHERE parent = ?", (parents.pop(),)).fetchall()
            parents.extend(child for (child,) in children)
            gone.extend(child for (child,) in children)
        self.database.executemany("DELETE FROM frame WHERE id = ?", [(child,) for child in gone])
        return gone


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def dump(value: Any) -> str:
    """JSON as stored. Raises ValueError, TypeError for what is not JSON."""
    return _ENCODER.encode(value)


def _values(row: Row) -> tuple[Any, ...]:
    frame = row.frame
    return (
        row.execution, row.parent, row.position, dump(frame.location), frame.state, dump(frame.data),
        dump(frame.variables), dump(frame.attempts), None if row.item is None else dump(row.item), row.seq, row.status,
        row.due, row.timeout_due, row.heartbeat_s, row.token, row.entered_at, row.entered_event, row.remaining,
        row.failed, row.tolerated,
    )  # fmt: skip


def _read(found: sqlite3.Row) -> Row:
    frame = Frame(
        location=tuple((name, branch) for name, branch in json.loads(found["location"])),
        state=found["state"],
        data=json.loads(found["data"]),
        variables=json.loads(found["variables"]),
        attempts=json.loads(found["attempts"]),
    )
    kept = ("id", "execution", "parent", "position", "seq", "status", "due", "timeout_due", "heartbeat_s", "token")
    more = ("entered_at", "entered_event", "remaining", "failed", "tolerated")
    item = None if found["item"] is None else json.loads(found["item"])
    return Row(frame=frame, item=item, **{name: found[name] for name in (*kept, *more)})
