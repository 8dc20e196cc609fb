"""Removes one subscription and all it led to, in an order that may be interrupted anywhere and begun again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice

from imagery.errors import SubscriptionUnknown, VersionConflict
from imagery.items import published_collection_id, published_item_id
from imagery.model.deletion import Deletion
from imagery.model.failure import FailureQuery
from imagery.model.outcome import Outcome, OutcomeQuery, OutcomeStatus
from imagery.model.paging import walk
from imagery.model.product import Product, ProductStatus
from imagery.model.subscription import Subscription, SubscriptionStatus
from imagery.ports import (
    Catalog,
    DeletionStore,
    FailureStore,
    Ledger,
    ObjectStore,
    ProductStore,
    SubscriptionStore,
    Together,
)

logger = logging.getLogger(__name__)

AT_REST = timedelta(hours=1)
"""No step of an execution lasts so long: what began while a subscription was active has ended or begun anew by then,
and what begins anew sees that it is active no more."""

BATCH = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What its products and its ledger say there is of a subscription."""

    acquisitions: int = 0
    items: int = 0
    """Published ones, superseded ones that are still reachable among them."""

    bytes: int = 0
    waiting: int = 0

    def plus(self, outcome: Outcome, *, has_product: bool) -> Tally:
        """With one more row; the item and the bytes of one that has a product were counted with that."""
        own = int(not has_product)
        return Tally(
            acquisitions=self.acquisitions + 1,
            items=self.items + own * (outcome.published_item_id is not None),
            bytes=self.bytes + own * int(outcome.numbers.get("bytes", 0)),
            waiting=self.waiting + (outcome.status is OutcomeStatus.WAITING),
        )

    def plus_product(self, product: Product) -> Tally:
        """With one more product; one in the making is no item yet."""
        if product.status is ProductStatus.MAKING:
            return self
        size = int(product.numbers.get("bytes", 0))
        return replace(self, items=self.items + 1, bytes=self.bytes + size)


