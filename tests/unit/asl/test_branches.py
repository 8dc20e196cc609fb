"""Parallel and Map."""

from __future__ import annotations

import pytest

from imagery.orchestrators.embedded.simulate import START


def processor(**states):
    return {"StartAt": next(iter(states)), "States": states}


def each(**fields):
    return {"Type": "Map", "ItemProcessor": processor(I={"Type": "Pass", "End": True}), **fields}


FRAGILE = processor(T={"Type": "Task", "Resource": "t", "End": True})


def fragile(payload):
    if payload == "bad":
        raise ValueError("bad item")
    return payload


def test_a_parallel_gives_every_branch_a_copy_and_its_outputs_in_order(run):
    state = {
        "Type": "Parallel",
        "Parameters": {"x.$": "$.a"},
        "Branches": [
            processor(Slow={"Type": "Wait", "Seconds": 9, "Next": "A"}, A={"Type": "Pass", "End": True}),
            processor(B={"Type": "Pass", "Result": 2, "End": True}),
        ],
        "ResultSelector": {"first.$": "$[0]", "second.$": "$[1]"},
        "ResultPath": "$.r",
    }
    result = run(state, {"a": 1})
    assert result.output == {"a": 1, "r": {"first": {"x": 1}, "second": 2}}
    assert (result.stopped_at - START).total_seconds() == 9


def test_a_failing_branch_fails_the_parallel_and_stops_the_others(run):
    calls = []
    state = {
        "Type": "Parallel",
        "Branches": [
            processor(F={"Type": "Fail", "Error": "E", "Cause": "C"}),
            processor(W={"Type": "Wait", "Seconds": 5, "Next": "T"}, T={"Type": "Task", "Resource": "t", "End": True}),
            FRAGILE | {"StartAt": "U", "States": {"U": {"Type": "Task", "Resource": "t", "End": True}}},
        ],
    }
    uncaught = run(state, {}, t=calls.append)
    assert (uncaught.status, uncaught.error, uncaught.cause) == ("FAILED", "E", "C")
    assert calls == []
    caught = run({**state, "Catch": [{"ErrorEquals": ["E"], "Next": "C"}]}, {}, t=calls.append)
    by_branch = run({**state, "Catch": [{"ErrorEquals": ["States.BranchFailed"], "Next": "C"}]}, {}, t=calls.append)
    assert caught.output == by_branch.output == {"Error": "E", "Cause": "C"}
    assert calls == []


def test_a_retried_parallel_runs_all_of_it_again(run):
    calls = []

    def once(payload):
        calls.append(payload)
        if len(calls) == 1:
            raise ValueError
        return len(calls)

    result = run({"Type": "Parallel", "Branches": [FRAGILE], "Retry": [{"ErrorEquals": ["ValueError"]}]}, {}, t=once)
    assert result.output == [2]


