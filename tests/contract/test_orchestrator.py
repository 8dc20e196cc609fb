"""The promises of Orchestrator and TaskTokens, kept by every orchestrator; and what only the embedded one can show."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imagery.errors import (
    AlreadyRunning,
    CursorInvalid,
    ExecutionUnknown,
    InvalidInput,
    StoreUnavailable,
    TaskTokenUnknown,
)
from imagery.model.execution import ExecutionQuery, ExecutionStatus
from imagery.orchestrators.embedded.definition import ANY_RESOURCE, load_definition
from imagery.orchestrators.embedded.engine import EmbeddedOrchestrator

INVOKE = "arn:aws:states:::lambda:invoke"


def invoke(name: str, **fields: Any) -> dict[str, Any]:
    parameters = {"FunctionName": f"${{{name}}}", "Payload.$": "$"}
    return {"Type": "Task", "Resource": INVOKE, "Parameters": parameters, **fields}


def order(**fields: Any) -> dict[str, Any]:
    payload = {"token.$": "$$.Task.Token", "id.$": "$$.Execution.Name"}
    resource, parameters = f"{INVOKE}.waitForTaskToken", {"FunctionName": "Order", "Payload": payload}
    return {"Type": "Task", "Resource": resource, "Parameters": parameters, "ResultPath": "$.order", **fields}


MACHINE = {
    "StartAt": "Which",
    "States": {
        "Which": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.kind", "IsPresent": False, "Next": "Double"},
                {"Variable": "$.kind", "StringEquals": "order", "Next": "Order"},
                {"Variable": "$.kind", "StringEquals": "alive", "Next": "Alive"},
                {"Variable": "$.kind", "StringEquals": "sleep", "Next": "Sleep"},
                {"Variable": "$.kind", "StringEquals": "again", "Next": "Again"},
                {"Variable": "$.kind", "StringEquals": "hurried", "Next": "Hurried"},
                {"Variable": "$.kind", "StringEquals": "patient", "Next": "Patient"},
            ],
            "Default": "Double",
        },
        "Order": order(Next="Double"),
        "Alive": order(HeartbeatSeconds=1, TimeoutSeconds=30, Next="Double"),
        "Sleep": {"Type": "Wait", "Seconds": 3600, "Next": "Double"},
        "Again": invoke("Double", Retry=[{"ErrorEquals": ["ValueError"], "IntervalSeconds": 3600}], End=True),
        "Hurried": invoke("Double", TimeoutSeconds=600, ResultSelector={"n.$": "$.Payload"}, End=True),
        "Patient": order(TimeoutSeconds=600, Next="Double"),
        "Double": invoke("Double", ResultSelector={"n.$": "$.Payload"}, End=True),
    },
}


class House:
    """Tasks that remember, and orchestrators over one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.definition = load_definition(json.dumps(MACHINE), resources={"Double", "Order"})
        self.tokens: dict[str, str] = {}
        self.doubled: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.opened: list[EmbeddedOrchestrator] = []

    def double(self, payload: Any) -> int:
        self.doubled.append(payload["n"])
        self.gate.wait(10)
        if payload["n"] < 0:
            raise ValueError("negative")
        return int(payload["n"]) * 2

    def open(self, *, working: bool = True, **options: Any) -> EmbeddedOrchestrator:
        tasks = {"Double": self.double, "Order": lambda p: self.tokens.__setitem__(p["id"], p["token"])}
        options.setdefault("definition", self.definition)
        orchestrator = EmbeddedOrchestrator(self.path, tasks=tasks, threads=4, **options)
        self.opened.append(orchestrator)
        if working:
            orchestrator.start_working()
        return orchestrator

    def close(self) -> None:
        self.gate.set()
        for orchestrator in self.opened:
            orchestrator.close(timeout_s=2)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "data" / "executions.sqlite")
    yield house
    house.close()


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def wait_until(condition: Callable[[], Any], timeout_s: float = 10) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)
    return found


def ended(orchestrator: EmbeddedOrchestrator, execution_id: str) -> Any:
    return wait_until(lambda: (e := orchestrator.get(execution_id)).status is not ExecutionStatus.RUNNING and e)


def waiting(house: House, orchestrator: EmbeddedOrchestrator, execution_id: str) -> str:
    """Its token, once its request is out."""
    wait_until(lambda: any(event.type == "TaskSubmitted" for event in orchestrator.history(execution_id)))
    return house.tokens[execution_id]


