"""Checks what a Task wants to use: only what this house can carry out is let in."""

from __future__ import annotations

from collections.abc import Container

from imagery.orchestrators.embedded.checks.place import Place
from imagery.orchestrators.embedded.resources import (
    LAMBDA_INVOKE,
    LAMBDA_INVOKE_FOR_TOKEN,
    SQS_SEND,
    SQS_TASK,
    TOKEN_SUFFIX,
    function_name,
    is_function_arn,
)


def check_resource(state: Place, resources: Container[str] | None) -> None:
    """The Resource of a Task, and for a Lambda the function it names."""
    resource = state.at("Resource")
    name: str = resource.value
    if resources is not None and (name in resources or name.removesuffix(TOKEN_SUFFIX) in resources):
        return
    if name in (LAMBDA_INVOKE, LAMBDA_INVOKE_FOR_TOKEN):
        _check_function(state, resources)
    elif name == SQS_SEND:
        _check_known(resource, SQS_TASK, resources)
        state.must_have("Parameters").must_be(dict)
    elif is_function_arn(name):
        _check_known(resource, function_name(name), resources)
    else:
        raise resource.wrong(
            f"{name!r} is not a resource this orchestrator can use; it takes {LAMBDA_INVOKE}, "
            f"{LAMBDA_INVOKE_FOR_TOKEN}, {SQS_SEND} and the ARN of a function"
        )


def _check_function(state: Place, resources: Container[str] | None) -> None:
    parameters = state.must_have("Parameters").must_be(dict)
    if parameters.has("FunctionName.$"):
        return
    function = parameters.must_have("FunctionName").must_be(str).must_not_be_empty()
    _check_known(function, function_name(function.value), resources)


def _check_known(place: Place, name: str, resources: Container[str] | None) -> None:
    if resources is not None and name not in resources:
        raise place.wrong(f"there is no task {name!r}")
