"""What may happen to an execution: started, resumed, a task's end, a timer. In the caller's transaction.

Rules that make a kill at any moment harmless: a task is only handed out after the row that says so is committed; its
result names frame and sequence, and a stale one is dropped; a task token is stored in the transaction that enters the
state. So nothing is lost, and a task runs at least once.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from imagery.errors import TaskTokenUnknown
from imagery.model.execution import ExecutionStatus
from imagery.orchestrators.embedded import asl
from imagery.orchestrators.embedded.definition import Definition, restore_definition
from imagery.orchestrators.embedded.effects import Effect, Frame, Invoke
from imagery.orchestrators.embedded.errors import HEARTBEAT_TIMEOUT, RUNTIME, TIMEOUT
from imagery.orchestrators.embedded.rows import READY, RETRY, SLEEP, STEP, TOKEN, Row, Rows
from imagery.orchestrators.embedded.runs import Run
from imagery.orchestrators.embedded.settling import Ready, Settling
from imagery.ports import Clock

MAX_ERROR, MAX_CAUSE = 256, 32_768
"""Characters of an error's name and of its cause; the limits of SendTaskFailure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskEnded:
    """How a task went."""

    result: Any = None
    error: str | None = None
    cause: str | None = None
    failed: bool = False

    def __post_init__(self) -> None:
        """Whatever the task said, its error can be stored and is within the limits of Step Functions."""
        object.__setattr__(self, "error", _plain(self.error, MAX_ERROR))
        object.__setattr__(self, "cause", _plain(self.cause, MAX_CAUSE))