def test_an_execution_runs_to_its_end_and_is_described(house):
    orchestrator = house.open()
    orchestrator.start("e1", {"n": 21})
    execution = ended(orchestrator, "e1")
    assert (execution.status, execution.output, execution.state) == ("SUCCEEDED", {"n": 42}, None)
    assert execution.input == {"n": 21}
    assert execution.started_at <= execution.stopped_at
    types = [event.type for event in orchestrator.history("e1")]
    assert types == [
        "ExecutionStarted", "ChoiceStateEntered", "ChoiceStateExited", "TaskStateEntered", "TaskScheduled",
        "TaskSucceeded", "TaskStateExited", "ExecutionSucceeded",
    ]  # fmt: skip


def test_a_failed_execution_says_why(house):
    orchestrator = house.open()
    orchestrator.start("e1", {"n": -1})
    execution = ended(orchestrator, "e1")
    assert (execution.status, execution.error) == ("FAILED", "ValueError")
    assert json.loads(execution.cause) == {"errorMessage": "negative", "errorType": "ValueError"}


def test_starting_twice_does_nothing_even_after_the_end(house):
    orchestrator = house.open()
    orchestrator.start("e1", {"n": 1})
    ended(orchestrator, "e1")
    orchestrator.start("e1", {"n": 5})
    orchestrator.start("e2", {"n": 2})
    ended(orchestrator, "e2")
    assert orchestrator.get("e1").output == {"n": 2}
    assert house.doubled == [1, 2]


def test_an_execution_nobody_started_is_unknown(house):
    orchestrator = house.open()
    for ask in (orchestrator.get, orchestrator.history):
        with pytest.raises(ExecutionUnknown):
            ask("nobody")


def test_payloads_that_cannot_be_kept_are_refused(house):
    orchestrator = house.open()
    for payload in ({"x": "y" * 300_000}, {"x": float("nan")}, {"x": object()}, {"x": "\ud800"}, {"x": deep(300)}):
        with pytest.raises(InvalidInput):
            orchestrator.start("e1", payload)
    assert orchestrator.find(ExecutionQuery()).values == ()


def test_executions_are_found_newest_first_page_by_page(house):
    orchestrator = house.open()
    for number in range(7):
        orchestrator.start(f"e{number}", {"n": -1 if number == 3 else number})
    wait_until(lambda: not orchestrator.find(ExecutionQuery(status=ExecutionStatus.RUNNING)).values)
    first = orchestrator.find(ExecutionQuery(limit=5))
    second = orchestrator.find(ExecutionQuery(limit=5, cursor=first.next_cursor))
    assert [execution.id for execution in first.values + second.values] == [f"e{n}" for n in range(6, -1, -1)]
    assert second.next_cursor is None
    assert [e.id for e in orchestrator.find(ExecutionQuery(status=ExecutionStatus.FAILED)).values] == ["e3"]
    for cursor in ("nonsense", "é", ""):
        with pytest.raises(CursorInvalid):
            orchestrator.find(ExecutionQuery(cursor=cursor))
    with pytest.raises(CursorInvalid):
        orchestrator.find(ExecutionQuery(status=ExecutionStatus.FAILED, cursor=first.next_cursor))


def test_only_executions_with_work_under_way_count_as_running(house):
    orchestrator = house.open()
    house.gate.clear()
    orchestrator.start("busy", {"n": 1})
    orchestrator.start("paused", {"kind": "order", "n": 2})
    orchestrator.start("asleep", {"kind": "sleep", "n": 3})
    token = waiting(house, orchestrator, "paused")
    assert orchestrator.running() == 1
    assert orchestrator.get("paused").state == "Order"
    assert orchestrator.get("asleep").state == "Sleep"
    orchestrator.resume(token, {})
    assert orchestrator.running() == 2


def test_an_execution_that_waits_for_its_next_try_holds_no_place(house):
    orchestrator = house.open()
    orchestrator.start("again", {"kind": "again", "n": -1})
    wait_until(lambda: any(event.type == "TaskFailed" for event in orchestrator.history("again")))
    assert orchestrator.get("again").status is ExecutionStatus.RUNNING
    assert orchestrator.running() == 0


def test_executions_that_were_started_count_before_their_turn_has_come(house):
    door = house.open(working=False)
    for number in range(3):
        door.start(f"e{number}", {"n": number})
    assert door.running() == 3
    orchestrator = house.open()
    for number in range(3):
        ended(orchestrator, f"e{number}")
    assert door.running() == 0


