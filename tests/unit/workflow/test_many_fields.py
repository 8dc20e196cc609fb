"""One item over many fields: one execution, each field's failure its own, and nothing that grows beyond bounds."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from imagery.model.codec import to_dict
from imagery.model.failure import FailureQuery
from imagery.model.outcome import OutcomeStatus
from imagery.model.subscription import Subscription
from imagery.orchestrators.embedded.dataflow import MAX_PAYLOAD_BYTES
from imagery.workflow.retrying import MAX_ATTEMPTS, second_chances
from imagery.workflow.share import Entry
from tests.unit.workflow.conftest import House, square
from tests.unit.workflow.test_steps import cut, item_request, register

FIELDS = 200


def fields(house: House, count: int, **changes: Any) -> list[Subscription]:
    """Side by side, four pixels a side each."""
    return [
        house.subscribe(n + 1, aoi=square(4 * (n % 20), 4 * (n // 20), 4), **{"assets": ("red",), **changes})
        for n in range(count)
    ]


def test_an_item_over_two_hundred_fields_is_one_execution_that_serves_each(house: House, clock: Any) -> None:
    item = house.provider.publish("S2C_MSIL2A_20260420T100601_R022_T33TWM_20260420T151513", updated=clock().isoformat())
    made = fields(house, FIELDS, destination="a-cooperative-of-growers/north/2026")
    clock.advance(timedelta(minutes=5))
    house.update_checker.run(now=clock())

    request = house.neighbours.queue.peek(2)[0]
    answer = house.steps["PublicProvider"]({"request": to_dict(request)})
    register(house, request, answer)

    assert sum(house.neighbours.queue.depth().values()) == 1
    assert len(json.dumps({"request": to_dict(request), "result": answer}, ensure_ascii=False)) < MAX_PAYLOAD_BYTES
    rows = [house.neighbours.ledger.get(one.id, item.id) for one in made]
    assert {row.status for row in rows if row} == {OutcomeStatus.DELIVERED} and None not in rows
    assert len(house.objects()) == 3 * FIELDS


def test_one_field_of_many_that_fails_fails_alone(house: House, clock: Any) -> None:
    house.provider.publish("a")
    made = fields(house, 9)
    wrong = house.subscribe(10, assets=("red", "swir16"))

    request = item_request(house, "a", *made, wrong)
    register(house, request, cut(house, request))

    assert [f.request.subscription_ids for f in house.neighbours.failures.find(FailureQuery()).values] == [(wrong.id,)]
    assert sum(house.neighbours.queue.depth().values()) == 0
    assert all(house.neighbours.ledger.counts(one.id)[OutcomeStatus.DELIVERED] for one in made)


def with_hiccup(answer: dict[str, Any], subscription: Subscription) -> dict[str, Any]:
    """The same answer, had this field's pixels not come."""

    def hit(payload: dict[str, Any]) -> dict[str, Any]:
        entry = Entry.from_payload(payload)
        if entry.outcome.subscription_id != subscription.id:
            return payload
        failed = replace(
            entry.outcome, status=OutcomeStatus.FAILED, error="RasterUnavailable", explanation="it hung up"
        )
        return Entry(outcome=failed).to_payload()

    return {"entries": [hit(payload) for payload in answer["entries"]]}


def test_a_field_that_failed_for_a_hiccup_gets_a_second_chance_alone(house: House) -> None:
    house.provider.publish("a")
    made = fields(house, 4)
    request = item_request(house, "a", *made)
    answer = with_hiccup(cut(house, request), made[2])

    register(house, request, answer)
    register(house, request, answer)  # a step may run twice

    again = house.neighbours.queue.peek(5)
    assert [(one.subscription_ids, one.item_ids, one.attempt) for one in again] == [((made[2].id,), ("a",), 2)]
    row = house.neighbours.ledger.get(made[2].id, "a")
    assert row is not None and row.status is OutcomeStatus.WAITING and "it hung up" in row.explanation
    assert house.neighbours.failures.find(FailureQuery()).values == ()
    house.work()
    assert all(house.neighbours.ledger.counts(one.id)[OutcomeStatus.DELIVERED] == 1 for one in made)


def test_second_chances_are_not_given_for_ever(house: House) -> None:
    house.provider.publish("a")
    made = fields(house, 2)
    request = replace(item_request(house, "a", *made), attempt=MAX_ATTEMPTS)

    register(house, request, with_hiccup(cut(house, request), made[0]))

    assert [f.error for f in house.neighbours.failures.find(FailureQuery()).values] == ["RasterUnavailable"]
    assert sum(house.neighbours.queue.depth().values()) == 0


def test_each_second_chance_counts_as_an_attempt(house: House, clock: Any) -> None:
    house.provider.publish("a")
    made = fields(house, 2)
    request = item_request(house, "a", *made)
    entries = [Entry.from_payload(each) for each in with_hiccup(cut(house, request), made[0])["entries"]]
    tried = [request]
    while requests := second_chances(entries, tried[-1], now=clock())[0]:
        tried += requests

    assert [one.attempt for one in tried] == list(range(1, MAX_ATTEMPTS + 1))
    assert len({one.id for one in tried}) == MAX_ATTEMPTS
