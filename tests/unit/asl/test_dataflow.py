"""How data moves through a state."""

from __future__ import annotations

import pytest

from imagery.orchestrators.embedded.dataflow import MAX_PAYLOAD_BYTES

PASSES = [
    ("nothing", {}, {"a": 1}, {"a": 1}),
    ("a result replaces the input", {"Result": 5}, {"a": 1}, 5),
    ("a result is no template", {"Result": {"a.$": "$.b"}}, {}, {"a.$": "$.b"}),
    ("ResultPath puts it in", {"Result": 5, "ResultPath": "$.r"}, {"a": 1}, {"a": 1, "r": 5}),
    ("ResultPath makes the way", {"Result": 5, "ResultPath": "$.r.s['t u']"}, {}, {"r": {"s": {"t u": 5}}}),
    ("ResultPath overwrites", {"Result": 5, "ResultPath": "$.a"}, {"a": {"b": 1}}, {"a": 5}),
    ("ResultPath writes into an array", {"Result": 5, "ResultPath": "$.a[1]"}, {"a": [1, 2]}, {"a": [1, 5]}),
    ("ResultPath null drops it", {"Result": 5, "ResultPath": None}, {"a": 1}, {"a": 1}),
    ("InputPath selects", {"InputPath": "$.a"}, {"a": [1]}, [1]),
    ("InputPath null gives an empty object", {"InputPath": None}, {"a": 1}, {}),
    ("ResultPath works on the raw input", {"InputPath": "$.a", "ResultPath": "$.r"}, {"a": 1}, {"a": 1, "r": 1}),
    ("OutputPath selects", {"Result": [7], "ResultPath": "$.r", "OutputPath": "$.r[0]"}, {}, 7),
    ("OutputPath null gives an empty object", {"OutputPath": None}, {"a": 1}, {}),
    ("InputPath takes a context path", {"InputPath": "$$.State.Name"}, {}, "S"),
    ("a template reaches into depth", {"Parameters": {"x": [{"y.$": "$.a"}], "z": "$.a"}}, {"a": None},
     {"x": [{"y": None}], "z": "$.a"}),
    ("wildcards give arrays", {"Parameters": {"v.$": "$.xs[*].n", "w.$": "$..n"}}, {"xs": [{"n": 1}, {"n": 2}]},
     {"v": [1, 2], "w": [1, 2]}),
    ("slices, unions and filters", {"Parameters": {"a.$": "$[0:2]", "b.$": "$[0,2]", "c.$": "$[?(@.n > 1)].n"}},
     [{"n": 1}, {"n": 2}, {"n": 3}],
     {"a": [{"n": 1}, {"n": 2}], "b": [{"n": 1}, {"n": 3}], "c": [2, 3]}),
    ("a filter may look at the root", {"Parameters": {"v.$": "$.xs[?(@.n == $.k)].n"}},
     {"k": 2, "xs": [{"n": 1}, {"n": 2}]}, {"v": [2]}),
    ("a filter that finds nothing gives an empty array",
     {"Parameters": {"v.$": "$.xs[?(@.n == 9)]"}}, {"xs": []}, {"v": []}),
    ("escaped and odd names", {"Parameters": {"v.$": r"$.a\.b", "w.$": "$['c d']", "x.$": "$.e-f", "y.$": "$.größe"}},
     {"a.b": 1, "c d": 2, "e-f": 3, "größe": 4}, {"v": 1, "w": 2, "x": 3, "y": 4}),
    ("a dot before a bracket is passed over", {"Parameters": {"v.$": "$.['a'].[0]", "w.$": "$.a.[?(@ > 1)]"}},
     {"a": [1, 2]}, {"v": 1, "w": [2]}),
    ("negative indices count from the end", {"Parameters": {"v.$": "$[-1]"}}, [1, 2], {"v": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("state", "data", "output"), [case[1:] for case in PASSES], ids=[case[0] for case in PASSES])
def test_a_pass_state_moves_data_as_specified(run, state, data, output):
    result = run({"Type": "Pass", **state}, data)
    assert result.error is None, result.cause
    assert result.output == output


FAILURES = [
    ({"Parameters": {"v.$": "$.missing"}}, {"a": 1}, "States.Runtime",
     "The JSONPath '$.missing' specified for the field 'v.$' could not be found in the input '{\"a\":1}'"),
    ({"InputPath": "$.a.b"}, {}, "States.Runtime", "Invalid path '$.a.b' : No results for path: $['a']['b']"),
    ({"OutputPath": "$.x[0]"}, {}, "States.Runtime", "No results for path: $['x'][0]"),
    ({"Parameters": {"v.$": "$.a[*]"}}, {}, "States.Runtime", "could not be found"),
    ({"Parameters": {"v.$": "$name"}}, {}, "States.Runtime", "could not be found"),
    ({"Result": 1, "ResultPath": "$.a.b"}, {"a": "text"}, "States.ResultPathMatchFailure", "$.a.b"),
    ({"Result": 1, "ResultPath": "$.a[1]"}, {"a": [1]}, "States.ResultPathMatchFailure", "$.a[1]"),
    ({"Result": 1, "ResultPath": "$.a"}, [1], "States.ResultPathMatchFailure", "$.a"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "data", "error", "cause"), FAILURES)
def test_data_that_cannot_be_moved_fails_the_execution_by_name(run, state, data, error, cause):
    result = run({"Type": "Pass", **state}, data)
    assert (result.status, result.error) == ("FAILED", error)
    assert cause in result.cause
    assert "while executing the state 'S' (entered at the event id #2)" in result.cause


def test_a_task_goes_through_all_five_fields(run):
    state = {
        "Type": "Task",
        "Resource": "any:thing",
        "InputPath": "$.in",
        "Parameters": {"x.$": "$.x", "first.$": "$$.Execution.Input.first"},
        "ResultSelector": {"got.$": "$.answer", "of.$": "$$.State.Name"},
        "ResultPath": "$.result",
        "OutputPath": "$.result",
    }
    seen = []

    def task(payload):
        seen.append(payload)
        return {"answer": 42, "noise": "…"}

    result = run(state, {"first": 1, "in": {"x": 2}}, **{"any:thing": task})
    assert seen == [{"x": 2, "first": 1}]
    assert result.output == {"got": 42, "of": "S"}


def test_an_answer_that_is_too_large_can_be_caught_but_a_state_that_grows_too_large_cannot(run):
    large = "x" * MAX_PAYLOAD_BYTES
    state = {"Type": "Task", "Resource": "big"}
    by_all = run({**state, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}]}, {}, big=lambda payload: large)
    merged = {**state, "ResultPath": "$.r", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}]}
    uncaught = run(merged, {"i": "y" * 200_000}, big=lambda payload: "x" * 200_000)
    caught = run(
        {**state, "Catch": [{"ErrorEquals": ["States.DataLimitExceeded"], "Next": "C"}]}, {}, big=lambda p: large
    )
    assert uncaught.error == "States.DataLimitExceeded"
    assert caught.output == by_all.output
    assert caught.output["Error"] == "States.DataLimitExceeded"


