"""What Planet says when it does not do what was asked: statuses and bodies, as recorded where they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Refusal(Exception):
    """Answered with this status and JSON body; never leaves the sandbox."""

    def __init__(self, status: int, body: Mapping[str, Any], *, retry_after_s: int | None = None) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body
        self.retry_after_s = retry_after_s


def invalid_query(problems: Mapping[str, Sequence[str]]) -> Refusal:
    """A search that cannot be read: place in the body → what is wrong there (recorded)."""
    field = {place: [{"message": one} for one in messages] for place, messages in problems.items()}
    return Refusal(400, {"field": field, "general": []})


def unacceptable_order(field: str, *messages: str) -> Refusal:
    """An order that names what is not there (recorded for `Products` and `Details`)."""
    said = [{"message": one} for one in messages]
    return Refusal(400, {"field": {field: said}, "general": [{"message": "Unable to accept order"}]})


def no_acceptable_assets() -> Refusal:
    """Recorded."""
    message = "Order request resulted in no acceptable assets. Likely due to lack of permissions."
    return Refusal(400, {"field": None, "general": [{"message": message}]})


def quota_exceeded() -> Refusal:
    """Recorded."""
    return Refusal(429, {"field": {}, "general": [{"message": "Download quota has been exceeded."}]})


def throttled(retry_after_s: int | None) -> Refusal:
    """Not recorded: the documents name the status only."""
    body = {"field": {}, "general": [{"message": "Rate limit exceeded. Please slow down."}]}
    return Refusal(429, body, retry_after_s=retry_after_s)


def unauthorized() -> Refusal:
    """Recorded."""
    return Refusal(401, {"message": "Please enter your API key.", "errors": []})


def forbidden() -> Refusal:
    """Not recorded."""
    return Refusal(403, {"message": "You do not have permission to perform this action.", "errors": []})


def no_order(order_id: str) -> Refusal:
    """Recorded."""
    return Refusal(404, {"message": f"Could not load order ID: {order_id}."})


def not_cancellable() -> Refusal:
    """Recorded."""
    return Refusal(409, {"message": "Order not in a cancellable state"})


def no_search() -> Refusal:
    """Recorded."""
    return Refusal(404, {"general": [{"message": "The requested search id does not exist"}], "field": {}})


def nothing_here(message: str) -> Refusal:
    """In the manner of the one for searches."""
    return Refusal(404, {"general": [{"message": message}], "field": {}})
