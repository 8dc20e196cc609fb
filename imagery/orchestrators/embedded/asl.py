"""The States Language as pure functions: (definition, frame, event, context) → effect. No clock, no I/O.

`enter` begins a state, `complete` gives it what it waited for (a task's result, the end of a Wait, its children's
outputs), `fail` gives it an error. Each answers with one effect; whoever drives carries it out and comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from imagery.orchestrators.embedded import dataflow
from imagery.orchestrators.embedded.choices import holds, parse_timestamp
from imagery.orchestrators.embedded.definition import Definition
from imagery.orchestrators.embedded.effects import (
    Child,
    Done,
    Effect,
    Failed,
    Fork,
    Frame,
    Go,
    Invoke,
    Location,
    Retry,
    Sleep,
)
from imagery.orchestrators.embedded.errors import NO_CHOICE_MATCHED, RUNTIME, Origin, StateFailed, matches
from imagery.orchestrators.embedded.expressions import compile_expression, evaluate, fill
from imagery.orchestrators.embedded.intrinsics import to_text
from imagery.orchestrators.embedded.paths import Scope
from imagery.orchestrators.embedded.resources import TOKEN_SUFFIX

State = dataflow.State

_ODD = (ArithmeticError, RecursionError, ValueError)
"""What Python raises over odd data: endless numbers, nesting without end, halves of surrogate pairs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What a state may know beside its frame."""

    definition: Definition
    context: Mapping[str, Any]
    """The context object, `$$`."""

    chance: Random
    """Jitter, States.UUID and States.MathRandom."""

    entered_event: int = 0
    """Number of the history event of entering the state; named in the causes of runtime errors."""


def begin(definition: Definition, location: Location, data: Any, variables: Mapping[str, Any] | None = None) -> Frame:
    """The first frame of a machine, or of a branch or iteration inside it."""
    start: str = definition.machine(location)["StartAt"]
    return Frame(location=location, state=start, data=data, variables=dict(variables or {}))


def enter(frame: Frame, around: Surroundings) -> Effect:
    """Begin the frame's state."""
    state = around.definition.state(frame)
    try:
        return _ENTRANCES[state["Type"]](state, frame, around)
    except (StateFailed, *_ODD) as error:
        return _raised(frame, around, error)


def complete(frame: Frame, around: Surroundings, result: Any = None) -> Effect:
    """What the state waited for is here; a Wait has no result."""
    state = around.definition.state(frame)
    try:
        if state["Type"] == "Wait":
            scope = _scope(frame, around)
            return _leave(state, scope, dataflow.select(state, "InputPath", scope))
        return _leave_with(state, frame, around, result)
    except (StateFailed, *_ODD) as error:
        return _raised(frame, around, error)


def fail(
    frame: Frame, around: Surroundings, error: str | None, cause: str | None, origin: Origin = Origin.TASK
) -> Effect:
    """The state has failed: Retry, then Catch, then the line of control ends."""
    state = around.definition.state(frame)
    for position, retrier in enumerate(state.get("Retry", ())):
        if matches(retrier["ErrorEquals"], error, origin):
            used = frame.attempts.get(str(position), 0)
            if used >= retrier.get("MaxAttempts", 3):
                break
            delay = _delay(retrier, used, around.chance)
            return Retry(delay_s=delay, attempts={**frame.attempts, str(position): used + 1})
    for catcher in state.get("Catch", ()):
        if matches(catcher["ErrorEquals"], error, origin):
            return _catch(catcher, frame, around, error, cause)
    return Failed(error=error, cause=cause)


def _catch(catcher: State, frame: Frame, around: Surroundings, error: str | None, cause: str | None) -> Effect:
    # Both are strings, as a Fail's ErrorPath and CausePath want them.
    output = {"Error": error or "", "Cause": cause or ""}
    scope = _scope(frame, around)
    try:
        variables = dataflow.assign(catcher, scope.over(output))
        data = dataflow.merge_result(catcher, frame.data, output)
        return Go(state=catcher["Next"], data=dataflow.within_limit(data, frame.state), variables=variables)
    except (StateFailed, *_ODD) as failure:
        told = _as_state_failed(failure)
        return Failed(error=told.error, cause=_told(frame, around, told))


