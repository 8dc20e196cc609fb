"""One execution while a transaction works on it: its row, its context object and the history it gains."""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from imagery.model.codec import format_instant
from imagery.model.execution import ExecutionStatus
from imagery.orchestrators.embedded.definition import Definition
from imagery.orchestrators.embedded.effects import Effect
from imagery.orchestrators.embedded.rows import Row, dump
from imagery.ports import Clock

MAX_EVENTS = 25_000
"""Of one execution; then it fails, as on Step Functions. Bounds loops that never end."""

MAX_DETAIL = 16_384
"""Characters of JSON kept of each input and output in the history."""

MAX_STEPS = 300
"""States entered in one transaction, before others are let in between."""


class HistoryFull(Exception):
    """The execution has used up its events."""


@dataclass(kw_only=True, slots=True)
class Run:
    """Opened from a row of `execution`; `save` writes back what has changed."""

    database: sqlite3.Connection
    clock: Clock
    row: sqlite3.Row
    definition: Definition
    machine: str
    events: int
    status: ExecutionStatus = ExecutionStatus.RUNNING
    steps: int = 0
    first: tuple[str, str | None, dict[str, Any]] | None = None
    """The event that brought the run on: type, state, detail."""

    todo: deque[tuple[Row, Effect | None]] = field(default_factory=deque)
    """Frames to go on with; no effect: enter the state."""

    gone: set[int] = field(default_factory=set)
    """Frames removed meanwhile."""

    _news: list[tuple[Any, ...]] = field(default_factory=list)
    _input: Any = None

    @property
    def number(self) -> int:
        number: int = self.row["number"]
        return number

    def record(self, kind: str, state: str | None = None, **detail: Any) -> int:
        """Add to the history; the number of the event. Raises HistoryFull."""
        if self.events >= MAX_EVENTS - 1:
            raise HistoryFull
        return self._add(kind, state, detail)

    def _add(self, kind: str, state: str | None, detail: dict[str, Any]) -> int:
        self.events += 1
        now = format_instant(self.clock())
        self._news.append((self.number, self.events, now, kind, state, dump(_clip(detail))))
        return self.events

    def end(self, status: ExecutionStatus, *, output: str | None, error: str | None, cause: str | None) -> None:
        """The execution is over; every frame of it goes."""
        self.status = status
        self.todo.clear()
        detail = {"output": json.loads(output)} if output is not None else {"error": error, "cause": cause}
        self._add(f"Execution{_EVENT[status]}", None, detail)
        self.database.execute("DELETE FROM frame WHERE execution = ?", (self.number,))
        self.database.execute(
            "UPDATE execution SET status = ?, output = ?, error = ?, cause = ?, stopped_at = ?, due = NULL, "
            "entered = 1 WHERE number = ?",
            (status, output, error, cause, format_instant(self.clock()), self.number),
        )

    def save(self) -> None:
        if self._news:
            self.database.executemany("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)", self._news)
            self.database.execute("UPDATE execution SET events = ? WHERE number = ?", (self.events, self.number))
            self._news.clear()

    def context(self, row: Row) -> dict[str, Any]:
        """The context object, as a state of this frame sees it."""
        if self._input is None:
            self._input = json.loads(self.row["input"])
        prefix = "arn:aws:states:local:000000000000"
        context: dict[str, Any] = {
            "Execution": {
                "Id": f"{prefix}:execution:{self.machine}:{self.row['id']}",
                "Input": self._input,
                "Name": self.row["id"],
                "RoleArn": "arn:aws:iam::000000000000:role/local",
                "StartTime": _shorten(self.row["started_at"]),
                "RedriveCount": 0,
            },
            "State": {
                "EnteredTime": _shorten(row.entered_at or self.row["started_at"]),
                "Name": row.frame.state,
                "RetryCount": sum(row.frame.attempts.values()),
            },
            "StateMachine": {"Id": f"{prefix}:stateMachine:{self.machine}", "Name": self.machine},
        }
        if row.token is not None:
            context["Task"] = {"Token": row.token}
        if row.item is not None:
            context["Map"] = {"Item": row.item}
        return context


_EVENT = {
    ExecutionStatus.SUCCEEDED: "Succeeded",
    ExecutionStatus.FAILED: "Failed",
    ExecutionStatus.TIMED_OUT: "TimedOut",
    ExecutionStatus.ABORTED: "Aborted",
}


def _shorten(instant: str) -> str:
    """To the millisecond, as the context object of Step Functions has it."""
    return instant[:23] + "Z"


def _clip(detail: dict[str, Any]) -> dict[str, Any]:
    clipped = dict(detail)
    for name in ("input", "output", "parameters"):
        if name in clipped and isinstance(clipped[name], dict | list | str):
            text = dump(clipped[name])
            if len(text) > MAX_DETAIL:
                clipped[name] = text[:1000] + "…"
                clipped["truncated"] = True
    return clipped
