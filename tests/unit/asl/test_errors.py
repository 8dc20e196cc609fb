"""Fail, Retry and Catch, on a clock that moves only when the machine waits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from imagery.orchestrators.embedded.errors import Origin, matches
from imagery.orchestrators.embedded.simulate import START


class Flaky:
    """Fails with the given errors, one a call, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, payload):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def task(**fields):
    return {"Type": "Task", "Resource": "t", **fields}


def waited(result):
    return (result.stopped_at - START).total_seconds()


@pytest.mark.parametrize(("fields", "payload", "error", "cause"), [
    ({"Error": "E", "Cause": "C"}, {}, "E", "C"),
    ({}, {}, None, None),
    ({"ErrorPath": "$.e", "CausePath": "States.Format('because {}', $.c)"}, {"e": "E", "c": 1}, "E", "because 1"),
    ({"ErrorPath": "$$.State.Name"}, {}, "S", None),
])  # fmt: skip
def test_a_fail_state_ends_the_execution_with_its_error(run, fields, payload, error, cause):
    result = run({"Type": "Fail", **fields}, payload)
    assert (result.status, result.error, result.cause) == ("FAILED", error, cause)


def test_an_error_path_must_lead_to_a_string(run):
    assert run({"Type": "Fail", "ErrorPath": "$.e"}, {"e": 1}).error == "States.Runtime"


def test_an_exception_becomes_its_class_name_and_lambdas_cause(run):
    result = run(task(), {}, t=Flaky(ValueError("no scene")))
    assert result.error == "ValueError"
    assert result.cause == '{"errorMessage": "no scene", "errorType": "ValueError"}'


def test_an_answer_that_is_not_json_is_an_error_of_the_task(run):
    assert run(task(), {}, t=lambda payload: {1, 2}).error == "Runtime.MarshalError"
    assert run(task(), {}, t=lambda payload: float("nan")).error == "Runtime.MarshalError"


RETRIES = [
    ("defaults: three more tries after 1, 2 and 4 s", {}, 9, 4, 7),
    ("interval and rate", {"IntervalSeconds": 3, "BackoffRate": 1.5, "MaxAttempts": 3}, 9, 4, 3 + 4.5 + 6.75),
    ("a ceiling", {"IntervalSeconds": 2, "MaxDelaySeconds": 5, "MaxAttempts": 4}, 9, 5, 2 + 4 + 5 + 5),
    ("no retry", {"MaxAttempts": 0}, 9, 1, 0),
    ("success in between", {"MaxAttempts": 5}, 2, 3, 3),
    ("a rate that overflows", {"BackoffRate": 1e300, "MaxAttempts": 3, "MaxDelaySeconds": 10}, 9, 4, 1 + 10 + 10),
]


@pytest.mark.parametrize(
    ("retrier", "failures", "calls", "seconds"), [c[1:] for c in RETRIES], ids=[c[0] for c in RETRIES]
)
def test_a_retry_waits_as_its_retrier_says(run, retrier, failures, calls, seconds):
    flaky = Flaky(*[ValueError("x")] * failures)
    result = run(task(Retry=[{"ErrorEquals": ["ValueError"], **retrier}]), {}, t=flaky)
    assert flaky.calls == calls
    assert waited(result) == pytest.approx(seconds, abs=0.001)
    assert result.status == ("SUCCEEDED" if failures < calls else "FAILED")


def test_full_jitter_waits_between_nothing_and_the_delay(run):
    retrier = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 100, "BackoffRate": 1, "JitterStrategy": "FULL"}
    seconds = waited(run(task(Retry=[retrier]), {}, t=Flaky(*[ValueError("x")] * 9)))
    assert 0 < seconds < 300


def test_each_retrier_counts_for_itself_and_the_next_state_begins_anew(run):
    flaky = Flaky(KeyError("k"), ValueError("v"), KeyError("k"), ValueError("v"))
    retry = [{"ErrorEquals": ["KeyError"], "MaxAttempts": 2}, {"ErrorEquals": ["ValueError"], "MaxAttempts": 2}]
    machine = {
        "StartAt": "A",
        "States": {
            "A": task(Retry=retry, ResultPath=None, Next="B"),
            "B": {"Type": "Pass", "Parameters": {"n.$": "$$.State.RetryCount"}, "End": True},
        },
    }
    result = run(machine, {}, t=flaky)
    assert flaky.calls == 5
    assert result.output == {"n": 0}


