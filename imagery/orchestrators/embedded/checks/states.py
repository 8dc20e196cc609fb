"""Checks the fields of a state, by its type."""

from __future__ import annotations

import re
from collections.abc import Callable, Container

from imagery.orchestrators.embedded.checks.choice_rules import check_choices
from imagery.orchestrators.embedded.checks.error_handlers import check_catch, check_result_path, check_retry
from imagery.orchestrators.embedded.checks.place import Place
from imagery.orchestrators.embedded.checks.resources import check_resource
from imagery.orchestrators.embedded.choices import parse_timestamp

MAX_SECONDS = 99_999_999
"""A little over three years; the limit of Step Functions for every TimeoutSeconds and Wait."""

_EVERY = {"Type", "Comment", "QueryLanguage"}
_ON = {"Next", "End"}
_IN_OUT = {"InputPath", "OutputPath"}
_RESULT = {"ResultPath", "ResultSelector", "Parameters", "Retry", "Catch", "Assign"}

FIELDS: dict[str, set[str]] = {
    "Pass": _EVERY | _ON | _IN_OUT | {"Result", "ResultPath", "Parameters", "Assign"},
    "Task": _EVERY | _ON | _IN_OUT | _RESULT | {
        "Resource", "Credentials", "TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath",
    },
    "Choice": _EVERY | _IN_OUT | {"Choices", "Default", "Assign"},
    "Wait": _EVERY | _ON | _IN_OUT | {"Seconds", "SecondsPath", "Timestamp", "TimestampPath", "Assign"},
    "Succeed": _EVERY | _IN_OUT,
    "Fail": _EVERY | {"Error", "ErrorPath", "Cause", "CausePath"},
    "Parallel": _EVERY | _ON | _IN_OUT | _RESULT | {"Branches"},
    "Map": _EVERY | _ON | _IN_OUT | _RESULT | {
        "ItemProcessor", "Iterator", "ItemsPath", "ItemSelector", "MaxConcurrency", "MaxConcurrencyPath", "Label",
        "ToleratedFailureCount", "ToleratedFailureCountPath", "ToleratedFailurePercentage",
        "ToleratedFailurePercentagePath",
    },
}  # fmt: skip
"""Type → the fields it may have."""

_JSONATA = {"Arguments", "Output", "Items"}
_DISTRIBUTED = {"ItemReader", "ItemBatcher", "ResultWriter"}


def check_query_language(holder: Place) -> None:
    """JSONPath is the only one understood."""
    if holder.has("QueryLanguage") and holder.value["QueryLanguage"] != "JSONPath":
        raise holder.at("QueryLanguage").wrong(
            f"{holder.value['QueryLanguage']!r} state machines are not supported; write it with JSONPath"
        )


def check_state(state: Place, resources: Container[str] | None) -> None:
    """Everything about one state but where it leads and what machines lie inside."""
    state.must_be(dict)
    kind = state.must_have("Type").must_be(str)
    if kind.value not in FIELDS:
        raise kind.wrong(f"{kind.value!r} is not a type of state; the types are {', '.join(FIELDS)}")
    check_query_language(state)
    for key, member in state.members():
        if key not in FIELDS[kind.value]:
            raise member.wrong(_not_a_field(key, kind.value))
        if key in _FIELD_CHECKS:
            _FIELD_CHECKS[key](member)
    _check_pairs(state)
    if kind.value in _TYPE_CHECKS:
        _TYPE_CHECKS[kind.value](state)
    if kind.value == "Task":
        check_resource(state, resources)


def _not_a_field(key: str, kind: str) -> str:
    if key in _JSONATA:
        return f"{key!r} belongs to JSONata state machines, which are not supported; write it with JSONPath"
    if key in _DISTRIBUTED and kind == "Map":
        return f"{key!r} belongs to distributed Maps, which are not supported; put the items in the input"
    return f"{key!r} is not a field of a {kind} state; its fields are {', '.join(sorted(FIELDS[kind]))}"


def _check_pairs(state: Place) -> None:
    for key in list(state.value):
        if key.endswith("Path") and key.removesuffix("Path") in state.value and key in _TWINS:
            raise state.at(key).wrong(f"{key.removesuffix('Path')} and {key} exclude each other")


_TWINS = {
    "TimeoutSecondsPath", "HeartbeatSecondsPath", "SecondsPath", "TimestampPath", "ErrorPath", "CausePath",
    "MaxConcurrencyPath", "ToleratedFailureCountPath", "ToleratedFailurePercentagePath",
}  # fmt: skip


