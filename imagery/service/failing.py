"""How work that failed for good gets into the failure queue and the ledger, and out of them again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from imagery import errors
from imagery.errors import FailureUnknown, ImageryError, SubscriptionUnknown
from imagery.model.codec import from_dict
from imagery.model.failure import Failure
from imagery.model.outcome import Outcome, OutcomeStatus
from imagery.model.request import Request
from imagery.model.subscription import Subscription
from imagery.ports import EventStore, FailureStore, Ledger, SubscriptionStore
from imagery.service import facts

_WAITING_HELPS = frozenset({"States.Timeout", "States.HeartbeatTimeout"})
_PLAINLY = {
    "States.Timeout": "a step did not end in the time it is given; the provider may be slow, so try again later",
    "States.HeartbeatTimeout": "nothing was heard of a step for too long; try again later",
}
"""The orchestrator's own errors, in words that are of use to who asked for imagery."""


def record_failure(
    payload: Mapping[str, Any],
    *,
    subscriptions: SubscriptionStore,
    ledger: Ledger,
    failures: FailureStore,
    events: EventStore,
    now: datetime,
) -> None:
    """Keep a failed execution's request, and mark in the ledger what its subscribers do not get. Safe to repeat."""
    request = from_dict(Request, payload["request"])
    error = str(payload["error"]["Error"])
    cause = _PLAINLY.get(error) or parse_cause(payload["error"]["Cause"]) or f"{error}; no cause was given"
    subscribers = _there(request, subscriptions)
    failure = Failure(
        id=request.root,
        request=request,
        owner=_only_owner(subscribers),
        error=error,
        cause=cause,
        state=failed_state(payload),
        retryable=is_retryable(error),
        failed_at=now,
    )
    if is_known(failure, failures=failures):
        return
    for subscription_id in request.subscription_ids:
        for item_id in request.item_ids:
            row = ledger.get(subscription_id, item_id)
            if row is not None and row.status is not OutcomeStatus.DELIVERED:
                failed = replace(row, status=OutcomeStatus.FAILED, error=error, explanation=cause, updated_at=now)
                ledger.record(replace(failed, request_id=request.id))
    events.add([facts.failed(failure, subscription) for subscription in subscribers])
    failures.add(failure)


def is_known(failure: Failure, *, failures: FailureStore) -> bool:
    """Whether this attempt's failure is there already: its replay may be under way, and must not be forgotten."""
    try:
        return failures.get(failure.id).request.attempt >= failure.request.attempt
    except FailureUnknown:
        return False


def as_failure(outcome: Outcome, request: Request, *, owner: str, state: str = "PublicProvider") -> Failure:
    """One subscriber's failed share of a request that served others; `state` is the one that made the others'."""
    error = outcome.error or "ImageryError"
    share = request.narrowed(subscription_id=outcome.subscription_id, item_id=outcome.item_id)
    return Failure(
        id=share.root,
        request=share,
        owner=owner,
        error=error,
        cause=outcome.explanation,
        state=state,
        retryable=is_retryable(error),
        failed_at=outcome.updated_at,
    )


def resolve_failure(request: Request, *, failures: FailureStore) -> None:
    """A replay came to an end that is no failure of the whole: what it tried again is done. Safe to repeat."""
    if request.attempt > 1:
        failures.remove(request.root)


def parse_cause(cause: object) -> str:
    """The sentence in a Lambda's cause, which is JSON text; any other cause as it is; "" when there was none."""
    try:
        message = json.loads(str(cause))["errorMessage"]
    except (ValueError, TypeError, KeyError):
        return "" if cause is None else str(cause)
    return str(message)


def is_retryable(error: str) -> bool:
    """Whether waiting can help, by the error's class name."""
    cls = getattr(errors, error, None)
    if isinstance(cls, type) and issubclass(cls, ImageryError):
        return cls.retryable
    return error in _WAITING_HELPS


def failed_state(payload: Mapping[str, Any]) -> str:
    """Which Task failed: each leaves its result in the payload when it succeeds."""
    if "result" in payload:
        return "Register"
    if "caught" not in payload:
        return "ProviderChoice"
    if payload.get("provider_kind") == "planet":
        return "PlanetProvider" if "order" in payload else "PlanetRequester"
    return "PublicProvider"


def _there(request: Request, subscriptions: SubscriptionStore) -> list[Subscription]:
    """Those of the request that are not gone."""
    found: list[Subscription] = []
    for subscription_id in request.subscription_ids:
        try:
            found.append(subscriptions.get(subscription_id))
        except SubscriptionUnknown:
            continue
    return found


def _only_owner(subscribers: Iterable[Subscription]) -> str | None:
    owners = {subscription.owner for subscription in subscribers}
    return owners.pop() if len(owners) == 1 else None
