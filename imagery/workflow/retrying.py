"""A second chance for those of a request's subscribers who failed where waiting can help, though others succeeded.

When all fail, the step raises and the workflow tries again with backoff. When only some do, raising would cut the
others' clips anew each time, and would go on past its end for the sake of one field; calling it final would leave one
field to be replayed by hand for a hiccup. So those are asked for once more, as a request of their own, which can fail
as a whole, and so gets the workflow's backoff.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from imagery.model.outcome import Outcome, OutcomeStatus
from imagery.model.request import Request, RequestKind
from imagery.service.failing import is_retryable
from imagery.workflow.share import Entry

MAX_ATTEMPTS = 4
"""Of one share of an item, before its failure is final."""


def second_chances(
    entries: Sequence[Entry], request: Request, *, now: datetime
) -> tuple[tuple[Request, ...], tuple[Entry, ...]]:
    """Requests for those to be tried again, and the entries with these waiting. The same entries give the same ids."""
    if request.attempt >= MAX_ATTEMPTS:
        return (), tuple(entries)
    again = [entry for entry in entries if _may_be_tried_again(entry)]
    requests = {
        item_id: another_try(
            request,
            [one.outcome for one in again if one.outcome.item_id == item_id],
            occasion=f"second chance after {request.id}",
            now=now,
        )
        for item_id in dict.fromkeys(one.outcome.item_id for one in again)
    }
    return tuple(requests.values()), tuple(
        _waiting(entry, requests[entry.outcome.item_id]) if entry in again else entry for entry in entries
    )


def _may_be_tried_again(entry: Entry) -> bool:
    outcome = entry.outcome
    return outcome.status is OutcomeStatus.FAILED and outcome.error is not None and is_retryable(outcome.error)


def another_try(request: Request, outcomes: Sequence[Outcome], *, occasion: str, now: datetime) -> Request:
    """One item for those of a request's subscribers whose rows these are, counted as a further attempt."""
    another = Request.for_item(
        kind=RequestKind.REPLAY,
        priority=request.priority,
        provider=request.provider,
        collection=request.collection,
        item_id=outcomes[0].item_id,
        item_updated_at=outcomes[0].source_updated_at,
        subscription_ids=[outcome.subscription_id for outcome in outcomes],
        now=now,
        occasion=occasion,
    )
    return replace(another, attempt=request.attempt + 1)


def _waiting(entry: Entry, request: Request) -> Entry:
    outcome = entry.outcome
    why = f"tried again, for it failed in a way that passes: {outcome.error}: {outcome.explanation}"
    return replace(
        entry,
        outcome=replace(outcome, status=OutcomeStatus.WAITING, error=None, explanation=why, request_id=request.id),
    )
