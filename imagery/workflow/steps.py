"""One function for each Task state of `imagery.asl.json`. Any of them may run twice; JSON in, JSON out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pystac

from imagery.errors import CollectionUnknown, ProviderRefused, ProviderUnknown, SubscriptionUnknown
from imagery.items import collection_for
from imagery.model.codec import from_dict
from imagery.model.outcome import Outcome, OutcomeStatus
from imagery.model.request import Request, RequestKind
from imagery.model.search import Search
from imagery.model.subscription import Subscription, SubscriptionStatus
from imagery.ports import (
    Catalog,
    Clock,
    FailureStore,
    Ledger,
    ObjectStore,
    ProcessingQueue,
    Provider,
    SubscriptionStore,
)
from imagery.service.discovery import discover
from imagery.service.failures import as_failure, record_failure
from imagery.workflow.delivery import Cutter
from imagery.workflow.share import Entry, Share

logger = logging.getLogger(__name__)

Payload = Mapping[str, Any]
Step = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """What the steps work with."""

    providers: Mapping[str, Provider]
    subscriptions: SubscriptionStore
    ledger: Ledger
    failures: FailureStore
    queue: ProcessingQueue
    objects: ObjectStore
    catalog: Catalog
    clock: Clock
    max_clip_pixels: int


def steps(neighbours: Neighbours) -> dict[str, Step]:
    """The function of each Task, by the name the workflow gives it."""
    return {
        "PublicProvider": partial(public_provider, neighbours=neighbours),
        "PlanetRequester": planet_requester,
        "PlanetProvider": planet_provider,
        "Register": partial(register, neighbours=neighbours),
        "sqs:sendMessage": partial(failure_queue, neighbours=neighbours),
    }


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


def planet_requester(_payload: Payload) -> dict[str, Any]:
    """Place an order and pause."""
    raise ProviderRefused("Planet's orders are not part of this version; use another provider")


def planet_provider(_payload: Payload) -> dict[str, Any]:
    """Download an order's results and cut them."""
    raise ProviderRefused("Planet's orders are not part of this version; use another provider")


def register(payload: Payload, *, neighbours: Neighbours) -> dict[str, Any]:
    """Publish the items whose objects were written, then put every outcome in the ledger: in this order, always."""
    request = from_dict(Request, payload["request"])
    entries = [entry for entry in map(Entry.from_payload, payload["entries"]) if _is_wanted(entry, neighbours)]
    items = [_read_item(entry.item_key, neighbours) for entry in entries if entry.item_key is not None]
    if items:
        _publish(items, request, neighbours)
    now = neighbours.clock()
    for entry in entries:
        outcome = _with_earlier_delivery(replace(entry.outcome, updated_at=now), neighbours)
        if outcome.status is OutcomeStatus.FAILED:
            neighbours.failures.add(as_failure(outcome, request, owner=_owner(outcome.subscription_id, neighbours)))
        neighbours.ledger.record(outcome)
        if outcome.status is OutcomeStatus.DELIVERED:
            neighbours.subscriptions.mark(outcome.subscription_id, last_update_at=now)
    return {"delivered": len(items), "skipped": len(entries) - len(items)}


def failure_queue(message: Payload, *, neighbours: Neighbours) -> None:
    """Keep a request that failed for good, and say so in the ledger."""
    body = message["MessageBody"]
    record_failure(
        body["execution_id"],
        body["payload"],
        subscriptions=neighbours.subscriptions,
        ledger=neighbours.ledger,
        failures=neighbours.failures,
        now=neighbours.clock(),
    )


def _search_window(request: Request, provider: Provider, neighbours: Neighbours) -> tuple[Entry, ...]:
    assert request.window is not None
    for subscription in _subscriptions(request, neighbours):
        if subscription.status is not SubscriptionStatus.ACTIVE:
            continue
        now = neighbours.clock()
        discover(
            subscription,
            search=Search(
                collection=request.collection,
                aoi=subscription.aoi,
                acquired_from=request.window.start_at,
                acquired_to=request.window.end_at,
            ),
            kind=request.kind,
            provider=provider,
            ledger=neighbours.ledger,
            queue=neighbours.queue,
            now=now,
        )
        if request.kind is RequestKind.INITIAL:
            # Only now: until its first look is through, the update checker must not think it has had one.
            neighbours.subscriptions.mark(subscription.id, checked_through=request.window.end_at)
    return ()


def _cut_items(request: Request, provider: Provider, neighbours: Neighbours) -> tuple[Entry, ...]:
    subscriptions = _subscriptions(request, neighbours)
    if not subscriptions:
        return ()
    cutter = Cutter(objects=neighbours.objects, catalog=neighbours.catalog, max_clip_pixels=neighbours.max_clip_pixels)
    entries: list[Entry] = []
    for item_id in request.item_ids:
        item = provider.get(request.collection, item_id)
        now = neighbours.clock()
        entries.extend(cutter.cut([Share(item=item, subscription=s, request=request, now=now) for s in subscriptions]))
    return tuple(entries)


def _subscriptions(request: Request, neighbours: Neighbours) -> list[Subscription]:
    """Those of the request that are still there."""
    found: list[Subscription] = []
    for subscription_id in request.subscription_ids:
        try:
            found.append(neighbours.subscriptions.get(subscription_id))
        except SubscriptionUnknown:
            logger.info("passed over: the subscription is gone", extra={"subscription_id": subscription_id})
    return found


def _is_wanted(entry: Entry, neighbours: Neighbours) -> bool:
    """False for a subscription removed meanwhile, whose objects are removed too, and for a state that was overtaken."""
    outcome = entry.outcome
    try:
        neighbours.subscriptions.get(outcome.subscription_id)
    except SubscriptionUnknown:
        if entry.item_key is not None:
            neighbours.objects.remove_prefix(entry.item_key.rpartition("/")[0])
        return False
    row = neighbours.ledger.get(outcome.subscription_id, outcome.item_id)
    if row is None or row.source_updated_at is None or outcome.source_updated_at is None:
        return True
    return outcome.source_updated_at >= row.source_updated_at


def _with_earlier_delivery(outcome: Outcome, neighbours: Neighbours) -> Outcome:
    """A changed source item that is not delivered leaves the clip of its earlier state published: the row says so."""
    row = neighbours.ledger.get(outcome.subscription_id, outcome.item_id)
    if outcome.status is OutcomeStatus.DELIVERED or row is None or row.published_item_id is None:
        return outcome
    return replace(
        outcome,
        explanation=f"{outcome.explanation}; what was delivered before stays",
        published_item_id=row.published_item_id,
        published_collection=row.published_collection,
    )


def _owner(subscription_id: str, neighbours: Neighbours) -> str:
    return neighbours.subscriptions.get(subscription_id).owner


def _read_item(key: str, neighbours: Neighbours) -> pystac.Item:
    return pystac.Item.from_dict(json.loads(neighbours.objects.get(key)), preserve_dict=False)


def _publish(items: list[pystac.Item], request: Request, neighbours: Neighbours) -> None:
    try:
        neighbours.catalog.publish(items)
    except CollectionUnknown:
        provider = neighbours.providers[request.provider]
        source = provider.get_collection(request.collection)
        neighbours.catalog.ensure_collection(collection_for(source, request.collection, request.provider))
        neighbours.catalog.publish(items)
