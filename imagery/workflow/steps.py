"""One function for each Task state of `imagery.asl.json`. Any of them may run twice; JSON in, JSON out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pystac

from imagery.errors import ProviderUnknown, SubscriptionUnknown
from imagery.model.codec import from_dict
from imagery.model.outcome import Outcome, OutcomeStatus
from imagery.model.request import Request
from imagery.model.subscription import Subscription, SubscriptionStatus
from imagery.ports import (
    Catalog,
    Clock,
    EventStore,
    FailureStore,
    Ledger,
    ObjectStore,
    ProcessingQueue,
    ProductStore,
    Provider,
    SubscriptionStore,
    Together,
    UsageStore,
)
from imagery.service import facts
from imagery.service.failing import as_failure, is_known, record_failure, resolve_failure
from imagery.service.looks import Looker
from imagery.workflow.delivery import Cutter
from imagery.workflow.observed import Step, observed
from imagery.workflow.planet import Bench, OrderedSource, deliver_order, request_order
from imagery.workflow.registering import Registrar
from imagery.workflow.retrying import second_chances
from imagery.workflow.share import Entry, Share
from imagery.workflow.siblings import Siblings
from imagery.workflow.telling import Telling

logger = logging.getLogger(__name__)

Payload = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """What the steps work with."""

    providers: Mapping[str, Provider]
    subscriptions: SubscriptionStore
    ledger: Ledger
    products: ProductStore
    failures: FailureStore
    events: EventStore
    together: Together
    """Of all of these stores and the queue."""

    queue: ProcessingQueue
    looker: Looker
    objects: ObjectStore
    catalog: Catalog
    clock: Clock
    max_clip_pixels: int
    superseded_retention: timedelta
    """How long an item stays when another has taken its place."""

    usage: UsageStore | None = None
    """Where the bytes moved are counted. None: nowhere."""

    planet: OrderedSource | None = None
    """None: no key for it."""


def steps(neighbours: Neighbours) -> dict[str, Step]:
    """The function of each Task, by the name the workflow gives it."""
    plain: dict[str, Step] = {
        "PublicProvider": partial(public_provider, neighbours=neighbours),
        "PlanetRequester": partial(request_order, source=neighbours.planet, bench=_bench(neighbours)),
        "PlanetProvider": partial(deliver_order, source=neighbours.planet, bench=_bench(neighbours)),
        "Register": partial(register, neighbours=neighbours),
        "sqs:sendMessage": partial(failure_queue, neighbours=neighbours),
    }
    return {name: observed(name, step, usage=neighbours.usage, clock=neighbours.clock) for name, step in plain.items()}


def public_provider(payload: Payload, *, neighbours: Neighbours) -> dict[str, Any]:
    """Find what a window holds and ask for each item of it, or cut the items a request names."""
    request = from_dict(Request, payload["request"])
    provider = neighbours.providers.get(request.provider)
    if provider is None:
        raise ProviderUnknown(f"no provider is set up under the name {request.provider}")
    entries = (
        _search_window(request, provider, neighbours)
        if request.window is not None
        else _cut_items(request, provider, neighbours)
    )
    return {"entries": [entry.to_payload() for entry in entries]}


def register(payload: Payload, *, neighbours: Neighbours) -> dict[str, Any]:
    """Publish the items whose objects were written, then put every outcome in the ledger: in this order, always."""
    request = from_dict(Request, payload["request"])
    now = neighbours.clock()
    registrar = _registrar(request, neighbours, now)
    entries: list[Entry] = []
    for entry in map(Entry.from_payload, payload["entries"]):
        if _still_there(entry, neighbours):
            if not _is_overtaken(entry, neighbours):
                entries.append(entry)
            elif entry.item_key is not None:
                registrar.withdraw(entry)
    again, settled = second_chances(entries, request, now=now)
    neighbours.queue.send(again)
    published = registrar.publish([entry for entry in settled if entry.item_key is not None])
    for entry in settled:
        if entry.item_key is None:
            with neighbours.together():
                _record(replace(entry.outcome, updated_at=now), request, registrar.telling, neighbours)
    for entry in entries:
        _still_there(entry, neighbours)  # again: it may have gone while its item was published
    resolve_failure(request, failures=neighbours.failures)
    return {"delivered": published, "skipped": len(entries) - published}


def failure_queue(message: Payload, *, neighbours: Neighbours) -> None:
    """Keep a request that failed for good, and say so in the ledger."""
    body = message["MessageBody"]
    with neighbours.together():
        record_failure(
            body["payload"],
            subscriptions=neighbours.subscriptions,
            ledger=neighbours.ledger,
            failures=neighbours.failures,
            events=neighbours.events,
            now=neighbours.clock(),
        )


def _search_window(request: Request, provider: Provider, neighbours: Neighbours) -> tuple[Entry, ...]:
    """A paused subscription's look stays planned: the update checker does it once it is resumed."""
    for subscription in _subscriptions(request, neighbours):
        if subscription.status is SubscriptionStatus.ACTIVE:
            neighbours.looker.look(request, subscription, provider=provider, now=neighbours.clock())
    return ()


