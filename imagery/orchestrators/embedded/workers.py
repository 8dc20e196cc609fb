"""Threads that carry tasks out. Daemons of our own: an executor's threads would keep a stopped process alive."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from imagery.orchestrators.embedded.effects import Invoke
from imagery.orchestrators.embedded.settling import Ready
from imagery.orchestrators.embedded.tasks import Task, carry_out
from imagery.orchestrators.embedded.transitions import TaskEnded

Report = Callable[[Ready, TaskEnded], None]


@dataclass(frozen=True, slots=True)
class _Job:
    ready: Ready
    call: Invoke


class Workers:
    """A fixed number of threads; `submit` never blocks, so the caller counts what is in flight."""

    def __init__(self, tasks: Mapping[str, Task], *, threads: int, report: Report) -> None:
        self.threads = threads
        self._tasks = tasks
        self._report = report
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"workflow-task-{number}", daemon=True).start()

    def submit(self, ready: Ready, call: Invoke) -> None:
        """Carry it out and report how it went."""
        self._jobs.put(_Job(ready, call))

    def stop(self) -> None:
        """Every thread ends after the task it is at."""
        for _ in range(self.threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._report(job.ready, carry_out(job.call, self._tasks))
