"""Carries the interpreter's effects into rows, frame after frame, until every one of them waits for something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from imagery.model.codec import format_instant
from imagery.model.execution import ExecutionStatus
from imagery.orchestrators.embedded import asl
from imagery.orchestrators.embedded.effects import Done, Effect, Failed, Fork, Go, Invoke, Retry, Sleep
from imagery.orchestrators.embedded.errors import RUNTIME, TOLERANCE, Origin
from imagery.orchestrators.embedded.resources import TOKEN_SUFFIX
from imagery.orchestrators.embedded.rows import BLOCKED, ENDED, JOIN, READY, RETRY, SLEEP, STEP, Row, Rows, dump
from imagery.orchestrators.embedded.runs import MAX_EVENTS, MAX_STEPS, HistoryFull, Run
from imagery.ports import Clock

_AGAIN: Effect = Go(state="", data=None, variables={})
"""Stands for: enter the state the frame is in now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A task that may be handed out once the transaction is committed."""

    frame_id: int
    seq: int
    call: Invoke | None = None
    """None: to be derived again from the frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settling:
    """Works on one Run at a time, inside the caller's transaction."""

    rows: Rows
    clock: Clock
    chance: Random
    new_token: Callable[[], str]
    ready: list[Ready]
    """Tasks that came up are added here."""

    steps: list[tuple[int, int]]
    """Frames (id, seq) that must be gone on with in another transaction are added here."""

    def drain(self, run: Run) -> None:
        """Go on with every frame of the run until all of them wait for something, and save the run."""
        try:
            if run.first is not None:
                kind, state, detail = run.first
                run.record(kind, state, **detail)
            self._settle_all(run)
        except HistoryFull:
            self.end(
                run,
                ExecutionStatus.FAILED,
                error=RUNTIME,
                cause=f"The execution reached the maximum number of history events ({MAX_EVENTS}).",
            )
        run.save()

    def end(self, run: Run, status: ExecutionStatus, *, error: str | None, cause: str | None) -> None:
        """The execution is over without an output."""
        run.end(status, output=None, error=error, cause=cause)
        run.save()

    def _settle_all(self, run: Run) -> None:
        while run.todo:
            row, effect = run.todo.popleft()
            while row.id not in run.gone:
                if effect is None:
                    if run.steps >= MAX_STEPS:
                        row.rest(STEP)
                        self.rows.save(row)
                        self.steps.append((row.id, row.seq))
                        break
                    effect = self._enter(run, row)
                following = self._settle(run, row, effect)
                if following is None:
                    break
                effect = None if following is _AGAIN else following

    def _enter(self, run: Run, row: Row) -> Effect:
        run.steps += 1
        state = run.definition.state(row.frame)
        if row.entered_event == 0:
            row.entered_at = format_instant(self.clock())
            row.entered_event = run.record(f"{state['Type']}StateEntered", row.frame.state, input=row.frame.data)
        row.token = self.new_token() if str(state.get("Resource", "")).endswith(TOKEN_SUFFIX) else None
        return asl.enter(row.frame, self.around(run, row))

    def around(self, run: Run, row: Row) -> asl.Surroundings:
        return asl.Surroundings(
            definition=run.definition,
            context=run.context(row),
            chance=self.chance,
            entered_event=row.entered_event,
        )

    def _settle(self, run: Run, row: Row, effect: Effect) -> Effect | None:
        """Carry one effect out. Gives the effect that follows at once, _AGAIN to enter a state, None to rest."""
        match effect:
            case Go():
                return self._go(run, row, effect)
            case Invoke():
                self._schedule(run, row, effect)
            case Sleep():
                return self._sleep(run, row, effect)
            case Retry():
                row.retried(effect.attempts)
                row.token = None
                row.rest(RETRY, due=self.clock().timestamp() + effect.delay_s)
                self.rows.save(row)
            case Fork():
                return self._fork(run, row, effect)
            case Done():
                kind = run.definition.state(row.frame)["Type"]
                run.record(f"{kind}StateExited", row.frame.state, output=effect.output)
                self._ended(run, row, effect)
            case Failed():
                self._ended(run, row, effect)
        return None

    def _go(self, run: Run, row: Row, effect: Go) -> Effect:
        kind = run.definition.state(row.frame)["Type"]
        run.record(f"{kind}StateExited", row.frame.state, output=effect.data)
        row.go(replace(row.frame, state=effect.state, data=effect.data, variables=effect.variables, attempts={}))
        return _AGAIN

    def _schedule(self, run: Run, row: Row, call: Invoke) -> None:
        detail: dict[str, Any] = {"resource": call.resource, "parameters": call.arguments}
        if row.frame.attempts:
            detail["retry"] = sum(row.frame.attempts.values())
        run.record("TaskScheduled", row.frame.state, **detail)
        row.rest(READY)
        self.rows.save(row)
        self.ready.append(Ready(frame_id=row.id, seq=row.seq, call=call))

    def _sleep(self, run: Run, row: Row, effect: Sleep) -> Effect | None:
        due = effect.until.timestamp() if effect.until is not None else self.clock().timestamp() + (effect.seconds or 0)
        if due <= self.clock().timestamp():
            return asl.complete(row.frame, self.around(run, row))
        row.rest(SLEEP, due=due)
        self.rows.save(row)
        return None

    def _fork(self, run: Run, row: Row, fork: Fork) -> Effect | None:
        kind = run.definition.state(row.frame)["Type"]
        run.record(f"{kind}StateStarted", row.frame.state, length=len(fork.children))
        if not fork.children:
            return self._joined(run, row, [])
        row.rest(JOIN)
        row.remaining, row.failed, row.tolerated = len(fork.children), 0, fork.tolerated
        self.rows.save(row)
        for position, child in enumerate(fork.children):
            waits = fork.concurrency > 0 and position >= fork.concurrency
            inner = Row(
                execution=row.execution,
                parent=row.id,
                position=position,
                frame=asl.begin(run.definition, child.location, child.data, row.frame.variables),
                item=row.item if child.item is None else child.item,
                status=BLOCKED if waits else STEP,
            )
            self.rows.add(inner)
            if not waits:
                run.todo.append((inner, None))
        return None

    def _joined(self, run: Run, row: Row, outputs: list[Any]) -> Effect:
        kind = run.definition.state(row.frame)["Type"]
        run.record(f"{kind}StateSucceeded", row.frame.state)
        return asl.complete(row.frame, self.around(run, row), outputs)

    def _ended(self, run: Run, row: Row, effect: Done | Failed) -> None:
        if row.parent is None:
            if isinstance(effect, Done):
                run.end(ExecutionStatus.SUCCEEDED, output=dump(effect.output), error=None, cause=None)
            else:
                run.end(ExecutionStatus.FAILED, output=None, error=effect.error, cause=effect.cause)
        elif isinstance(effect, Done):
            self._child_ended(run, row, row.parent, effect.output, failed=False)
        else:
            self._child_failed(run, row, row.parent, effect)

    def _child_failed(self, run: Run, row: Row, parent_id: int, effect: Failed) -> None:
        parent = self.rows.find(parent_id)
        if parent is None:
            return
        kind = run.definition.state(parent.frame)["Type"]
        if kind == "Map":
            run.record("MapIterationFailed", parent.frame.state, index=row.position)
        error, cause = effect.error, effect.cause
        if parent.tolerated is not None:
            if (parent.failed or 0) < parent.tolerated:
                self._child_ended(run, row, parent_id, {"Error": error or "", "Cause": cause or ""}, failed=True)
                return
            error, cause = TOLERANCE, "The specified tolerated failure threshold was exceeded."
        run.gone.update(self.rows.remove_below(parent_id))
        run.record(f"{kind}StateFailed", parent.frame.state, error=error, cause=cause)
        answer = asl.fail(parent.frame, self.around(run, parent), error, cause, Origin.BRANCH)
        run.todo.append((parent, answer))

    def _child_ended(self, run: Run, row: Row, parent_id: int, output: Any, *, failed: bool) -> None:
        self.rows.database.execute(
            "UPDATE frame SET status = ?, data = ?, seq = seq + 1, due = NULL, token = NULL WHERE id = ?",
            (ENDED, dump(output), row.id),
        )
        (remaining,) = self.rows.database.execute(
            "UPDATE frame SET remaining = remaining - 1, failed = failed + ? WHERE id = ? RETURNING remaining",
            (int(failed), parent_id),
        ).fetchone()
        if remaining > 0:
            blocked = self.rows.next_blocked(parent_id)
            if blocked is not None:
                blocked.status = STEP
                self.rows.save(blocked)
                run.todo.append((blocked, None))
            return
        parent = self.rows.find(parent_id)
        if parent is not None:
            outputs = self.rows.outputs(parent_id)
            self.rows.remove_below(parent_id)
            run.todo.append((parent, self._joined(run, parent, outputs)))
