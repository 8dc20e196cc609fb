"""The failure queue and the deletions over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from imagery.model.deletion import Deletion
from imagery.model.failure import Failure
from imagery.model.request import Request, RequestKind
from imagery.model.subscription import Priority, SubscriptionStatus

from .conftest import Api
from .examples import assert_problem, subscribe


def fail(api: Api, item_id: str, subscription_id: str, *, owner: str = "ana", **changes: Any) -> str:
    """Put a failure there; gives its id."""
    now = api.imagery.clock()
    request = Request.for_item(
        kind=RequestKind.UPDATE,
        priority=Priority.LOW,
        provider="earth-search",
        collection="sentinel-2-l2a",
        item_id=item_id,
        item_updated_at=None,
        subscription_ids=[subscription_id],
        now=now,
    )
    usual: dict[str, Any] = {
        "error": "RasterUnreadable",
        "cause": f"{item_id} is damaged",
        "state": "PublicProvider",
        "retryable": False,
        "failed_at": now,
    }
    api.imagery.failures.store.add(Failure(id=request.root, request=request, owner=owner, **usual | changes))
    return request.root


@pytest.fixture
def mine(ana: httpx.Client) -> str:
    return str(subscribe(ana)["id"])


def replays_waiting(client: httpx.Client) -> list[dict[str, Any]]:
    return [one for one in client.get("/v1/requests").json()["requests"] if one["kind"] == "replay"]


def test_failures_are_filtered_and_counted(api: Api, ana: httpx.Client, mine: str) -> None:
    final = fail(api, "a", mine)
    passing = fail(api, "b", mine, error="ProviderUnavailable", retryable=True, cause="No Answer")

    def ids(**params: Any) -> list[str]:
        return [one["id"] for one in ana.get("/v1/failures", params=params).json()["failures"]]

    assert ids(retryable="true") == ids(text="no answer") == ids(error="ProviderUnavailable") == [passing]
    assert ids(retryable="false", provider="earth-search", subscription_id=mine) == [final]
    assert ids(provider="other") == ids(replayed="true") == ids(to="2001-01-01T00:00:00Z") == []
    page = ana.get("/v1/failures", params={"limit": 1}).json()
    assert page["counts"] == {"ProviderUnavailable": 1, "RasterUnreadable": 1}


def test_a_replay_is_accepted_once(api: Api, ana: httpx.Client, mine: str) -> None:
    failure = fail(api, "a", mine)

    dry = ana.post(f"/v1/failures/{failure}/replay?dry_run=true")
    first, second = (ana.post(f"/v1/failures/{failure}/replay") for _ in range(2))

    assert [answer.status_code for answer in (dry, first, second)] == [202, 202, 202]
    assert (first.json()["is_repeat"], second.json()["is_repeat"]) == (False, True)
    assert [(one["id"], one["priority"]) for one in replays_waiting(ana)] == [(f"{failure}-2", "low")]
    assert ana.get(f"/v1/failures/{failure}").json()["replay_id"] == f"{failure}-2"


def test_many_are_replayed_by_what_they_are_or_by_name(api: Api, ana: httpx.Client, mine: str) -> None:
    ids = [fail(api, f"item {n}", mine, retryable=n > 0) for n in range(4)]

    dry = ana.post("/v1/replays", json={"retryable": True, "dry_run": True}).json()
    by_kind = ana.post("/v1/replays", json={"retryable": True, "limit": 2}).json()
    by_name = ana.post("/v1/replays", json={"ids": [ids[0], "req_gone"]}).json()

    assert (len(dry["replays"]), dry["dry_run"]) == (3, True)
    assert (len(by_kind["replays"]), by_kind["left"]) == (2, 1)
    assert [one["failure_id"] for one in by_name["replays"]] == [ids[0]]
    assert len(replays_waiting(ana)) == 3


def test_replays_are_rate_limited_and_the_rest_is_said(open_api: Any) -> None:
    api: Api = open_api(replays_per_minute=3)
    ana = api.client("ana")
    mine = str(subscribe(ana)["id"])
    for n in range(5):
        fail(api, f"item {n}", mine)

    first = ana.post("/v1/replays", json={"all": True}).json()
    refused = ana.post("/v1/replays", json={"all": True})
    api.ticks.now += 60

    assert (len(first["replays"]), first["left"]) == (3, 2)
    assert first["retry_after_s"] == pytest.approx(20)
    assert refused.headers["Retry-After"] == "20"
    assert_problem(refused, 429, "throttled")
    assert len(ana.post("/v1/replays", json={"all": True}).json()["replays"]) == 2


def test_a_deleted_failure_is_gone(api: Api, ana: httpx.Client, mine: str) -> None:
    failure = fail(api, "a", mine)

    assert ana.delete(f"/v1/failures/{failure}").status_code == 204
    assert_problem(ana.get(f"/v1/failures/{failure}"), 404, "failure-unknown")
    assert_problem(ana.delete(f"/v1/failures/{failure}"), 404, "failure-unknown")


def test_nobody_touches_anothers_failures(api: Api, ana: httpx.Client, ben: httpx.Client, mine: str) -> None:
    failure = fail(api, "a", mine)

    assert_problem(ben.post(f"/v1/failures/{failure}/replay"), 404, "failure-unknown")
    assert_problem(ben.delete(f"/v1/failures/{failure}"), 404, "failure-unknown")
    assert ben.post("/v1/replays", json={"ids": [failure]}).json()["replays"] == []
    assert replays_waiting(ana) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [({"limit": 0}, "/limit"), ({"ids": []}, "/ids"), ({"older": 1}, "/older"), ({"text": 5}, "/text")],
)
def test_a_replay_of_nothing_sensible_is_refused(refused: httpx.Client, body: Any, field: str) -> None:
    assert_problem(refused.post("/v1/replays", json=body), 422, "body-invalid", field=field)


def begin_removal(api: Api, subscription_id: str) -> None:
    """As the delete checker does."""
    store = api.imagery.delete_checker.subscriptions
    deleting = store.get(subscription_id).changed(now=api.imagery.clock(), status=SubscriptionStatus.DELETING)
    store.replace(deleting)


def test_a_subscription_being_removed_is_gone_for_its_owner(api: Api, ana: httpx.Client, mine: str) -> None:
    begin_removal(api, mine)

    for path in ("", "/ledger"):
        assert_problem(ana.get(f"/v1/subscriptions/{mine}{path}"), 404, "subscription-unknown")
    assert_problem(ana.delete(f"/v1/subscriptions/{mine}"), 404, "subscription-unknown")
    assert ana.get("/v1/subscriptions").json()["subscriptions"] == []
    assert ana.get("/v1/subscriptions", params={"status": "deleting"}).json()["subscriptions"] == []
    assert_problem(ana.post(f"/v1/subscriptions/{mine}/restore"), 409, "status-conflict")


def test_a_subscription_can_be_restored_until_its_removal_begins(
    api: Api, ana: httpx.Client, clock: Any, mine: str
) -> None:
    ana.delete(f"/v1/subscriptions/{mine}")
    clock.advance(timedelta(days=182))

    assert ana.post(f"/v1/subscriptions/{mine}/restore").json()["status"] == "active"
    assert api.imagery.delete_checker.run(now=clock()).removed == 0
    ana.delete(f"/v1/subscriptions/{mine}")
    clock.advance(timedelta(days=182))
    assert api.imagery.delete_checker.run(now=clock()).removed == 1
    assert_problem(ana.post(f"/v1/subscriptions/{mine}/restore"), 404, "subscription-unknown")


def test_an_ended_subscription_that_is_paused_is_kept(api: Api, ana: httpx.Client, clock: Any, mine: str) -> None:
    store = api.imagery.delete_checker.subscriptions
    ended = store.get(mine).changed(now=clock(), status=SubscriptionStatus.ENDED, delete_at=clock())
    store.replace(ended)

    paused = ana.patch(f"/v1/subscriptions/{mine}", json={"status": "paused"}).json()

    assert (paused["status"], paused["delete_at"]) == ("paused", None)


def test_deletions_are_for_operators(api: Api, ana: httpx.Client, operator: httpx.Client) -> None:
    deletion = Deletion(
        subscription_id="sub_gone",
        owner="ana",
        provider="earth-search",
        collection="sentinel-2-l2a",
        was=SubscriptionStatus.ENDED,
        began_at=api.imagery.clock(),
        items=3,
    )
    api.imagery.deletions.save(deletion)

    (seen,) = operator.get("/v1/deletions", params={"owner": "ana", "finished": "false"}).json()["deletions"]

    assert (seen["subscription_id"], seen["items"], seen["finished_at"]) == ("sub_gone", 3, None)
    assert_problem(ana.get("/v1/deletions"), 403, "forbidden")


def test_replaying_everything_takes_saying_so(shared_api: Api) -> None:
    client = shared_api.client("ana")

    refused = client.post("/v1/replays", json={})
    wanted = client.post("/v1/replays", json={"all": True, "dry_run": True})

    assert (refused.status_code, wanted.status_code) == (422, 202)
    assert "all" in refused.text
