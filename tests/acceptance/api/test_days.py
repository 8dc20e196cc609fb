"""The ledger by day over HTTP: why there is an image of a day, or none; and how far a subscription has looked back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from imagery.model.feed import FeedCursor
from imagery.model.outcome import Outcome, OutcomeStatus, SkipReason
from tests.acceptance.api.conftest import Api
from tests.acceptance.api.examples import Json, assert_problem, subscribe

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def look(api: Api, view: Json) -> None:
    """All its looks are done, and the feed was read until now."""
    imagery = api.imagery
    for one in imagery.subscriptions.lookback.looks.of(view["id"]):
        imagery.subscriptions.lookback.looks.done(one.request_id, now=NOW)
    imagery.subscriptions.store.mark(view["id"], checked_through=NOW)
    cursor = FeedCursor(
        provider="earth-search", collection="sentinel-2-l2a", checked_through=NOW, checked_at=imagery.clock()
    )
    imagery.feeds.save(cursor)


def record(api: Api, view: Json, at: str, **changes: Any) -> None:
    row: dict[str, Any] = {
        "subscription_id": view["id"],
        "item_id": f"S2_{at}",
        "collection": "sentinel-2-l2a",
        "status": OutcomeStatus.SKIPPED,
        "reason": SkipReason.CLOUDY,
        "explanation": "cloud cover of the scene is 93.0 %, the subscription takes up to 60 %",
        "acquired_at": datetime.fromisoformat(at),
        "request_id": "req_1",
        "updated_at": NOW,
    }
    api.imagery.subscriptions.ledger.record(Outcome(**{**row, **changes}))


def day(client: httpx.Client, view: Json, date: str) -> tuple[str, str]:
    answer = client.get(f"{view['links']['ledger']}/days/{date}")
    assert answer.status_code == 200, answer.text
    return answer.json()["status"], answer.json()["explanation"]


def test_the_days_of_one_that_is_over_are_those_before_its_end(ana: httpx.Client) -> None:
    view = subscribe(ana, start_at="2025-04-10T00:00:00Z", end_at="2025-06-01T10:00:00Z")

    days = [one["date"] for one in ana.get(f"{view['links']['ledger']}/days").json()["days"]]

    assert (days[0], days[-1], len(days)) == ("2025-06-01", "2025-05-03", 30)


def test_a_day_without_an_image_says_why(api: Api, ana: httpx.Client, clock: Any) -> None:
    view = subscribe(ana, start_at="2026-04-10T00:00:00Z", end_at="2026-06-01T00:00:00Z")
    assert day(ana, view, "2026-04-20")[0] == "not_looked_yet"
    look(api, view)
    record(api, view, "2026-04-21T10:00:00+00:00")

    assert day(ana, view, "2026-04-21") == (
        "acquired",
        "21 April 2026: S2_2026-04-21T10:00:00+00:00 was skipped by the filters of 2026-05-01: "
        "cloud cover of the scene is 93.0 %, the subscription takes up to 60 %.",
    )
    assert day(ana, view, "2026-04-20") == (
        "no_acquisition",
        "20 April 2026: the provider has no acquisition over this area with the assets asked for, "
        "as of 2026-05-01 12:00 UTC.",
    )
    assert "may still be published late" in day(ana, view, "2026-04-30")[1]
    assert day(ana, view, "2026-05-01")[0] == "not_looked_yet"
    assert day(ana, view, "2026-05-03") == ("not_looked_yet", "3 May 2026: this day lies ahead.")
    assert day(ana, view, "2026-04-09") == ("outside", "9 April 2026: the subscription begins on 2026-04-10.")
    assert day(ana, view, "2026-06-02") == ("outside", "2 June 2026: the subscription ended on 2026-06-01.")


def test_a_day_with_an_image_can_be_told_from_one_without(api: Api, ana: httpx.Client) -> None:
    view = subscribe(ana)
    look(api, view)
    ours: dict[str, Any] = {"published_item_id": "clip", "published_collection": "clips"}
    delivered = ours | {"status": OutcomeStatus.DELIVERED, "reason": None, "explanation": "delivered as clip"}
    beside = ours | {"item_id": "S2_beside", "reason": SkipReason.SUPERSEDED, "explanation": "S2_whole shows more"}
    waiting = {"status": OutcomeStatus.WAITING, "reason": None, "explanation": ""}
    record(api, view, "2026-04-21T10:00:00+00:00", item_id="S2_whole", **delivered)
    record(api, view, "2026-04-21T10:00:09+00:00", **beside)
    record(api, view, "2026-04-22T10:00:00+00:00", **waiting)
    record(api, view, "2026-04-23T10:00:00+00:00", **waiting, **ours)

    url = f"{view['links']['ledger']}/days"
    again, first, shown = ana.get(url, params={"from": "2026-04-21", "to": "2026-04-23"}).json()["days"]

    assert (shown["status"], shown["images"]) == ("delivered", 1)
    assert shown["counts"] == {"waiting": 0, "delivered": 1, "skipped": 1, "failed": 0}
    assert shown["explanation"] == (
        "21 April 2026: S2_whole was delivered as clip; S2_beside was skipped: S2_whole shows more."
    )
    assert (first["status"], first["images"], first["counts"]["waiting"]) == ("acquired", 0, 1)
    assert (again["status"], again["images"]) == ("delivered", 1)


def test_the_days_of_a_pause_have_not_been_looked_at(api: Api, ana: httpx.Client, clock: Any) -> None:
    view = subscribe(ana)
    look(api, view)
    ana.patch(view["links"]["self"], json={"status": "paused"})
    clock.advance(timedelta(days=5))
    look_of_others = {"last": subscribe(ana)}
    look(api, look_of_others["last"])

    status, explanation = day(ana, view, "2026-05-03")

    assert (status, "is paused" in explanation) == ("not_looked_yet", True)


def test_every_day_of_a_range_is_there_newest_first(api: Api, ana: httpx.Client) -> None:
    view = subscribe(ana)
    look(api, view)
    record(api, view, "2026-04-21T23:59:59+00:00")
    record(api, view, "2026-04-22T00:00:00+00:00", status=OutcomeStatus.FAILED, error="AssetMissing", reason=None)

    days = ana.get(f"{view['links']['ledger']}/days", params={"from": "2026-04-20", "to": "2026-04-23"}).json()["days"]
    usual = ana.get(f"{view['links']['ledger']}/days").json()["days"]

    assert [(one["date"], one["status"], len(one["outcomes"])) for one in days] == [
        ("2026-04-23", "no_acquisition", 0),
        ("2026-04-22", "acquired", 1),
        ("2026-04-21", "acquired", 1),
        ("2026-04-20", "no_acquisition", 0),
    ]
    assert (usual[0]["date"], usual[-1]["date"]) == ("2026-05-01", "2026-04-02")


@pytest.mark.parametrize(
    ("params", "field"),
    [({"from": "2026-05-02", "to": "2026-05-01"}, "/to"), ({"from": "2020-01-01", "to": "2026-05-01"}, "/from")],
)
def test_a_range_backwards_or_too_long_is_refused(ana: httpx.Client, params: dict[str, str], field: str) -> None:
    answer = ana.get(f"{subscribe(ana)['links']['ledger']}/days", params=params)
    assert answer.status_code in (400, 422)
    assert answer.json()["field"] == field


def test_another_owners_days_are_nobodys(ana: httpx.Client, ben: httpx.Client) -> None:
    assert_problem(ben.get(f"{subscribe(ana)['links']['ledger']}/days"), 404, "subscription-unknown")


def test_a_subscription_shows_how_far_it_has_looked_back(api: Api, ana: httpx.Client) -> None:
    view = subscribe(ana, start_at="2025-05-01T00:00:00Z")
    url = view["links"]["self"]
    looks = api.imagery.subscriptions.lookback.looks
    before = ana.get(url)

    looks.done(looks.of(view["id"])[0].request_id, now=NOW)
    after = ana.get(url, headers={"If-None-Match": before.headers["etag"]})

    assert (view["backfill"]["windows"], view["backfill"]["done"]) == (5, 0)
    assert (after.status_code, after.json()["backfill"]["done"]) == (200, 1)
    assert after.json()["backfill"]["next"]["end_at"] < before.json()["backfill"]["next"]["end_at"]
    assert subscribe(ana, start_at="2026-06-01T00:00:00Z")["backfill"] is None


def test_once_the_first_look_is_done_the_feed_says_how_far_all_is_checked(
    api: Api, ana: httpx.Client, clock: Any
) -> None:
    view = subscribe(ana)
    cursor = FeedCursor(
        provider="earth-search",
        collection="sentinel-2-l2a",
        checked_through=NOW,
        checked_at=NOW + timedelta(minutes=30),
    )
    api.imagery.feeds.save(cursor)
    first = ana.get(view["links"]["self"]).json()["checked_through"]
    for one in api.imagery.subscriptions.lookback.looks.of(view["id"]):
        api.imagery.subscriptions.lookback.looks.done(one.request_id, now=NOW)
    api.imagery.subscriptions.store.mark(view["id"], checked_through=NOW)

    assert first is None
    assert ana.get(view["links"]["self"]).json()["checked_through"] == "2026-05-01T12:30:00Z"
