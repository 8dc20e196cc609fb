"""The embedded orchestrator: executions of one state machine, durable in one SQLite file.

Any process may start, look and answer for tokens; the one that called `start_working` carries executions on.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, TypeVar

from imagery.errors import AlreadyRunning, StoreUnavailable, TaskTokenUnknown
from imagery.model.codec import format_instant
from imagery.model.execution import Execution, ExecutionQuery, ExecutionStatus, HistoryEvent
from imagery.model.paging import Page
from imagery.orchestrators.embedded import reading
from imagery.orchestrators.embedded.database import PATIENCE, lock_for_working, open_database, transaction, write_turn
from imagery.orchestrators.embedded.definition import Definition
from imagery.orchestrators.embedded.limits import checked_text
from imagery.orchestrators.embedded.pump import Pump
from imagery.orchestrators.embedded.rows import dump
from imagery.orchestrators.embedded.starting import check_start, insert_execution
from imagery.orchestrators.embedded.tasks import Task
from imagery.orchestrators.embedded.transitions import TaskEnded, Transitions
from imagery.ports import Clock

FORGET_BATCH = 200
"""Executions forgotten in one transaction, so that others are let in between."""

T = TypeVar("T")

Write = Callable[[sqlite3.Connection, Transitions | None], Any]
"""Done in a transaction; with the transitions if this process is the working one."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class EmbeddedOrchestrator:
    """`ports.Orchestrator` and `ports.TaskTokens`; usable from any thread."""

    def __init__(
        self,
        path: Path,
        definition: Definition,
        tasks: Mapping[str, Task],
        *,
        threads: int = 8,
        clock: Clock = _utc_now,
        machine: str = "imagery",
        patience: timedelta = PATIENCE,
    ) -> None:
        """Opens nothing yet. `threads` is how many tasks are carried out at once, waiting ones not counted.

        `patience` is how long a write waits for other processes to let go of the file, then it raises StoreUnavailable.
        """
        self._path = path
        self._definition = definition
        self._tasks = tasks
        self._threads = threads
        self._clock = clock
        self._machine = machine
        self._patience = patience
        self._turn = write_turn(path, patience=patience)
        self._guard = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._lock: IO[str] | None = None
        self._pump: Pump | None = None

    def start_working(self) -> None:
        """Carry executions on, those left by an earlier process first. Raises AlreadyRunning."""
        if self._pump is not None:
            return
        open_database(self._path).close()
        lock = lock_for_working(self._path)
        if lock is None:
            raise AlreadyRunning(
                f"another process is working on {self._path}; stop it first, or use another data directory"
            )
        try:
            self._pump = Pump(
                self._path,
                self._tasks,
                threads=self._threads,
                clock=self._clock,
                machine=self._machine,
                patience=self._patience,
            )
        except BaseException:
            lock.close()
            raise
        self._lock = lock

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop working: tasks under way are given `timeout_s`; those that do not make it run again next time."""
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.close(timeout_s)
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        with self._guard:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # Orchestrator

    def start(self, execution_id: str, payload: Mapping[str, Any]) -> None:
        """As the port says. Raises InvalidInput for a payload that is not JSON or above 256 KiB."""
        check_start(execution_id, payload)
        now = self._clock()

        def write(database: sqlite3.Connection, transitions: Transitions | None) -> None:
            number = insert_execution(database, self._definition, execution_id, payload, now)
            if number is not None and transitions is not None:
                transitions.enter(number)

        self._write(write)

    def get(self, execution_id: str) -> Execution:
        """Raises ExecutionUnknown."""
        return self._read(lambda database: reading.get(database, execution_id))

    def history(self, execution_id: str) -> tuple[HistoryEvent, ...]:
        """Oldest first; empty once it was forgotten. Raises ExecutionUnknown."""
        return self._read(lambda database: reading.history(database, execution_id))

    def find(self, query: ExecutionQuery) -> Page[Execution]:
        """Newest first. Raises CursorInvalid."""
        return self._read(lambda database: reading.find(database, query))

    def running(self) -> int:
        """As the port says."""
        return self._read(reading.running)

    def counts(self) -> Mapping[ExecutionStatus, int]:
        """As the port says."""
        return self._read(reading.counts)

    # TaskTokens

    def resume(self, task_token: str, output: Any) -> None:
        """Raises TaskTokenUnknown; InvalidInput for an output that is not JSON or above 256 KiB."""
        checked_text(output, field="output")
        self._answer(task_token, TaskEnded(result=output))

    def fail(self, task_token: str, *, error: str, cause: str) -> None:
        """Raises TaskTokenUnknown."""
        self._answer(task_token, TaskEnded(failed=True, error=error, cause=cause))

    def heartbeat(self, task_token: str) -> None:
        """Raises TaskTokenUnknown."""

        def write(database: sqlite3.Connection, transitions: Transitions | None) -> None:
            if transitions is not None:
                transitions.heartbeat(task_token)
            else:
                self._leave_callback(database, task_token, "heartbeat", "{}")

        self._write(write)

    # Housekeeping

    def forget(self, before: datetime) -> int:
        """Drop history, input and output of executions that ended before; gives how many.

        Their rows stay, so that starting one of them again does nothing still.
        """
        forgotten = 0
        while True:
            count: int = self._write(lambda database, _: _forget(database, before))
            forgotten += count
            if count < FORGET_BATCH:
                return forgotten

    def _answer(self, task_token: str, ended: TaskEnded) -> None:
        body = dump({"result": ended.result, "error": ended.error, "cause": ended.cause, "failed": ended.failed})

        def write(database: sqlite3.Connection, transitions: Transitions | None) -> None:
            if transitions is not None:
                _refuse_answered(database, task_token)
                transitions.resume(task_token, ended)
            else:
                self._leave_callback(database, task_token, "answer", body)

        self._write(write)

    def _leave_callback(self, database: sqlite3.Connection, task_token: str, kind: str, body: str) -> None:
        """For the working process, which looks for it several times a second."""
        # The deadline of a request that was under way when its process ended does not count: it will run again.
        late = "due <= ? AND status = 'token'"
        found = database.execute(
            f"SELECT {late} AS late FROM frame WHERE token = ?", (self._clock().timestamp(), task_token)
        ).fetchone()
        if found is None or found["late"]:
            raise TaskTokenUnknown("this task token was never given out, was used already, or its task has timed out")
        _refuse_answered(database, task_token)
        database.execute("INSERT INTO callback (token, kind, body) VALUES (?, ?, ?)", (task_token, kind, body))

    def _write(self, write: Write) -> Any:
        pump = self._pump
        if pump is not None:
            return pump.call(write)
        with self._guard:
            self._opened()  # a new file's tables take a turn of their own
        try:
            # The turn comes before the guard: those who wait for it are told after a while, and readers go on.
            with self._turn.taken(), self._guard, transaction(self._opened()):
                return write(self._opened(), None)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(f"the orchestrator's database could not be written: {error}") from error

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        with self._guard:
            try:
                return read(self._opened())
            except sqlite3.Error as error:
                raise StoreUnavailable(f"the orchestrator's database could not be read: {error}") from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_database(self._path)
        return self._connection


def _refuse_answered(database: sqlite3.Connection, task_token: str) -> None:
    answered = database.execute("SELECT 1 FROM callback WHERE token = ? AND kind <> 'heartbeat'", (task_token,))
    if answered.fetchone() is not None:
        raise TaskTokenUnknown("this task token was used already")


def _forget(database: sqlite3.Connection, before: datetime) -> int:
    ended = "SELECT number FROM execution WHERE forgotten = 0 AND stopped_at IS NOT NULL AND stopped_at < ?"
    numbers = database.execute(
        f"{ended} ORDER BY stopped_at LIMIT ?", (format_instant(before), FORGET_BATCH)
    ).fetchall()
    database.executemany("DELETE FROM history WHERE execution = ?", numbers)
    database.executemany("UPDATE execution SET input = NULL, output = NULL, forgotten = 1 WHERE number = ?", numbers)
    return len(numbers)