def _path_or_null(place: Place) -> None:
    if place.value is not None:
        place.expression()


def _result_path(place: Place) -> None:
    if place.value is not None:
        check_result_path(place)


def _percentage(place: Place) -> None:
    value = place.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise place.wrong("must be a number from 0 to 100")


def _timestamp(place: Place) -> None:
    if parse_timestamp(place.value) is None:
        raise place.wrong("must be an RFC 3339 timestamp with capital T and Z, such as 2026-05-03T10:00:00Z")


def _label(place: Place) -> None:
    place.must_be(str)
    if not re.fullmatch(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,40}", place.value):
        raise place.wrong("a label has 1 to 40 characters, and no spaces, brackets, wildcards or other special ones")


def _assign(place: Place) -> None:
    place.must_be(dict).template()
    for name, member in place.members():
        plain = name.removesuffix(".$")
        if not plain.isidentifier() or len(plain) > 80 or plain == "states":
            raise member.wrong(f"{plain!r} is not a name for a variable: letters, digits and _, up to 80, not `states`")


_FIELD_CHECKS: dict[str, Callable[[Place], object]] = {
    "Comment": lambda place: place.must_be(str),
    "InputPath": _path_or_null,
    "OutputPath": _path_or_null,
    "ResultPath": _result_path,
    "Parameters": Place.template,
    "ResultSelector": lambda place: place.must_be(dict).template(),
    "ItemSelector": Place.template,
    "Credentials": lambda place: place.must_be(dict).template(),
    "Assign": _assign,
    "Retry": check_retry,
    "Catch": check_catch,
    "Choices": check_choices,
    "Next": lambda place: place.must_be(str),
    "Default": lambda place: place.must_be(str),
    "End": lambda place: place.must_be(bool),
    "Seconds": lambda place: place.integer(0, MAX_SECONDS),
    "SecondsPath": Place.reference_or_call,
    "Timestamp": _timestamp,
    "TimestampPath": Place.reference_or_call,
    "Error": lambda place: place.must_be(str),
    "Cause": lambda place: place.must_be(str),
    "ErrorPath": Place.reference_or_call,
    "CausePath": Place.reference_or_call,
    "TimeoutSeconds": lambda place: place.integer(1, MAX_SECONDS),
    "TimeoutSecondsPath": Place.reference_or_call,
    "HeartbeatSeconds": lambda place: place.integer(1, MAX_SECONDS),
    "HeartbeatSecondsPath": Place.reference_or_call,
    "ItemsPath": Place.reference_or_call,
    "MaxConcurrency": lambda place: place.integer(0, MAX_SECONDS),
    "MaxConcurrencyPath": Place.reference_or_call,
    "ToleratedFailureCount": lambda place: place.integer(0, MAX_SECONDS),
    "ToleratedFailureCountPath": Place.reference_or_call,
    "ToleratedFailurePercentage": _percentage,
    "ToleratedFailurePercentagePath": Place.reference_or_call,
    "Label": _label,
}


def _check_task(state: Place) -> None:
    state.must_have("Resource").must_be(str).must_not_be_empty()
    timeout, heartbeat = state.value.get("TimeoutSeconds"), state.value.get("HeartbeatSeconds")
    if timeout is not None and heartbeat is not None and heartbeat >= timeout:
        raise state.at("HeartbeatSeconds").wrong(f"must be smaller than TimeoutSeconds ({timeout})")


def _check_wait(state: Place) -> None:
    given = [key for key in ("Seconds", "SecondsPath", "Timestamp", "TimestampPath") if state.has(key)]
    if len(given) != 1:
        raise state.wrong(
            "a Wait has exactly one of Seconds, SecondsPath, Timestamp and TimestampPath; "
            f"found: {', '.join(given) or 'none'}"
        )


def _check_map(state: Place) -> None:
    for newer, older in (("ItemProcessor", "Iterator"), ("ItemSelector", "Parameters")):
        if state.has(newer) and state.has(older):
            raise state.at(older).wrong(f"{newer} and {older} exclude each other; {newer} is the newer name")
    if not state.has("ItemProcessor") and not state.has("Iterator"):
        raise state.wrong("'ItemProcessor' is missing")


_TYPE_CHECKS: dict[str, Callable[[Place], object]] = {
    "Task": _check_task,
    "Choice": lambda state: state.must_have("Choices"),
    "Wait": _check_wait,
    "Parallel": lambda state: state.must_have("Branches").must_be(list).must_not_be_empty(),
    "Map": _check_map,
}
