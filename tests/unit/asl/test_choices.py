"""Every comparison of the Choice state."""

from __future__ import annotations

import pytest

T1, T2 = "2026-05-03T10:00:00Z", "2026-05-03T12:00:00+01:00"  # the second is an hour later

TRUE = [
    ("StringEquals", "a", "a"), ("StringLessThan", "a", "b"), ("StringGreaterThan", "b", "a"),
    ("StringLessThanEquals", "a", "a"), ("StringGreaterThanEquals", "a", "a"),
    ("NumericEquals", 1, 1.0), ("NumericLessThan", 1, 1.5), ("NumericGreaterThan", 2, 1),
    ("NumericLessThanEquals", 1, 1), ("NumericGreaterThanEquals", 1, 1),
    ("BooleanEquals", False, False),
    ("TimestampEquals", T1, "2026-05-03T12:00:00+02:00"), ("TimestampLessThan", T1, T2),
    ("TimestampGreaterThan", T2, T1), ("TimestampLessThanEquals", T1, T1), ("TimestampGreaterThanEquals", T1, T1),
    ("TimestampEquals", "2026-05-03T10:00:00.123456789Z", "2026-05-03T10:00:00.123456Z"),
]  # fmt: skip

FALSE = [
    ("StringEquals", "a", "b"), ("StringEquals", 1, "1"), ("StringLessThan", "b", "a"),
    ("NumericEquals", "1", 1), ("NumericEquals", True, 1), ("NumericGreaterThan", None, 1),
    ("BooleanEquals", 1, True), ("BooleanEquals", "true", True),
    ("TimestampEquals", "2026-05-03 10:00:00Z", T1), ("TimestampLessThan", "2026-05-03t10:00:00z", T2),
    ("TimestampEquals", "2026-02-30T10:00:00Z", T1),
]  # fmt: skip

TESTS = [
    ("IsNull", None, True), ("IsNull", 0, False), ("IsString", "", True), ("IsString", 1, False),
    ("IsNumeric", 1.5, True), ("IsNumeric", True, False), ("IsBoolean", False, True), ("IsBoolean", "false", False),
    ("IsTimestamp", T1, True), ("IsTimestamp", "2026-05-03", False), ("IsPresent", None, True),
]  # fmt: skip

PATTERNS = [
    ("log-*.txt", "log-1.txt", True), ("log-*.txt", "log-.txt", True), ("log-*", "xlog-", False), ("*", "", True),
    ("a*b*c", "a12b\n3c", True), (r"a\*", "a*", True), (r"a\*", "ab", False), (r"a\\*", r"a\b", True),
    ("a.c", "abc", False),
]  # fmt: skip


def chosen(run, rule, data):
    result = run({"Type": "Choice", "Choices": [{**rule, "Next": "Yes"}], "Default": "No"}, data)
    assert result.error is None, result.cause
    return any(event.state == "Yes" for event in result.history)


@pytest.mark.parametrize(
    ("operator", "left", "right", "expected"), [(*c, True) for c in TRUE] + [(*c, False) for c in FALSE]
)
def test_a_comparison_holds_or_not_with_a_literal_and_with_a_path(run, operator, left, right, expected):
    data = {"left": left, "right": right}
    assert chosen(run, {"Variable": "$.left", operator: right}, data) is expected
    assert chosen(run, {"Variable": "$.left", f"{operator}Path": "$.right"}, data) is expected


@pytest.mark.parametrize(("operator", "value", "expected"), TESTS)
def test_a_type_is_told(run, operator, value, expected):
    assert chosen(run, {"Variable": "$.v", operator: True}, {"v": value}) is expected
    assert chosen(run, {"Variable": "$.v", operator: False}, {"v": value}) is not expected


@pytest.mark.parametrize(("pattern", "text", "expected"), PATTERNS)
def test_a_pattern_matches_the_whole_string(run, pattern, text, expected):
    assert chosen(run, {"Variable": "$.v", "StringMatches": pattern}, {"v": text}) is expected


def test_presence_is_the_one_question_a_missing_value_answers(run):
    assert chosen(run, {"Variable": "$.a.b", "IsPresent": False}, {"a": 1})
    guarded = {"And": [{"Variable": "$.a", "IsPresent": True}, {"Variable": "$.a", "NumericEquals": 1}]}
    assert not chosen(run, guarded, {})


@pytest.mark.parametrize("rule", [
    {"Variable": "$.a", "IsNull": True},
    {"Variable": "$.a", "StringEquals": "x"},
    {"Variable": "$.b", "StringEqualsPath": "$.a"},
])  # fmt: skip
def test_a_missing_value_fails_the_execution(run, rule):
    result = run({"Type": "Choice", "Choices": [{**rule, "Next": "Yes"}], "Default": "No"}, {"b": "x"})
    assert result.error == "States.Runtime"
    assert "Invalid path '$.a': The choice state's condition path references an invalid value." in result.cause


def test_rules_combine_and_the_first_that_holds_decides(run):
    one, two = {"Variable": "$", "NumericGreaterThan": 1}, {"Variable": "$", "NumericLessThan": 5}
    assert chosen(run, {"And": [one, two]}, 3)
    assert not chosen(run, {"And": [one, two]}, 7)
    assert chosen(run, {"Or": [one, two]}, 7)
    assert chosen(run, {"Not": {"And": [one, two]}}, 7)
    choices = [{**one, "Next": "First"}, {**one, "Next": "Second"}]
    history = run({"Type": "Choice", "Choices": choices}, 3).history
    assert [event.state for event in history if event.type == "PassStateEntered"] == ["First"]


def test_without_a_default_no_match_is_an_error(run):
    result = run({"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": True, "Next": "Yes"}]}, 1)
    assert result.error == "States.NoChoiceMatched"


def test_input_and_output_paths_frame_the_choice(run):
    state = {
        "Type": "Choice", "InputPath": "$.in", "OutputPath": "$.out",
        "Choices": [{"Variable": "$.x", "NumericEquals": 1, "Next": "Yes"}]
    }  # fmt: skip
    assert run(state, {"in": {"x": 1, "out": "kept"}}).output == "kept"


def test_a_choice_looks_at_the_context_object(run):
    assert chosen(run, {"Variable": "$$.State.Name", "StringEquals": "S"}, {})
