"""Requests are named after their purpose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from imagery.model.codec import from_json, to_json
from imagery.model.request import Request, RequestKind, Window
from imagery.model.subscription import Priority

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def for_item(**changes: Any) -> Request:
    wanted: dict[str, Any] = {
        "kind": RequestKind.UPDATE,
        "priority": Priority.NORMAL,
        "provider": "earth-search",
        "collection": "sentinel-2-l2a",
        "item_id": "S2A_33TWM_20260501_0_L2A",
        "item_updated_at": NOW,
        "subscription_ids": ["sub_b", "sub_a"],
        "now": NOW,
    }
    return Request.for_item(**{**wanted, **changes})


def test_whoever_asks_for_an_item_names_the_request_alike() -> None:
    by_checker = for_item()
    by_first_look = for_item(
        kind=RequestKind.INITIAL,
        priority=Priority.HIGH,
        subscription_ids=["sub_a", "sub_b"],
        now=NOW + timedelta(hours=1),
    )

    assert by_checker.id == by_first_look.id


def test_another_state_of_the_item_or_another_subscriber_is_another_request() -> None:
    ids = {
        for_item().id,
        for_item(item_updated_at=NOW + timedelta(days=1)).id,
        for_item(item_updated_at=None).id,
        for_item(subscription_ids=["sub_a"]).id,
        for_item(provider="other").id,
        for_item(item_id="S2A_33TWM_20260501_1_L2A").id,
    }

    assert len(ids) == 6


def test_a_name_fits_an_execution_of_step_functions() -> None:
    request = for_item()
    for _ in range(12):
        request = request.replayed(now=NOW)

    assert len(request.id) <= 80
    assert request.id.endswith("-13")


def test_a_replay_keeps_its_priority_and_work() -> None:
    request = for_item(priority=Priority.LOW)
    again = request.replayed(now=NOW)

    assert (again.kind, again.attempt, again.priority) == (RequestKind.REPLAY, 2, Priority.LOW)
    assert again.item_ids == request.item_ids
    assert again.id != request.id


def test_a_request_comes_out_of_json_as_it_went_in() -> None:
    request = Request.for_window(
        kind=RequestKind.INITIAL,
        priority=Priority.HIGH,
        provider="earth-search",
        collection="sentinel-2-l2a",
        window=Window(start_at=NOW - timedelta(days=3), end_at=NOW),
        subscription_id="sub_a",
        version=1,
        now=NOW,
    )

    assert from_json(Request, to_json(request)) == request
