"""An owner meets only their own: subscriptions, ledger, requests, failures, executions and items."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pystac
import pytest

from imagery.model.codec import to_dict
from imagery.model.failure import Failure
from imagery.model.request import Request, RequestKind
from imagery.model.subscription import Priority
from imagery.worker import Worker

from .conftest import Api
from .examples import Json, assert_problem, square, subscribe, wait_for

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("GET", "/ledger", None),
        ("PATCH", "", {"priority": "high"}),
        ("DELETE", "", None),
        ("POST", "/restore", None),
    ],
)
def test_another_owners_subscription_is_not_there(
    ana: httpx.Client, ben: httpx.Client, method: str, path: str, body: Json | None
) -> None:
    view = subscribe(ana)
    url = f"/v1/subscriptions/{view['id']}"
    assert_problem(ben.request(method, url + path, json=body), 404, "subscription-unknown")
    assert ana.get(url).json() == view


def test_another_owners_answers_are_the_same_as_for_what_never_was(
    api: Api, ana: httpx.Client, ben: httpx.Client
) -> None:
    mine = subscribe(ana)["id"]
    request = a_request("S2_1", mine)
    api.imagery.failures.store.add(a_failure("mine", "ana", mine))
    api.imagery.orchestrator.start(request.id, {"request": to_dict(request), "provider_kind": "public"})
    for place, there in (("subscriptions", mine), ("failures", "mine"), ("executions", request.id)):
        told = []
        for one in (there, "never-was"):
            problem = ben.get(f"/v1/{place}/{one}").json()
            told.append({key: str(value).replace(one, "X") for key, value in problem.items() if key != "request_id"})
        assert told[0] == told[1]


def test_a_list_holds_the_callers_own_and_an_operators_everybodys(
    ana: httpx.Client, ben: httpx.Client, operator: httpx.Client
) -> None:
    mine, theirs = subscribe(ana)["id"], subscribe(ben)["id"]

    def ids(client: httpx.Client) -> list[str]:
        return [one["id"] for one in client.get("/v1/subscriptions").json()["subscriptions"]]

    assert (ids(ana), ids(ben), ids(operator)) == ([mine], [theirs], [mine, theirs])
    assert operator.get(f"/v1/subscriptions/{mine}").status_code == 200


def test_a_cursor_of_one_owner_is_of_no_use_to_another(ana: httpx.Client, ben: httpx.Client) -> None:
    for client in (ana, ana, ben, ben):
        subscribe(client)
    cursor = ana.get("/v1/subscriptions?limit=1").json()["next"]
    assert_problem(ben.get("/v1/subscriptions", params={"cursor": cursor}), 400, "cursor-invalid")


def test_the_queue_shows_the_callers_own_requests(
    api: Api, ana: httpx.Client, ben: httpx.Client, operator: httpx.Client
) -> None:
    mine, theirs = subscribe(ana)["id"], subscribe(ben)["id"]
    api.imagery.queue.send([a_request("S2_1", mine, theirs)])

    def asked(client: httpx.Client) -> list[list[str]]:
        return sorted(one["subscription_ids"] for one in client.get("/v1/requests").json()["requests"])

    assert asked(ana) == [[mine]]
    assert asked(ben) == [[theirs]]
    assert asked(operator) == sorted([[mine], [theirs], sorted([mine, theirs])])


def test_failures_are_shown_to_their_owner(
    api: Api, ana: httpx.Client, ben: httpx.Client, operator: httpx.Client
) -> None:
    mine, theirs = subscribe(ana)["id"], subscribe(ben)["id"]
    api.imagery.failures.store.add(a_failure("mine", "ana", mine))
    api.imagery.failures.store.add(a_failure("theirs", "ben", theirs))
    api.imagery.failures.store.add(a_failure("shared", None, mine, theirs))

    def ids(client: httpx.Client, **params: Any) -> list[str]:
        return sorted(one["id"] for one in client.get("/v1/failures", params=params).json()["failures"])

    assert (ids(ana), ids(ben)) == (["mine"], ["theirs"])
    assert ids(ana, subscription_id=theirs) == []
    assert ids(operator) == ["mine", "shared", "theirs"]
    assert ids(operator, subscription_id=mine, error="RasterUnreadable") == ["mine", "shared"]
    assert ana.get("/v1/failures/mine").json()["request"]["subscription_ids"] == [mine]
    assert_problem(ana.get("/v1/failures/theirs"), 404, "failure-unknown")
    assert_problem(ana.get("/v1/failures/shared"), 404, "failure-unknown")


def test_executions_are_shown_to_whoever_owns_all_they_serve(
    api: Api, ana: httpx.Client, ben: httpx.Client, operator: httpx.Client
) -> None:
    mine, theirs = subscribe(ana)["id"], subscribe(ben)["id"]
    own, other, shared = a_request("S2_1", mine), a_request("S2_1", theirs), a_request("S2_1", mine, theirs)
    for request in (own, other, shared):
        api.imagery.orchestrator.start(request.id, {"request": to_dict(request), "provider_kind": "public"})

    def ids(client: httpx.Client) -> set[str]:
        return {one["id"] for one in client.get("/v1/executions").json()["executions"]}

    assert (ids(ana), ids(ben), ids(operator)) == ({own.id}, {other.id}, {own.id, other.id, shared.id})
    detail = ana.get(f"/v1/executions/{own.id}").json()
    assert detail["status"] == "RUNNING"
    assert detail["input"]["request"]["subscription_ids"] == [mine]
    for unseen in (other, shared):
        assert_problem(ana.get(f"/v1/executions/{unseen.id}"), 404, "execution-unknown")
    assert operator.get(f"/v1/executions/{shared.id}").status_code == 200


def test_an_owner_follows_what_went_wrong_from_failure_to_history(api: Api, ana: httpx.Client) -> None:
    worker = Worker(imagery=api.imagery)
    worker.start()
    try:
        view = subscribe(ana)  # the provider knows the collection, but not how to search
        failure = wait_for(lambda: ana.get("/v1/failures").json()["failures"])[0]
    finally:
        worker.stop(drain=timedelta(seconds=5))
    assert failure["owner"] == "ana"
    assert failure["request"]["subscription_ids"] == [view["id"]]
    execution = ana.get(f"/v1/executions/{failure['id']}").json()
    assert execution["status"] == "FAILED"
    assert execution["history"][0]["type"] == "ExecutionStarted"
    assert failure["error"] in json.dumps(execution["history"])


def test_executions_page_over_other_peoples(api: Api, ana: httpx.Client, ben: httpx.Client) -> None:
    mine, theirs = subscribe(ana)["id"], subscribe(ben)["id"]
    for number in range(12):
        request = a_request(f"S2_{number}", mine if number % 4 == 0 else theirs)
        api.imagery.orchestrator.start(request.id, {"request": to_dict(request), "provider_kind": "public"})
    found, url = [], "/v1/executions?limit=2"
    while url:
        answer = ana.get(url)
        found += [one["id"] for one in answer.json()["executions"]]
        url = answer.links.get("next", {}).get("url", "")
    assert sorted(found) == sorted(a_request(f"S2_{number}", mine).id for number in (0, 4, 8))


def test_items_are_found_by_their_owner_and_by_the_link_of_the_subscription(
    api: Api, ana: httpx.Client, ben: httpx.Client, operator: httpx.Client
) -> None:
    mine, theirs = subscribe(ana), subscribe(ben)
    publish(api, an_item("of-ana", "ana", mine["id"]), an_item("of-ben", "ben", theirs["id"]))

    def ids(client: httpx.Client, url: str = "/stac/search") -> list[str]:
        return sorted(one["id"] for one in client.get(url).json()["features"])

    assert (ids(ana), ids(ben), ids(operator)) == (["of-ana"], ["of-ben"], ["of-ana", "of-ben"])
    assert ids(ana, mine["links"]["items"]) == ["of-ana"]
    assert ids(ben, mine["links"]["items"]) == []
    assert ana.get("/stac/collections/clips/items/of-ana").status_code == 200
    assert ana.get("/stac/collections/clips/items/of-ben").status_code == 404
    searched = ana.post("/stac/search", json={"ids": ["of-ana", "of-ben"]}).json()["features"]
    assert [one["id"] for one in searched] == ["of-ana"]


def test_what_was_delivered_stays_until_its_subscription_or_an_operator_takes_it_away(
    api: Api, ana: httpx.Client, operator: httpx.Client
) -> None:
    mine = subscribe(ana)
    publish(api, an_item("delivered", "ana", mine["id"]))
    url = "/stac/collections/clips/items/delivered"
    refused = ana.delete(url)
    assert refused.status_code == 403
    assert mine["id"] in refused.json()["detail"]
    assert ana.get(refused.json()["type"]).status_code == 200
    assert refused.json()["request_id"] == refused.headers["x-request-id"]
    assert ana.get(url).status_code == 200
    assert operator.delete(url).status_code == 204


def test_strangers_see_items_only_where_the_catalog_is_public(open_api: Any) -> None:
    house = open_api()
    assert house.client(None).get("/stac/search").status_code == 401
    public = open_api(public_catalog=True)
    publish(public, an_item("of-ana", "ana", "sub_1"))
    stranger = public.client(None)
    assert [one["id"] for one in stranger.get("/stac/search").json()["features"]] == ["of-ana"]
    item = an_item("forged", "ana", "sub_1").to_dict()
    assert stranger.post("/stac/collections/clips/items", json=item).status_code == 401
    assert stranger.get("/stac/search", headers={"X-API-Key": "wrong"}).status_code == 401


def a_request(item_id: str, *subscription_ids: str) -> Request:
    return Request.for_item(
        kind=RequestKind.UPDATE,
        priority=Priority.NORMAL,
        provider="earth-search",
        collection="sentinel-2-l2a",
        item_id=item_id,
        item_updated_at=None,
        subscription_ids=subscription_ids,
        now=NOW,
    )


def a_failure(failure_id: str, owner: str | None, *subscription_ids: str) -> Failure:
    return Failure(
        id=failure_id,
        request=replace(a_request("S2_1", *subscription_ids), id=failure_id),
        owner=owner,
        error="RasterUnreadable",
        cause="the file is no raster",
        state="PublicProvider",
        retryable=False,
        failed_at=NOW,
    )


def an_item(item_id: str, owner: str, subscription_id: str) -> pystac.Item:
    properties = {"imagery:owner": owner, "imagery:subscription_id": subscription_id}
    item = pystac.Item(item_id, square(), [15.4, 46.1, 15.41, 46.11], NOW, properties)
    item.collection_id = "clips"
    return item


def publish(api: Api, *items: pystac.Item) -> None:
    extent = pystac.Extent(pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]]))
    api.imagery.catalog.ensure_collection(pystac.Collection("clips", "Clips", extent))
    api.imagery.catalog.publish(items)
