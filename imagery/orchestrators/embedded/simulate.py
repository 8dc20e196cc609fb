"""Runs a state machine in memory on a clock of its own, where waiting takes no time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from types import TracebackType
from typing import Any

from imagery.errors import InvalidInput
from imagery.model.execution import Execution, ExecutionStatus, HistoryEvent
from imagery.orchestrators.embedded import reading
from imagery.orchestrators.embedded.database import open_memory
from imagery.orchestrators.embedded.definition import Definition
from imagery.orchestrators.embedded.limits import checked_text
from imagery.orchestrators.embedded.rows import TOKEN
from imagery.orchestrators.embedded.settling import Ready
from imagery.orchestrators.embedded.starting import insert_execution
from imagery.orchestrators.embedded.tasks import Task, answer_of, carry_out
from imagery.orchestrators.embedded.transitions import TaskEnded, Transitions

EXECUTION_ID = "simulated"
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulated:
    """How a simulated execution stands or ended."""

    status: ExecutionStatus
    """RUNNING if it waits for a token that nobody brought."""

    output: Any = None
    error: str | None = None
    cause: str | None = None
    history: tuple[HistoryEvent, ...] = ()
    stopped_at: datetime | None = None
    """On the simulated clock."""


def simulate(
    definition: Definition,
    payload: Any,
    tasks: Mapping[str, Task],
    *,
    callbacks: Mapping[str, Task] | None = None,
    now: datetime = START,
    seed: int = 0,
) -> Simulated:
    """Run it to its end, or until it waits for a token without a timeout."""
    with Simulation(definition, tasks, callbacks=callbacks, now=now, seed=seed) as simulation:
        simulation.start(payload)
        simulation.run()
        return simulation.result()


class Simulation:
    """One execution that can be watched, resumed and moved through time. Tasks take no time and run one by one."""

    def __init__(
        self,
        definition: Definition,
        tasks: Mapping[str, Task],
        *,
        callbacks: Mapping[str, Task] | None = None,
        now: datetime = START,
        seed: int = 0,
    ) -> None:
        """`callbacks` answer for the token of the state they are named after, as soon as it waits; given None."""
        self.now = now
        self._callbacks = dict(callbacks or {})
        self._definition = definition
        self._tasks = tasks
        self._database = open_memory()
        chance = Random(seed)
        self._transitions = Transitions(
            database=self._database,
            clock=lambda: self.now,
            chance=chance,
            new_token=lambda: f"token-{chance.getrandbits(64):016x}",
        )
        self._ready: deque[Ready] = deque()

    def __enter__(self) -> Simulation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def start(self, payload: Any) -> None:
        """Raises InvalidInput for a payload above the limit, or one that is not JSON."""
        if not insert_execution(self._database, self._definition, EXECUTION_ID, payload, self.now):
            raise InvalidInput("a simulation runs one execution")
        self._moved(lambda: self._transitions.enter(1))

    def run(self, *, until: datetime | None = None) -> None:
        """Carry out tasks and let timers fire, as long as there is anything to do, up to `until` on the clock."""
        while True:
            while self._ready or self._call_back():
                if self._ready:
                    self._work(self._ready.popleft())
            due = self._next_due()
            if due is None or (until is not None and due > until):
                break
            self.now = max(self.now, due)
            self._fire()
        if until is not None:
            self.now = max(self.now, until)

    def resume(self, token: str, output: Any) -> None:
        """Raises TaskTokenUnknown; InvalidInput for an output that is not JSON, above the limit or too deep."""
        checked_text(output, field="output")
        self._moved(lambda: self._transitions.resume(token, TaskEnded(result=output)))

    def fail(self, token: str, *, error: str, cause: str) -> None:
        """Raises TaskTokenUnknown."""
        self._moved(lambda: self._transitions.resume(token, TaskEnded(failed=True, error=error, cause=cause)))

    def heartbeat(self, token: str) -> None:
        """Raises TaskTokenUnknown."""
        self._transitions.heartbeat(token)

    def result(self) -> Simulated:
        """How it stands now."""
        execution: Execution = reading.get(self._database, EXECUTION_ID)
        return Simulated(
            status=execution.status,
            output=execution.output,
            error=execution.error,
            cause=execution.cause,
            history=reading.history(self._database, EXECUTION_ID),
            stopped_at=execution.stopped_at,
        )

    def _moved(self, work: Callable[[], object]) -> None:
        work()
        while self._transitions.steps:
            self._transitions.step(*self._transitions.steps.pop(0))
        self._ready.extend(self._transitions.ready)
        self._transitions.ready.clear()

    def _work(self, ready: Ready) -> None:
        call = self._transitions.derive(ready)
        if call is None:
            return
        self._transitions.hand_out(ready, call)
        ended = carry_out(call, self._tasks)
        self._moved(lambda: self._transitions.finish(ready.frame_id, ready.seq, ended))

    def _call_back(self) -> bool:
        """Answer the first token that waits for a callback given here; False if there is none."""
        waiting = self._database.execute("SELECT state, token FROM frame WHERE status = ? ORDER BY id", (TOKEN,))
        for state, token in waiting.fetchall():
            if state in self._callbacks:
                ended = answer_of(lambda state=state: self._callbacks[state](None), state)  # type: ignore[misc]
                self._moved(lambda token=token, ended=ended: self._transitions.resume(token, ended))  # type: ignore[misc]
                return True
        return False

    def _next_due(self) -> datetime | None:
        (due,) = self._database.execute(
            "SELECT min(due) FROM (SELECT due FROM frame UNION ALL SELECT due FROM execution) WHERE due IS NOT NULL"
        ).fetchone()
        if due is None:
            return None
        try:
            instant = datetime.fromtimestamp(due, UTC)
        except (OverflowError, ValueError):
            return None  # after the year 9999, where the simulated clock ends
        # A datetime holds microseconds: it must not be a hair before the timer.
        return instant if instant.timestamp() >= due else instant + timedelta(microseconds=1)

    def _fire(self) -> None:
        now = self.now.timestamp()
        for (number,) in self._database.execute("SELECT number FROM execution WHERE due <= ?", (now,)).fetchall():
            self._moved(lambda number=number: self._transitions.time_out(number))  # type: ignore[misc]
        frames = self._database.execute("SELECT id FROM frame WHERE due <= ? ORDER BY due, id", (now,)).fetchall()
        for (frame_id,) in frames:
            self._moved(lambda frame_id=frame_id: self._transitions.fire(frame_id))  # type: ignore[misc]