@pytest.mark.parametrize(("fields", "payload", "output"), [
    ({}, [3, 1, 2], [3, 1, 2]),
    ({}, [], []),
    ({"ItemsPath": "$.xs"}, {"xs": ["a"]}, ["a"]),
    ({"ItemsPath": "$.xs", "ResultPath": "$.out"}, {"xs": [1]}, {"xs": [1], "out": [1]}),
    ({"InputPath": "$.in", "ItemsPath": "$.xs"}, {"in": {"xs": [1]}}, [1]),
    ({"ItemsPath": "$.xs", "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "k.$": "$.k"}},
     {"k": "K", "xs": ["a", "b"]}, [{"i": 0, "v": "a", "k": "K"}, {"i": 1, "v": "b", "k": "K"}]),
    ({"ItemsPath": "$.xs", "Parameters": {"v.$": "$$.Map.Item.Value"}}, {"xs": [1]}, [{"v": 1}]),
    ({"ItemsPath": "States.ArrayRange(1, 3, 1)"}, {}, [1, 2, 3]),
])  # fmt: skip
def test_a_map_runs_over_its_items(run, fields, payload, output):
    result = run(each(**fields), payload)
    assert result.error is None, result.cause
    assert result.output == output


def test_the_older_iterator_is_understood(run):
    assert run({"Type": "Map", "Iterator": processor(I={"Type": "Pass", "Result": 0, "End": True})}, [1, 2]).output == [
        0,
        0,
    ]


def test_items_must_be_an_array(run):
    assert run(each(ItemsPath="$.xs"), {"xs": {"a": 1}}).error == "States.Runtime"
    assert run(each(ItemsPath="$.xs"), {}).error == "States.Runtime"


def test_states_inside_a_map_see_their_item(run):
    inner = processor(
        A={"Type": "Pass", "Result": "gone", "Next": "B"},
        B={"Type": "Pass", "Parameters": {"v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index"}, "End": True},
    )
    assert run(each(ItemProcessor=inner), ["x", "y"]).output == [{"v": "x", "i": 0}, {"v": "y", "i": 1}]


@pytest.mark.parametrize(("fields", "seconds"), [
    ({}, 10), ({"MaxConcurrency": 0}, 10), ({"MaxConcurrency": 1}, 50), ({"MaxConcurrency": 2}, 30),
    ({"MaxConcurrencyPath": "$$.Execution.Input[4]"}, 10),
])  # fmt: skip
def test_as_many_items_run_at_once_as_allowed(run, fields, seconds):
    inner = processor(W={"Type": "Wait", "Seconds": 10, "End": True})
    result = run(each(ItemProcessor=inner, **fields), [1, 2, 3, 4, 5])
    assert result.output == [1, 2, 3, 4, 5]
    assert (result.stopped_at - START).total_seconds() == seconds


def test_a_failing_item_fails_the_map_with_its_own_error(run):
    result = run(each(ItemProcessor=FRAGILE), ["ok", "bad", "ok"], t=fragile)
    assert (result.status, result.error) == ("FAILED", "ValueError")


@pytest.mark.parametrize(("fields", "error"), [
    ({"ToleratedFailureCount": 2}, None),
    ({"ToleratedFailureCount": 1}, "States.ExceedToleratedFailureThreshold"),
    ({"ToleratedFailureCount": 0}, "States.ExceedToleratedFailureThreshold"),
    ({"ToleratedFailurePercentage": 50}, None),
    ({"ToleratedFailurePercentage": 49}, "States.ExceedToleratedFailureThreshold"),
    ({"ToleratedFailureCount": 9, "ToleratedFailurePercentage": 10}, "States.ExceedToleratedFailureThreshold"),
    ({"ToleratedFailureCountPath": "$.n"}, None),
    ({"ToleratedFailurePercentagePath": "$.p"}, None),
    ({"ToleratedFailurePercentagePath": "$.n", "ToleratedFailureCountPath": "$.p"},
     "States.ExceedToleratedFailureThreshold"),
])  # fmt: skip
def test_a_map_bears_as_many_failures_as_it_says(run, fields, error):
    payload = {"xs": ["ok", "bad", "bad", "ok"], "n": 2, "p": 50.0 if "ToleratedFailureCountPath" not in fields else 3}
    result = run(each(ItemsPath="$.xs", ItemProcessor=FRAGILE, **fields), payload, t=fragile)
    assert result.error == error
    if error is None:
        assert [item if item == "ok" else item["Error"] for item in result.output] == [
            "ok",
            "ValueError",
            "ValueError",
            "ok",
        ]


def test_a_runtime_error_inside_a_branch_is_not_caught_outside(run):
    inner = processor(P={"Type": "Pass", "InputPath": "$.missing", "End": True})
    result = run(each(ItemProcessor=inner, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "C"}]), [{}])
    assert result.error == "States.Runtime"


def test_maps_and_parallels_nest(run):
    inner = {
        "Type": "Map",
        "ItemProcessor": processor(D={"Type": "Pass", "Parameters": {"v.$": "$$.Map.Item.Value"}, "End": True}),
        "End": True,
    }
    fork = {
        "Type": "Parallel",
        "Branches": [processor(M=inner), processor(E={"Type": "Pass", "End": True})],
        "End": True,
    }
    output = run(each(ItemProcessor=processor(P=fork)), [[1, 2], [3]]).output
    assert output == [[[{"v": 1}, {"v": 2}], [1, 2]], [[{"v": 3}], [3]]]


def test_a_long_map_one_by_one_neither_recurses_nor_loses_order(run):
    items = list(range(3000))
    assert run(each(MaxConcurrency=1), items).output == items
