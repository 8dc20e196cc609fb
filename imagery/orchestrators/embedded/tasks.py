"""Carries a task out: finds the function behind a Resource and shapes its answer as the AWS service would."""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from imagery.orchestrators.embedded.dataflow import within_limit
from imagery.orchestrators.embedded.effects import Invoke
from imagery.orchestrators.embedded.errors import StateFailed
from imagery.orchestrators.embedded.limits import MAX_DEPTH, is_too_deep
from imagery.orchestrators.embedded.resources import (
    LAMBDA_INVOKE,
    SQS_SEND,
    SQS_TASK,
    TOKEN_SUFFIX,
    function_name,
    is_function_arn,
)
from imagery.orchestrators.embedded.rows import dump
from imagery.orchestrators.embedded.transitions import TaskEnded

logger = logging.getLogger(__name__)

MAX_MESSAGE = 2500
"""Characters of an exception's text: even escaped they leave the cause whole JSON below its limit."""

Task = Callable[[Any], Any]
"""JSON in, JSON out. An exception's class name is the error that Retry and Catch see."""


def carry_out(call: Invoke, tasks: Mapping[str, Task]) -> TaskEnded:
    """Run the task; never raises."""
    return answer_of(lambda: _run(call, tasks), "lambda" if call.resource == LAMBDA_INVOKE else call.resource)


def answer_of(work: Callable[[], Any], name: str) -> TaskEnded:
    """How it went; never raises. `name` is what the cause of a too large answer calls it."""
    try:
        # Through JSON and back, so that what goes on is what a restart would read.
        return TaskEnded(result=within_limit(_as_json(work()), name))
    except StateFailed as error:
        return TaskEnded(failed=True, error=error.error, cause=error.cause)
    except BaseException as error:  # a thread that died would leave its frame waiting for ever
        # Whoever made the task has logged it with its ids; here nothing is known but the resource.
        logger.debug("task failed", exc_info=True, extra={"resource": name})
        cause = {"errorMessage": str(error)[:MAX_MESSAGE], "errorType": type(error).__name__}
        return TaskEnded(failed=True, error=type(error).__name__, cause=json.dumps(cause))


def _run(call: Invoke, tasks: Mapping[str, Task]) -> Any:
    whole = call.resource + TOKEN_SUFFIX if call.waits_for_token else call.resource
    for name in (whole, call.resource):
        if name in tasks:
            return tasks[name](call.arguments)
    if call.resource == LAMBDA_INVOKE:
        return _invoke_lambda(call.arguments, tasks)
    if call.resource == SQS_SEND:
        return _send_message(call.arguments, _find(SQS_TASK, tasks))
    if is_function_arn(call.resource):
        return _find(function_name(call.resource), tasks)(call.arguments)
    raise StateFailed("States.Runtime", f"there is no task for the resource {whole!r}; {_given(tasks)}")


def _find(name: str, tasks: Mapping[str, Task]) -> Task:
    if name not in tasks:
        raise StateFailed("Lambda.ResourceNotFoundException", f"there is no task {name!r}; {_given(tasks)}")
    return tasks[name]


def _given(tasks: Mapping[str, Task]) -> str:
    return f"the tasks given are {', '.join(map(repr, sorted(tasks)))}" if tasks else "no tasks were given"


def _invoke_lambda(parameters: Any, tasks: Mapping[str, Task]) -> dict[str, Any]:
    if not isinstance(parameters, dict) or not isinstance(parameters.get("FunctionName"), str):
        raise StateFailed("States.Runtime", "Parameters of lambda:invoke must have a FunctionName that is a string")
    task = _find(function_name(parameters["FunctionName"]), tasks)
    return {"ExecutedVersion": "$LATEST", "Payload": task(parameters.get("Payload", {})), "StatusCode": 200}


def _send_message(parameters: Any, task: Task) -> dict[str, Any]:
    if not isinstance(parameters, dict) or "MessageBody" not in parameters or "QueueUrl" not in parameters:
        raise StateFailed("States.Runtime", "Parameters of sqs:sendMessage must have a QueueUrl and a MessageBody")
    task(parameters)
    body = parameters["MessageBody"]
    text = body if isinstance(body, str) else dump(body)
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return {"MD5OfMessageBody": digest, "MessageId": str(uuid.uuid4())}


def _as_json(result: Any) -> Any:
    try:
        answer = json.loads(dump(result).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise _unfit(f"the task's answer is not JSON: {error}") from error
    if is_too_deep(answer):
        raise _unfit(f"the task's answer is nested more than {MAX_DEPTH} levels deep")
    return answer


def _unfit(reason: str) -> StateFailed:
    cause = {"errorMessage": reason, "errorType": "Runtime.MarshalError"}
    return StateFailed("Runtime.MarshalError", json.dumps(cause))
