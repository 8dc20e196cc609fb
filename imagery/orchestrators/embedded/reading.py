"""Questions about executions, answered from the rows."""

from __future__ import annotations

import base64
import json
import sqlite3
from typing import Any

from imagery.errors import CursorInvalid, ExecutionUnknown
from imagery.model.codec import parse_instant
from imagery.model.execution import Execution, ExecutionQuery, ExecutionStatus, HistoryEvent
from imagery.model.paging import Page

MAX_PAGE = 1000


def get(database: sqlite3.Connection, execution_id: str) -> Execution:
    """Raises ExecutionUnknown."""
    return _execution(database, _row(database, execution_id))


def history(database: sqlite3.Connection, execution_id: str) -> tuple[HistoryEvent, ...]:
    """Oldest first. Raises ExecutionUnknown."""
    number = _row(database, execution_id)["number"]
    found = database.execute(
        "SELECT at, type, state, detail FROM history WHERE execution = ? ORDER BY number", (number,)
    )
    return tuple(
        HistoryEvent(at=parse_instant(at), type=kind, state=state, detail=json.loads(detail))
        for at, kind, state, detail in found
    )


def find(database: sqlite3.Connection, query: ExecutionQuery) -> Page[Execution]:
    """Newest first. Raises CursorInvalid."""
    limit = max(1, min(query.limit, MAX_PAGE))
    where, values = ["number < ?"], [_before(query)]
    if query.status is not None:
        where.append("status = ?")
        values.append(query.status)
    found = database.execute(
        f"SELECT * FROM execution WHERE {' AND '.join(where)} ORDER BY number DESC LIMIT ?", (*values, limit + 1)
    ).fetchall()
    page = found[:limit]
    cursor = _cursor(query, page[-1]["number"]) if len(found) > limit else None
    return Page(values=tuple(_execution(database, row) for row in page), next_cursor=cursor)


def running(database: sqlite3.Connection) -> int:
    """Executions with a task under way or waiting for a thread, or with states to enter at once."""
    (count,) = database.execute(
        "SELECT (SELECT count(*) FROM execution WHERE entered = 0)"
        " + (SELECT count(DISTINCT execution) FROM frame WHERE status IN ('ready', 'step'))"
    ).fetchone()
    return int(count)


def counts(database: sqlite3.Connection) -> dict[ExecutionStatus, int]:
    """Executions ever started, by status; every status is there."""
    found = database.execute("SELECT status, executions FROM execution_count").fetchall()
    return dict.fromkeys(ExecutionStatus, 0) | {ExecutionStatus(status): number for status, number in found}


def _row(database: sqlite3.Connection, execution_id: str) -> sqlite3.Row:
    found: sqlite3.Row | None = database.execute("SELECT * FROM execution WHERE id = ?", (execution_id,)).fetchone()
    if found is None:
        raise ExecutionUnknown(f"there is no execution {execution_id!r}")
    return found


def _execution(database: sqlite3.Connection, row: sqlite3.Row) -> Execution:
    return Execution(
        id=row["id"],
        status=ExecutionStatus(row["status"]),
        input=_json(row["input"]),
        output=_json(row["output"]),
        error=row["error"],
        cause=row["cause"],
        state=_state(database, row) if row["stopped_at"] is None else None,
        started_at=parse_instant(row["started_at"]),
        stopped_at=None if row["stopped_at"] is None else parse_instant(row["stopped_at"]),
    )


def _state(database: sqlite3.Connection, row: sqlite3.Row) -> str | None:
    found = database.execute(
        "SELECT state FROM frame WHERE execution = ? AND status NOT IN ('blocked', 'ended')"
        " ORDER BY status = 'join', id LIMIT 1",
        (row["number"],),
    ).fetchone()
    return None if found is None else str(found[0])


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _cursor(query: ExecutionQuery, number: int) -> str:
    return base64.urlsafe_b64encode(f"{query.status or ''}:{number}".encode()).decode()


def _before(query: ExecutionQuery) -> Any:
    if query.cursor is None:
        return 2**62
    try:
        status, _, number = base64.urlsafe_b64decode(query.cursor.encode()).decode().partition(":")
        before = int(number)
    except ValueError as error:
        raise CursorInvalid("the cursor was not given out by this service", field="cursor") from error
    if status != (query.status or ""):
        raise CursorInvalid("the cursor belongs to a query with another status", field="cursor")
    return min(before, 2**62)
