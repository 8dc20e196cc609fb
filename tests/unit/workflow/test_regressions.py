"""Ways in which work was once lost, doubled or stuck. Each test failed before its mend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pystac
import pytest
from pydantic_core import PydanticSerializationError

from imagery.errors import ProviderAnswerInvalid
from imagery.model.codec import to_dict, to_json
from imagery.model.failure import FailureQuery
from imagery.model.outcome import OutcomeStatus
from imagery.model.search import Search
from imagery.model.subscription import Filters, Subscription
from tests.unit.workflow.conftest import House, ProviderOfFiles, square

CHECK = timedelta(minutes=20)


def check(house: House, clock: Any, **providers: ProviderOfFiles) -> Any:
    """What a check some while later came to."""
    clock.advance(CHECK)
    checker = house.update_checker
    return replace(checker, providers=providers or checker.providers).run(now=clock())


def publish(house: House, item_id: str, clock: Any, **properties: Any) -> pystac.Item:
    return house.provider.publish(item_id, updated=clock().isoformat(), **properties)


def row_of(house: House, subscription: Subscription, item_id: str) -> Any:
    row = house.neighbours.ledger.get(subscription.id, item_id)
    assert row is not None
    return row


def test_a_slow_attempt_does_not_overwrite_a_newer_state(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    publish(house, "a", clock)
    check(house, clock)
    old = house.neighbours.queue.receive(1)[0].request
    slow = house.steps["PublicProvider"]({"request": to_dict(old)})
    newer = clock() + timedelta(days=1)
    clock.advance(timedelta(days=2))
    house.provider.publish("a", updated=newer.isoformat())
    check(house, clock)
    house.work()

    house.steps["Register"]({"request": to_dict(old), "entries": slow["entries"]})

    row = row_of(house, subscription, "a")
    assert (row.status, row.source_updated_at) == (OutcomeStatus.DELIVERED, newer)
    assert check(house, clock).requested == 0


def test_a_worse_reprocessing_leaves_the_ledger_true_about_what_is_published(house: House, clock: Any) -> None:
    subscription = house.subscribe(filters=Filters(max_cloud_cover=20))
    publish(house, "a", clock)
    check(house, clock)
    house.work()
    clock.advance(timedelta(days=1))
    publish(house, "a", clock, **{"eo:cloud_cover": 90.0})
    check(house, clock)
    house.work()

    row = row_of(house, subscription, "a")
    assert row.status is OutcomeStatus.SKIPPED
    assert house.neighbours.catalog.get("sentinel-2-l2a", row.published_item_id) is not None
    assert "stays" in row.explanation


class ProviderWithAFlaw(ProviderOfFiles):
    """Its answer breaks off after the items it has."""

    def search(self, search: Search) -> Iterator[pystac.Item]:
        yield from super().search(search)
        raise ProviderAnswerInvalid("item x is no item")


def test_what_was_found_before_an_answer_broke_off_is_asked_for(house: House, clock: Any) -> None:
    house.subscribe()
    flawed = ProviderWithAFlaw(house.provider.folder, has_feed=False)
    for name in ("a", "b", "c"):
        flawed.publish(name)

    assert check(house, clock, **{"earth-search": flawed}).failed == 1

    assert len(house.neighbours.queue.peek(10)) == 3


def test_one_item_with_an_odd_time_does_not_stop_everybodys_checks(house: House, clock: Any) -> None:
    flawed = ProviderOfFiles(house.provider.folder, has_feed=False)
    flawed.publish("odd", datetime=clock(), updated=clock().isoformat()).properties["updated"] = "n/a"
    house.subscribe(1, provider="flawed")
    fine = house.subscribe(2)
    publish(house, "a", clock)

    report = check(
        house,
        clock,
        flawed=UnreadTimes(flawed.folder, flawed.items, has_feed=False),
        **{"earth-search": house.provider},
    )

    assert (report.failed, report.requested) == (1, 1)
    assert house.neighbours.ledger.get(fine.id, "a") is not None


class UnreadTimes(ProviderOfFiles):
    """Gives its items without looking at their times."""

    def search(self, search: Search) -> Iterator[pystac.Item]:
        yield from self.items.values()


def test_a_provider_that_does_not_answer_is_asked_once_a_check(house: House, clock: Any) -> None:
    dead = ProviderThatCounts(house.provider.folder, is_down=True, has_feed=False)
    for number in (1, 2, 3):
        house.subscribe(
            number, provider="dead", aoi=square(10 * number, 10, 5), start_at=clock() - timedelta(days=number)
        )
    house.subscribe(4)
    publish(house, "a", clock)

    report = check(house, clock, dead=dead, **{"earth-search": house.provider})

    assert dead.asked == 1
    assert report.requested == 1


class ProviderThatCounts(ProviderOfFiles):
    """Counts how often it was asked."""

    asked = 0

    def search(self, search: Search) -> Iterator[pystac.Item]:
        self.asked += 1
        return super().search(search)


def test_a_time_without_an_offset_is_utc_wherever_the_machine_stands(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    item = publish(house, "a", clock)
    item.datetime = datetime(2026, 4, 20, 10)  # noqa: DTZ001 - the point of the test

    check(house, clock)

    assert row_of(house, subscription, "a").acquired_at.isoformat() == "2026-04-20T10:00:00+00:00"


def test_a_failure_without_a_cause_can_be_read_again(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    publish(house, "a", clock)
    check(house, clock)
    request = house.neighbours.queue.peek(1)[0]
    error = {"Error": "States.Timeout", "Cause": None}
    payload = {"request": to_dict(request), "caught": error, "error": error}

    house.steps["sqs:sendMessage"]({"MessageBody": {"execution_id": request.id, "payload": payload}})

    assert "try again later" in house.neighbours.failures.find(FailureQuery()).values[0].cause
    assert row_of(house, subscription, "a").status is OutcomeStatus.FAILED


def test_a_value_that_could_not_be_read_again_is_never_written(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    publish(house, "a", clock)
    check(house, clock)

    with pytest.raises(PydanticSerializationError):
        to_json(replace(row_of(house, subscription, "a"), explanation=5))
