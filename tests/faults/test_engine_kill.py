"""kill -9 of a working engine, again and again: every execution ends once, as it should, and nothing is left behind.

Run as a program, this file is the process that is killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from imagery.errors import TaskTokenUnknown
from imagery.model.execution import ExecutionQuery, ExecutionStatus
from imagery.orchestrators.embedded.definition import ANY_RESOURCE, load_definition
from imagery.orchestrators.embedded.engine import EmbeddedOrchestrator

EXECUTIONS = 90
KILLS = 6
DAY = timedelta(days=1)
ROOT = Path(__file__).resolve().parents[2]

RETRY = [{"ErrorEquals": ["Flaky"], "MaxAttempts": 99, "MaxDelaySeconds": 1, "JitterStrategy": "FULL"}]


def task(name: str, **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": name, "Retry": RETRY, **fields}


REST = {"Type": "Wait", "Seconds": 1, "End": True}

MACHINE = {
    "StartAt": "Kind",
    "States": {
        "Kind": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.kind", "StringEquals": "order", "Next": "Order"},
                {"Variable": "$.kind", "StringEquals": "refused", "Next": "Refuse"},
            ],
            "Default": "Fork",
        },
        "Order": task(
            "order.waitForTaskToken",
            Parameters={"token.$": "$$.Task.Token"},
            TimeoutSeconds=600,
            HeartbeatSeconds=300,
            ResultPath="$.order",
            Next="Fork",
        ),
        "Refuse": task(
            "refuse", Catch=[{"ErrorEquals": ["Refused"], "ResultPath": "$.error", "Next": "Told"}], Next="Fork"
        ),
        "Told": task("double", Parameters={"n.$": "$.n"}, ResultPath=None, Next="Failure"),
        "Failure": {"Type": "Fail", "ErrorPath": "$.error.Error", "Cause": "as expected"},
        "Fork": {
            "Type": "Parallel",
            "ResultPath": "$.fork",
            "Next": "Each",
            "Branches": [
                {"StartAt": "Double", "States": {"Double": task("double", Next="Rest"), "Rest": REST}},
                {"StartAt": "Also", "States": {"Also": task("double", End=True)}},
            ],
        },
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "MaxConcurrency": 2,
            "ItemProcessor": {"StartAt": "Item", "States": {"Item": task("double", Parameters={"n.$": "$"}, End=True)}},
            "ResultPath": "$.each",
            "Next": "Sum",
        },
        "Sum": {"Type": "Pass", "Parameters": {"fork.$": "$.fork", "each.$": "$.each"}, "End": True},
    },
}  # fmt: skip


class Flaky(Exception):
    """Goes away."""


class Refused(Exception):
    """Does not."""


def payload(number: int) -> dict[str, Any]:
    return {"kind": ("plain", "order", "refused")[number % 3], "n": number, "items": [number, 1, 2]}


def definition() -> Any:
    return load_definition(json.dumps(MACHINE), resources=ANY_RESOURCE)


def work(folder: Path) -> None:
    """The process that is killed."""

    def double(given: Any) -> int:
        time.sleep(random.uniform(0, 0.01))
        if random.random() < 0.1:
            raise Flaky
        return int(given["n"]) * 2

    def refuse(given: Any) -> None:
        raise Refused

    def order(given: Any) -> None:
        line = os.open(folder / "tokens", os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(line, f"{given['token']}\n".encode())
        os.close(line)
        time.sleep(random.uniform(0, 0.02))

    def cut(given: Any) -> None:
        (folder / "cut").touch()
        time.sleep(600)

    tasks = {"double": double, "refuse": refuse, "order": order, "cut": cut}
    orchestrator = EmbeddedOrchestrator(folder / "e.sqlite", definition(), tasks, threads=4)
    orchestrator.start_working()
    print("working", flush=True)
    signal.pause()


class Victim:
    """The working process, started anew after every kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = self.begin()

    def begin(self) -> subprocess.Popen[str]:
        command = [sys.executable, __file__, str(self.folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        return process

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def answer(door: EmbeddedOrchestrator, folder: Path, answered: set[str]) -> None:
    """What a provider's webhook does: answers each token at least once."""
    lines = (folder / "tokens").read_text().splitlines() if (folder / "tokens").exists() else []
    for token in set(lines) - answered:
        try:
            door.resume(token, {"id": 1})
        except TaskTokenUnknown as error:
            raise AssertionError("a token was given out before it was stored, or lost") from error
        answered.add(token)


def test_executions_survive_kills_of_the_working_process(tmp_path: Path) -> None:
    door = EmbeddedOrchestrator(tmp_path / "e.sqlite", definition(), {})
    victim = Victim(tmp_path)
    answered: set[str] = set()
    try:
        for kill in range(KILLS):
            for number in range(kill * EXECUTIONS // KILLS, (kill + 1) * EXECUTIONS // KILLS):
                door.start(f"e{number}", payload(number))
            time.sleep(random.uniform(0.05, 0.4))
            answer(door, tmp_path, answered)
            victim.kill()
            victim.process = victim.begin()
        deadline = time.monotonic() + 60
        while door.find(ExecutionQuery(status=ExecutionStatus.RUNNING, limit=1)).values:
            assert time.monotonic() < deadline, "some executions never ended"
            answer(door, tmp_path, answered)
            time.sleep(0.02)
        assert_all_ended_once(door)
    finally:
        victim.kill()
        door.close()
    assert_nothing_is_left(tmp_path / "e.sqlite")


def assert_all_ended_once(door: EmbeddedOrchestrator) -> None:
    for number in range(EXECUTIONS):
        execution = door.get(f"e{number}")
        ends = [e for e in door.history(execution.id) if e.type in ("ExecutionSucceeded", "ExecutionFailed")]
        assert len(ends) == 1, execution
        if payload(number)["kind"] == "refused":
            assert (execution.status, execution.error, execution.cause) == ("FAILED", "Refused", "as expected")
        else:
            assert execution.status == "SUCCEEDED", execution
            assert execution.output == {"fork": [number * 2] * 2, "each": [number * 2, 2, 4]}


def assert_nothing_is_left(path: Path) -> None:
    database = sqlite3.connect(path)
    try:
        assert database.execute("SELECT count(*) FROM frame").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM callback").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM execution").fetchone() == (EXECUTIONS,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        database.close()


UNDER_WAY = {
    "StartAt": "Which",
    "States": {
        "Which": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.kind", "StringEquals": "order", "Next": "Order"}],
            "Default": "Cut",
        },
        "Cut": {"Type": "Task", "Resource": "cut", "TimeoutSeconds": 840, "End": True},
        "Order": {
            "Type": "Task",
            "Resource": "order.waitForTaskToken",
            "Parameters": {"token.$": "$$.Task.Token"},
            "TimeoutSeconds": 840,
            "End": True,
        },
    },
}


def test_work_under_way_at_a_kill_runs_again_however_late_the_restart_is(tmp_path: Path) -> None:
    machine = load_definition(json.dumps(UNDER_WAY), resources=ANY_RESOURCE)
    door = EmbeddedOrchestrator(tmp_path / "e.sqlite", machine, {})
    victim = Victim(tmp_path)
    try:
        door.start("ordered", {"kind": "order"})
        door.start("cut", {"kind": "cut"})
        wait_until(lambda: (tmp_path / "cut").exists() and submitted(door, "ordered"))
    finally:
        victim.kill()
        door.close()
    a_day_later = EmbeddedOrchestrator(
        tmp_path / "e.sqlite", machine, {"cut": lambda given: "done"}, clock=lambda: datetime.now(UTC) + DAY
    )
    try:
        a_day_later.start_working()
        wait_until(lambda: not a_day_later.find(ExecutionQuery(status=ExecutionStatus.RUNNING)).values)
        assert a_day_later.get("cut").output == "done"
        assert a_day_later.get("ordered").error == "States.Timeout"
    finally:
        a_day_later.close()


def submitted(door: EmbeddedOrchestrator, execution_id: str) -> bool:
    """Whether its request is out, so that it waits for an answer only."""
    return any(event.type == "TaskSubmitted" for event in door.history(execution_id))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
