"""What a product that stands changes in the ledger, and what its subscriber is told of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from imagery.errors import SubscriptionUnknown
from imagery.model.codec import format_instant, parse_instant
from imagery.model.outcome import Outcome, OutcomeStatus, SkipReason
from imagery.model.product import Product
from imagery.ports import EventStore, Ledger, ProductStore, SubscriptionStore
from imagery.service import facts
from imagery.workflow.products import current_of
from imagery.workflow.share import shown_by


@dataclass(frozen=True, kw_only=True)
class Telling:
    """Everything here belongs into the transaction in which the product changes."""

    subscriptions: SubscriptionStore
    ledger: Ledger
    products: ProductStore
    events: EventStore
    now: datetime

    def record(self, row: Outcome, product: Product) -> None:
        """The row of the item that was asked for, and those of the others that were weighed.

        An item whose turn is still to come, or which failed, keeps its status and names what is published.
        """
        self.ledger.record(row)
        for item_id, state in product.known.items():
            other = None if item_id == row.item_id else self.ledger.get(product.subscription_id, item_id)
            changed = None if other is None else _weighed(other, product, state)
            if changed is not None and changed != other:
                self.ledger.record(replace(changed, updated_at=self.now))

    def announce(self, row: Outcome, product: Product) -> None:
        """That an item is published: once for each state of its sources, whichever of them was asked for."""
        try:
            owner = self.subscriptions.get(row.subscription_id).owner
        except SubscriptionUnknown:
            return
        self.subscriptions.mark(row.subscription_id, last_update_at=self.now)
        newest = max(product.known.get(one, "") for one in product.sources)
        told = replace(
            row,
            item_id=product.sources[0],
            source_updated_at=parse_instant(newest) if newest else None,
            numbers=dict(product.numbers),
            published_item_id=product.item_id,
            published_collection=product.collection_id,
        )
        self.events.add([facts.published(told, owner=owner, at=self.now)])

    def shown_now(self, row: Outcome) -> Outcome:
        """The row of an item for which another request made the product, by the one that stands at this moment."""
        current = current_of(self.products.of(row.subscription_id, row.acquisition))
        return shown_by(row, current) if current is not None and row.item_id in current.known else row


def _weighed(row: Outcome, product: Product, state: str) -> Outcome | None:
    """None: it stays as it is."""
    of = format_instant(row.source_updated_at) if row.source_updated_at else ""
    if row.status in (OutcomeStatus.WAITING, OutcomeStatus.FAILED) or of > state:
        if row.published_item_id is None:
            return None
        return replace(row, published_item_id=product.item_id, published_collection=product.collection_id)
    return None if row.reason in (SkipReason.INACTIVE, SkipReason.OUTSIDE) else shown_by(row, product)