def test_no_more_tasks_are_carried_out_at_once_than_there_are_threads(house):
    orchestrator = house.open()
    house.gate.clear()
    for number in range(20):
        orchestrator.start(f"e{number}", {"n": number})
    wait_until(lambda: len(house.doubled) == 4)
    assert orchestrator.running() == 20
    time.sleep(0.1)
    assert len(house.doubled) == 4


def test_executions_are_counted_by_status(house):
    orchestrator = house.open()
    assert set(orchestrator.counts()) == set(ExecutionStatus)
    assert not any(orchestrator.counts().values())
    for name, payload in {"a": {"n": 1}, "b": {"n": 2}, "bad": {"n": -1}, "asleep": {"kind": "sleep", "n": 3}}.items():
        orchestrator.start(name, payload)
        orchestrator.start(name, payload)
    wait_until(lambda: orchestrator.counts()[ExecutionStatus.RUNNING] == 1)

    counts = {status: number for status, number in orchestrator.counts().items() if number}
    assert counts == {ExecutionStatus.RUNNING: 1, ExecutionStatus.SUCCEEDED: 2, ExecutionStatus.FAILED: 1}
    orchestrator.close()
    assert house.open().counts() == orchestrator.counts()


def test_executions_of_a_file_from_before_they_were_counted_are_counted(house):
    orchestrator = house.open()
    orchestrator.start("a", {"n": 1})
    ended(orchestrator, "a")
    orchestrator.close()
    with closing(sqlite3.connect(house.path)) as database:
        for name in ("TRIGGER execution_came", "TRIGGER execution_moved", "TABLE execution_count"):
            database.execute(f"DROP {name}")

    again = house.open()
    again.start("b", {"n": 2})
    ended(again, "b")

    assert again.counts()[ExecutionStatus.SUCCEEDED] == 2


def test_a_paused_execution_is_resumed_with_an_output(house):
    orchestrator = house.open()
    orchestrator.start("e1", {"kind": "order", "n": 4})
    orchestrator.resume(waiting(house, orchestrator, "e1"), {"id": 9})
    assert ended(orchestrator, "e1").output == {"n": 8}
    assert orchestrator.history("e1")[-4].detail["parameters"]["Payload"]["order"] == {"id": 9}


def test_a_paused_execution_can_be_failed(house):
    orchestrator = house.open()
    orchestrator.start("e1", {"kind": "order", "n": 4})
    orchestrator.fail(waiting(house, orchestrator, "e1"), error="OrderRefused", cause="no quota")
    execution = ended(orchestrator, "e1")
    assert (execution.status, execution.error, execution.cause) == ("FAILED", "OrderRefused", "no quota")


def test_a_stale_token_is_unknown(house):
    orchestrator = house.open()
    orchestrator.start("e1", {"kind": "order", "n": 4})
    token = waiting(house, orchestrator, "e1")
    orchestrator.resume(token, {})
    for answer in (
        lambda: orchestrator.resume(token, {}),
        lambda: orchestrator.fail(token, error="E", cause="C"),
        lambda: orchestrator.heartbeat(token),
        lambda: orchestrator.resume("never given out", {}),
    ):
        with pytest.raises(TaskTokenUnknown):
            answer()


def test_heartbeats_keep_a_paused_execution_alive_until_they_stay_away(house):
    orchestrator = house.open()
    orchestrator.start("e1", {"kind": "alive", "n": 4})
    token = waiting(house, orchestrator, "e1")
    for _ in range(4):
        time.sleep(0.4)
        orchestrator.heartbeat(token)
    assert ended(orchestrator, "e1").error == "States.HeartbeatTimeout"
    with pytest.raises(TaskTokenUnknown):
        orchestrator.resume(token, {})


def test_a_restart_goes_on_and_tokens_still_open(house):
    first = house.open()
    first.start("paused", {"kind": "order", "n": 4})
    token = waiting(house, first, "paused")
    first.close()
    house.opened[-1].start("left", {"n": 5})
    second = house.open()
    assert ended(second, "left").output == {"n": 10}
    assert second.get("paused").status is ExecutionStatus.RUNNING
    second.resume(token, {})
    assert ended(second, "paused").output == {"n": 8}


def test_closing_waits_for_tasks_under_way_and_begins_no_more(house):
    orchestrator = house.open()
    house.gate.clear()
    for number in range(6):
        orchestrator.start(f"e{number}", {"n": number})
    wait_until(lambda: len(house.doubled) == 4)
    threading.Timer(0.2, house.gate.set).start()
    orchestrator.close(timeout_s=5)
    assert len(house.doubled) == 4
    again = house.open(working=False)
    assert [again.get(f"e{n}").status for n in range(6)] == ["SUCCEEDED"] * 4 + ["RUNNING"] * 2


