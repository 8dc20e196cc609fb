"""What a pushed message leads to: the item as the provider has it, once, and nothing a stranger could learn from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pystac
import pytest

from imagery.errors import (
    NotificationForged,
    NotificationInvalid,
    ProviderUnavailable,
    ProviderUnknown,
    Throttled,
)
from imagery.model.outcome import OutcomeStatus
from imagery.providers.sns import Verifier, fetch_over
from imagery.service.arrivals import Arrivals
from imagery.service.joining import Joiner
from imagery.service.push import Push
from tests.unit.providers.sns_messages import TOPIC, Amazon, as_body, confirmation, item, notification
from tests.unit.workflow.conftest import LATE, House, ProviderOfFiles


@dataclass
class AskedProvider(ProviderOfFiles):
    """Remembers which items were asked for."""

    asked: list[str] = field(default_factory=list)

    def get(self, collection_id: str, item_id: str) -> pystac.Item:
        self.asked.append(item_id)
        return super().get(collection_id, item_id)


@dataclass(frozen=True)
class Door:
    """Where messages come in."""

    push: Push
    provider: AskedProvider
    amazon: Amazon
    house: House

    def notify(self, document: Any, **changes: Any) -> None:
        text = document if isinstance(document, str) else json.dumps(document)
        self.push.signed("earth-search", as_body(notification(text, **changes)))

    def raw(self, document: Any, **changes: Any) -> None:
        usual = {"topic_arn": TOPIC, "leave": lambda: None}
        self.push.raw("earth-search", json.dumps(document).encode(), **usual | changes)

    def waiting(self) -> list[tuple[str, ...]]:
        return [request.item_ids for request in self.house.neighbours.queue.peek(100)]


@pytest.fixture
def door(house: House, clock: Any) -> Iterator[Door]:
    n, amazon = house.neighbours, Amazon()
    provider = AskedProvider(house.provider.folder, items=house.provider.items)
    arrivals = Arrivals(joiner=Joiner(subscriptions=n.subscriptions, late_arrivals=LATE), asker=n.looker.asker)
    with amazon.client() as client:
        push = Push(
            providers={"earth-search": provider},
            topics={"earth-search": (TOPIC,)},
            subscriptions=n.subscriptions,
            verifier=Verifier(fetch=fetch_over(client), clock=clock),
            take=arrivals.take,
            clock=clock,
        )
        yield Door(push, provider, amazon, house)


def test_a_pushed_item_is_asked_for_as_the_provider_has_it(door: Door) -> None:
    subscription = door.house.subscribe()
    door.provider.publish("a")

    door.notify(item("a", properties={"datetime": "1999-01-01T00:00:00Z", "eo:cloud_cover": 100}))

    row = door.house.neighbours.ledger.get(subscription.id, "a")
    assert row is not None and row.status is OutcomeStatus.WAITING
    assert row.acquired_at == door.provider.items["a"].datetime
    assert door.waiting() == [("a",)]


def test_what_is_delivered_twice_or_found_by_the_poll_too_is_asked_for_once(door: Door) -> None:
    door.house.subscribe()
    pushed = door.provider.publish("a")

    door.notify(item("a"))
    door.notify(item("a"))  # the same message again
    door.notify(item("a"), MessageId="another")
    door.raw(item("a"))
    door.push.take([pushed], provider="earth-search", now=door.push.clock())  # as the poll does

    assert door.waiting() == [("a",)]
    assert door.provider.asked == ["a", "a", "a"]


def test_a_message_that_led_to_an_error_is_not_thought_done(door: Door) -> None:
    door.house.subscribe()
    with pytest.raises(ProviderUnavailable):
        door.notify(item("a"))
    door.provider.publish("a")

    door.notify(item("a"))

    assert door.waiting() == [("a",)]


def test_an_earlier_state_at_the_provider_is_waited_for(door: Door) -> None:
    door.house.subscribe()
    door.provider.publish("a", updated="2026-04-20T12:00:00Z")

    with pytest.raises(ProviderUnavailable):
        door.notify(item("a", properties={"updated": "2026-04-21T12:00:00Z"}))
    assert door.waiting() == []


@pytest.mark.parametrize(
    "changes", [{"collection": "sentinel-1-grd"}, {"bbox": [100.0, 10.0, 101.0, 11.0]}, {"bbox": [170, -1, -170, 1]}]
)
def test_what_nobody_subscribes_to_is_not_asked_for_at_the_provider(door: Door, changes: dict[str, Any]) -> None:
    door.house.subscribe()

    door.notify(item("a", **changes))

    assert door.provider.asked == []


@pytest.mark.parametrize("bbox", [None, [], "everywhere", [1, 2, 3], [float("nan")] * 4, [0, 90, 0, -90], [True] * 4])
def test_an_item_with_an_odd_bbox_is_looked_at(door: Door, bbox: Any) -> None:
    door.house.subscribe()
    door.provider.publish("a")

    door.notify(item("a", bbox=bbox))

    assert door.waiting() == [("a",)]


def test_a_raw_message_is_no_more_than_a_hint(door: Door) -> None:
    subscription = door.house.subscribe()
    door.provider.publish("a")

    door.raw(item("a", assets={"red": {"href": "https://example.com/evil.tif"}}))
    door.raw(item("made-up"))

    assert door.waiting() == [("a",)]
    assert door.house.neighbours.ledger.get(subscription.id, "made-up") is None


def test_a_raw_message_tells_nobody_where_fields_are(door: Door) -> None:
    door.house.subscribe()

    for bbox in ([14.9, 45.9, 15.1, 46.1], [100.0, 10.0, 101.0, 11.0]):
        door.raw(item("made-up", bbox=bbox))

    assert door.provider.asked == ["made-up"] * 2  # the same answer, and as late


def test_a_stranger_makes_us_ask_the_provider_only_so_often(door: Door) -> None:
    door.house.subscribe()

    def no_leave() -> None:
        raise Throttled("too many", retry_after_s=1)

    with pytest.raises(Throttled):
        door.raw(item("a"), leave=no_leave)
    door.raw(item("a", collection="unwanted"), leave=no_leave)
    assert door.provider.asked == []


def test_a_subscription_of_ours_is_confirmed_and_leads_to_no_work(door: Door) -> None:
    door.push.signed("earth-search", as_body(confirmation()))
    door.push.signed("earth-search", as_body(confirmation(Type="UnsubscribeConfirmation")))

    assert sum("ConfirmSubscription" in url for url in door.amazon.asked) == 1
    assert door.waiting() == []


def test_another_topic_is_refused_before_amazon_is_asked_anything(door: Door) -> None:
    other = TOPIC.replace("608149789419", "000000000000")
    for message in (notification(TopicArn=other), confirmation(TopicArn=other)):
        with pytest.raises(NotificationForged):
            door.push.signed("earth-search", as_body(message))
    with pytest.raises(NotificationForged):
        door.raw(item("a"), topic_arn=other)
    assert door.amazon.asked == []


def test_a_provider_that_pushes_nothing_is_unknown(door: Door) -> None:
    with pytest.raises(ProviderUnknown):
        door.push.signed("moonshots", as_body(notification()))
    with pytest.raises(ProviderUnknown):
        door.push.raw("moonshots", b"{}", topic_arn=None, leave=lambda: None)


@pytest.mark.parametrize(
    "document",
    [
        "no JSON",
        "[]",
        {"type": "Feature"},
        {"type": "Collection", "id": "a", "collection": "b"},
        item("a", collection=7),
        item(""),
        item("a" * 300),
        item("a\nb"),
        item("\ud800"),
    ],
)
def test_a_message_without_an_item_is_invalid(door: Door, document: Any) -> None:
    with pytest.raises(NotificationInvalid):
        door.notify(document)
    assert door.provider.asked == []


@pytest.mark.parametrize("item_id", ["..", ".", "a/../b", "?x=1"])
def test_an_odd_id_is_asked_for_as_an_id(door: Door, item_id: str) -> None:
    door.house.subscribe()
    door.raw(item(item_id))
    assert door.waiting() == []
