"""The use cases of a subscription's life, over the SQLite store and a provider that may be silent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pystac
import pytest

from imagery.errors import (
    AoiInvalid,
    CollectionUnknown,
    IdempotencyConflict,
    ProviderUnavailable,
    StatusConflict,
    SubscriptionInvalid,
    SubscriptionUnknown,
    VersionConflict,
)
from imagery.model.access import Caller
from imagery.model.codec import to_dict
from imagery.model.processing import Index, Processing
from imagery.model.request import RequestKind
from imagery.model.subscription import Filters, Priority, SubscriptionQuery, SubscriptionStatus
from imagery.notifiers.addresses import AddressPolicy
from imagery.notifiers.webhook import WebhookNotifier
from imagery.queues.sqlite import SqliteProcessingQueue
from imagery.service.collections import CollectionDirectory
from imagery.service.fingerprint import fingerprint_of
from imagery.service.looks import Lookback, Progress
from imagery.service.subscriptions import Limits, NewSubscription, Subscriptions
from imagery.service.webhooks import Webhooks
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.events import SqliteEventStore
from imagery.stores.sqlite.feeds import SqliteFeedStore
from imagery.stores.sqlite.ledger import SqliteLedger
from imagery.stores.sqlite.looks import SqliteLookStore
from imagery.stores.sqlite.outbox import SqliteOutbox
from imagery.stores.sqlite.subscriptions import SqliteSubscriptionStore

ANA, BEN, OLGA = Caller(owner="ana"), Caller(owner="ben"), Caller(owner="olga", operator=True)
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[15.4, 46.1], [15.41, 46.1], [15.41, 46.11], [15.4, 46.11], [15.4, 46.1]]],
}
NEW = NewSubscription(aoi=SQUARE, provider="earth-search", collection="sentinel-2-l2a", start_at=NOW - timedelta(30))


@dataclass
class Offerer:
    """A provider as far as creating a subscription meets it."""

    is_silent: bool = False
    asked: int = 0

    def search(self, search: Any) -> Iterator[pystac.Item]:
        raise AssertionError("creating a subscription searches nothing")

    def get(self, collection_id: str, item_id: str) -> pystac.Item:
        raise AssertionError("creating a subscription reads no item")

    def get_collection(self, collection_id: str) -> pystac.Collection:
        self.asked += 1
        if self.is_silent:
            raise ProviderUnavailable("no answer in 5 s")
        if collection_id not in ("sentinel-2-l2a", "landsat"):
            raise CollectionUnknown(f"no collection {collection_id}")
        extent = pystac.Extent(pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]]))
        found = pystac.Collection(collection_id, "Offered", extent)
        found.extra_fields["item_assets"] = {
            **{key: {} for key in ("blue", "green", "red", "nir", "scl")},
            "granule_metadata": {"type": "application/xml", "roles": ["metadata"]},
        }
        return found


@pytest.fixture
def provider() -> Offerer:
    return Offerer()


@pytest.fixture
def subscriptions(tmp_path: Path, clock: Callable[[], datetime], provider: Offerer) -> Iterator[Subscriptions]:
    notifier = WebhookNotifier(policy=AddressPolicy(), base_url="https://imagery.example")
    with Database(tmp_path / "imagery.db") as database:
        store, queue = SqliteSubscriptionStore(database), SqliteProcessingQueue(database, clock=clock)
        feeds, looks = SqliteFeedStore(database), SqliteLookStore(database)
        yield Subscriptions(
            store=store,
            ledger=SqliteLedger(database),
            queue=queue,
            webhooks=Webhooks(notifier=notifier, clock=clock),
            events=SqliteEventStore(database),
            outbox=SqliteOutbox(database),
            together=database.write,
            lookback=Lookback(
                subscriptions=store,
                looks=looks,
                queue=queue,
                progress=Progress(feeds=feeds, looks=looks),
                longest=timedelta(days=90),
            ),
            collections=CollectionDirectory(providers={"earth-search": provider}, clock=clock),
            limits=Limits(max_aoi_km2=100.0, max_aoi_vertices=100, retention=timedelta(days=182)),
            clock=clock,
        )


def test_a_new_subscription_asks_first_for_what_its_window_holds(subscriptions: Subscriptions) -> None:
    made = subscriptions.create(ANA, replace(NEW, priority=Priority.LOW)).subscription
    (request,) = subscriptions.queue.peek(10)
    assert (request.kind, request.priority) == (RequestKind.INITIAL, Priority.HIGH)
    assert request.subscription_ids == (made.id,)
    assert request.window is not None
    assert (request.window.start_at, request.window.end_at) == (made.start_at, NOW)


def test_a_window_that_lies_ahead_asks_for_nothing_yet(subscriptions: Subscriptions) -> None:
    subscriptions.create(ANA, replace(NEW, start_at=NOW + timedelta(days=1)))
    assert subscriptions.queue.peek(10) == ()


def test_a_window_that_is_over_is_asked_for_to_its_end(subscriptions: Subscriptions) -> None:
    subscriptions.create(ANA, replace(NEW, end_at=NOW - timedelta(days=7)))
    (request,) = subscriptions.queue.peek(10)
    assert request.window is not None
    assert request.window.end_at == NOW - timedelta(days=7)


def test_an_asset_without_pixels_is_refused(subscriptions: Subscriptions) -> None:
    with pytest.raises(SubscriptionInvalid, match="no pixels in 'granule_metadata'; it has: blue, green") as refused:
        subscriptions.create(ANA, replace(NEW, assets=("red", "granule_metadata")))
    assert refused.value.field == "/assets/1"


def test_an_ended_subscription_goes_on_up_to_its_new_end_though_that_is_past(subscriptions: Subscriptions) -> None:
    made = subscriptions.create(ANA, replace(NEW, end_at=NOW - timedelta(days=9))).subscription
    subscriptions.store.replace(made.changed(now=NOW, status=SubscriptionStatus.ENDED, delete_at=NOW))

    changed = subscriptions.change(ANA, made.id, {"end_at": NOW - timedelta(days=5)}, expected_version=None)

    assert (changed.status, changed.delete_at) == (SubscriptionStatus.ACTIVE, None)
    newest = next(one.window for one in subscriptions.queue.peek(10) if one.window and one.window.end_at > made.end_at)
    assert (newest.start_at, newest.end_at) == (made.start_at, NOW - timedelta(days=5))


def test_no_assets_means_the_collections_usual_ones(subscriptions: Subscriptions) -> None:
    assert subscriptions.create(ANA, NEW).subscription.assets == ("blue", "green", "red", "nir", "scl")
    with pytest.raises(SubscriptionInvalid, match="it has: blue, green, nir, red, scl") as refused:
        subscriptions.create(ANA, replace(NEW, collection="landsat"))
    assert refused.value.field == "/assets"


def test_a_silent_provider_is_no_reason_to_refuse_and_is_not_asked_again_at_once(
    subscriptions: Subscriptions, provider: Offerer
) -> None:
    provider.is_silent = True
    for _ in range(3):
        subscriptions.create(ANA, replace(NEW, assets=("anything",)))
    assert provider.asked == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"provider": "nobody"}, "/provider"),
        ({"collection": "nothing"}, "/collection"),
        ({"assets": ("red", "thermal")}, "/assets/1"),
        ({"end_at": NEW.start_at - timedelta(seconds=1)}, "/end_at"),
        ({"destination": "/abs"}, "/destination"),
        ({"destination": "a/../b"}, "/destination"),
        ({"destination": "a//b"}, "/destination"),
    ],
)
def test_what_contradicts_itself_or_names_nothing_is_refused(
    subscriptions: Subscriptions, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(SubscriptionInvalid) as refused:
        subscriptions.create(ANA, replace(NEW, **changes))
    assert refused.value.field == field
    assert subscriptions.find(ANA, SubscriptionQuery()).values == ()
    assert subscriptions.queue.peek(1) == ()


def test_an_area_above_the_limit_is_refused(subscriptions: Subscriptions) -> None:
    big = {"type": "Polygon", "coordinates": [[[15, 46], [15.5, 46], [15.5, 46.5], [15, 46.5], [15, 46]]]}
    with pytest.raises(AoiInvalid, match="limit is 100"):
        subscriptions.create(ANA, replace(NEW, aoi=big))


def test_a_destination_lies_below_its_owners_name(subscriptions: Subscriptions) -> None:
    made = subscriptions.create(ANA, replace(NEW, destination="farms/north")).subscription
    assert made.prefix == f"ana/farms/north/{made.id}"


def test_an_idempotency_key_makes_many_creates_one(subscriptions: Subscriptions) -> None:
    first = subscriptions.create(ANA, NEW, idempotency_key="k")
    again = subscriptions.create(ANA, NEW, idempotency_key="k")
    assert again.subscription == first.subscription
    assert (first.is_repeat, again.is_repeat) == (False, True)
    assert len(subscriptions.queue.peek(10)) == 1


def test_the_same_area_spelt_otherwise_is_the_same_wish(subscriptions: Subscriptions) -> None:
    feature = {"properties": {"drawn": "again"}, "geometry": dict(reversed(SQUARE.items())), "type": "Feature"}
    first = subscriptions.create(ANA, NEW, idempotency_key="k")
    again = subscriptions.create(ANA, replace(NEW, aoi=feature), idempotency_key="k")
    assert again.subscription.id == first.subscription.id


def test_another_wish_under_the_same_idempotency_key_is_refused(subscriptions: Subscriptions) -> None:
    subscriptions.create(ANA, NEW, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        subscriptions.create(ANA, replace(NEW, priority=Priority.LOW), idempotency_key="k")


def test_a_key_used_before_there_was_processing_still_fits(subscriptions: Subscriptions) -> None:
    asked = to_dict(replace(NEW, filters=Filters(max_cloud_cover=40.0)))
    before = asked | {"filters": {"max_cloud_cover": 40.0, "min_coverage": None}}
    del before["processing"], before["webhook_url"]
    sent = hashlib.sha256(json.dumps(before, sort_keys=True).encode()).hexdigest()

    assert fingerprint_of(asked) == sent
    assert fingerprint_of(asked | {"processing": to_dict(Processing(mask=True))}) != sent


def test_a_change_of_processing_holds_from_then_on(subscriptions: Subscriptions, provider: Offerer) -> None:
    made = subscriptions.create(ANA, NEW).subscription
    wanted = Processing(mask=True, resolution_m=10)
    changed = subscriptions.change(ANA, made.id, {"processing": wanted}, expected_version=1)
    assert subscriptions.get(ANA, made.id) == changed
    assert (changed.processing, changed.version) == (wanted, 2)


def test_a_change_is_checked_together_with_what_stays(subscriptions: Subscriptions) -> None:
    ratio = Processing(indices=(Index(name="green", formula="nir / red"),))
    made = subscriptions.create(ANA, replace(NEW, assets=("red",))).subscription
    with pytest.raises(SubscriptionInvalid, match="another asset") as refused:
        subscriptions.change(ANA, made.id, {"processing": ratio}, expected_version=None)
    assert refused.value.field == "/processing/indices/0"
    assert subscriptions.get(ANA, made.id) == made


def test_an_owner_meets_only_their_own(subscriptions: Subscriptions) -> None:
    made = subscriptions.create(ANA, NEW).subscription
    assert subscriptions.get(OLGA, made.id) == made
    messages = set()
    for one in (made.id, "sub_never"):
        with pytest.raises(SubscriptionUnknown) as refused:
            subscriptions.get(BEN, one)
        messages.add(str(refused.value).replace(one, "X"))
    assert len(messages) == 1
    assert subscriptions.find(BEN, SubscriptionQuery(owner="ana")).values == ()


def test_a_change_counts_up_and_moves_nothing_else(subscriptions: Subscriptions, clock: Any) -> None:
    made = subscriptions.create(ANA, NEW).subscription
    clock.advance(timedelta(hours=1))
    filters = Filters(max_cloud_cover=20)
    changed = subscriptions.change(ANA, made.id, {"filters": filters}, expected_version=1)
    assert changed == replace(made, filters=filters, version=2, updated_at=NOW + timedelta(hours=1))
    assert subscriptions.get(ANA, made.id) == changed
    with pytest.raises(VersionConflict, match="version 2, you saw 1"):
        subscriptions.change(ANA, made.id, {"filters": Filters()}, expected_version=1)


def test_an_ended_subscription_that_is_taken_up_again_is_no_longer_to_be_deleted(subscriptions: Subscriptions) -> None:
    made = subscriptions.create(ANA, NEW).subscription
    ended = made.changed(now=NOW, status=SubscriptionStatus.ENDED, delete_at=NOW + timedelta(days=182))
    subscriptions.store.replace(ended)
    again = subscriptions.change(ANA, made.id, {"status": SubscriptionStatus.ACTIVE}, expected_version=None)
    assert (again.status, again.delete_at) == (SubscriptionStatus.ACTIVE, None)


@pytest.mark.parametrize("status", [SubscriptionStatus.ENDED, SubscriptionStatus.MARKED_FOR_DELETION])
def test_only_active_and_paused_can_be_set(subscriptions: Subscriptions, status: SubscriptionStatus) -> None:
    made = subscriptions.create(ANA, NEW).subscription
    with pytest.raises(SubscriptionInvalid) as refused:
        subscriptions.change(ANA, made.id, {"status": status}, expected_version=None)
    assert refused.value.field == "/status"


def test_what_does_not_touch_the_assets_does_not_ask_the_provider(
    subscriptions: Subscriptions, provider: Offerer, clock: Any
) -> None:
    made = subscriptions.create(ANA, NEW).subscription
    clock.advance(timedelta(days=1))
    subscriptions.change(ANA, made.id, {"status": SubscriptionStatus.PAUSED}, expected_version=None)
    assert provider.asked == 1
    subscriptions.change(ANA, made.id, {"assets": ("red",)}, expected_version=None)
    assert provider.asked == 2


def test_deleting_marks_once_and_restoring_takes_the_mark_off(subscriptions: Subscriptions, clock: Any) -> None:
    made = subscriptions.create(ANA, NEW).subscription
    marked = subscriptions.delete(ANA, made.id)
    clock.advance(timedelta(days=1))
    assert subscriptions.delete(ANA, made.id) == marked
    assert marked.delete_at == NOW + timedelta(days=182)
    with pytest.raises(StatusConflict, match="restore it first"):
        subscriptions.change(ANA, made.id, {"priority": Priority.LOW}, expected_version=None)
    restored = subscriptions.restore(ANA, made.id)
    assert (restored.status, restored.delete_at) == (SubscriptionStatus.ACTIVE, None)
    with pytest.raises(StatusConflict):
        subscriptions.restore(ANA, made.id)
