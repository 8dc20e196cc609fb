"""One subscription's share in one source item, and the ledger row for each way it can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pystac

from imagery.errors import ImageryError
from imagery.model.codec import from_dict, to_dict
from imagery.model.outcome import Outcome, OutcomeStatus, SkipReason
from imagery.model.request import Request, RequestKind
from imagery.model.subscription import Subscription, SubscriptionStatus
from imagery.service.joining import acquired_at, updated_at

MAX_EXPLANATION = 300
"""Characters of an error, for the same reason as what is not said is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """How a share ended; crosses the workflow as JSON."""

    outcome: Outcome
    item_key: str | None = None
    """Object key of the STAC item to publish, when delivered."""

    def to_payload(self) -> dict[str, Any]:
        # Without what is not said: two hundred entries must fit into the 256 KiB that a state may hand on.
        outcome = {name: value for name, value in to_dict(self.outcome).items() if value not in (None, "", {})}
        return {"outcome": outcome, "item_key": self.item_key}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Entry:
        return cls(outcome=from_dict(Outcome, payload["outcome"]), item_key=payload["item_key"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one subscriber gets of one item by one request."""

    item: pystac.Item
    subscription: Subscription
    request: Request
    now: datetime

    def refusal(self) -> Entry | None:
        """Why nothing of it need be read at all; None when it must be."""
        if not self._is_due():
            return self.skipped(
                SkipReason.INACTIVE, f"the subscription was {self.subscription.status} when its turn came"
            )
        cloud_cover = self.item.properties.get("eo:cloud_cover")
        most = self.subscription.filters.max_cloud_cover
        if most is not None and cloud_cover is not None and cloud_cover > most:
            return self.skipped(
                SkipReason.CLOUDY,
                f"cloud cover of the scene is {cloud_cover:.1f} %, the subscription takes up to {most:g} %",
                cloud_cover=float(cloud_cover),
            )
        return None

    def _is_due(self) -> bool:
        """What failed in a subscription's time may still be made after it."""
        status, is_replay = self.subscription.status, self.request.kind is RequestKind.REPLAY
        return status is SubscriptionStatus.ACTIVE or (is_replay and status is SubscriptionStatus.ENDED)

    def outside(self) -> Entry:
        """The AOI holds no data of the scene."""
        return self.skipped(SkipReason.OUTSIDE, "the scene has no data over the area", coverage=0.0)

    def too_thin(self, coverage: float) -> Entry:
        """Less of the AOI holds data than asked for."""
        least = self.subscription.filters.min_coverage
        return self.skipped(
            SkipReason.COVERAGE,
            f"the scene covers {coverage:.1%} of the area, the subscription wants at least {least:.1%}",
            coverage=coverage,
        )

    def skipped(self, reason: SkipReason, explanation: str, **numbers: float) -> Entry:
        """Not delivered, though nothing went wrong."""
        row = self._row(OutcomeStatus.SKIPPED, explanation, numbers)
        return Entry(outcome=replace(row, reason=reason))

    def failed(self, error: ImageryError) -> Entry:
        """It could not be made."""
        row = self._row(OutcomeStatus.FAILED, str(error)[:MAX_EXPLANATION])
        return Entry(outcome=replace(row, error=type(error).__name__))

    def delivered(self, *, item_id: str, item_key: str, numbers: Mapping[str, float]) -> Entry:
        """Its objects are written; `item_key` names the item to publish."""
        row = self._row(OutcomeStatus.DELIVERED, f"delivered as {item_id}", numbers)
        collection = self.subscription.collection
        return Entry(
            outcome=replace(row, published_item_id=item_id, published_collection=collection), item_key=item_key
        )

    def _row(self, status: OutcomeStatus, explanation: str, numbers: Mapping[str, float] | None = None) -> Outcome:
        return Outcome(
            subscription_id=self.subscription.id,
            item_id=self.item.id,
            collection=self.subscription.collection,
            status=status,
            acquired_at=acquired_at(self.item),
            source_updated_at=updated_at(self.item),
            explanation=explanation,
            numbers=dict(numbers or {}),
            request_id=self.request.id,
            updated_at=self.now,
        )
