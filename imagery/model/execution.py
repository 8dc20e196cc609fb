"""One run of the workflow and how it stands; words of Step Functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class ExecutionStatus(StrEnum):
    """As Step Functions' DescribeExecution says it."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """A run, named after the request it carries out."""

    id: str
    status: ExecutionStatus = ExecutionStatus.RUNNING
    input: Any = None
    """JSON."""

    output: Any = None
    """JSON; None until it has succeeded."""

    error: str | None = None
    cause: str | None = None
    state: str | None = None
    """Where it is now (the first of them, in a Parallel or Map); None when it has ended."""

    started_at: datetime
    stopped_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryEvent:
    """One line of an execution's history; types as Step Functions' GetExecutionHistory names them."""

    at: datetime
    type: str
    """`TaskStateEntered`, `TaskStateExited`, `TaskScheduled`, `TaskFailed`, `ExecutionSucceeded` …"""

    state: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    """Input, output, error, cause, retry number: whatever the type has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionQuery:
    """Which executions to list, newest first."""

    status: ExecutionStatus | None = None
    limit: int = 100
    cursor: str | None = None