@dataclass(kw_only=True)
class Transitions:
    """The state of every execution in one database, and how it moves on."""

    database: sqlite3.Connection
    clock: Clock
    machine: str = "imagery"
    """The state machine's name in the context object."""

    chance: Random = field(default_factory=secrets.SystemRandom)
    new_token: Callable[[], str] = lambda: secrets.token_urlsafe(32)
    ready: list[Ready] = field(default_factory=list)
    """Tasks that came up; the driver takes them after its commit."""

    steps: list[tuple[int, int]] = field(default_factory=list)
    """Frames (id, seq) to be gone on with in another transaction."""

    def __post_init__(self) -> None:
        self._rows = Rows(database=self.database)
        self._settling = Settling(
            rows=self._rows,
            clock=self.clock,
            chance=self.chance,
            new_token=self.new_token,
            ready=self.ready,
            steps=self.steps,
        )
        self._definitions: dict[str, Definition] = {}

    # What the driver brings

    def take_over(self) -> None:
        """The process that carried tasks out is gone: no deadline until they are handed out again.

        What waits for its token's holder, who may be alive, keeps its own.
        """
        self.database.execute(
            "UPDATE frame SET due = NULL, timeout_due = NULL, heartbeat_s = NULL WHERE status = ? AND due IS NOT NULL",
            (READY,),
        )

    def enter(self, execution: int) -> None:
        """Begin an execution that was started. Does nothing if that was done."""
        run = self._open(execution)
        if run is None or run.row["entered"]:
            return
        self.database.execute("UPDATE execution SET entered = 1 WHERE number = ?", (execution,))
        payload = json.loads(run.row["input"])
        run.first = ("ExecutionStarted", None, {"input": payload})
        frame = asl.begin(run.definition, (), payload)
        row = Row(execution=execution, frame=frame)
        self._rows.add(row)
        run.todo.append((row, None))
        self._settling.drain(run)

    def step(self, frame_id: int, seq: int) -> None:
        """Go on with a frame that was put off."""
        row = self._rows.find(frame_id, seq)
        if row is not None and row.status == STEP:
            self._go_on(row, None)

    def finish(self, frame_id: int, seq: int, ended: TaskEnded) -> None:
        """A task was carried out. Dropped if its frame has moved on: timed out, resumed, or handed out anew."""
        row = self._rows.find(frame_id, seq)
        if row is None or row.status != READY:
            return
        if row.token is not None and not ended.failed:
            self._submitted(row, ended)
            return
        self._settle_task(row, ended)

    def resume(self, token: str, ended: TaskEnded) -> None:
        """The outside answers for a paused task. Raises TaskTokenUnknown."""
        self._settle_task(self._waiting(token), ended)

    def heartbeat(self, token: str) -> None:
        """Raises TaskTokenUnknown."""
        row = self._waiting(token)
        if row.heartbeat_s is not None:
            due = self._now() + row.heartbeat_s
            row.due = due if row.timeout_due is None else min(due, row.timeout_due)
            self.database.execute("UPDATE frame SET due = ? WHERE id = ?", (row.due, row.id))

    def fire(self, frame_id: int) -> None:
        """A frame's timer has run out."""
        row = self._rows.find(frame_id)
        if row is None or row.due is None or row.due > self._now():
            return
        if row.status == SLEEP:
            self._with(row, asl.complete)
        elif row.status == RETRY:
            self._go_on(row, None)
        else:
            self._settle_task(row, self._late(row))

    def time_out(self, execution: int) -> None:
        """The machine's own TimeoutSeconds has run out."""
        run = self._open(execution)
        if run is not None:
            cause = f"The execution did not end within its TimeoutSeconds ({run.definition.timeout_s})."
            self._settling.end(run, ExecutionStatus.TIMED_OUT, error=TIMEOUT, cause=cause)

    def abandon(self, execution: int, cause: str) -> None:
        """Something of ours broke over this execution: it fails rather than hangs."""
        run = self._open(execution)
        if run is not None:
            self._settling.end(run, ExecutionStatus.FAILED, error=RUNTIME, cause=cause)

    # What the driver asks

    def derive(self, ready: Ready) -> Invoke | None:
        """What to carry out, from memory or again from the row; None if the frame has moved on or is gone."""
        if ready.call is not None:
            current = "SELECT 1 FROM frame WHERE id = ? AND seq = ? AND status = ?"
            found = self.database.execute(current, (ready.frame_id, ready.seq, READY)).fetchone()
            return None if found is None else ready.call
        row = self._rows.find(ready.frame_id, ready.seq)
        if row is None or row.status != READY:
            return None
        run = self._open(row.execution)
        if run is None:
            return None
        effect = asl.enter(row.frame, self._settling.around(run, row))
        if isinstance(effect, Invoke):
            return effect
        self._go_on(row, effect)
        return None

    def hand_out(self, ready: Ready, call: Invoke) -> None:
        """The task is about to be carried out: its timeout begins."""
        heartbeat = call.heartbeat_s if call.waits_for_token else None
        now = self._now()
        timeout_due = None if call.timeout_s is None else now + call.timeout_s
        ends = [due for due in (timeout_due, None if heartbeat is None else now + heartbeat) if due is not None]
        if ends:
            self.database.execute(
                "UPDATE frame SET due = ?, timeout_due = ?, heartbeat_s = ? WHERE id = ? AND seq = ?",
                (min(ends), timeout_due, heartbeat, ready.frame_id, ready.seq),
            )

    def execution_of(self, frame_id: int) -> int | None:
        """Whose frame it is."""
        found = self.database.execute("SELECT execution FROM frame WHERE id = ?", (frame_id,)).fetchone()
        return None if found is None else int(found[0])

    def _late(self, row: Row) -> TaskEnded:
        """How a task whose timer has run out ended."""
        state = row.frame.state
        if row.timeout_due is not None and row.timeout_due <= self._now():
            cause = f"The task of the state '{state}' did not end within its TimeoutSeconds."
            return TaskEnded(failed=True, error=TIMEOUT, cause=cause)
        cause = f"The task of the state '{state}' sent no heartbeat for {row.heartbeat_s} seconds."
        return TaskEnded(failed=True, error=HEARTBEAT_TIMEOUT, cause=cause)

    def _now(self) -> float:
        return self.clock().timestamp()

    def _open(self, execution: int) -> Run | None:
        found = self.database.execute(
            "SELECT * FROM execution WHERE number = ? AND status = 'RUNNING'", (execution,)
        ).fetchone()
        if found is None:
            return None
        return Run(
            database=self.database,
            clock=self.clock,
            row=found,
            definition=self._definition(found["definition"]),
            machine=self.machine,
            events=found["events"],
        )

    def _definition(self, digest: str) -> Definition:
        if digest not in self._definitions:
            (text,) = self.database.execute("SELECT text FROM definition WHERE hash = ?", (digest,)).fetchone()
            self._definitions[digest] = restore_definition(text)
        return self._definitions[digest]

    def _waiting(self, token: str) -> Row:
        row = self._rows.by_token(token)
        if row is None or row.status not in (READY, TOKEN):
            raise TaskTokenUnknown("this task token was never given out, was used already, or its task has timed out")
        return row

    def _submitted(self, row: Row, ended: TaskEnded) -> None:
        """The request is out; from now on only the token's holder or a timer goes on with it."""
        row.status = TOKEN
        self._rows.save(row)
        run = self._open(row.execution)
        if run is not None:
            run.first = ("TaskSubmitted", row.frame.state, {"output": ended.result})
            self._settling.drain(run)

    def _settle_task(self, row: Row, ended: TaskEnded) -> None:
        def settle(frame: Frame, around: asl.Surroundings) -> Effect:
            if ended.failed:
                return asl.fail(frame, around, ended.error, ended.cause)
            return asl.complete(frame, around, ended.result)

        if not ended.failed:
            self._with(row, settle, "TaskSucceeded", output=ended.result)
        else:
            kind = "TaskTimedOut" if ended.error in (TIMEOUT, HEARTBEAT_TIMEOUT) else "TaskFailed"
            self._with(row, settle, kind, error=ended.error, cause=ended.cause)

    def _with(
        self, row: Row, answer: Callable[[Frame, asl.Surroundings], Effect], event: str | None = None, **detail: Any
    ) -> None:
        run = self._open(row.execution)
        if run is None:
            return
        if event is not None:
            run.first = (event, row.frame.state, detail)
        run.todo.append((row, answer(row.frame, self._settling.around(run, row))))
        self._settling.drain(run)

    def _go_on(self, row: Row, effect: Effect | None) -> None:
        run = self._open(row.execution)
        if run is not None:
            run.todo.append((row, effect))
            self._settling.drain(run)


def _plain(text: str | None, limit: int) -> str | None:
    """Without halves of surrogate pairs, which no UTF-8 can hold."""
    return None if text is None else str(text)[:limit].encode("utf-8", "replace").decode()