def _delay(retrier: State, used: int, chance: Random) -> float:
    """IntervalSeconds grown `used` times, capped, then jittered."""
    ceiling = float(retrier.get("MaxDelaySeconds", 31_622_400))
    try:
        delay = retrier.get("IntervalSeconds", 1) * float(retrier.get("BackoffRate", 2.0)) ** used
    except OverflowError:
        delay = ceiling
    delay = min(delay, ceiling)
    return chance.uniform(0, delay) if retrier.get("JitterStrategy") == "FULL" else delay


def _raised(frame: Frame, around: Surroundings, raised: Exception) -> Effect:
    error = _as_state_failed(raised)
    return fail(frame, around, error.error, _told(frame, around, error), Origin.INTERPRETER)


def _as_state_failed(error: Exception) -> StateFailed:
    if isinstance(error, StateFailed):
        return error
    return StateFailed(RUNTIME, f"The data cannot be worked on: {type(error).__name__}: {error}")


def _told(frame: Frame, around: Surroundings, error: StateFailed) -> str:
    return (
        f"An error occurred while executing the state '{frame.state}' "
        f"(entered at the event id #{around.entered_event}). {error.cause}"
    )


def _scope(frame: Frame, around: Surroundings) -> Scope:
    return Scope(data=frame.data, context=around.context, variables=frame.variables, chance=around.chance)


def _leave_with(state: State, frame: Frame, around: Surroundings, result: Any) -> Effect:
    """ResultSelector, Assign and ResultPath of a state that has a result, then out."""
    scope = _scope(frame, around)
    dataflow.within_limit(result, frame.state)
    if "ResultSelector" in state:
        result = fill(state["ResultSelector"], scope.over(result))
    variables = dataflow.assign(state, scope.over(result))
    return _out(state, scope, dataflow.merge_result(state, frame.data, result), variables)


def _leave(state: State, scope: Scope, data: Any) -> Effect:
    """Out of a state that has no result of its own."""
    return _out(state, scope, data, dataflow.assign(state, scope.over(data)))


def _out(state: State, scope: Scope, data: Any, variables: dict[str, Any]) -> Effect:
    """OutputPath, the size limit, then Next or End."""
    output = dataflow.select(state, "OutputPath", scope.over(data))
    dataflow.within_limit(output, scope.context["State"]["Name"])
    if state.get("End") or state["Type"] == "Succeed":
        return Done(output=output)
    return Go(state=state["Next"], data=output, variables=variables)


def _pass(state: State, frame: Frame, around: Surroundings) -> Effect:
    result = state["Result"] if "Result" in state else dataflow.effective_input(state, _scope(frame, around))
    return _leave_with(state, frame, around, result)


def _succeed(state: State, frame: Frame, around: Surroundings) -> Effect:
    scope = _scope(frame, around)
    return _leave(state, scope, dataflow.select(state, "InputPath", scope))


def _fail(state: State, frame: Frame, around: Surroundings) -> Effect:
    scope = _scope(frame, around)
    return Failed(error=dataflow.text(state, "Error", scope), cause=dataflow.text(state, "Cause", scope))


def _wait(state: State, frame: Frame, around: Surroundings) -> Effect:
    scope = _scope(frame, around)
    scope = scope.over(dataflow.select(state, "InputPath", scope))
    seconds = dataflow.number(state, "Seconds", scope)
    if seconds is not None:
        return Sleep(seconds=seconds)
    value = state.get("Timestamp")
    if value is None:
        value = evaluate(compile_expression(state["TimestampPath"]), scope, field="TimestampPath")
    until = parse_timestamp(value)
    if until is None:
        shown = to_text(value)[: dataflow.MAX_ECHO]
        raise StateFailed(RUNTIME, f"The TimestampPath must lead to an RFC 3339 timestamp, but its value is {shown}")
    return Sleep(until=until)


