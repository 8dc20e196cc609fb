"""What every Outbox promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from imagery.model.event import Attempt, Delivery, DeliveryStatus, endpoint_of
from imagery.ports import DELIVER_FOR

from .examples import NOW, a_subscription, a_webhook, an_event

LATER = NOW + timedelta(hours=1)
HOOKS = endpoint_of("ana", "https://hooks.example.com/ana")


def subscribe(opened, number: int = 1, url: str = "https://hooks.example.com/ana", owner: str = "ana") -> str:
    """The id of a subscription whose webhook is there."""
    return opened.subscriptions.add(a_subscription(number, owner=owner, webhook=a_webhook(url))).id


def event_of(subscription_id: str, number: int, **changes):
    return an_event(number, subscription_id=subscription_id, **changes)


def due(opened, now=LATER, limit: int = 100, busy=()) -> list[str]:
    return [delivery.event.id for delivery in opened.outbox.due(now=now, limit=limit, busy=busy)]


def the_delivery(opened, event_id: str) -> Delivery:
    delivery = opened.outbox.log(event_id).delivery
    assert delivery is not None
    return delivery


def an_attempt(error: str | None = None, **changes) -> Attempt:
    return replace(Attempt(at=LATER, url="https://hooks.example.com/ana", took_s=0.1, error=error), **changes)


def delivered(delivery: Delivery) -> Delivery:
    return replace(delivery, status=DeliveryStatus.DELIVERED, tries=delivery.tries + 1, next_at=None)


def put_off(delivery: Delivery, until) -> Delivery:
    return replace(delivery, tries=delivery.tries + 1, next_at=until)


def test_an_event_of_a_subscription_with_a_webhook_is_due_at_once(opened):
    event = event_of(subscribe(opened), 1)
    opened.events.add([event])
    assert the_delivery(opened, "evt_1") == Delivery(
        event=event, endpoint=HOOKS, asked_at=event.at, next_at=event.at, status=DeliveryStatus.PENDING
    )
    assert due(opened, now=event.at) == ["evt_1"]


@pytest.mark.parametrize("webhook", [None, a_webhook(disabled_at=NOW)])
def test_without_a_webhook_in_use_nobody_is_told(opened, webhook):
    opened.subscriptions.add(a_subscription(webhook=webhook))
    opened.events.add([an_event(1), an_event(2, subscription_id="sub_gone")])
    assert due(opened) == []
    assert opened.outbox.log("evt_1").delivery is None


def test_what_is_due_is_due_after_a_restart(opened, back_end, clock):
    subscription_id = subscribe(opened)
    opened.events.add([event_of(subscription_id, 1)])
    back_end.close_all()
    assert due(back_end.open(clock)) == ["evt_1"]


def test_an_event_told_twice_is_due_once(opened):
    subscription_id = subscribe(opened)
    opened.events.add([event_of(subscription_id, 1), event_of(subscription_id, 1)])
    delivery = the_delivery(opened, "evt_1")
    opened.outbox.settle(delivered(delivery), an_attempt(), paused_until=None)
    opened.events.add([event_of(subscription_id, 1)])
    assert due(opened) == []


def test_events_of_one_subscription_are_due_one_after_the_other(opened):
    subscription_id = subscribe(opened)
    opened.events.add([event_of(subscription_id, n) for n in (1, 2, 3)])
    assert due(opened) == ["evt_1"]
    assert due(opened, busy=[the_delivery(opened, "evt_1")]) == []
    opened.outbox.settle(delivered(the_delivery(opened, "evt_1")), an_attempt(), paused_until=None)
    assert due(opened) == ["evt_2"]


def test_how_a_delivery_went_is_kept(opened, back_end, clock):
    opened.events.add([event_of(subscribe(opened), 1)])
    waiting = put_off(the_delivery(opened, "evt_1"), LATER + timedelta(seconds=5))
    first = an_attempt("it answered 500", status_code=500, snippet="☂", retry_after_s=3.0)
    opened.outbox.settle(waiting, first, paused_until=LATER + timedelta(seconds=5))
    told = delivered(waiting)
    opened.outbox.settle(told, an_attempt(status_code=200), paused_until=None)
    back_end.close_all()
    log = back_end.open(clock).outbox.log("evt_1")
    assert log.delivery == told
    assert log.attempts == (first, an_attempt(status_code=200))


def test_a_delivery_put_off_is_due_when_its_time_has_come(opened):
    opened.events.add([event_of(subscribe(opened), 1)])
    at = LATER + timedelta(minutes=2)
    opened.outbox.settle(put_off(the_delivery(opened, "evt_1"), at), an_attempt("no"), paused_until=at)
    assert due(opened, now=at - timedelta(microseconds=1)) == []
    assert due(opened, now=at) == ["evt_1"]


def test_while_an_endpoint_rests_nothing_is_sent_to_it_and_others_go_on(opened):
    failing, same, other = (
        subscribe(opened, 1),
        subscribe(opened, 2),
        subscribe(opened, 3, "https://other.example.com/"),
    )
    opened.events.add([event_of(failing, 1), event_of(same, 2), event_of(other, 3)])
    until = LATER + timedelta(minutes=2)
    opened.outbox.settle(put_off(the_delivery(opened, "evt_1"), LATER), an_attempt("no"), paused_until=until)
    assert due(opened) == ["evt_3"]
    assert due(opened, now=until) == ["evt_1", "evt_3"], "after a failure an endpoint is tried with one event"


def test_another_owner_s_endpoint_of_the_same_address_does_not_rest_with_it(opened):
    ana, eva = subscribe(opened, 1), subscribe(opened, 2, owner="eva")
    opened.events.add([event_of(ana, 1), event_of(eva, 2, owner="eva")])
    until = LATER + timedelta(hours=1)
    opened.outbox.settle(put_off(the_delivery(opened, "evt_1"), until), an_attempt("no"), paused_until=until)
    assert due(opened) == ["evt_2"]


def test_an_event_that_is_refused_again_and_again_is_overtaken(opened):
    subscription_id = subscribe(opened)
    opened.events.add([event_of(subscription_id, n) for n in (1, 2)])
    far, near = LATER + timedelta(hours=2), LATER + timedelta(minutes=10)
    opened.outbox.settle(put_off(the_delivery(opened, "evt_1"), far), an_attempt("no"), paused_until=near)
    assert due(opened, now=near) == ["evt_2"]


def test_one_owner_with_many_receivers_does_not_take_all_there_is(opened):
    subscribed = [subscribe(opened, n, f"https://h{n}.example.com/") for n in range(1, 31)]
    opened.events.add([event_of(each, n) for n, each in enumerate(subscribed)])
    opened.events.add([event_of(subscribe(opened, 99, owner="eva"), 99, owner="eva")])
    ids = due(opened, limit=20)
    assert "evt_99" in ids
    assert len(ids) < 20


def test_one_endpoint_is_sent_a_few_at_once(opened):
    subscribed = [subscribe(opened, n) for n in range(1, 31)]
    opened.events.add([event_of(each, n) for n, each in enumerate(subscribed)])
    first = opened.outbox.due(now=LATER, limit=100)
    assert 1 < len(first) < 10
    assert opened.outbox.due(now=LATER, limit=100, busy=first) == ()
    assert len(opened.outbox.due(now=LATER, limit=1)) == 1


def test_what_an_endpoint_refused_for_a_day_ends_with_the_next_refusal(opened):
    one, two, fresh = subscribe(opened, 1), subscribe(opened, 2), subscribe(opened, 3)
    opened.events.add([event_of(one, 1), event_of(two, 2)])
    now = NOW + DELIVER_FOR + timedelta(seconds=5)
    opened.events.add([event_of(fresh, 3, at=now)])
    ended = replace(the_delivery(opened, "evt_1"), status=DeliveryStatus.FAILED, next_at=None)
    opened.outbox.settle(ended, an_attempt("no", at=now), paused_until=now)
    statuses = [the_delivery(opened, f"evt_{n}").status for n in (1, 2, 3)]
    assert statuses == [DeliveryStatus.FAILED, DeliveryStatus.FAILED, DeliveryStatus.PENDING]


def test_a_redelivery_is_due_at_once_though_it_was_delivered_and_its_endpoint_rests(opened):
    opened.events.add([event_of(subscribe(opened), 1)])
    told = delivered(the_delivery(opened, "evt_1"))
    opened.outbox.settle(told, an_attempt("no"), paused_until=LATER + timedelta(hours=1))
    again = replace(told, status=DeliveryStatus.PENDING, tries=0, asked_at=LATER, next_at=LATER)
    opened.outbox.redeliver(again)
    assert due(opened) == ["evt_1"]
    assert the_delivery(opened, "evt_1") == again
    assert len(opened.outbox.log("evt_1").attempts) == 1


def test_an_event_nobody_was_told_of_can_be_delivered_later(opened):
    opened.subscriptions.add(a_subscription())
    opened.events.add([an_event(1)])
    opened.outbox.redeliver(Delivery(event=an_event(1), endpoint=HOOKS, asked_at=LATER, next_at=LATER))
    assert due(opened) == ["evt_1"]


def test_with_another_webhook_what_is_pending_goes_there_at_once(opened):
    subscription_id = subscribe(opened)
    opened.events.add([event_of(subscription_id, n) for n in (1, 2)])
    until = LATER + timedelta(hours=5)
    opened.outbox.settle(put_off(the_delivery(opened, "evt_1"), until), an_attempt("no"), paused_until=until)
    opened.outbox.retarget(subscription_id, endpoint_of("ana", "https://new.example.com/"), now=LATER)
    assert due(opened) == ["evt_1"]
    assert the_delivery(opened, "evt_2").endpoint == endpoint_of("ana", "https://new.example.com/")


def test_without_a_webhook_what_is_pending_is_canceled_and_what_is_told_stays_told(opened):
    subscription_id = subscribe(opened)
    opened.events.add([event_of(subscription_id, n) for n in (1, 2)])
    opened.outbox.settle(delivered(the_delivery(opened, "evt_1")), an_attempt(), paused_until=None)
    opened.outbox.retarget(subscription_id, None, now=LATER)
    assert due(opened) == []
    assert the_delivery(opened, "evt_1").status is DeliveryStatus.DELIVERED
    assert the_delivery(opened, "evt_2").status is DeliveryStatus.CANCELED


def test_settling_what_is_gone_does_nothing(opened):
    opened.events.add([event_of(subscribe(opened), 1)])
    delivery = the_delivery(opened, "evt_1")
    opened.events.prune(before=LATER)
    opened.outbox.settle(delivered(delivery), an_attempt(), paused_until=None)
    opened.outbox.redeliver(delivery)
    assert due(opened) == []


def test_the_log_of_one_event_is_bounded(opened):
    opened.events.add([event_of(subscribe(opened), 1)])
    delivery = the_delivery(opened, "evt_1")
    for n in range(60):
        opened.outbox.settle(put_off(delivery, LATER), an_attempt("no", took_s=float(n)), paused_until=None)
    attempts = opened.outbox.log("evt_1").attempts
    assert len(attempts) <= 50
    assert attempts[-1].took_s == 59.0
