"""Whatever it is given, the loader answers with a definition or a refusal, and a loaded machine comes to an end."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagery.errors import DefinitionInvalid, InvalidInput
from imagery.orchestrators.embedded.checks.states import FIELDS
from imagery.orchestrators.embedded.definition import ANY_RESOURCE, load_definition
from imagery.orchestrators.embedded.errors import StateFailed
from imagery.orchestrators.embedded.paths import compile_reference, put
from imagery.orchestrators.embedded.simulate import simulate

from .conftest import load

TEXTS = st.sampled_from(
    ["$", "$.a", "$.a[0]", "$$.State.Name", "$v", "$.a[*]", "$..a", "$[", "States.UUID()", "States.Array($.a)",
     "States.X(", "A", "B", "End", "2026-05-03T10:00:00Z", "States.ALL", "E", "FULL", "", "é", "\ud800"]
)  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 10), st.floats(0, 3), TEXTS)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b.$", "Next", "Variable"]), inner, max_size=3),
    ),
    max_leaves=6,
)
HANDLER = st.fixed_dictionaries(
    {"ErrorEquals": st.just(["States.ALL"]), "Next": st.sampled_from(["A", "B"])}, optional={"ResultPath": TEXTS}
)
RULE = st.fixed_dictionaries(
    {"Variable": TEXTS, "Next": st.sampled_from(["A", "B"])},
    optional={"IsPresent": st.booleans(), "IsNull": st.booleans()},
)
STATES = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda kind: st.fixed_dictionaries(
        {"Type": st.just(kind)},
        optional={
            **dict.fromkeys(sorted(FIELDS[kind] - {"Type"}), JSON),
            **{name: st.lists(HANDLER, max_size=2) for name in FIELDS[kind] & {"Catch"}},
            **{name: st.lists(RULE, max_size=2) for name in FIELDS[kind] & {"Choices"}},
            **{name: st.sampled_from(["A", "B"]) for name in FIELDS[kind] & {"Next", "Default"}},
        },
    )
)
MACHINES = st.fixed_dictionaries(
    {"StartAt": st.just("A"), "States": st.fixed_dictionaries({"A": STATES}, optional={"B": STATES})}
)


@settings(max_examples=400, deadline=None)
@given(MACHINES, JSON)
def test_a_machine_is_refused_or_runs_to_an_end_whatever_it_is_given(document, payload):
    with contextlib.suppress(DefinitionInvalid):
        definition = load_definition(json.dumps(document), resources=ANY_RESOURCE)
        with contextlib.suppress(UnicodeEncodeError):
            json.dumps([document, payload], ensure_ascii=False).encode()
            result = simulate(definition, payload, {})
            assert result.status in ("SUCCEEDED", "FAILED", "RUNNING")


@given(st.text(max_size=30))
def test_text_is_refused_or_loaded(text):
    with contextlib.suppress(DefinitionInvalid):
        load_definition(text)


@given(
    st.lists(
        st.text(st.characters(exclude_characters="'\\", exclude_categories=["Cs"]), min_size=1, max_size=5), max_size=4
    ),
    JSON,
)
def test_what_is_put_at_a_path_is_found_there(names, value):
    path = compile_reference("$" + "".join(f"['{name}']" for name in names))
    found = put(path, {}, value)
    for name in names:
        found = found[name]
    assert found == value


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "text",
    ["NaN", "[Infinity]", "-Infinity", "1e999", "[" * 300 + "]" * 300, "[" * 100_000, '"\\ud800"', "1" * 5000],
    ids=["NaN", "Infinity", "-Infinity", "1e999", "deep", "very deep", "lone surrogate", "5000 digits"],
)
def test_text_that_is_no_json_a_service_would_take_is_a_failure_that_can_be_caught(text):
    machine = {
        "StartAt": "Read",
        "States": {
            "Read": {
                "Type": "Task",
                "Resource": "read",
                "ResultSelector": {"value.$": "States.StringToJson($)"},
                "Catch": [{"ErrorEquals": ["States.IntrinsicFailure"], "Next": "Caught"}],
                "End": True,
            },
            "Caught": {"Type": "Pass", "End": True},
        },
    }
    result = simulate(load(machine), {}, {"read": lambda _: text})
    assert (result.status, result.output["Error"]) == ("SUCCEEDED", "States.IntrinsicFailure")
    assert "States.StringToJson" in result.output["Cause"]


@pytest.mark.parametrize(("state", "payload"), [
    ({"Type": "Wait", "SecondsPath": "$.x"}, {"x": 10**300}),
    ({"Type": "Task", "Resource": "t", "TimeoutSecondsPath": "$.x"}, {"x": 10**300}),
    ({"Type": "Map", "ToleratedFailureCountPath": "$.x", "ItemsPath": "$.xs", "ItemProcessor": {
        "StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}}, {"x": 10**300, "xs": [1]}),
    ({"Type": "Pass", "Parameters": {"v.$": "States.MathAdd($.x, 1)"}}, {"x": 10**400}),
    ({"Type": "Pass", "Parameters": {"v.$": "States.ArrayRange(1, $.x, 1)"}}, {"x": 10**30}),
    ({"Type": "Pass", "Parameters": {"v.$": "$.xs[?(@.a > 1)]"}}, {"xs": [{"a": None}, {"a": [1]}, {"a": "x"}]}),
])  # fmt: skip
def test_odd_values_end_an_execution_and_never_the_engine(run, state, payload):
    assert run(state, payload, t=lambda _: 1).status in ("SUCCEEDED", "FAILED")


def test_data_that_grows_deeper_with_every_turn_ends_with_a_failure(run):
    grow = {"Type": "Pass", "Parameters": {"a.$": "$"}, "Next": "Again"}
    again = {"Type": "Choice", "Choices": [{"Variable": "$.b", "IsPresent": True, "Next": "End"}], "Default": "Grow"}
    result = run({"StartAt": "Grow", "States": {"Grow": grow, "Again": again, "End": {"Type": "Succeed"}}}, {})
    assert (result.status, result.error) == ("FAILED", "States.DataLimitExceeded")
    assert "levels deep" in result.cause


def test_an_answer_nested_too_deeply_is_an_error_of_its_task(run):
    result = run({"Type": "Task", "Resource": "t"}, {}, t=lambda _: deep(300))
    assert result.error == "Runtime.MarshalError"


def test_a_payload_or_answer_nested_too_deeply_is_refused(run):
    with pytest.raises(InvalidInput, match="levels deep"):
        run({"Type": "Pass"}, deep(300))
    assert run({"Type": "Pass"}, deep(150)).output == deep(150)


@pytest.mark.parametrize("value", ['"\\ud800"', "1e999"])
def test_a_definition_that_could_not_be_stored_is_refused(value):
    with pytest.raises(DefinitionInvalid):
        load_definition('{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true, "Result": ' + value + "}}}")


def test_an_error_that_could_not_be_stored_is_kept_as_far_as_it_can_be(run):
    def fail(_):
        raise StateFailed("Odd\ud800", "x" * 100_000)

    result = run({"Type": "Task", "Resource": "t"}, {}, t=fail)
    assert (result.error, len(result.cause)) == ("Odd?", 32_768)


def test_an_exception_with_a_very_long_text_can_still_be_caught(run):
    def fail(_):
        raise ValueError("é" * 1_000_000)

    caught = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "C"}]
    output = run({"Type": "Task", "Resource": "t", "Catch": caught}, {"a": 1}, t=fail).output
    assert output["error"]["Error"] == "ValueError"
    assert json.loads(output["error"]["Cause"])["errorType"] == "ValueError"
