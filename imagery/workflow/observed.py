"""What surrounds each step: its ids on every line logged meanwhile, one line on how it went, the bytes it moved."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any

from imagery.errors import ImageryError
from imagery.log_context import logged_with
from imagery.metering import Meter, metered
from imagery.model.control import Usage
from imagery.ports import Clock, UsageStore

logger = logging.getLogger(__name__)

Step = Callable[[Any], Any]


def observed(name: str, step: Step, *, usage: UsageStore | None, clock: Clock) -> Step:
    """The step, watched. What it raises goes on as it was; bytes count even then, for they have been moved."""

    def run(payload: Any) -> Any:
        with logged_with(**ids_in(payload)), metered() as meter:
            began = time.monotonic()
            try:
                result = step(payload)
            except Exception as error:
                _log_failed(name, error, _numbers(began, meter))
                raise
            finally:
                _save(meter, usage, clock)
            logger.info("step finished", extra={"step": name, **_numbers(began, meter)})
            return result

    return run


def ids_in(payload: Any) -> dict[str, object]:
    """What the lines of a step are found by later. An execution is named after its request."""
    request = _request_in(payload)
    if request is None:
        return {}
    ids: dict[str, object] = {"execution_id": request.get("id"), "request_id": request.get("id")}
    for name, key in (("subscription_id", "subscription_ids"), ("item_id", "item_ids")):
        values: Sequence[Any] = request.get(key) or ()
        if len(values) == 1:
            ids[name] = values[0]
        elif values:
            ids[key] = len(values)  # a thousand ids do not fit on a line
    return ids


_PLACES: tuple[tuple[str, ...], ...] = (("request",), ("MessageBody", "payload", "request"))
"""Where a step has its request: in the payload, or in that of the message about its failure."""


def _request_in(payload: Any) -> Mapping[str, Any] | None:
    for path in _PLACES:
        found: Any = payload
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        if isinstance(found, Mapping):
            return found
    return None


def _log_failed(name: str, error: Exception, numbers: Mapping[str, object]) -> None:
    details = {"step": name, "error": type(error).__name__, **numbers}
    if isinstance(error, ImageryError):
        logger.warning("step failed: %s", error, extra=details)
    else:
        logger.error("step failed", exc_info=error, extra=details)


def _numbers(began: float, meter: Meter) -> dict[str, object]:
    took_s = time.monotonic() - began
    moved = {"bytes_read": meter.bytes_read, "bytes_written": meter.bytes_written}
    return {"duration_ms": round(took_s * 1000, 1), **{name: size for name, size in moved.items() if size}}


def _save(meter: Meter, usage: UsageStore | None, clock: Clock) -> None:
    used = Usage(bytes_read=meter.bytes_read, bytes_written=meter.bytes_written)
    if usage is None or not used.total:
        return
    try:
        usage.add(clock().astimezone(UTC).date(), used)
    except ImageryError as error:
        # What was moved is moved: a count that is short is better than doing it all again.
        logger.warning("bytes not counted: %s", error, extra={"error": type(error).__name__})
