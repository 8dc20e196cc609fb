"""Wait states, task tokens, timeouts and heartbeats."""

from __future__ import annotations

from datetime import timedelta

import pytest

from imagery.errors import TaskTokenUnknown
from imagery.orchestrators.embedded.simulate import START, Simulation, simulate

from .conftest import load, one_state

ORDER = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
    "Parameters": {"FunctionName": "${Order}", "Payload": {"token.$": "$$.Task.Token"}},
}


@pytest.mark.parametrize(("fields", "payload", "seconds"), [
    ({"Seconds": 10}, {}, 10),
    ({"Seconds": 0}, {}, 0),
    ({"SecondsPath": "$.s"}, {"s": 90}, 90),
    ({"Timestamp": "2026-01-01T00:02:00Z"}, {}, 120),
    ({"TimestampPath": "$.t"}, {"t": "2026-01-01T02:00:30+02:00"}, 30),
    ({"Timestamp": "2020-01-01T00:00:00Z"}, {}, 0),
    ({"InputPath": "$.in", "SecondsPath": "$.s"}, {"in": {"s": 5}}, 5),
])  # fmt: skip
def test_a_wait_ends_when_it_says(run, fields, payload, seconds):
    result = run({"Type": "Wait", **fields}, payload)
    assert result.status == "SUCCEEDED", result.cause
    assert result.stopped_at == START + timedelta(seconds=seconds)


@pytest.mark.parametrize(("fields", "payload"), [
    ({"SecondsPath": "$.s"}, {"s": -1}),
    ({"SecondsPath": "$.s"}, {"s": "1"}),
    ({"SecondsPath": "$.s"}, {"s": 1.5}),
    ({"SecondsPath": "$.s"}, {"s": True}),
    ({"SecondsPath": "$.s"}, {}),
    ({"TimestampPath": "$.t"}, {"t": "tomorrow"}),
])  # fmt: skip
def test_a_wait_for_nonsense_fails(run, fields, payload):
    assert run({"Type": "Wait", **fields}, payload).error == "States.Runtime"


@pytest.fixture
def order():
    """Start an order with more fields; gives the simulation and the tokens it gave out."""
    tokens, open_ones = [], []

    def order(**fields):
        definition = load(one_state({**ORDER, **fields}))
        simulation = Simulation(definition, {"Order": lambda payload: tokens.append(payload["token"])})
        open_ones.append(simulation.__enter__())
        simulation.start({"a": 1})
        simulation.run(until=simulation.now)
        return simulation, tokens

    yield order
    for simulation in open_ones:
        simulation.__exit__(None, None, None)


def test_a_task_with_a_token_waits_until_it_is_resumed(order):
    simulation, tokens = order(ResultPath="$.order")
    assert simulation.result().status == "RUNNING"
    simulation.resume(tokens[0], {"id": 7})
    assert simulation.result().output == {"a": 1, "order": {"id": 7}}


def test_a_token_opens_once(order):
    simulation, tokens = order()
    simulation.resume(tokens[0], {})
    with pytest.raises(TaskTokenUnknown):
        simulation.resume(tokens[0], {})


def test_a_task_with_a_token_can_be_failed_and_is_retried_with_a_new_token(order):
    simulation, tokens = order(Retry=[{"ErrorEquals": ["Rejected"], "MaxAttempts": 1}])
    simulation.fail(tokens[0], error="Rejected", cause="no quota")
    simulation.run(until=simulation.now + timedelta(seconds=2))
    assert len(set(tokens)) == 2
    with pytest.raises(TaskTokenUnknown):
        simulation.resume(tokens[0], {})
    simulation.fail(tokens[1], error="Rejected", cause="no quota")
    result = simulation.result()
    assert (result.status, result.error, result.cause) == ("FAILED", "Rejected", "no quota")


def test_a_token_times_out_and_is_worth_nothing_then(order):
    simulation, tokens = order(TimeoutSeconds=60)
    simulation.run()
    assert simulation.result().error == "States.Timeout"
    assert simulation.result().stopped_at == START + timedelta(seconds=60)
    with pytest.raises(TaskTokenUnknown):
        simulation.resume(tokens[0], {})


