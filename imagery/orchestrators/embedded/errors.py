"""Errors the States Language itself raises while a machine runs, by their names."""

from __future__ import annotations

from enum import Enum

RUNTIME = "States.Runtime"
TIMEOUT = "States.Timeout"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
TASK_FAILED = "States.TaskFailed"
ALL = "States.ALL"
BRANCH_FAILED = "States.BranchFailed"
NO_CHOICE_MATCHED = "States.NoChoiceMatched"
RESULT_PATH = "States.ResultPathMatchFailure"
INTRINSIC = "States.IntrinsicFailure"
DATA_LIMIT = "States.DataLimitExceeded"
TOLERANCE = "States.ExceedToleratedFailureThreshold"

KNOWN_NAMES = frozenset(
    {
        RUNTIME, TIMEOUT, HEARTBEAT_TIMEOUT, TASK_FAILED, ALL, BRANCH_FAILED, NO_CHOICE_MATCHED, RESULT_PATH, INTRINSIC,
        DATA_LIMIT, TOLERANCE, "States.Permissions", "States.ParameterPathFailure", "States.ItemReaderFailed",
        "States.ResultWriterFailed", "States.QueryEvaluationError", "States.Http.Socket", "States.HttpSocket",
    }
)  # fmt: skip
"""Names under `States.` that ErrorEquals may hold; any other is a misspelling."""


class StateFailed(Exception):
    """A state cannot be carried out; `error` is what Retry and Catch see."""

    def __init__(self, error: str | None, cause: str | None) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class Origin(Enum):
    """Where an error of a state comes from."""

    TASK = "its task"
    BRANCH = "a branch or iteration of it"
    INTERPRETER = "its own fields"


def matches(patterns: list[str], error: str | None, origin: Origin = Origin.TASK) -> bool:
    """Whether an ErrorEquals list takes this error.

    As Step Functions is seen to do: States.Runtime is never taken, not even by name; States.ALL takes a
    States.DataLimitExceeded only when it was the task that answered too much. A heartbeat that stays away is a timeout
    too.
    """
    if error == RUNTIME:
        return False
    if error in patterns:
        return True
    if error == DATA_LIMIT and origin is not Origin.TASK:
        return False
    if ALL in patterns or (origin is Origin.BRANCH and BRANCH_FAILED in patterns):
        return True
    if error == HEARTBEAT_TIMEOUT:
        return TIMEOUT in patterns
    return TASK_FAILED in patterns and error != TIMEOUT
