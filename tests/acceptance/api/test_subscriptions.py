"""A subscription's life over HTTP: made, read, changed, deleted, restored."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from imagery.model.outcome import Outcome, OutcomeStatus, SkipReason

from .conftest import Api
from .examples import Json, a_body, assert_problem, square, subscribe

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
def api(shared_api: Api) -> Api:
    """One house for all: every test has its own owners."""
    return shared_api


@pytest.fixture
def ana(api: Api, request: pytest.FixtureRequest) -> httpx.Client:
    return api.client(f"ana-{owner_of(request)}")


@pytest.fixture
def ben(api: Api, request: pytest.FixtureRequest) -> httpx.Client:
    return api.client(f"ben-{owner_of(request)}")


def owner_of(request: pytest.FixtureRequest) -> str:
    """A name no other test has."""
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]


def test_a_subscription_is_made_and_read_back(ana: httpx.Client) -> None:
    asked = a_body(
        end_at="2026-06-01T02:00:00+02:00",
        filters={"max_cloud_cover": 40},
        priority="low",
        destination="farms/north",
        labels={"farm": "Češnjica ☂"},
    )
    created = ana.post("/v1/subscriptions", json=asked)
    view = created.json()
    assert created.status_code == 201
    assert view["owner"].startswith("ana-")
    assert view["aoi"] == square()
    assert view["bbox"] == [15.4, 46.1, 15.41, 46.11]
    assert 0.8 < view["area_km2"] < 0.9
    assert view["end_at"] == "2026-06-01T00:00:00Z"
    assert view["filters"] == {"max_cloud_cover": 40, "min_clear_fraction": None, "min_coverage": None}
    assert view["labels"] == {"farm": "Češnjica ☂"}
    assert (view["status"], view["version"], view["remarks"]) == ("active", 1, [])
    assert created.headers["location"] == view["links"]["self"]
    read = ana.get(created.headers["location"])
    assert read.json() == view
    assert read.headers["etag"] == created.headers["etag"]


def test_null_means_the_default(ana: httpx.Client) -> None:
    nulls = dict.fromkeys(("assets", "start_at", "end_at", "filters", "priority", "destination", "labels"))
    view = subscribe(ana, **nulls)
    assert view["assets"] == ["blue", "green", "red", "nir", "scl"]
    assert view["start_at"] == "2026-05-01T12:00:00Z"
    assert (view["end_at"], view["priority"], view["destination"], view["labels"]) == (None, "normal", None, {})


@pytest.mark.parametrize("wrap", ["geometry", "feature", "collection"])
def test_an_area_may_come_as_a_geometry_a_feature_or_a_collection_of_one(ana: httpx.Client, wrap: str) -> None:
    feature = {"type": "Feature", "properties": {"crop": "barley"}, "geometry": square()}
    shapes = {
        "geometry": square(),
        "feature": feature,
        "collection": {"type": "FeatureCollection", "features": [feature]},
    }
    assert subscribe(ana, aoi=shapes[wrap])["aoi"] == square()


def test_what_was_mended_in_the_area_is_said_when_it_is_made(ana: httpx.Client) -> None:
    clockwise = square() | {"coordinates": [square()["coordinates"][0][::-1]]}
    view = subscribe(ana, aoi=clockwise)
    assert view["aoi"] == square()
    assert "clockwise" in view["remarks"][0]


def test_its_first_request_waits_in_the_queue(ana: httpx.Client) -> None:
    view = subscribe(ana)
    waiting = ana.get("/v1/requests").json()["requests"]
    assert [(one["kind"], one["priority"], one["subscription_ids"]) for one in waiting] == [
        ("initial", "high", [view["id"]])
    ]
    assert ana.get("/health").json()["queue"]["high"] >= 1


# Idempotency


def test_a_repeat_with_the_same_idempotency_key_gives_the_same_subscription(ana: httpx.Client) -> None:
    headers = {"Idempotency-Key": "field 7, spring"}
    first = ana.post("/v1/subscriptions", json=a_body(), headers=headers)
    again = ana.post("/v1/subscriptions", json=a_body(), headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["id"] == first.json()["id"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len(ana.get("/v1/subscriptions").json()["subscriptions"]) == 1


def test_an_idempotency_key_with_another_body_is_refused(ana: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k"}
    ana.post("/v1/subscriptions", json=a_body(), headers=headers)
    other = ana.post("/v1/subscriptions", json=a_body(assets=["red"]), headers=headers)
    assert_problem(other, 422, "idempotency-conflict")


def test_two_owners_may_use_the_same_idempotency_key(ana: httpx.Client, ben: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k"}
    mine = ana.post("/v1/subscriptions", json=a_body(), headers=headers).json()
    theirs = ben.post("/v1/subscriptions", json=a_body(), headers=headers).json()
    assert mine["id"] != theirs["id"]
    assert theirs["owner"].startswith("ben-")


def test_many_at_once_with_one_idempotency_key_make_one_subscription(ana: httpx.Client) -> None:
    def create(_: int) -> httpx.Response:
        return ana.post("/v1/subscriptions", json=a_body(), headers={"Idempotency-Key": "race"})

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(create, range(16)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len(ana.get("/v1/requests").json()["requests"]) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "ümlaut"])
def test_an_idempotency_key_is_short_printable_text(ana: httpx.Client, key: str) -> None:
    answer = ana.post("/v1/subscriptions", json=a_body(), headers={"Idempotency-Key": key.encode("latin-1")})  # type: ignore[dict-item]
    assert_problem(answer, 400, "request-malformed", field="/Idempotency-Key")


# Changing


def test_a_merge_patch_changes_what_it_names_and_nothing_else(ana: httpx.Client) -> None:
    before = subscribe(ana, filters={"max_cloud_cover": 40, "min_coverage": 0.5}, labels={"a": "1", "b": "2"})
    patch = {"filters": {"max_cloud_cover": None}, "labels": {"a": None, "c": "3"}, "priority": "high"}
    answer = ana.patch(before["links"]["self"], json=patch, headers=MERGE_PATCH)
    assert answer.status_code == 200
    changed = {
        "filters": {"max_cloud_cover": None, "min_clear_fraction": None, "min_coverage": 0.5},
        "labels": {"b": "2", "c": "3"},
        "priority": "high",
        "version": 2,
        "backfill": before["backfill"] | {"windows": 2},  # what a filter skipped is judged once more
    }
    assert answer.json() == before | changed
    assert ana.get(before["links"]["self"]).json() == before | changed


def test_null_in_a_patch_goes_back_to_the_default(ana: httpx.Client) -> None:
    view = subscribe(ana, end_at="2026-06-01T00:00:00Z", filters={"min_coverage": 1}, labels={"a": "1"}, priority="low")
    patch = dict.fromkeys(("end_at", "filters", "labels", "priority", "assets"))
    after = ana.patch(view["links"]["self"], json=patch).json()
    assert after["end_at"] is None
    assert after["filters"] == {"max_cloud_cover": None, "min_clear_fraction": None, "min_coverage": None}
    assert (after["labels"], after["priority"]) == ({}, "normal")
    assert after["assets"] == ["blue", "green", "red", "nir", "scl"]


@pytest.mark.parametrize(
    ("patch", "name", "field"),
    [
        ({"aoi": square()}, "subscription-invalid", "/aoi"),
        ({"provider": "x"}, "subscription-invalid", "/provider"),
        ({"start_at": "2026-01-01T00:00:00Z"}, "subscription-invalid", "/start_at"),
        ({"colour": "blue"}, "subscription-invalid", "/colour"),
        ({"status": "ended"}, "body-invalid", "/status"),
        ({"end_at": "2026-01-01T00:00:00Z"}, "subscription-invalid", "/end_at"),
        ({"assets": ["thermal"]}, "subscription-invalid", "/assets/0"),
        ({"filters": {"max_cloud_cover": 101}}, "body-invalid", "/filters/max_cloud_cover"),
        ({"filters": {"haze": 1}}, "body-invalid", "/filters/haze"),
    ],
)
def test_a_patch_that_cannot_be_names_the_field(ana: httpx.Client, patch: Json, name: str, field: str) -> None:
    view = subscribe(ana)
    assert_problem(ana.patch(view["links"]["self"], json=patch), 422, name, field=field)
    assert ana.get(view["links"]["self"]).json()["version"] == 1


def test_a_change_of_what_somebody_else_has_changed_is_refused(ana: httpx.Client) -> None:
    seen = ana.get(subscribe(ana)["links"]["self"])
    url, stale = seen.json()["links"]["self"], {"If-Match": seen.headers["etag"]}
    fresh = ana.patch(url, json={"priority": "high"}, headers=stale)
    assert fresh.status_code == 200
    assert_problem(ana.patch(url, json={"priority": "low"}, headers=stale), 412, "version-mismatch")
    assert_problem(ana.delete(url, headers=stale), 412, "version-mismatch")
    assert ana.patch(url, json={"priority": "low"}, headers={"If-Match": fresh.headers["etag"]}).status_code == 200


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        ("*", 200),
        ('"1"', 200),
        ('"9", "1"', 200),
        ('W/"1"', 412),
        ('"2"', 412),
        ('"somebody-elses"', 412),
        ('"99999999999999999999"', 412),
        ("1", 400),
        ('"1" "2"', 400),
    ],
)
def test_if_match_is_read_as_the_standard_says(ana: httpx.Client, if_match: str, status: int) -> None:
    url = subscribe(ana)["links"]["self"]
    assert ana.patch(url, json={"priority": "high"}, headers={"If-Match": if_match}).status_code == status


def test_a_check_in_between_does_not_stand_in_the_way_of_a_change(api: Api, ana: httpx.Client) -> None:
    seen = ana.get(subscribe(ana)["links"]["self"])
    url, etag = seen.json()["links"]["self"], seen.headers["etag"]
    api.imagery.subscriptions.store.mark(seen.json()["id"], checked_through=NOW)
    assert ana.get(url, headers={"If-None-Match": etag}).json()["checked_through"] == "2026-05-01T12:00:00Z"
    assert ana.patch(url, json={"priority": "high"}, headers={"If-Match": etag}).status_code == 200


def test_what_a_caller_has_already_is_not_sent_again(ana: httpx.Client) -> None:
    seen = ana.get(subscribe(ana)["links"]["self"])
    url, etag = seen.json()["links"]["self"], seen.headers["etag"]
    for known in (etag, f"W/{etag}", f'"0", {etag}', "*"):
        again = ana.get(url, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    ana.patch(url, json={"priority": "high"})
    assert ana.get(url, headers={"If-None-Match": etag}).status_code == 200


def test_a_paused_subscription_can_be_paused_even_when_its_provider_is_gone(open_api: Any) -> None:
    first = open_api()
    view = subscribe(first.client("ana"))
    second = open_api(stac_providers={"other": "http://127.0.0.1:9"})
    answer = second.client("ana2", operator=True).patch(f"/v1/subscriptions/{view['id']}", json={"status": "paused"})
    assert answer.json()["status"] == "paused"


def test_labels_do_not_grow_without_end_by_patching(ana: httpx.Client) -> None:
    url = subscribe(ana, labels={f"a{n}": "1" for n in range(30)})["links"]["self"]
    more = {f"b{n}": "1" for n in range(30)}
    assert_problem(ana.patch(url, json={"labels": more}), 422, "subscription-invalid", field="/labels")
    swapped = more | {f"a{n}": None for n in range(30)}
    assert ana.patch(url, json={"labels": swapped}).json()["labels"] == more


def test_a_patch_that_names_nothing_changes_nothing(ana: httpx.Client) -> None:
    view = subscribe(ana)
    assert ana.patch(view["links"]["self"], json={}).json() == view


# Deleting


def test_deleting_marks_and_restoring_takes_the_mark_off(ana: httpx.Client) -> None:
    url = subscribe(ana)["links"]["self"]
    marked = ana.delete(url)
    assert marked.status_code == 200
    assert (marked.json()["status"], marked.json()["delete_at"]) == ("marked_for_deletion", "2026-10-30T12:00:00Z")
    assert ana.delete(url).json() == marked.json()
    assert_problem(ana.patch(url, json={"priority": "low"}), 409, "status-conflict")
    restored = ana.post(url + "/restore")
    assert (restored.json()["status"], restored.json()["delete_at"]) == ("active", None)
    assert_problem(ana.post(url + "/restore"), 409, "status-conflict")


# Listing


def test_pages_hold_every_subscription_once_in_order_though_more_are_made(ana: httpx.Client) -> None:
    made = [subscribe(ana, labels={"n": str(n)})["id"] for n in range(7)]
    url: str | None = "/v1/subscriptions?limit=3"
    found: list[str] = []
    while url:
        answer = ana.get(url)
        page = answer.json()
        found += [one["id"] for one in page["subscriptions"]]
        assert len(page["subscriptions"]) <= 3
        assert ("next" in answer.links) == (page["next"] is not None)
        if len(made) < 9:
            made.append(subscribe(ana)["id"])
        url = answer.links.get("next", {}).get("url")
    assert found == made


def test_a_list_is_filtered_by_status_provider_and_bbox(ana: httpx.Client) -> None:
    near = subscribe(ana)
    far = subscribe(ana, aoi=square(-70.0, -10.0))
    gone = subscribe(ana, aoi=square(15.5, 46.2))
    ana.delete(gone["links"]["self"])

    def ids(**params: Any) -> list[str]:
        return [one["id"] for one in ana.get("/v1/subscriptions", params=params).json()["subscriptions"]]

    assert ids(status="active") == [near["id"], far["id"]]
    assert ids(status=["marked_for_deletion", "paused"]) == [gone["id"]]
    assert ids(bbox="15,46,16,47") == [near["id"], gone["id"]]
    assert ids(bbox="170,-90,-60,90") == [far["id"]]
    assert ids(bbox="15,46,16,47", status="active", provider="earth-search") == [near["id"]]
    assert ids(provider="planet") == []


def test_a_cursor_of_another_query_is_refused(ana: httpx.Client) -> None:
    for _ in range(2):
        subscribe(ana)
    cursor = ana.get("/v1/subscriptions?limit=1").json()["next"]
    assert_problem(
        ana.get("/v1/subscriptions", params={"cursor": cursor, "status": "paused"}),
        400,
        "cursor-invalid",
        field="/cursor",
    )


# The ledger


def test_the_ledger_says_how_each_acquisition_ended(api: Api, ana: httpx.Client) -> None:
    view = subscribe(ana)
    for day in range(1, 6):
        api.imagery.subscriptions.ledger.record(an_outcome(view["id"], day))
    page = ana.get(view["links"]["ledger"], params={"limit": 2}).json()
    assert [one["item_id"] for one in page["outcomes"]] == ["S2_5", "S2_4"]
    assert page["counts"] == {"waiting": 0, "delivered": 3, "skipped": 2, "failed": 0}
    following = ana.get(view["links"]["ledger"], params={"limit": 2, "cursor": page["next"]}).json()
    assert [one["item_id"] for one in following["outcomes"]] == ["S2_3", "S2_2"]
    skipped = ana.get(view["links"]["ledger"], params={"status": "skipped"}).json()["outcomes"]
    assert [(one["item_id"], one["reason"], one["item"]) for one in skipped] == [
        ("S2_4", "cloudy", None),
        ("S2_2", "cloudy", None),
    ]
    window = {"from": "2026-04-02T00:00:00Z", "to": "2026-04-04T00:00:00+02:00"}
    assert [one["item_id"] for one in ana.get(view["links"]["ledger"], params=window).json()["outcomes"]] == [
        "S2_3",
        "S2_2",
    ]
    assert page["outcomes"][0]["item"] == f"{api.url}/stac/collections/clips/items/clip-5"


def test_a_tile_that_is_not_in_the_item_says_which_is_there_instead(api: Api, ana: httpx.Client) -> None:
    view = subscribe(ana)
    superseded = replace(
        an_outcome(view["id"], 1),
        item_id="S2_beside",
        acquisition="S2B_20260401T100000",
        status=OutcomeStatus.SKIPPED,
        reason=SkipReason.SUPERSEDED,
        explanation="S2_1 shows more of the area",
        numbers={"coverage": 0.4, "clear": 0.25, "cloud_cover": 37.5},
    )
    api.imagery.subscriptions.ledger.record(superseded)
    api.imagery.subscriptions.ledger.record(an_outcome(view["id"], 2))

    later, row = ana.get(view["links"]["ledger"]).json()["outcomes"]

    assert (row["status"], row["reason"], row["acquisition"]) == ("skipped", "superseded", "S2B_20260401T100000")
    assert row["item"] == f"{api.url}/stac/collections/clips/items/clip-1"
    assert row["numbers"] == {"coverage": 0.4, "clear": 0.25, "cloud_cover": 37.5}
    assert later["acquisition"] is None


def an_outcome(subscription_id: str, day: int) -> Outcome:
    """Delivered on odd days, too cloudy on even ones."""
    delivered = day % 2 == 1
    return Outcome(
        subscription_id=subscription_id,
        item_id=f"S2_{day}",
        collection="sentinel-2-l2a",
        status=OutcomeStatus.DELIVERED if delivered else OutcomeStatus.SKIPPED,
        reason=None if delivered else SkipReason.CLOUDY,
        acquired_at=datetime(2026, 4, 1, 10, tzinfo=UTC) + timedelta(days=day - 1),
        numbers={"cloud_cover": 10.0 * day},
        published_item_id=f"clip-{day}" if delivered else None,
        published_collection="clips" if delivered else None,
        request_id="req_1",
        updated_at=NOW,
    )