def test_heartbeats_keep_a_task_alive_until_they_stay_away(order):
    simulation, tokens = order(TimeoutSeconds=600, HeartbeatSeconds=10)
    for _ in range(5):
        simulation.run(until=simulation.now + timedelta(seconds=8))
        simulation.heartbeat(tokens[0])
    simulation.run()
    assert simulation.result().error == "States.HeartbeatTimeout"
    assert simulation.result().stopped_at == START + timedelta(seconds=50)


def test_heartbeats_do_not_outlast_the_timeout(order):
    simulation, tokens = order(TimeoutSeconds=12, HeartbeatSeconds=10)
    simulation.run(until=simulation.now + timedelta(seconds=8))
    simulation.heartbeat(tokens[0])
    simulation.run()
    assert simulation.result().error == "States.Timeout"
    assert simulation.result().stopped_at == START + timedelta(seconds=12)


@pytest.mark.parametrize(("fields", "named"), [
    ({"TimeoutSeconds": 60}, "TimeoutSeconds"),
    ({"TimeoutSeconds": 60, "HeartbeatSeconds": 10}, "no heartbeat for 10 seconds"),
])  # fmt: skip
def test_a_caught_timeout_has_a_cause_that_a_fail_state_can_repeat(fields, named):
    caught = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.caught", "Next": "Failure"}]
    failure = {"Type": "Fail", "ErrorPath": "$.caught.Error", "CausePath": "$.caught.Cause"}
    machine = {
        "StartAt": "Order",
        "States": {"Order": {**ORDER, **fields, "Catch": caught, "End": True}, "Failure": failure},
    }
    result = simulate(load(machine), {}, {"Order": lambda payload: None})
    assert result.error in ("States.Timeout", "States.HeartbeatTimeout")
    assert named in result.cause


def test_the_machines_own_timeout_says_so():
    machine = {"StartAt": "O", "TimeoutSeconds": 30, "States": {"O": {**ORDER, "End": True}}}
    result = simulate(load(machine), {}, {"Order": lambda payload: None})
    assert result.status == "TIMED_OUT"
    assert "TimeoutSeconds (30)" in result.cause


def test_a_failure_without_a_name_or_a_cause_is_caught_as_empty_text():
    branch = {"StartAt": "F", "States": {"F": {"Type": "Fail"}}}
    caught = [{"ErrorEquals": ["States.ALL"], "Next": "Failure"}]
    failure = {"Type": "Fail", "ErrorPath": "$.Error", "CausePath": "$.Cause"}
    parallel = {"Type": "Parallel", "Branches": [branch], "Catch": caught, "End": True}
    result = simulate(load({"StartAt": "P", "States": {"P": parallel, "Failure": failure}}), {}, {})
    assert (result.error, result.cause) == ("", "")


def test_timeouts_may_come_from_the_input(run):
    state = {**ORDER, "TimeoutSecondsPath": "$.t", "HeartbeatSecondsPath": "$.h"}
    late = run(state, {"t": 30, "h": 20}, Order=lambda payload: None)
    wrong = run(state, {"t": 0, "h": 20}, Order=lambda payload: None)
    crossed = run(state, {"t": 20, "h": 20}, Order=lambda payload: None)
    assert (late.error, late.stopped_at) == ("States.HeartbeatTimeout", START + timedelta(seconds=20))
    assert wrong.error == crossed.error == "States.Runtime"


def test_a_failed_request_for_a_token_fails_the_task(run):
    def refuse(payload):
        raise PermissionError("no")

    assert run(ORDER, {}, Order=refuse).error == "PermissionError"


def test_an_answer_may_come_before_the_request_returns():
    """A provider's webhook can be faster than its API's answer."""
    simulation = Simulation(
        load(one_state(ORDER)), {"Order": lambda payload: simulation.resume(payload["token"], "early")}
    )
    with simulation:
        simulation.start({})
        simulation.run()
        assert simulation.result().output == "early"