def test_a_task_that_outlasts_the_closing_runs_again(house):
    first = house.open()
    house.gate.clear()
    first.start("e1", {"n": 1})
    wait_until(lambda: house.doubled)
    began = time.monotonic()
    first.close(timeout_s=0.1)
    assert time.monotonic() - began < 2
    second = house.open()
    house.gate.set()
    assert ended(second, "e1").output == {"n": 2}
    assert house.doubled == [1, 1]


class Later:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.by = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.by


def test_work_cut_off_long_ago_runs_again_while_a_paused_task_keeps_its_deadline(house):
    clock = Later()
    first = house.open(clock=clock)
    first.start("patient", {"kind": "patient", "n": 2})
    waiting(house, first, "patient")
    house.gate.clear()
    first.start("hurried", {"kind": "hurried", "n": 1})
    wait_until(lambda: house.doubled)
    first.close(timeout_s=0.05)
    house.gate.set()
    clock.by = timedelta(hours=1)
    second = house.open(clock=clock)
    assert ended(second, "hurried").output == {"n": 2}
    patient = ended(second, "patient")
    assert (patient.status, patient.error) == ("FAILED", "States.Timeout")
    assert "'Patient'" in patient.cause
    assert "TimeoutSeconds" in patient.cause


def test_work_that_runs_again_has_its_whole_time_once_more(house):
    clock = Later()
    first = house.open(clock=clock)
    house.gate.clear()
    first.start("hurried", {"kind": "hurried", "n": 1})
    wait_until(lambda: house.doubled)
    first.close(timeout_s=0.05)
    clock.by = timedelta(hours=1)
    second = house.open(clock=clock)
    wait_until(lambda: len(house.doubled) == 2)
    clock.by += timedelta(seconds=590)
    time.sleep(0.4)
    assert second.get("hurried").status is ExecutionStatus.RUNNING
    clock.by += timedelta(seconds=20)
    assert ended(second, "hurried").error == "States.Timeout"


# The embedded orchestrator, seen from several processes


@pytest.mark.parametrize("working", [True, False])
def test_a_process_stuck_at_the_file_keeps_nobody_waiting_for_ever(house, working):
    orchestrator = house.open(working=working, patience=timedelta(seconds=0.2))
    orchestrator.start("before", {"n": 1})
    with (house.path.parent / f"{house.path.name}.writing").open("w") as stuck:
        fcntl.flock(stuck, fcntl.LOCK_EX)
        with pytest.raises(StoreUnavailable, match="another process"):
            orchestrator.start("e1", {"n": 1})
        assert orchestrator.get("before").id == "before"
    orchestrator.start("e1", {"n": 1})
    if working:
        assert ended(orchestrator, "e1").output == {"n": 2}


def test_only_one_process_works(house):
    house.open()
    with pytest.raises(AlreadyRunning):
        house.open()


def test_one_that_does_not_work_starts_resumes_fails_and_keeps_alive(house):
    worker, door = house.open(), house.open(working=False)
    door.start("plain", {"n": 1})
    door.start("order", {"kind": "order", "n": 2})
    door.start("refused", {"kind": "order", "n": 3})
    door.start("alive", {"kind": "alive", "n": 4})
    assert ended(door, "plain").output == {"n": 2}
    door.resume(waiting(house, door, "order"), {})
    with pytest.raises(TaskTokenUnknown):
        door.resume(house.tokens["order"], {})
    door.fail(waiting(house, door, "refused"), error="E", cause="C")
    alive = waiting(house, door, "alive")
    for _ in range(3):
        time.sleep(0.4)
        door.heartbeat(alive)
    worker.resume(alive, {})
    assert ended(door, "order").output == {"n": 4}
    assert ended(door, "refused").error == "E"
    assert ended(door, "alive").output == {"n": 8}
    with pytest.raises(TaskTokenUnknown):
        door.resume(alive, {})


def test_what_was_left_while_nobody_worked_is_taken_up(house):
    first = house.open()
    first.start("e1", {"kind": "order", "n": 4})
    token = waiting(house, first, "e1")
    first.close()
    door = house.open(working=False)
    door.resume(token, {})
    door.start("e2", {"n": 5})
    worker = house.open()
    assert ended(worker, "e1").output == {"n": 8}
    assert ended(worker, "e2").output == {"n": 10}


