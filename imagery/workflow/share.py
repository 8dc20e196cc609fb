"""One subscription's share in one source item, and the ledger row for each way it can end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pystac

from imagery.errors import ImageryError
from imagery.items.acquisition import acquisition_of_item
from imagery.model.codec import format_instant, from_dict, to_dict
from imagery.model.outcome import Outcome, OutcomeStatus, SkipReason
from imagery.model.product import Product
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
    """Object key of the STAC item to publish; None: nothing was made."""

    def to_payload(self) -> dict[str, Any]:
        # Without what is not said: two hundred entries must fit into the 256 KiB that a state may hand on.
        said = to_dict(self.outcome).items()
        outcome = {name: value for name, value in said if value not in (None, "", {})}
        return {"outcome": outcome, "item_key": self.item_key}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Entry:
        return cls(outcome=from_dict(Outcome, payload["outcome"]), item_key=payload["item_key"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one subscriber gets of one item by one request, and of the acquisition that the item is part of."""

    item: pystac.Item
    subscription: Subscription
    request: Request
    now: datetime
    siblings: tuple[pystac.Item, ...] = ()
    """Other items of the same acquisition that this subscriber has asked for, in no promised order."""

    carried: Mapping[str, str] = field(default_factory=dict)
    """Of the acquisition, but no candidates any more: source item id → the state in which it was weighed before."""

    current: Product | None = None
    """What is published of the acquisition."""

    is_settled: bool = False
    """Whether `current` was made in knowledge of all there is: nothing need be read."""

    is_bought: bool = False
    """Whether it was paid for while the subscription was active: it is delivered though that is paused or has ended."""

    @property
    def candidates(self) -> tuple[pystac.Item, ...]:
        """What the product may be made of: the item itself first."""
        return (self.item, *self.siblings)

    @property
    def acquisition(self) -> str:
        """Of the item and all its siblings."""
        return acquisition_of_item(self.item).id

    @property
    def known(self) -> dict[str, str]:
        """Every source item that is weighed, or was: id → its state."""
        return {**self.carried, **{item.id: state_of(item) for item in self.candidates}}

    def refusal(self) -> Entry | None:
        """Why nothing of it need be read at all; None when it must be looked at."""
        if not self._is_due():
            return self.skipped(
                SkipReason.INACTIVE, f"the subscription was {self.subscription.status} when its turn came"
            )
        return self.stood_down(self.current) if self.current is not None and self.is_settled else None

    def _is_due(self) -> bool:
        """What failed in a subscription's time may still be made after it."""
        status, is_replay = self.subscription.status, self.request.kind is RequestKind.REPLAY
        if status is SubscriptionStatus.PAUSED:
            return self.is_bought
        return status is SubscriptionStatus.ACTIVE or (
            (is_replay or self.is_bought) and status is SubscriptionStatus.ENDED
        )

    def skipped(self, reason: SkipReason, explanation: str, **numbers: float) -> Entry:
        """Not delivered, though nothing went wrong."""
        row = self._row(OutcomeStatus.SKIPPED, explanation, numbers)
        return Entry(outcome=replace(row, reason=reason))

    def failed(self, error: ImageryError) -> Entry:
        """It could not be made."""
        row = self._row(OutcomeStatus.FAILED, str(error)[:MAX_EXPLANATION])
        return Entry(outcome=replace(row, error=type(error).__name__))

    def delivered(self, product: Product, *, item_key: str, left_out: Sequence[str] = ()) -> Entry:
        """The product's objects are written; `item_key` names the item to publish, which lacks the assets `left_out`.

        An item that was weighed and is no source of it is superseded by it.
        """
        row = shown_by(self._row(OutcomeStatus.WAITING), product)
        lacking = f", without {', '.join(left_out)}: not over the area in this scene" if left_out else ""
        return Entry(outcome=replace(row, explanation=f"{row.explanation}{lacking}"), item_key=item_key)

    def stood_down(self, product: Product) -> Entry:
        """Another request has made this product in knowledge of the item, so that there is nothing left to do."""
        return Entry(outcome=shown_by(self._row(OutcomeStatus.WAITING), product))

    def _row(self, status: OutcomeStatus, explanation: str = "", numbers: Mapping[str, float] | None = None) -> Outcome:
        return Outcome(
            subscription_id=self.subscription.id,
            item_id=self.item.id,
            collection=self.subscription.collection,
            acquisition=self.acquisition,
            status=status,
            acquired_at=acquired_at(self.item),
            source_updated_at=updated_at(self.item),
            explanation=explanation,
            numbers=dict(numbers or {}),
            request_id=self.request.id,
            updated_at=self.now,
        )


def state_of(item: pystac.Item) -> str:
    """As products know it: later ones sort after earlier ones; empty when the provider does not say."""
    updated = updated_at(item)
    return format_instant(updated) if updated else ""


def shown_by(row: Outcome, product: Product) -> Outcome:
    """The row of a source item that was weighed for this product: delivered in it, or superseded by it."""
    is_in_it = row.item_id in product.sources
    others = ", ".join(one for one in product.sources if one != row.item_id)
    mosaic = f", a mosaic with {others}" if is_in_it and others else ""
    return replace(
        row,
        status=OutcomeStatus.DELIVERED if is_in_it else OutcomeStatus.SKIPPED,
        reason=None if is_in_it else SkipReason.SUPERSEDED,
        error=None,
        explanation=(
            f"delivered as {product.item_id}{mosaic}"
            if is_in_it
            else f"{product.item_id} shows the same acquisition, made of {others}"
        ),
        # Of an item that stood alone before, they were that product's.
        numbers=dict(product.numbers) if is_in_it else {} if row.status is OutcomeStatus.DELIVERED else row.numbers,
        published_item_id=product.item_id,
        published_collection=product.collection_id,
    )
