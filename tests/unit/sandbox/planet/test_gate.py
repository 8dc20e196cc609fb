"""Keys, requests a second, and faults of the local Planet."""

from __future__ import annotations

import base64

import httpx
import pytest

from imagery.errors import InvalidInput
from imagery.sandbox.planet.app import create_planet_app
from imagery.sandbox.planet.behaviour import Manners
from imagery.sandbox.planet.faults import Fault, Operation, Rule, parse_rule
from imagery.sandbox.planet.gate import key_of, operation_of
from imagery.sandbox.serving import serving

from .conftest import ORDERS, Desk


def test_a_request_without_a_key_is_refused_as_recorded(desk: Desk) -> None:
    response = desk.client.get(ORDERS, headers={"Authorization": ""})

    assert (response.status_code, response.json()) == (401, {"message": "Please enter your API key.", "errors": []})


def test_a_key_is_taken_from_either_header() -> None:
    basic = base64.b64encode(b"k:").decode()

    assert [key_of(one) for one in ("api-key k", f"Basic {basic}", "Basic %%", "Bearer k", "")] == [
        "k",
        "k",
        None,
        None,
        None,
    ]


def test_three_orders_a_second_are_taken_and_the_next_is_told_to_wait(desk: Desk) -> None:
    desk.planet.account.manners.change(rate_scale=1)
    statuses = [desk.client.post(ORDERS, json=desk.body(f"{number}")).status_code for number in range(4)]
    refused = desk.client.post(ORDERS, json=desk.body("refused"))
    desk.clock.advance(1)

    assert statuses == [202, 202, 202, 429]
    assert refused.headers["retry-after"] == "1"
    assert "quota" not in refused.text.lower()
    assert desk.client.post(ORDERS, json=desk.body("later")).status_code == 202
    assert set(desk.planet.account.book.count_by_name()) == {"0", "1", "2", "later"}


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (Fault.UNAVAILABLE, 503, b""),
        (Fault.BAD_GATEWAY, 502, b""),
        (Fault.FAILING, 500, b'{"message":"Internal Server Error"}'),
        (Fault.THROTTLED, 429, b'{"field":{},"general":[{"message":"Rate limit exceeded. Please slow down."}]}'),
    ],
)
def test_a_rule_is_met_where_and_as_often_as_it_says(desk: Desk, fault: Fault, status: int, body: bytes) -> None:
    desk.planet.account.faults.add(Rule(fault=fault, operation=Operation.LIST, times=1, after=1))

    answers = [desk.client.get(ORDERS) for _ in range(3)]

    assert [one.status_code for one in answers] == [200, status, 200]
    assert answers[1].content == body
    assert desk.client.get("/_faults").json()["rules"][0]["seen"] == 3


def test_an_answer_that_is_lost_has_done_its_work(desk: Desk) -> None:
    desk.planet.account.faults.add(Rule(fault=Fault.TRUNCATED, operation=Operation.CREATE, times=1))
    body = desk.body("lost")

    with (
        serving(create_planet_app(desk.planet)) as url,
        httpx.Client(base_url=url, trust_env=False) as client,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        client.post(ORDERS, json=body, auth=("k", ""))

    assert desk.planet.account.book.count_by_name() == {"lost": 1}


def test_downloads_are_corrupted_and_expired_by_the_name_of_their_file(desk: Desk) -> None:
    order = desk.finish(desk.create())
    links = {one["name"].rpartition("_")[2]: one["location"] for one in order["_links"]["results"]}
    before = desk.client.get(links["clip.tif"]).content
    desk.planet.account.faults.add(Rule(fault=Fault.CORRUPT, name="*.tif", keep_bytes=8))
    desk.planet.account.faults.add(Rule(fault=Fault.EXPIRED, name="*.xml"))

    after = desk.client.get(links["clip.tif"]).content

    assert (after[:8], len(after)) == (before[:8], len(before))
    assert after != before
    assert desk.client.get(links["clip.xml"]).status_code == 401


def test_results_can_lack_their_links_and_pages_their_end(desk: Desk) -> None:
    order = desk.finish(desk.create())
    desk.planet.account.faults.add(Rule(fault=Fault.NO_LOCATION, times=1))
    desk.planet.account.faults.add(Rule(fault=Fault.REPEATED, operation=Operation.SEARCH, times=1))
    everything = {"item_types": ["PSScene"], "filter": {"type": "AndFilter", "config": []}}

    without = desk.get(order["id"])["_links"]["results"]
    page = desk.client.post("/data/v1/quick-search", json=everything).json()

    assert {(one["location"], one["expires_at"]) for one in without} == {("", "0001-01-01T00:00:00.000Z")}
    assert page["_links"]["_next"] == page["_links"]["_self"]


def test_rules_and_behaviour_are_changed_while_it_is_served(desk: Desk) -> None:
    added = desk.client.post("/_faults", json={"fault": "503", "operation": "get"})
    changed = desk.client.patch("/_behaviour", json={"running_s": 30, "notice": "order"})

    assert (added.status_code, desk.client.get(f"{ORDERS}/x").status_code) == (201, 503)
    assert desk.client.delete(f"/_faults/{added.json()['id']}").status_code == 204
    assert desk.client.get(f"{ORDERS}/x").status_code == 404
    assert changed.json()["running_s"] == 30
    assert desk.client.patch("/_behaviour", json={"running_s": -1}).status_code == 400
    assert desk.client.post("/_faults", json={"fault": "nonsense"}).status_code == 400
    assert desk.client.delete("/_faults").status_code == 204


@pytest.mark.parametrize("text", ["nonsense", "429@nowhere", "429,times", "429,times=0", "429,colour=red"])
def test_a_rule_that_cannot_be_read_names_what_is_wrong(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_rule(text)


def test_a_rule_is_read_from_the_command_line() -> None:
    assert parse_rule("429@create,times=2,retry_after_s=1") == Rule(
        fault=Fault.THROTTLED, operation=Operation.CREATE, times=2, retry_after_s=1
    )


def test_a_behaviour_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidInput, match="there is no 'runing_s'"):
        Manners().change(runing_s=1)


def test_requests_are_told_apart() -> None:
    assert operation_of("POST", "/compute/ops/orders/v2") is Operation.CREATE
    assert operation_of("GET", "/compute/ops/download/") is Operation.DOWNLOAD
    assert operation_of("GET", "/data/v1/item-types/PSScene") is Operation.ITEM
    assert operation_of("GET", "/_orders") is None
