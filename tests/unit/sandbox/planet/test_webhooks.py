"""Webhooks of the local Planet: both bodies, an item or an order at a time, and everything that happens to them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from imagery.sandbox.planet.faults import Fault, Rule

from .conftest import Desk, Receiver


def _notified(desk: Desk, receiver: Receiver, *, per_order: bool = True) -> str:
    webhook = {"url": receiver.url, "per_order": per_order}
    order_id = desk.create("told of", notifications={"webhook": webhook})
    desk.finish(order_id)
    return order_id


def _bodies(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(one["raw"]) for one in receiver.bodies]


def test_one_call_an_order_names_every_file(desk: Desk, receiver: Receiver) -> None:
    order_id = _notified(desk, receiver)

    (body,) = _bodies(receiver)
    assert set(body) == {"order_id", "items"}
    assert body["order_id"] == order_id
    assert len(body["items"]) == 5
    assert set(body["items"][0]) == {"name", "delivery", "expires_at", "location"}
    assert receiver.headers[0]["Authorization"] == "Basic " + base64.b64encode(b"user:secret").decode()


def test_without_per_order_there_is_a_call_for_each_file(desk: Desk, receiver: Receiver) -> None:
    _notified(desk, receiver, per_order=False)

    assert [len(body["items"]) for body in _bodies(receiver)] == [1] * 5


def test_the_older_body_is_the_order_whole(desk: Desk, receiver: Receiver) -> None:
    desk.planet.account.manners.change(notice="order")

    order_id = _notified(desk, receiver)

    (body,) = _bodies(receiver)
    assert (body["id"], body["state"]) == (order_id, "success")


def test_a_failed_order_is_told_of_too(desk: Desk, receiver: Receiver) -> None:
    desk.planet.account.faults.add(Rule(fault=Fault.ORDER_FAILED))

    order_id = _notified(desk, receiver)

    assert _bodies(receiver) == [{"order_id": order_id, "items": []}]


@pytest.mark.parametrize(
    ("fault", "calls"), [(Fault.WEBHOOK_LOST, 0), (Fault.WEBHOOK_TWICE, 2), (Fault.WEBHOOK_LATE, 0)]
)
def test_calls_are_lost_doubled_and_late(desk: Desk, receiver: Receiver, fault: Fault, calls: int) -> None:
    desk.planet.account.faults.add(Rule(fault=fault, seconds=30))

    _notified(desk, receiver)
    at_first = len(receiver.bodies)
    desk.clock.advance(30)
    desk.planet.turn()

    assert at_first == calls
    assert len(receiver.bodies) == (1 if fault is Fault.WEBHOOK_LATE else calls)


def test_a_call_can_name_another_order_or_be_garbage(desk: Desk, receiver: Receiver) -> None:
    desk.planet.account.faults.add(Rule(fault=Fault.WEBHOOK_WRONG_ORDER, times=1))
    desk.planet.account.faults.add(Rule(fault=Fault.WEBHOOK_GARBAGE))

    first = _notified(desk, receiver)
    _notified(desk, receiver)

    assert json.loads(receiver.bodies[0]["raw"])["order_id"] != first
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(receiver.bodies[1]["raw"])


def test_an_early_call_comes_before_the_creation_is_answered(desk: Desk, receiver: Receiver) -> None:
    desk.planet.account.faults.add(Rule(fault=Fault.WEBHOOK_EARLY, times=1))
    body = desk.body("early", notifications={"webhook": {"url": receiver.url, "per_order": True}})

    created = desk.client.post("/compute/ops/orders/v2", json=body).json()

    assert created["state"] == "queued"
    assert [one["order_id"] for one in _bodies(receiver)] == [created["id"]]
    assert desk.get(created["id"])["state"] == "success"


def test_nothing_is_called_beyond_this_machine_and_what_came_of_a_call_is_kept(desk: Desk, receiver: Receiver) -> None:
    _notified(desk, receiver)
    webhook = {"url": "http://192.0.2.1/hook", "per_order": True}
    desk.finish(desk.create("elsewhere", notifications={"webhook": webhook}))
    nobody = {"url": "http://127.0.0.1:9/hook", "per_order": True}
    desk.finish(desk.create("nobody", notifications={"webhook": nobody}))

    calls = desk.client.get("/_calls").json()["calls"]

    assert [one["outcome"] for one in calls] == ["204", "refused: not this machine", "ConnectError"]
