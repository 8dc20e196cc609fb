"""What of the shared queue and its executions a caller may see: their own work, and operators all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from imagery.errors import ExecutionUnknown, SubscriptionUnknown
from imagery.model.access import Caller
from imagery.model.execution import Execution, ExecutionQuery
from imagery.model.paging import Page
from imagery.model.request import Request
from imagery.wiring import Imagery

MOST_PAGES = 10
"""Pages of other people's executions passed over for one answer."""

PEEK = 1000
"""Requests looked at for an owner's own."""


@dataclass(frozen=True, kw_only=True)
class Visible:
    """One caller's view; made for one HTTP request, so that what it remembers cannot grow old."""

    imagery: Imagery
    caller: Caller
    _known: dict[str, bool] = field(default_factory=dict, repr=False)

    def requests(self, limit: int) -> list[Request]:
        """Up to `limit` of those that come next in the queue."""
        if self.caller.scope is None:
            return list(self.imagery.queue.peek(limit))
        found = [one for one in self.imagery.queue.peek(PEEK) if self._are_theirs(one.subscription_ids)]
        return found[:limit]

    def executions(self, query: ExecutionQuery) -> Page[Execution]:
        """A page of them; it may hold fewer than asked for, even none, though more follow."""
        for _ in range(MOST_PAGES):
            page = self.imagery.orchestrator.find(query)
            seen = tuple(one for one in page.values if self._may_see(one))
            if seen or page.next_cursor is None:
                break
            query = replace(query, cursor=page.next_cursor)
        return Page(values=seen, next_cursor=page.next_cursor)

    def execution(self, execution_id: str) -> Execution:
        """Raises ExecutionUnknown, for another owner's too."""
        # One sentence for both, so that nobody learns which ids others have.
        refusal = ExecutionUnknown(f"there is no execution {execution_id}")
        try:
            execution = self.imagery.orchestrator.get(execution_id)
        except ExecutionUnknown:
            raise refusal from None
        if not self._may_see(execution):
            raise refusal
        return execution

    def _may_see(self, execution: Execution) -> bool:
        return self.caller.scope is None or self._are_theirs(_subscription_ids(execution.input))

    def _are_theirs(self, subscription_ids: Iterable[str]) -> bool:
        ids = list(subscription_ids)
        return bool(ids) and all(map(self._is_theirs, ids))

    def _is_theirs(self, subscription_id: str) -> bool:
        if subscription_id not in self._known:
            try:
                self.imagery.subscriptions.get(self.caller, subscription_id)
                self._known[subscription_id] = True
            except SubscriptionUnknown:
                self._known[subscription_id] = False
        return self._known[subscription_id]


def _subscription_ids(payload: Any) -> list[str]:
    """Of the request an execution was given; none when its input is no request."""
    request = payload.get("request") if isinstance(payload, dict) else None
    ids = request.get("subscription_ids") if isinstance(request, dict) else None
    return [str(one) for one in ids] if isinstance(ids, list) else []