def _task(state: State, frame: Frame, around: Surroundings) -> Effect:
    scope = _scope(frame, around)
    data = scope.over(dataflow.select(state, "InputPath", scope))
    arguments = fill(state["Parameters"], data) if "Parameters" in state else data.data
    timeout = dataflow.number(state, "TimeoutSeconds", data, least=1)
    heartbeat = dataflow.number(state, "HeartbeatSeconds", data, least=1)
    if timeout is not None and heartbeat is not None and heartbeat >= timeout:
        raise StateFailed(RUNTIME, f"HeartbeatSeconds ({heartbeat}) must be smaller than TimeoutSeconds ({timeout})")
    resource: str = state["Resource"]
    return Invoke(
        resource=resource.removesuffix(TOKEN_SUFFIX),
        arguments=dataflow.within_limit(arguments, frame.state),
        waits_for_token=resource.endswith(TOKEN_SUFFIX),
        timeout_s=timeout,
        heartbeat_s=heartbeat,
    )


def _parallel(state: State, frame: Frame, around: Surroundings) -> Effect:
    data = dataflow.effective_input(state, _scope(frame, around))
    places = range(len(state["Branches"]))
    return Fork(children=tuple(Child(location=(*frame.location, (frame.state, place)), data=data) for place in places))


def _map(state: State, frame: Frame, around: Surroundings) -> Effect:
    scope = _scope(frame, around)
    scope = scope.over(dataflow.select(state, "InputPath", scope))
    items = evaluate(compile_expression(state.get("ItemsPath", "$")), scope, field="ItemsPath")
    if not isinstance(items, list):
        shown = to_text(items)[: dataflow.MAX_ECHO]
        raise StateFailed(RUNTIME, f"Reference path '{state.get('ItemsPath', '$')}' must point to array: {shown}")
    location = (*frame.location, (frame.state, 0))
    children = tuple(_iteration(state, scope, location, index, value) for index, value in enumerate(items))
    concurrency = dataflow.number(state, "MaxConcurrency", scope) or 0
    return Fork(children=children, concurrency=concurrency, tolerated=_tolerated(state, scope, len(items)))


def _iteration(state: State, scope: Scope, location: Location, index: int, value: Any) -> Child:
    item = {"Index": index, "Value": value}
    selector = state.get("ItemSelector", state.get("Parameters"))
    if selector is not None:
        value = fill(selector, replace(scope, context={**scope.context, "Map": {"Item": item}}))
    return Child(location=location, data=value, item=item)


def _tolerated(state: State, scope: Scope, total: int) -> int | None:
    """How many iterations may fail; of a count and a percentage the stricter one."""
    count = dataflow.number(state, "ToleratedFailureCount", scope)
    percentage = dataflow.number(state, "ToleratedFailurePercentage", scope, whole=False)
    if percentage is not None and percentage > 100:
        raise StateFailed(RUNTIME, f"ToleratedFailurePercentage must lie between 0 and 100, got {percentage}")
    limits = [count, None if percentage is None else int(total * percentage / 100)]
    given: list[int] = [limit for limit in limits if limit is not None]
    if given:
        return min(given)
    return 0 if state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED" else None


def _choice(state: State, frame: Frame, around: Surroundings) -> Effect:
    scope = _scope(frame, around)
    scope = scope.over(dataflow.select(state, "InputPath", scope))
    for rule in state["Choices"]:
        if holds(rule, scope):
            return _chosen(state, rule["Next"], rule, scope)
    if "Default" not in state:
        raise StateFailed(NO_CHOICE_MATCHED, "No choice rule matched, and there is no Default.")
    return _chosen(state, state["Default"], state, scope)


def _chosen(state: State, target: str, assigning: State, scope: Scope) -> Effect:
    return _out({**state, "Next": target}, scope, scope.data, dataflow.assign(assigning, scope))


_ENTRANCES: dict[str, Callable[[State, Frame, Surroundings], Effect]] = {
    "Pass": _pass,
    "Succeed": _succeed,
    "Fail": _fail,
    "Wait": _wait,
    "Task": _task,
    "Parallel": _parallel,
    "Map": _map,
    "Choice": _choice,
}
