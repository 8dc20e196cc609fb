"""What a subscriber has of an acquisition besides the item that was asked for: the rest of its ledger tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pystac

from imagery.errors import ItemUnknown
from imagery.items.acquisition import acquisition_of_item
from imagery.model.codec import format_instant
from imagery.model.outcome import Outcome, OutcomeQuery, OutcomeStatus, SkipReason
from imagery.model.paging import walk
from imagery.model.product import Product
from imagery.model.request import Request
from imagery.model.subscription import Subscription
from imagery.ports import Ledger, ProductStore, Provider
from imagery.service.joining import acquired_at
from imagery.workflow.products import current_of, recipe_of
from imagery.workflow.share import Share, state_of

WITHIN = timedelta(minutes=15)
"""Tiles of one acquisition that show one field lie seconds apart, rows of a whole pass minutes."""


@dataclass(frozen=True, kw_only=True)
class Siblings:
    """Finds them for one call of a step, which asks the provider for each item once."""

    provider: Provider
    ledger: Ledger
    products: ProductStore
    _found: dict[tuple[str, str], pystac.Item | None] = field(default_factory=dict)

    def share(self, item: pystac.Item, subscription: Subscription, *, request: Request, now: datetime) -> Share:
        """One subscriber's share of an item, with all that is known of its acquisition.

        Where what is published knows it all already, the provider is asked for nothing.
        """
        acquisition = acquisition_of_item(item).id
        rows = list(self._rows(item, subscription, acquisition))
        current = current_of(self.products.of(subscription.id, acquisition))
        share = Share(item=item, subscription=subscription, request=request, now=now, current=current)
        if current is not None and current.is_made_as(recipe_of(subscription)) and _knows(current, item, rows):
            return replace(share, is_settled=True)
        found = [self._get(subscription.collection, row.item_id) for row in rows]
        siblings = tuple(one for one in found if one is not None and acquisition_of_item(one).id == acquisition)
        candidates = {one.id for one in (item, *siblings)}
        weighed = current.known.items() if current is not None else ()
        return replace(
            share, siblings=siblings, carried={one: state for one, state in weighed if one not in candidates}
        )

    def _rows(self, item: pystac.Item, subscription: Subscription, acquisition: str) -> Iterator[Outcome]:
        at = acquired_at(item)
        query = OutcomeQuery(subscription_id=subscription.id, acquired_from=at - WITHIN, acquired_to=at + WITHIN)
        for row in walk(lambda cursor: self.ledger.find(replace(query, cursor=cursor))):
            if row.acquisition == acquisition and row.item_id != item.id and _is_candidate(row):
                yield row

    def _get(self, collection: str, item_id: str) -> pystac.Item | None:
        """None for one that the provider no longer has."""
        key = (collection, item_id)
        if key not in self._found:
            try:
                self._found[key] = self.provider.get(collection, item_id)
            except ItemUnknown:
                self._found[key] = None
        return self._found[key]


def _is_candidate(row: Outcome) -> bool:
    """What failed is not to spoil the others; what shows nothing of the area adds nothing."""
    return row.status is not OutcomeStatus.FAILED and row.reason not in (SkipReason.INACTIVE, SkipReason.OUTSIDE)


def _knows(product: Product, item: pystac.Item, rows: list[Outcome]) -> bool:
    states = {item.id: state_of(item)} | {
        row.item_id: format_instant(row.source_updated_at) if row.source_updated_at else "" for row in rows
    }
    return all(one in product.known and product.known[one] >= state for one, state in states.items())
