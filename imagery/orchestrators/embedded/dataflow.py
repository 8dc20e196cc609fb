"""How data moves through a state: InputPath, Parameters, ResultSelector, Assign, ResultPath, OutputPath. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagery.orchestrators.embedded.errors import DATA_LIMIT, RESULT_PATH, RUNTIME, StateFailed
from imagery.orchestrators.embedded.expressions import compile_expression, evaluate, fill
from imagery.orchestrators.embedded.intrinsics import to_text
from imagery.orchestrators.embedded.limits import MAX_DEPTH, MAX_PAYLOAD_BYTES, is_too_deep
from imagery.orchestrators.embedded.paths import MISSING, Path, Scope, compile_reference, put

MAX_NUMBER = 99_999_999
"""Of seconds and counts that come from data; the limit of Step Functions for those in the definition."""

MAX_ECHO = 2000
"""Characters of data repeated in an error's cause."""

State = Mapping[str, Any]


def select(state: State, field: str, scope: Scope) -> Any:
    """What InputPath or OutputPath selects; null selects an empty object. Raises StateFailed."""
    text = state.get(field, "$")
    if text is None:
        return {}
    if text == "$":
        return scope.data
    expression = compile_expression(text)
    if isinstance(expression, Path):
        value = expression.find(scope)
        if value is MISSING:
            raise StateFailed(RUNTIME, f"Invalid path '{text}' : No results for path: {expression.canonical()}")
        return value
    return evaluate(expression, scope, field=field)


def effective_input(state: State, scope: Scope) -> Any:
    """InputPath, then Parameters."""
    data = select(state, "InputPath", scope)
    if "Parameters" in state:
        data = fill(state["Parameters"], scope.over(data))
    return data


def merge_result(state: State, raw: Any, result: Any) -> Any:
    """The result put into the raw input by ResultPath; null drops the result. Raises StateFailed."""
    text = state.get("ResultPath", "$")
    if text is None:
        return raw
    try:
        return put(compile_reference(text), raw, result)
    except LookupError as error:
        shown = to_text(raw)[:MAX_ECHO]
        raise StateFailed(RESULT_PATH, f"Unable to apply ReferencePath {text} to input {shown}") from error


def assign(state: State, scope: Scope) -> dict[str, Any]:
    """The variables after the state's Assign; every expression sees the values from before."""
    if "Assign" not in state:
        return dict(scope.variables)
    return {**scope.variables, **fill(state["Assign"], scope)}


def number(state: State, field: str, scope: Scope, *, least: int = 0, whole: bool = True) -> Any:
    """`field`, or what `fieldPath` finds in the effective input; None if neither is there. Raises StateFailed."""
    if field in state:
        return state[field]
    if f"{field}Path" not in state:
        return None
    path = state[f"{field}Path"]
    value = evaluate(compile_expression(path), scope, field=f"{field}Path")
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= MAX_NUMBER:
        wanted = f"{'an integer' if whole else 'a number'} from {least} to {MAX_NUMBER}"
        raise StateFailed(
            RUNTIME, f"The {field}Path '{path}' must lead to {wanted}, but its value is {to_text(value)[:MAX_ECHO]}"
        )
    return value


def text(state: State, field: str, scope: Scope) -> str | None:
    """Error and Cause of a Fail: the field, or what its Path form gives. Raises StateFailed."""
    if f"{field}Path" not in state:
        value = state.get(field)
    else:
        value = evaluate(compile_expression(state[f"{field}Path"]), scope, field=f"{field}Path")
        if not isinstance(value, str):
            raise StateFailed(
                RUNTIME,
                f"The {field}Path '{state[f'{field}Path']}' must lead to a string, but its value is "
                f"{to_text(value)[:MAX_ECHO]}",
            )
    return value


def within_limit(value: Any, name: str) -> Any:
    """The value itself. Raises StateFailed(States.DataLimitExceeded) above the payload limit, or nested too deeply."""
    if not _may_exceed(value):
        return value
    if is_too_deep(value):
        raise StateFailed(
            DATA_LIMIT, f"The state/task '{name}' returned a result nested more than {MAX_DEPTH} levels deep."
        )
    if len(to_text(value).encode("utf-8", "surrogatepass")) > MAX_PAYLOAD_BYTES:
        raise StateFailed(
            DATA_LIMIT,
            f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes service "
            "limit.",
        )
    return value


def _may_exceed(value: Any) -> bool:
    """Cheap no for the small values nearly all are: scalars, and short strings one level deep."""
    if isinstance(value, dict):
        return len(value) > 100 or any(
            isinstance(part, dict | list) or _long(part) or _long(key) for key, part in value.items()
        )
    return isinstance(value, list) or _long(value)


def _long(value: Any) -> bool:
    return isinstance(value, str) and len(value) > 500
