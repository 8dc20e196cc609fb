"""Publishing what was made, so that of each acquisition one item stands, whoever comes first and whatever dies.

One product knows all of another when it was made in knowledge of every state of every source item that the other was.
That orders them: the one that knows less makes room, in the catalog in one call with what takes its place, in ledger
and product store in one transaction. Two of which neither knows all are both half blind: the later is made again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pystac

from imagery.errors import CollectionUnknown, ItemUnknown, StoreUnavailable
from imagery.items import collection_for, superseded
from imagery.items.versions import sibling_link
from imagery.model.codec import format_instant
from imagery.model.outcome import OutcomeStatus
from imagery.model.product import Product, ProductStatus
from imagery.model.request import Request
from imagery.ports import Catalog, Ledger, ObjectStore, ProcessingQueue, ProductStore, Provider, Together
from imagery.workflow.products import current_of, latest
from imagery.workflow.retrying import MAX_ATTEMPTS, another_try
from imagery.workflow.share import Entry, shown_by
from imagery.workflow.telling import Telling

TRIES = 8
"""How often what changes meanwhile is looked at again, within one try of the step."""

AT_REST = timedelta(hours=1)
"""Nobody writes objects of a product any more that was begun so long ago."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to become of one product, by what is known when it is made."""

    entry: Entry
    mine: Product
    current: Product | None
    """What stands, if that is another."""

    publishes: bool = False
    """Whether mine is to stand. If not, it makes room for `current`, or is to be made again."""

    litter: tuple[Product, ...] = ()
    """Begun long ago and never finished, by what has failed for good."""

    others: tuple[Product, ...] = ()
    """All but mine that were made of the acquisition."""

    @property
    def makes_room(self) -> bool:
        """Whether what stands knows all that mine does. If it does not, and mine is not to stand, both are blind."""
        return not self.publishes and self.current is not None and self.current.knows_all_of(self.mine)

    @property
    def is_withdrawn(self) -> bool:
        """Whether mine, which may have been published by a step that died, is to be seen by nobody."""
        return not self.publishes and self.mine.status is ProductStatus.MAKING


