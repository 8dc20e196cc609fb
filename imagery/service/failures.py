"""The failure queue: requests that failed for good, kept until somebody deals with them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from imagery import errors
from imagery.errors import FailureUnknown, ImageryError, SubscriptionUnknown
from imagery.model.access import Caller
from imagery.model.codec import from_dict
from imagery.model.failure import Failure, FailureQuery
from imagery.model.outcome import Outcome, OutcomeStatus
from imagery.model.paging import Page
from imagery.model.request import Request
from imagery.ports import FailureStore, Ledger, SubscriptionStore

_WAITING_HELPS = frozenset({"States.Timeout", "States.HeartbeatTimeout"})


@dataclass(frozen=True, kw_only=True)
class Failures:
    """What a caller may see of the failure queue: their own part of it."""

    store: FailureStore

    def find(self, caller: Caller, query: FailureQuery) -> Page[Failure]:
        """Newest first."""
        return self.store.find(replace(query, owner=caller.scope))

    def get(self, caller: Caller, failure_id: str) -> Failure:
        """Raises FailureUnknown, for another owner's too."""
        # One sentence for both, so that nobody learns which ids others have.
        refusal = FailureUnknown(f"there is no failure {failure_id}; it may have been replayed or deleted")
        try:
            failure = self.store.get(failure_id)
        except FailureUnknown:
            raise refusal from None
        if caller.scope not in (None, failure.owner):
            raise refusal
        return failure


def record_failure(
    execution_id: str,
    payload: Mapping[str, Any],
    *,
    subscriptions: SubscriptionStore,
    ledger: Ledger,
    failures: FailureStore,
    now: datetime,
) -> None:
    """Keep a failed execution's request, and mark in the ledger what its subscribers do not get. Safe to repeat."""
    request = from_dict(Request, payload["request"])
    error, cause = str(payload["error"]["Error"]), parse_cause(payload["error"]["Cause"])
    failure = Failure(
        id=execution_id,
        request=request,
        owner=_only_owner(request.subscription_ids, subscriptions),
        error=error,
        cause=cause,
        state=failed_state(payload),
        retryable=is_retryable(error),
        failed_at=now,
    )
    failures.add(failure)
    for subscription_id in request.subscription_ids:
        for item_id in request.item_ids:
            row = ledger.get(subscription_id, item_id)
            if row is not None and row.status is not OutcomeStatus.DELIVERED:
                ledger.record(replace(row, status=OutcomeStatus.FAILED, error=error, explanation=cause, updated_at=now))


def as_failure(outcome: Outcome, request: Request, *, owner: str) -> Failure:
    """One subscriber's failed share of a request that served others."""
    error = outcome.error or "ImageryError"
    return Failure(
        id=f"{request.id}-{outcome.subscription_id}",
        request=replace(request, subscription_ids=(outcome.subscription_id,), item_ids=(outcome.item_id,)),
        owner=owner,
        error=error,
        cause=outcome.explanation,
        state="PublicProvider",
        retryable=is_retryable(error),
        failed_at=outcome.updated_at,
    )


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


def _only_owner(subscription_ids: Iterable[str], subscriptions: SubscriptionStore) -> str | None:
    owners: set[str] = set()
    for subscription_id in subscription_ids:
        try:
            owners.add(subscriptions.get(subscription_id).owner)
        except SubscriptionUnknown:
            continue
    return owners.pop() if len(owners) == 1 else None
