"""Forks the processes that are killed: importing everything takes longer than a life."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]


class Nursery:
    """The parent of a story's lives, `module` run with stories as lines of JSON."""

    def __init__(self, module: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )

    def live(self, telling: Any) -> int:
        """A life's exit code; -9 when it was killed. `telling` is a dataclass of JSON's types."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(telling)) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=30)


@contextmanager
def open_nursery(module: str) -> Iterator[Nursery]:
    """Closed at the end."""
    one = Nursery(module)
    try:
        yield one
    finally:
        one.close()


def raise_lives(live: Callable[[dict[str, Any]], None]) -> None:
    """What such a module does: each line of stdin is lived in a fork, killed after its `after_s` if it has one."""
    for line in iter(sys.stdin.readline, ""):
        given = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _child(live, given)
        deadline = None if given["after_s"] is None else time.monotonic() + given["after_s"]
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            if deadline is not None and time.monotonic() >= deadline:
                os.kill(pid, signal.SIGKILL)
                ended = os.waitpid(pid, 0)
                break
            time.sleep(0.005)
        print(os.waitstatus_to_exitcode(ended[1]), flush=True)


def _child(live: Callable[[dict[str, Any]], None], given: dict[str, Any]) -> NoReturn:
    status = 1
    try:
        live(given)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
