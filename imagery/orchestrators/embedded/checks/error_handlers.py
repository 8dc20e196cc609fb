"""Checks Retry and Catch."""

from __future__ import annotations

from imagery.orchestrators.embedded.checks.place import Place
from imagery.orchestrators.embedded.errors import ALL, KNOWN_NAMES

MAX_INTERVAL_S = 99_999_999
MAX_DELAY_S = 31_622_400
"""Of Step Functions: a year."""

_RETRIER = {
    "ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy", "Comment"
}  # fmt: skip
_CATCHER = {"ErrorEquals", "Next", "ResultPath", "Assign", "Comment"}


def check_retry(retry: Place) -> None:
    """Every retrier."""
    _check_handlers(retry, _RETRIER)
    for retrier in retry.items():
        if retrier.has("IntervalSeconds"):
            retrier.at("IntervalSeconds").integer(1, MAX_INTERVAL_S)
        if retrier.has("MaxAttempts"):
            retrier.at("MaxAttempts").integer(0, MAX_INTERVAL_S)
        if retrier.has("BackoffRate"):
            rate = retrier.at("BackoffRate")
            if isinstance(rate.value, bool) or not isinstance(rate.value, int | float) or rate.value < 1:
                raise rate.wrong("must be a number of at least 1.0")
        if retrier.has("MaxDelaySeconds"):
            _check_max_delay(retrier)
        if retrier.has("JitterStrategy") and retrier.value["JitterStrategy"] not in ("FULL", "NONE"):
            raise retrier.at("JitterStrategy").wrong("must be FULL or NONE")


def _check_max_delay(retrier: Place) -> None:
    longest = retrier.at("MaxDelaySeconds")
    longest.integer(1, MAX_DELAY_S)
    if longest.value < retrier.value.get("IntervalSeconds", 1):
        raise longest.wrong("must not be smaller than IntervalSeconds")


def check_catch(catch: Place) -> None:
    """Every catcher; that its Next exists is checked with the transitions."""
    _check_handlers(catch, _CATCHER)
    for catcher in catch.items():
        catcher.must_have("Next").must_be(str)
        if catcher.has("ResultPath") and catcher.value["ResultPath"] is not None:
            check_result_path(catcher.at("ResultPath"))
        if catcher.has("Assign"):
            catcher.at("Assign").must_be(dict).template()


def check_result_path(place: Place) -> None:
    """A Reference Path into the input: not into the context object, not into a variable."""
    if place.reference().root != "$":
        raise place.wrong("must begin with `$.` or be `$` or null: a result can only be put into the state's input")


def _check_handlers(handlers: Place, fields: set[str]) -> None:
    handlers.must_be(list)
    last = len(handlers.value) - 1
    for index, handler in enumerate(handlers.items()):
        handler.must_be(dict)
        for key, member in handler.members():
            if key not in fields:
                raise member.wrong(f"{key!r} is not one of {', '.join(sorted(fields))}")
        _check_names(handler.must_have("ErrorEquals"), is_last=index == last)


def _check_names(names: Place, *, is_last: bool) -> None:
    names.must_be(list).must_not_be_empty()
    for name in names.items():
        name.must_be(str)
        if name.value.startswith("States.") and name.value not in KNOWN_NAMES:
            raise name.wrong(
                f"{name.value!r} is not an error name of the States Language; names under States. are its own"
            )
    if ALL in names.value:
        if len(names.value) > 1:
            raise names.wrong("States.ALL must stand alone")
        if not is_last:
            raise names.wrong("States.ALL must stand in the last place, or the ones after it are never reached")