def _cut_items(request: Request, provider: Provider, neighbours: Neighbours) -> tuple[Entry, ...]:
    subscriptions = _subscriptions(request, neighbours)
    if not subscriptions:
        return ()
    cutter = _cutter(neighbours)
    siblings = Siblings(provider=provider, ledger=neighbours.ledger, products=neighbours.products)
    entries: list[Entry] = []
    for item_id in request.item_ids:
        item = provider.get(request.collection, item_id)
        now = neighbours.clock()
        entries.extend(cutter.cut([siblings.share(item, one, request=request, now=now) for one in subscriptions]))
    return tuple(entries)


def _cutter(neighbours: Neighbours) -> Cutter:
    return Cutter(
        objects=neighbours.objects,
        catalog=neighbours.catalog,
        products=neighbours.products,
        together=neighbours.together,
        max_clip_pixels=neighbours.max_clip_pixels,
    )


def _bench(neighbours: Neighbours) -> Bench:
    def look(request: Request) -> None:
        _search_window(request, neighbours.providers[request.provider], neighbours)

    def share(item: pystac.Item, subscription: Subscription, request: Request) -> Share:
        provider = neighbours.providers[request.provider]
        siblings = Siblings(provider=provider, ledger=neighbours.ledger, products=neighbours.products)
        return siblings.share(item, subscription, request=request, now=neighbours.clock())

    return Bench(
        takers=lambda request: _subscriptions(request, neighbours),
        look=look,
        share=share,
        cut=_cutter(neighbours).cut,
        send=lambda request: neighbours.queue.send([request]),
    )


def _registrar(request: Request, neighbours: Neighbours, now: datetime) -> Registrar:
    telling = Telling(
        subscriptions=neighbours.subscriptions,
        ledger=neighbours.ledger,
        products=neighbours.products,
        events=neighbours.events,
        now=now,
    )
    return Registrar(
        request=request,
        providers=neighbours.providers,
        telling=telling,
        ledger=neighbours.ledger,
        products=neighbours.products,
        queue=neighbours.queue,
        together=neighbours.together,
        objects=neighbours.objects,
        catalog=neighbours.catalog,
        retention=neighbours.superseded_retention,
        now=now,
    )


def _subscriptions(request: Request, neighbours: Neighbours) -> list[Subscription]:
    """Those of the request that are still there."""
    found = [_find(subscription_id, neighbours) for subscription_id in request.subscription_ids]
    there = [one for one in found if one is not None and one.status is not SubscriptionStatus.DELETING]
    if len(there) < len(found):
        logger.info("passed over: subscriptions are gone", extra={"request_id": request.id})
    return there


def _find(subscription_id: str, neighbours: Neighbours) -> Subscription | None:
    try:
        return neighbours.subscriptions.get(subscription_id)
    except SubscriptionUnknown:
        return None


def _still_there(entry: Entry, neighbours: Neighbours) -> bool:
    """False for a subscription being removed or gone; what was written for it goes too, the item first."""
    outcome = entry.outcome
    subscription = _find(outcome.subscription_id, neighbours)
    if subscription is not None and subscription.status is not SubscriptionStatus.DELETING:
        return True
    if entry.item_key is not None:
        if outcome.published_item_id is not None:
            neighbours.catalog.retract(outcome.published_collection or outcome.collection, [outcome.published_item_id])
        neighbours.objects.remove_prefix(entry.item_key.rpartition("/")[0])
    if subscription is None:  # while it is there, the delete checker needs what follows
        neighbours.products.forget(outcome.subscription_id)
        neighbours.ledger.remove(outcome.subscription_id)
    return False


def _is_overtaken(entry: Entry, neighbours: Neighbours) -> bool:
    """Whether a later state of the source item has been asked for or dealt with since."""
    outcome = entry.outcome
    row = neighbours.ledger.get(outcome.subscription_id, outcome.item_id)
    if row is None or row.source_updated_at is None or outcome.source_updated_at is None:
        return False
    return outcome.source_updated_at < row.source_updated_at


def _with_earlier_delivery(outcome: Outcome, neighbours: Neighbours) -> Outcome:
    """A changed source item that is not delivered leaves the clip of its earlier state published: the row says so."""
    row = neighbours.ledger.get(outcome.subscription_id, outcome.item_id)
    if row is None or row.published_item_id is None:
        return outcome
    return replace(
        outcome,
        explanation=f"{outcome.explanation}; what was delivered before stays",
        published_item_id=row.published_item_id,
        published_collection=row.published_collection,
    )


def _record(outcome: Outcome, request: Request, telling: Telling, neighbours: Neighbours) -> None:
    """The ledger's row of an item of which nothing was made, and with it whatever else says the same."""
    is_shown = outcome.published_item_id is not None
    outcome = telling.shown_now(outcome) if is_shown else _with_earlier_delivery(outcome, neighbours)
    if outcome.status is OutcomeStatus.FAILED:
        _keep_failure(outcome, request, neighbours)
    neighbours.ledger.record(outcome)


def _keep_failure(outcome: Outcome, request: Request, neighbours: Neighbours) -> None:
    subscription = _find(outcome.subscription_id, neighbours)
    if subscription is None:
        return
    is_ordered = neighbours.planet is not None and neighbours.planet.orders.provider == request.provider
    state = "PlanetProvider" if is_ordered else "PublicProvider"
    failure = as_failure(outcome, request, owner=subscription.owner, state=state)
    if not is_known(failure, failures=neighbours.failures):
        neighbours.events.add([facts.failed(failure, subscription)])
        neighbours.failures.add(failure)