def test_parameters_that_are_too_large_never_reach_the_task(run):
    calls = []
    parameters = {"twice.$": "States.Format('{}{}', $.s, $.s)"}
    result = run({"Type": "Task", "Resource": "t", "Parameters": parameters}, {"s": "x" * 200_000}, t=calls.append)
    assert result.error == "States.DataLimitExceeded"
    assert calls == []


def test_variables_are_assigned_from_results_and_seen_by_later_states(run):
    machine = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Result": {"x": 1}, "Assign": {"n.$": "$.x", "k": "v"}, "Next": "B"},
            "B": {"Type": "Pass", "Assign": {"n": 2, "old.$": "$n"}, "Next": "P"},
            "P": {
                "Type": "Parallel",
                "Branches": [
                    {
                        "StartAt": "I",
                        "States": {"I": {"Type": "Pass", "Parameters": {"n.$": "$n"}, "Assign": {"k": 0}, "End": True}},
                    }
                ],
                "Next": "C",
            },
            "C": {"Type": "Pass", "Parameters": {"n.$": "$n", "old.$": "$old", "k.$": "$k", "p.$": "$"}, "End": True},
        },
    }
    assert run(machine, {}).output == {"n": 2, "old": 1, "k": "v", "p": [{"n": 2}]}


def test_the_context_object_tells_execution_state_and_machine(run):
    output = run({"Type": "Pass", "Parameters": {"c.$": "$$"}}, {"a": 1}).output["c"]
    assert output["Execution"]["Input"] == {"a": 1}
    assert output["Execution"]["Name"] == "simulated"
    assert output["Execution"]["StartTime"] == output["State"]["EnteredTime"] == "2026-01-01T00:00:00.000Z"
    assert output["State"] == {"EnteredTime": "2026-01-01T00:00:00.000Z", "Name": "S", "RetryCount": 0}
    assert set(output["StateMachine"]) == {"Id", "Name"}
