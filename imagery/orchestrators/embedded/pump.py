"""The single writer of a working process: moves executions on, commits in groups, hands tasks out."""

from __future__ import annotations

import json
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from imagery.errors import ImageryError, StoreUnavailable, TaskTokenUnknown
from imagery.orchestrators.embedded.database import PATIENCE, open_database, transaction, write_turn
from imagery.orchestrators.embedded.effects import Invoke
from imagery.orchestrators.embedded.rows import STEP
from imagery.orchestrators.embedded.settling import Ready
from imagery.orchestrators.embedded.tasks import Task
from imagery.orchestrators.embedded.transitions import TaskEnded, Transitions
from imagery.orchestrators.embedded.workers import Workers
from imagery.ports import Clock

logger = logging.getLogger(__name__)

BATCH = 256
"""Things that happened, timers and new executions taken into one commit."""

POLL_S = 0.25
"""How often what other processes wrote is looked for."""

CALLS_IN_MEMORY = 1000
"""Above this many waiting tasks, calls are derived again from their rows when their turn comes."""

MEND_S = 1.0
"""Wait after a commit that failed: a full disk, usually."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """Something to be done in the next transaction; `promise` is None if nobody waits for it."""

    work: Callable[[], Any]
    promise: Future[Any] | None
    ready: Ready | None = None
    """The task whose end this is."""


class Pump:
    """Owns the writing connection, from its own thread only."""

    def __init__(
        self,
        path: Path,
        tasks: Mapping[str, Task],
        *,
        threads: int,
        clock: Clock,
        machine: str = "imagery",
        patience: timedelta = PATIENCE,
    ) -> None:
        self._turn = write_turn(path, patience=patience)
        self._database = open_database(path)
        self._transitions = Transitions(database=self._database, clock=clock, machine=machine)
        self._clock = clock
        self._wishes: queue.SimpleQueue[_Wish | None] = queue.SimpleQueue()
        self._waiting: deque[Ready] = deque()
        self._in_flight: set[tuple[int, int]] = set()
        self._version = -1
        self._draining = False
        self._stopping = False
        self._lost = False
        try:
            self._take_over()
            self._recover()
        except BaseException:
            self._database.close()
            raise
        self._workers = Workers(tasks, threads=threads, report=self._report)
        self._thread = threading.Thread(target=self._run, name="workflow-pump", daemon=True)
        self._thread.start()

    def call(self, work: Callable[[sqlite3.Connection, Transitions], Any]) -> Any:
        """Do it in the next transaction; durable when this returns. Raises what it raises, or StoreUnavailable."""
        promise: Future[Any] = Future()
        if self._stopping:
            raise StoreUnavailable("the orchestrator is stopping; try again when it is back")
        self._wishes.put(_Wish(lambda: work(self._database, self._transitions), promise))
        while True:
            try:
                return promise.result(timeout=1.0)
            except TimeoutError:
                if not self._thread.is_alive() and not promise.done():
                    raise StoreUnavailable("the orchestrator has stopped; try again when it is back") from None

    def close(self, timeout_s: float) -> None:
        """Begin no more tasks, give those in flight `timeout_s`, then stop. What is unfinished runs again next time."""
        self._draining = True
        self._wishes.put(None)
        deadline = time.monotonic() + timeout_s
        while self._in_flight and time.monotonic() < deadline:
            time.sleep(0.01)
        self._stopping = True
        self._wishes.put(None)
        self._thread.join()
        self._workers.stop()
        self._database.close()

    def _take_over(self) -> None:
        """Tasks an earlier process had under way run again, however long ago that was: their deadlines begin anew.

        Only for a process that begins: after a commit that failed, our own threads are still at their tasks.
        """
        try:
            with self._turn.taken(), transaction(self._database):
                self._transitions.take_over()
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(f"the orchestrator's database could not be written: {error}") from error

    def _recover(self) -> None:
        """What to do next, from the rows: at the beginning, and after a transaction that failed."""
        self._waiting.clear()
        self._transitions.ready.clear()
        self._transitions.steps.clear()
        found = self._database.execute(
            "SELECT id, seq, status FROM frame WHERE status IN ('ready', 'step') ORDER BY id"
        )
        for frame_id, seq, status in found.fetchall():
            if status == STEP:
                self._transitions.steps.append((frame_id, seq))
            elif (frame_id, seq) not in self._in_flight:
                self._waiting.append(Ready(frame_id=frame_id, seq=seq))

    def _report(self, ready: Ready, ended: TaskEnded) -> None:
        def work() -> None:
            self._transitions.finish(ready.frame_id, ready.seq, ended)

        self._wishes.put(_Wish(work, None, ready))

    def _run(self) -> None:
        wishes: list[_Wish] = []
        while not self._stopping or wishes:
            wishes.extend(self._collect(wait=not wishes))
            try:
                if self._lost:
                    self._recover()
                    self._lost = False
                if wishes or self._has_work():
                    self._turn_over(wishes)
                wishes = []
            except Exception as error:  # a dead pump would hang every execution
                # The results of tasks must not be lost: they are kept for the next try, which a full disk may need.
                logger.exception("the orchestrator's database could not be written")
                self._lost = True
                wishes = [] if self._stopping else _give_up(wishes, error)
                time.sleep(MEND_S)
        _give_up(self._collect(wait=False), None)

    def _collect(self, *, wait: bool) -> list[_Wish]:
        taken: list[_Wish] = []
        try:
            wish = self._wishes.get(timeout=self._pause()) if wait else self._wishes.get_nowait()
            while True:
                if wish is not None:
                    taken.append(wish)
                if len(taken) >= BATCH:
                    break
                wish = self._wishes.get_nowait()
        except queue.Empty:
            pass
        return taken

    def _pause(self) -> float:
        """Seconds until something may have to be done unasked."""
        if self._transitions.steps or (self._waiting and self._free() > 0):
            return 0.0
        due = self._next_due()
        return POLL_S if due is None else max(0.0, min(POLL_S, due - self._clock().timestamp()))

    def _next_due(self) -> float | None:
        dues = [
            self._database.execute(f"SELECT due FROM {table} WHERE due IS NOT NULL ORDER BY due LIMIT 1").fetchone()
            for table in ("frame", "execution")
        ]
        return min((due[0] for due in dues if due is not None), default=None)

    def _has_work(self) -> bool:
        if self._pause() == 0.0:
            return True
        (version,) = self._database.execute("PRAGMA data_version").fetchone()
        return bool(version != self._version)

    def _free(self) -> int:
        return 0 if self._draining else self._workers.threads - len(self._in_flight)

    def _turn_over(self, wishes: list[_Wish]) -> None:
        """One transaction, then its promises and its tasks."""
        ended = {(wish.ready.frame_id, wish.ready.seq) for wish in wishes if wish.ready is not None}
        with self._turn.taken(), transaction(self._database):
            (version,) = self._database.execute("PRAGMA data_version").fetchone()
            answers = [(wish.promise, *self._try(wish.work, _frame_of(wish))) for wish in wishes]
            self._unasked(version)
            self._admit()
            calls = self._choose(self._free() + len(ended & self._in_flight))
        self._version = version
        self._in_flight -= ended
        for promise, value, error in answers:
            if promise is not None:
                promise.set_exception(error) if error is not None else promise.set_result(value)
        for ready, call in calls:
            self._in_flight.add((ready.frame_id, ready.seq))
            self._workers.submit(ready, call)

    def _try(
        self, work: Callable[[], Any], frame_id: int | None = None, execution: int | None = None
    ) -> tuple[Any, BaseException | None]:
        """Do it or leave no trace of it. If we broke over an execution, that execution fails: it must not hang."""
        ready, steps = len(self._transitions.ready), len(self._transitions.steps)
        self._database.execute("SAVEPOINT work")
        try:
            value = work()
        except sqlite3.OperationalError:
            raise
        except Exception as error:  # one execution's trouble must not stop the others
            self._database.execute("ROLLBACK TO work")
            self._database.execute("RELEASE work")
            del self._transitions.ready[ready:]
            del self._transitions.steps[steps:]
            if not isinstance(error, ImageryError):
                self._abandon(error, frame_id, execution)
            return None, error
        self._database.execute("RELEASE work")
        return value, None

    def _abandon(self, error: Exception, frame_id: int | None, execution: int | None) -> None:
        logger.error("an execution could not be moved on", exc_info=error)
        if frame_id is not None and execution is None:
            execution = self._transitions.execution_of(frame_id)
        if execution is not None:
            self._transitions.abandon(execution, f"the orchestrator broke over it: {type(error).__name__}: {error}")

    def _unasked(self, version: int) -> None:
        """Steps put off, what other processes left, and timers; callbacks come before the timeouts they are racing."""
        steps = self._transitions.steps[:BATCH]
        del self._transitions.steps[:BATCH]
        for frame_id, seq in steps:
            self._try(lambda at=(frame_id, seq): self._transitions.step(*at), frame_id)  # type: ignore[misc]
        if version != self._version:
            self._take_callbacks()
        for number in self._numbers("SELECT number FROM execution WHERE entered = 0 ORDER BY number"):
            self._try(lambda at=number: self._transitions.enter(at), execution=number)  # type: ignore[misc]
        now = self._clock().timestamp()
        for number in self._numbers("SELECT number FROM execution WHERE due <= ? ORDER BY due", now):
            self._try(lambda at=number: self._transitions.time_out(at), execution=number)  # type: ignore[misc]
        for frame_id in self._numbers("SELECT id FROM frame WHERE due <= ? ORDER BY due", now):
            self._try(lambda at=frame_id: self._transitions.fire(at), frame_id)  # type: ignore[misc]

    def _numbers(self, sql: str, *values: float) -> list[int]:
        return [number for (number,) in self._database.execute(f"{sql} LIMIT {BATCH}", values).fetchall()]

    def _take_callbacks(self) -> None:
        found = self._database.execute("SELECT number, token, kind, body FROM callback ORDER BY number").fetchall()
        for number, token, kind, body in found:
            _, error = self._try(lambda at=(token, kind, body): self._call_back(*at))  # type: ignore[misc]
            if isinstance(error, TaskTokenUnknown):
                logger.info("a callback came too late: its task has timed out or its execution has ended")
            self._database.execute("DELETE FROM callback WHERE number = ?", (number,))

    def _call_back(self, token: str, kind: str, body: str) -> None:
        if kind == "heartbeat":
            self._transitions.heartbeat(token)
        else:
            self._transitions.resume(token, TaskEnded(**json.loads(body)))

    def _admit(self) -> None:
        """Tasks that came up in this transaction join those waiting for a thread."""
        for ready in self._transitions.ready:
            full = len(self._waiting) >= CALLS_IN_MEMORY
            self._waiting.append(Ready(frame_id=ready.frame_id, seq=ready.seq) if full else ready)
        self._transitions.ready.clear()

    def _choose(self, limit: int) -> list[tuple[Ready, Invoke]]:
        """As many tasks as threads are free; their timeouts begin with this transaction."""
        calls: list[tuple[Ready, Invoke]] = []
        while self._waiting and len(calls) < limit and not self._draining:
            ready = self._waiting.popleft()
            call, _ = self._try(lambda at=ready: self._transitions.derive(at), ready.frame_id)  # type: ignore[misc]
            if call is not None:
                self._transitions.hand_out(ready, call)
                calls.append((ready, call))
        self._admit()
        return calls


def _frame_of(wish: _Wish) -> int | None:
    return None if wish.ready is None else wish.ready.frame_id


def _give_up(wishes: list[_Wish], error: BaseException | None) -> list[_Wish]:
    """Tell those who wait that it did not happen; the rest is kept."""
    for wish in wishes:
        if wish.promise is not None:
            reason = "it is stopping" if error is None else str(error)
            wish.promise.set_exception(StoreUnavailable(f"the orchestrator could not write: {reason}"))
    return [wish for wish in wishes if wish.promise is None]