@dataclass(frozen=True, kw_only=True)
class Removal:
    """Items first, so that nobody finds one whose objects are gone; what names them, and the row, last."""

    subscriptions: SubscriptionStore
    ledger: Ledger
    failures: FailureStore
    deletions: DeletionStore
    products: ProductStore
    objects: ObjectStore
    catalog: Catalog
    together: Together

    belongings: tuple[Callable[[str], object], ...] = field(default=())
    """Whatever else belongs to a subscription: each is called with its id, may be called again, and forgets."""

    def remove(self, subscription: Subscription, *, now: datetime) -> Deletion | None:
        """Remove what there is; None if it was changed this moment, restored for one, and stays.

        The first thing written is the status DELETING, over the version that was read: from then on nobody can restore
        it, and work under way for it undoes itself. While some may be, all is removed but the row, the ledger and
        the products, and `finished_at` is None: a later call sweeps again and comes to the end.
        """
        deletion = self._begun(subscription, now)
        if deletion is None:
            return None
        tally = self._retract_items(subscription.id)
        objects = self.objects.remove_prefix(subscription.prefix)
        deletion = _grown(deletion, tally, objects=objects)
        if objects:
            self.deletions.save(deletion)
        for forget in self.belongings:
            forget(subscription.id)
        deletion = replace(deletion, failures=deletion.failures + self._forget_failures(subscription.id))
        if not self._is_at_rest(subscription, deletion, tally, now):
            self.deletions.save(deletion)
            return deletion
        finished = replace(deletion, finished_at=now)
        with self.together():
            self.ledger.remove(subscription.id)
            self.products.forget(subscription.id)
            self.deletions.save(finished)
            self.subscriptions.remove(subscription.id)
        logger.info(
            "subscription removed",
            extra={"subscription_id": subscription.id, "items": finished.items, "objects": finished.objects},
        )
        return finished

    def tally(self, subscription_id: str) -> Tally:
        """What there is of it, by its products and its ledger."""
        tally, names = Tally(), set()
        for product in self.products.all_of(subscription_id):
            names.add(product.item_id)
            tally = tally.plus_product(product)
        for outcome in self._outcomes(subscription_id):
            tally = tally.plus(outcome, has_product=outcome.published_item_id in names)
        return tally

    def _begun(self, subscription: Subscription, now: datetime) -> Deletion | None:
        earlier = self.deletions.get(subscription.id)
        fresh = Deletion(
            subscription_id=subscription.id,
            owner=subscription.owner,
            provider=subscription.provider,
            collection=subscription.collection,
            was=subscription.status,
            began_at=now,
        )
        if subscription.status is SubscriptionStatus.DELETING:
            return earlier or fresh
        try:
            with self.together():
                # `updated_at` stays: it says since when no work is done.
                deleting = replace(subscription, status=SubscriptionStatus.DELETING, version=subscription.version + 1)
                self.subscriptions.replace(deleting)
                self.deletions.save(fresh)
        except (VersionConflict, SubscriptionUnknown):
            logger.info("not removed: it was changed", extra={"subscription_id": subscription.id})
            return None
        return fresh

    def _is_at_rest(self, subscription: Subscription, deletion: Deletion, tally: Tally, now: datetime) -> bool:
        """Whether no work for it can be under way any more."""
        # `updated_at` is when it was marked or ended: what began later did nothing for it but say so.
        if not tally.waiting and now - subscription.updated_at >= AT_REST:
            return True
        return now - deletion.began_at >= AT_REST

    def _retract_items(self, subscription_id: str) -> Tally:
        """Every item that was ever published for it, or never was: retracting asks for neither."""
        products = self.products.all_of(subscription_id)
        while made := list(islice(products, BATCH)):
            self._retract((product.collection_id, product.item_id) for product in made)
        outcomes = self._outcomes(subscription_id)
        while rows := list(islice(outcomes, BATCH)):
            self._retract(name for row in rows for name in _names(row))
        return self.tally(subscription_id)

    def _retract(self, names: Iterable[tuple[str, str]]) -> None:
        """(our collection's id, our item's id) of each."""
        by_collection: dict[str, list[str]] = {}
        for collection_id, item_id in names:
            by_collection.setdefault(collection_id, []).append(item_id)
        for collection_id, item_ids in by_collection.items():
            self.catalog.retract(collection_id, list(dict.fromkeys(item_ids)))

    def _outcomes(self, subscription_id: str) -> Iterator[Outcome]:
        query = OutcomeQuery(subscription_id=subscription_id, limit=BATCH)
        return walk(lambda cursor: self.ledger.find(replace(query, cursor=cursor)))

    def _forget_failures(self, subscription_id: str) -> int:
        """Gives how many were its own; of those shared with others it is taken out."""
        query = FailureQuery(subscription_id=subscription_id, limit=BATCH)
        forgotten = 0
        for failure in list(walk(lambda cursor: self.failures.find(replace(query, cursor=cursor)))):
            others = tuple(one for one in failure.request.subscription_ids if one != subscription_id)
            if others:
                self.failures.add(replace(failure, request=replace(failure.request, subscription_ids=others)))
            else:
                self.failures.remove(failure.id)
                forgotten += 1
        return forgotten


def _names(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """What a row says was published, and what an item was called before products were kept."""
    derived = published_collection_id(outcome.collection)
    if outcome.published_item_id is not None:
        yield outcome.published_collection or derived, outcome.published_item_id
    yield derived, published_item_id(outcome.item_id, outcome.subscription_id)


def _grown(deletion: Deletion, tally: Tally, *, objects: int) -> Deletion:
    """What was counted never shrinks, even where what says so went before the row did."""
    return replace(
        deletion,
        acquisitions=max(deletion.acquisitions, tally.acquisitions),
        items=max(deletion.items, tally.items),
        bytes=max(deletion.bytes, tally.bytes),
        objects=deletion.objects + objects,
    )
