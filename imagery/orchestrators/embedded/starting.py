"""Puts a new execution into the database."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

from imagery.errors import InvalidInput
from imagery.model.codec import format_instant
from imagery.orchestrators.embedded.definition import Definition
from imagery.orchestrators.embedded.limits import checked_text

MAX_ID = 256


def check_start(execution_id: str, payload: Any) -> str:
    """The payload as text. Raises InvalidInput."""
    if not execution_id or len(execution_id) > MAX_ID:
        raise InvalidInput(f"an execution's id has 1 to {MAX_ID} characters", field="execution_id")
    return checked_text(payload, field="payload")


def insert_execution(
    database: sqlite3.Connection, definition: Definition, execution_id: str, payload: Any, now: datetime
) -> int | None:
    """Its number, or None if one of this id was ever started. Raises InvalidInput."""
    text = check_start(execution_id, payload)
    database.execute("INSERT OR IGNORE INTO definition VALUES (?, ?)", (definition.hash, definition.text))
    due = None if definition.timeout_s is None else now.timestamp() + definition.timeout_s
    added = database.execute(
        "INSERT OR IGNORE INTO execution (id, definition, status, input, started_at, due) "
        "VALUES (?, ?, 'RUNNING', ?, ?, ?)",
        (execution_id, definition.hash, text, format_instant(now), due),
    )
    return added.lastrowid if added.rowcount else None