def test_a_retried_state_knows_its_count(run):
    seen = []

    def failing(payload):
        seen.append(payload)
        raise ValueError

    run(task(Parameters={"n.$": "$$.State.RetryCount"}, Retry=[{"ErrorEquals": ["States.ALL"]}]), {}, t=failing)
    assert seen == [{"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}]


def test_after_the_last_retry_the_first_catcher_that_matches_takes_over(run):
    catch = [
        {"ErrorEquals": ["KeyError"], "Next": "Other"},
        {"ErrorEquals": ["ValueError"], "ResultPath": "$.error", "Next": "Caught"},
        {"ErrorEquals": ["States.ALL"], "Next": "Other"},
    ]
    state = task(Retry=[{"ErrorEquals": ["ValueError"], "MaxAttempts": 1}], Catch=catch)
    result = run(state, {"a": 1}, t=Flaky(*[ValueError("x")] * 9))
    assert result.output["a"] == 1
    assert result.output["error"]["Error"] == "ValueError"
    assert "Caught" in [event.state for event in result.history]


def test_a_catcher_without_result_path_replaces_the_input_and_null_drops_the_error(run):
    catcher = {"ErrorEquals": ["States.TaskFailed"], "Next": "C"}
    replaced = run(task(Catch=[catcher]), {"a": 1}, t=Flaky(ValueError("x")))
    dropped = run(task(Catch=[{**catcher, "ResultPath": None}]), {"a": 1}, t=Flaky(ValueError("x")))
    assert set(replaced.output) == {"Error", "Cause"}
    assert dropped.output == {"a": 1}


def test_a_runtime_error_is_caught_by_nothing(run):
    catch = [{"ErrorEquals": ["States.Runtime"], "Next": "C"}, {"ErrorEquals": ["States.ALL"], "Next": "C"}]
    result = run(task(Parameters={"v.$": "$.missing"}, Catch=catch), {}, t=Flaky())
    assert (result.status, result.error) == ("FAILED", "States.Runtime")


def test_an_intrinsic_failure_is_caught(run):
    state = task(Parameters={"v.$": "States.MathAdd('x', 1)"}, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "C"}])
    assert run(state, {}, t=Flaky()).output["Error"] == "States.IntrinsicFailure"


@pytest.mark.parametrize(("patterns", "error", "expected"), [
    (["States.ALL"], "Anything", True),
    (["States.ALL"], "States.Timeout", True),
    (["States.ALL"], None, True),
    (["States.ALL"], "States.Runtime", False),
    (["States.Runtime"], "States.Runtime", False),
    (["States.DataLimitExceeded"], "States.DataLimitExceeded", True),
    (["States.TaskFailed"], "ValueError", True),
    (["States.TaskFailed"], "States.Timeout", False),
    (["States.TaskFailed"], "States.HeartbeatTimeout", False),
    (["States.Timeout"], "States.HeartbeatTimeout", True),
    (["States.HeartbeatTimeout"], "States.HeartbeatTimeout", True),
    (["States.HeartbeatTimeout"], "States.Timeout", False),
    (["A", "B"], "B", True),
    (["A"], "a", False),
])  # fmt: skip
def test_error_names_match_as_documented(patterns, error, expected):
    assert matches(patterns, error) is expected


def test_data_above_the_limit_is_terminal_unless_a_task_answered_it():
    assert matches(["States.ALL"], "States.DataLimitExceeded", Origin.TASK)
    assert not matches(["States.ALL"], "States.DataLimitExceeded", Origin.INTERPRETER)
    assert matches(["States.DataLimitExceeded"], "States.DataLimitExceeded", Origin.INTERPRETER)


def test_an_endless_loop_ends_at_the_limit_of_the_history(run):
    machine = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": True, "Next": "B"}], "Default": "End"},
            "B": {"Type": "Pass", "Next": "A"},
            "End": {"Type": "Succeed"},
        },
    }
    result = run(machine, None)
    assert result.error == "States.Runtime"
    assert len(result.history) == 25_000
    assert result.history[-1].type == "ExecutionFailed"


def test_the_machines_own_timeout_ends_the_execution(run):
    machine = {"StartAt": "W", "TimeoutSeconds": 30, "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}}
    result = run(machine, {})
    assert (result.status, result.error) == ("TIMED_OUT", "States.Timeout")
    assert result.stopped_at == START + timedelta(seconds=30)