def test_an_execution_keeps_the_definition_it_was_started_with(house):
    first = house.open()
    first.start("e1", {"kind": "order", "n": 4})
    token = waiting(house, first, "e1")
    first.close()
    other = load_definition(json.dumps({"StartAt": "New", "States": {"New": {"Type": "Succeed"}}}))
    second = house.open(definition=other)
    second.resume(token, {})
    second.start("e2", {"n": 1})
    assert ended(second, "e1").output == {"n": 8}
    assert ended(second, "e2").output == {"n": 1}


def test_forgetting_drops_histories_but_not_that_it_was_started(house):
    orchestrator = house.open()
    orchestrator.start("old", {"n": 1})
    orchestrator.start("paused", {"kind": "order", "n": 1})
    ended(orchestrator, "old")
    waiting(house, orchestrator, "paused")
    assert orchestrator.forget(datetime.now(UTC) - timedelta(days=1)) == 0
    assert orchestrator.forget(datetime.now(UTC) + timedelta(seconds=1)) == 1
    assert orchestrator.forget(datetime.now(UTC) + timedelta(seconds=1)) == 0
    assert orchestrator.history("old") == ()
    assert orchestrator.history("paused") != ()
    orchestrator.start("old", {"n": 7})
    assert orchestrator.get("old").status is ExecutionStatus.SUCCEEDED
    assert house.doubled == [1]


# Two bugs once met, which must not come back


def test_the_row_number_of_a_finished_execution_is_never_given_to_another(house):
    """A reused rowid once let the late result of a finished execution hit a stranger's frame."""
    orchestrator = house.open()
    numbers = []
    for name in ("a", "b"):
        orchestrator.start(name, {"kind": "order", "n": 1})
        token = waiting(house, orchestrator, name)
        with sqlite3.connect(house.path) as database:
            numbers += database.execute("SELECT id, execution FROM frame").fetchall()
        database.close()
        orchestrator.resume(token, {})
        ended(orchestrator, name)
    assert numbers[1][0] > numbers[0][0]
    assert numbers[1][1] > numbers[0][1]


def test_the_late_result_of_a_task_that_timed_out_is_dropped(tmp_path):
    release, calls = threading.Event(), []

    def slow(payload):
        calls.append(payload)
        if len(calls) == 1:
            release.wait(10)
            return "late"
        return "in time"

    retried = {"Retry": [{"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 1}]}
    machine = {
        "StartAt": "Slow",
        "States": {
            "Slow": {"Type": "Task", "Resource": "slow", "TimeoutSeconds": 1, **retried, "Next": "Rest"},
            "Rest": {"Type": "Wait", "Seconds": 1, "End": True},
        },
    }
    definition = load_definition(json.dumps(machine), resources=ANY_RESOURCE)
    orchestrator = EmbeddedOrchestrator(tmp_path / "e.sqlite", definition, {"slow": slow}, threads=2)
    try:
        orchestrator.start_working()
        orchestrator.start("e1", {})
        wait_until(lambda: orchestrator.get("e1").state == "Rest")
        release.set()
        assert ended(orchestrator, "e1").output == "in time"
    finally:
        release.set()
        orchestrator.close()


def test_nothing_the_engine_asks_again_and_again_looks_at_the_whole_backlog(house):
    """A wrong index choice once made admission grow with the number of paused executions."""
    house.open()
    database = sqlite3.connect(house.path)
    questions = [
        "SELECT number FROM execution WHERE entered = 0 ORDER BY number LIMIT 256",
        "SELECT number FROM execution WHERE due <= 1.0 ORDER BY due LIMIT 256",
        "SELECT due FROM frame WHERE due IS NOT NULL ORDER BY due LIMIT 1",
        "SELECT due FROM execution WHERE due IS NOT NULL ORDER BY due LIMIT 1",
        "SELECT id FROM frame WHERE due <= 1.0 ORDER BY due LIMIT 256",
        "SELECT id, seq, status FROM frame WHERE status IN ('ready', 'step') ORDER BY id",
        "SELECT count(DISTINCT execution) FROM frame WHERE status IN ('ready', 'step')",
        "SELECT count(*) FROM execution WHERE entered = 0",
        "SELECT * FROM frame WHERE token = 'x'",
        "SELECT * FROM frame WHERE parent = 1 AND status = 'blocked' ORDER BY position LIMIT 1",
        "SELECT * FROM execution WHERE number < 9 AND status = 'FAILED' ORDER BY number DESC LIMIT 9",
    ]
    plans = {q: [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {q}")] for q in questions}
    database.close()
    for question, plan in plans.items():
        assert all("USING" in step for step in plan), (question, plan)
        assert not any("TEMP B-TREE FOR ORDER BY" in step for step in plan), (question, plan)
