"""Which facts the workflow tells: each once, however often its steps run, and together with what it tells of."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from imagery.model.codec import to_dict
from imagery.model.event import Event, EventQuery, EventType
from imagery.model.outcome import OutcomeStatus
from imagery.ports import Together
from imagery.workflow.steps import steps
from tests.unit.workflow.conftest import House, square
from tests.unit.workflow.test_steps import carry_out, cut, item_request, register


def events(house: House, **query: Any) -> list[Event]:
    """Oldest first."""
    return list(reversed(house.neighbours.events.find(EventQuery(**query)).values))


def test_a_delivered_item_is_told_once_though_its_request_is_carried_out_twice(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    request = item_request(house, "a", subscription)

    carry_out(house, request)
    clock.advance(timedelta(seconds=90))
    carry_out(house, request)

    (event,) = events(house)
    outcome = house.neighbours.ledger.get(subscription.id, "a")
    assert outcome is not None
    assert (event.type, event.owner, event.subscription_id) == (EventType.ITEM_PUBLISHED, "ana", subscription.id)
    assert event.subject == event.data["item_id"] == outcome.published_item_id
    assert event.data["source_item_id"] == "a"
    assert event.data["numbers"] == outcome.numbers
    assert event.data["item_path"] == f"/stac/collections/sentinel-2-l2a/items/{outcome.published_item_id}"


def test_a_reprocessed_item_is_told_again(house: House) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    carry_out(house, item_request(house, "a", subscription))
    house.provider.publish("a", updated="2026-05-03T12:00:00Z")

    carry_out(house, item_request(house, "a", subscription))

    first, second = events(house)
    assert first.subject == second.subject
    assert second.data["source_updated_at"] == "2026-05-03T12:00:00.000000Z"


def test_each_subscriber_of_an_item_is_told_their_own_end(house: House) -> None:
    fine, wrong = house.subscribe(1), house.subscribe(2, assets=("red", "swir16"), owner="eva")
    outside = house.subscribe(3, square(200, 200, 5))
    house.provider.publish("a")
    request = item_request(house, "a", fine, wrong, outside)

    for _ in range(2):
        carry_out(house, request)

    assert [one.type for one in events(house, subscription_id=fine.id)] == [EventType.ITEM_PUBLISHED]
    assert events(house, subscription_id=outside.id) == []
    (failed,) = events(house, subscription_id=wrong.id)
    assert (failed.type, failed.owner, failed.data["error"]) == (EventType.SUBSCRIPTION_FAILED, "eva", "AssetMissing")
    assert house.neighbours.failures.get(failed.data["failure_id"]).owner == "eva"


def test_a_request_that_failed_for_good_is_told_to_each_of_its_subscribers_once(house: House) -> None:
    one, two = house.subscribe(1), house.subscribe(2, owner="eva")
    house.provider.publish("a")
    request = item_request(house, "a", one, two)
    error = {"Error": "AssetMissing", "Cause": json.dumps({"errorMessage": "gone " * 1000})}
    payload = {"request": to_dict(request), "provider_kind": "public", "caught": error, "error": error}

    for _ in range(2):
        house.steps["sqs:sendMessage"]({"MessageBody": {"execution_id": request.id, "payload": payload}})

    assert [(event.type, event.owner) for event in events(house)] == [
        (EventType.SUBSCRIPTION_FAILED, "ana"),
        (EventType.SUBSCRIPTION_FAILED, "eva"),
    ]
    assert len(events(house)[0].data["cause"]) == 1000


class Killed(BaseException):
    """The process ends here."""


def dying(together: Together) -> Together:
    """The same transaction, from which the process does not come back."""

    @contextmanager
    def transaction() -> Any:
        with together():
            yield
            raise Killed

    def begin() -> AbstractContextManager[object]:
        return transaction()

    return begin


def test_killed_while_registering_neither_row_nor_event_is_there_and_then_both(house: House) -> None:
    subscription = house.subscribe()
    house.provider.publish("a")
    request = item_request(house, "a", subscription)
    answer = cut(house, request)
    mortal = replace(house, steps=steps(replace(house.neighbours, together=dying(house.neighbours.together))))

    with pytest.raises(Killed):
        register(mortal, request, answer)
    row, told = house.neighbours.ledger.get(subscription.id, "a"), events(house)
    register(house, request, answer)

    assert (row, told) == (None, [])
    after = house.neighbours.ledger.get(subscription.id, "a")
    assert after is not None and after.status is OutcomeStatus.DELIVERED
    assert len(events(house)) == 1