@dataclass(frozen=True, kw_only=True)
class Registrar:
    """Publishes what one request has made. Everything here may be done twice, and be interrupted anywhere."""

    request: Request
    providers: Mapping[str, Provider]
    telling: Telling
    ledger: Ledger
    products: ProductStore
    queue: ProcessingQueue
    together: Together
    objects: ObjectStore
    catalog: Catalog
    retention: timedelta
    """How long what has been superseded stays."""

    now: datetime

    def publish(self, entries: Sequence[Entry]) -> int:
        """Those that were made; gives how many of them stand now. Raises StoreUnavailable if it never comes to rest."""
        published = 0
        for _ in range(TRIES):
            plans = [self._plan(entry) for entry in entries]
            self._publish(plans)
            settled = [self._settle(plan) for plan in plans]
            published += sum(plan.publishes for plan, is_done in zip(plans, settled, strict=True) if is_done)
            entries = [plan.entry for plan, is_done in zip(plans, settled, strict=True) if not is_done]
            if not entries:
                return published
        raise StoreUnavailable(f"{len(entries)} products changed each time they were registered; this is tried again")

    def withdraw(self, entry: Entry) -> None:
        """It was made of a state of its item that is no longer the one asked for: nobody is to see it."""
        outcome = entry.outcome
        made = self.products.of(outcome.subscription_id, outcome.acquisition)
        mine = next((one for one in made if one.item_id == outcome.published_item_id), None)
        state = format_instant(outcome.source_updated_at) if outcome.source_updated_at else ""
        # Known in a later state, another request has taken it over: its bytes are the same.
        if mine is None or mine.status is not ProductStatus.MAKING or mine.known.get(outcome.item_id, "") > state:
            return
        others = tuple(one for one in made if one.item_id != mine.item_id)
        self._publish([Plan(entry=entry, mine=mine, current=current_of(others), others=others)])
        with self.together():
            if mine in self.products.of(mine.subscription_id, mine.acquisition):
                self.products.save(self._dropped(mine))

    def _plan(self, entry: Entry) -> Plan:
        made = self.products.of(entry.outcome.subscription_id, entry.outcome.acquisition)
        mine = next((one for one in made if one.item_id == entry.outcome.published_item_id), None)
        if mine is None:
            raise ItemUnknown(f"{entry.outcome.published_item_id} was never begun; replay the request to make it anew")
        others = tuple(one for one in made if one.item_id != mine.item_id)
        current = current_of(others)
        if not self._may_stand(mine, current):
            return Plan(entry=entry, mine=mine, current=current, others=others)
        if current is not None:
            version = max(mine.version, current.version + 1)
            mine = replace(mine, version=version, known=latest(mine.known, current.known))
        litter = tuple(one for one in others if self._is_litter(one) and mine.knows_all_of(one))
        return Plan(entry=entry, mine=mine, current=current, publishes=True, litter=litter, others=others)

    def _is_litter(self, product: Product) -> bool:
        return product.status is ProductStatus.MAKING and product.updated_at < self.now - AT_REST

    def _may_stand(self, mine: Product, current: Product | None) -> bool:
        if mine.status is ProductStatus.SUPERSEDED:
            return False
        if current is None:
            return True
        if current.knows_all_of(mine) and not _is_made_anew(mine, current):
            return False
        # In the end somebody has to give in: the later one stands.
        return mine.knows_all_of(current) or self.request.attempt >= MAX_ATTEMPTS

    def _publish(self, plans: Sequence[Plan]) -> None:
        """In one call, so that no search finds two items of one acquisition without a word on which is the newer."""
        items: list[pystac.Item] = []
        for plan in plans:
            if plan.publishes:
                items += [self._incoming(plan), *self._outgoing(plan)]
            for one in [*plan.litter, *([plan.mine] if plan.is_withdrawn else [])]:
                self.catalog.retract(one.collection_id, [one.item_id])
            if plan.is_withdrawn:
                items += self._mended(plan)
        if not items:
            return
        try:
            self.catalog.publish(items)
        except CollectionUnknown:
            source = self.providers[self.request.provider].get_collection(self.request.collection)
            self.catalog.ensure_collection(collection_for(source, self.request.collection, self.request.provider))
            self.catalog.publish(items)

    def _incoming(self, plan: Plan) -> pystac.Item:
        """Mine; what it comes after may have changed since it was written."""
        item = self._read_item(plan.mine)
        if plan.current is None:
            return item
        version, before = str(plan.mine.version), plan.current.item_id
        if item.properties.get("version") != version or not _links(item, "predecessor-version", before):
            item.properties["version"] = version
            item.clear_links("predecessor-version")
            item.add_link(sibling_link("predecessor-version", before))
            body = json.dumps(item.to_dict(include_self_link=False, transform_hrefs=False)).encode()
            self.objects.put(_item_key(plan.mine), body, media_type=pystac.MediaType.GEOJSON)
        return item

    def _outgoing(self, plan: Plan) -> list[pystac.Item]:
        item = self.catalog.get(plan.current.collection_id, plan.current.item_id) if plan.current else None
        if item is None:
            return []
        expires_at = self.now + self.retention
        return [superseded(item, successor_id=plan.mine.item_id, expires_at=expires_at, updated_at=self.now)]

    def _mended(self, plan: Plan) -> list[pystac.Item]:
        """Items that say mine took their place, which a step that died or came late had published before it could."""
        mended: list[pystac.Item] = []
        for one in plan.others:
            item = self.catalog.get(one.collection_id, one.item_id)
            if item is None or not _links(item, "successor-version", plan.mine.item_id):
                continue
            item = self._read_item(one)
            if one.successor is not None and one.expires_at is not None:
                item = superseded(item, successor_id=one.successor, expires_at=one.expires_at)
            item.properties["updated"] = format_instant(self.now)
            mended.append(item)
        return mended

    def _read_item(self, product: Product) -> pystac.Item:
        return pystac.Item.from_dict(json.loads(self.objects.get(_item_key(product))), preserve_dict=False)

    def _settle(self, plan: Plan) -> bool:
        """In one transaction; False when something has changed since the plan was made."""
        with self.together():
            made = self.products.of(plan.mine.subscription_id, plan.mine.acquisition)
            mine = next((one for one in made if one.item_id == plan.mine.item_id), None)
            others = [one for one in made if one.item_id != plan.mine.item_id]
            if mine is None or mine.status is not plan.mine.status or current_of(others) != plan.current:
                return False
            if not plan.mine.knows_all_of(mine):
                return False
            if plan.publishes:
                self._stand(plan)
            elif plan.makes_room:
                self._make_room(plan)
            else:
                self._look_again(plan)
            return True

    def _stand(self, plan: Plan) -> None:
        mine = replace(plan.mine, status=ProductStatus.CURRENT, updated_at=self.now)
        if plan.current is not None:
            outgoing = replace(
                plan.current,
                status=ProductStatus.SUPERSEDED,
                successor=mine.item_id,
                expires_at=self.now + self.retention,
                updated_at=self.now,
            )
            self.products.save(outgoing)
        for one in plan.litter:
            self.products.save(self._dropped(one, at=self.now))
        self.products.save(mine)
        row = replace(plan.entry.outcome, updated_at=self.now)
        self.telling.record(row, mine)
        self.telling.announce(row, mine)

    def _make_room(self, plan: Plan) -> None:
        """For what knows all that mine does."""
        if plan.mine.status is ProductStatus.MAKING:
            self.products.save(self._dropped(plan.mine))
        if plan.current is not None:
            self.ledger.record(replace(shown_by(plan.entry.outcome, plan.current), updated_at=self.now))

    def _look_again(self, plan: Plan) -> None:
        if plan.mine.status is ProductStatus.MAKING:
            self.products.save(self._dropped(plan.mine))
        outcome = plan.entry.outcome
        request = another_try(self.request, [outcome], occasion=f"weighed again after {self.request.id}", now=self.now)
        self.queue.send([request])
        row = replace(
            outcome,
            status=OutcomeStatus.WAITING,
            reason=None,
            explanation="weighed again, for other items of the same acquisition changed meanwhile",
            numbers={},
            published_item_id=plan.current.item_id if plan.current else None,
            published_collection=plan.current.collection_id if plan.current else None,
            request_id=request.id,
            updated_at=self.now,
        )
        self.ledger.record(row)

    def _dropped(self, product: Product, *, at: datetime | None = None) -> Product:
        """Nobody is to see it: the delete checker takes its objects, once nobody can be writing them any more."""
        expires_at = at or self.now + AT_REST
        return replace(
            product, status=ProductStatus.SUPERSEDED, successor=None, expires_at=expires_at, updated_at=self.now
        )


def _is_made_anew(mine: Product, current: Product) -> bool:
    """Whether the subscription was changed between the two, and mine is what it wants now: begun after the other."""
    return not current.is_made_as(mine.recipe) and mine.version > current.version


def _item_key(product: Product) -> str:
    return f"{product.prefix}/item.json"


def _links(item: pystac.Item, rel: str, item_id: str) -> bool:
    return any(str(link.target).endswith(f"/{item_id}") for link in item.get_links(rel))
