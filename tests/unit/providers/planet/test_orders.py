"""Orders as Planet takes them and tells of them; every recorded body ends as it should."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from imagery.errors import (
    CredentialsRefused,
    ProviderAnswerInvalid,
    ProviderRefused,
    ProviderThrottled,
    ProviderUnavailable,
)
from imagery.model.order import OrderStatus
from imagery.providers.planet.client import PLANET_URL, REFUSED_FOR_S, PlanetClient
from imagery.providers.planet.orders import MAX_PAGES, PlanetOrders, order_body, parse_order
from imagery.providers.planet.webhook import parse_notification

from .conftest import ORDER_ID, Api, Time, a_wish, an_order, square

WEBHOOK = "https://me:secret@imagery.test/webhooks/planet/key"
LIST = f"{PLANET_URL}/compute/ops/orders/v2"


@pytest.fixture
def orders(client: PlanetClient) -> PlanetOrders:
    return PlanetOrders(client)


def test_an_order_is_put_as_planet_documents_it() -> None:
    assert order_body("planet-root", a_wish(), webhook_url=WEBHOOK) == {
        "name": "planet-root",
        "source_type": "scenes",
        "products": [
            {
                "item_ids": ["20200925_161029_69_2223"],
                "item_type": "PSScene",
                "product_bundle": "analytic_sr_udm2",
            }
        ],
        "order_type": "full",
        "tools": [
            {"harmonize": {"target_sensor": "Sentinel-2"}},
            {"clip": {"aoi": square()}},
            {"file_format": {"format": "COG"}},
        ],
        "notifications": {"webhook": {"url": WEBHOOK, "per_order": True}},
    }


def test_several_items_may_come_in_part_and_nobody_need_be_called() -> None:
    body = order_body("x", a_wish(item_ids=("A", "B"), item_states=("", ""), harmonise_to=None), webhook_url=None)
    assert body["order_type"] == "partial"
    assert "notifications" not in body
    assert [list(tool) for tool in body["tools"]] == [["clip"], ["file_format"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"item_ids": (), "item_states": ()},
        {"item_ids": tuple(map(str, range(501))), "item_states": ("",) * 501},
        {"harmonise_to": "Landsat"},
        {"aoi": {"type": "Point", "coordinates": [15.0, 46.0]}},
        {"aoi": {"type": "Polygon", "coordinates": "nonsense"}},
        {"aoi": {}},
        {"assets": ("ortho_udm2", "basic_analytic_4b")},
        {"assets": ()},
        {"collection": "SkySatCollect"},
    ],
    ids=str,
)
def test_an_order_that_cannot_be_put_is_refused_before_it_is_sent(changes: dict[str, Any]) -> None:
    with pytest.raises(ProviderRefused):
        order_body("x", a_wish(**changes), webhook_url=None)


@pytest.mark.parametrize(
    ("assets", "products"),
    [
        (["ortho_analytic_4b_sr", "ortho_udm2"], ["analytic_sr_udm2"]),
        (["ortho_analytic_8b_sr", "ortho_udm2"], ["analytic_8b_sr_udm2"]),
        (["ortho_analytic_4b", "ortho_analytic_4b_xml", "ortho_udm2"], ["analytic_udm2"]),
        (["ortho_analytic_8b"], ["analytic_8b_udm2"]),
        (["ortho_visual"], ["visual"]),
        (["ortho_analytic_4b_xml", "ortho_udm2"], ["analytic_sr_udm2,analytic_udm2"]),
        (["ortho_analytic_8b_xml"], ["analytic_8b_sr_udm2,analytic_8b_udm2"]),
        (["ortho_analytic_4b_sr", "ortho_analytic_8b_sr", "ortho_udm2"], ["analytic_8b_sr_udm2", "analytic_sr_udm2"]),
        (["ortho_analytic_4b_sr", "ortho_udm2", "ortho_visual"], ["analytic_sr_udm2", "visual"]),
    ],
)
def test_a_wish_of_assets_becomes_bundles_and_what_each_may_fall_back_on(
    assets: list[str], products: list[str]
) -> None:
    body = order_body("x", a_wish(assets=tuple(assets)), webhook_url=None)
    assert [one["product_bundle"] for one in body["products"]] == products


@pytest.mark.parametrize(
    ("name", "status", "words", "files", "links"),
    [
        ("create_202_queued", OrderStatus.ORDERED, "Preparing order", 0, 0),
        ("create_202_queued_hosting", OrderStatus.ORDERED, "Preparing order", 0, 0),
        ("create_202_queued_zip_notifications", OrderStatus.ORDERED, "Preparing order", 0, 0),
        ("get_running_starting", OrderStatus.PENDING, "starting", 0, 0),
        ("get_running_merge", OrderStatus.PENDING, "Waiting for merge operations", 0, 0),
        ("get_running_delivering", OrderStatus.PENDING, "delivering results", 0, 0),
        ("get_running_delivery", OrderStatus.PENDING, "Waiting for delivery", 0, 0),
        ("get_failed", OrderStatus.FAILED, "Unable to accept order: You must have write/delete access", 0, 0),
        ("get_success_clip_mixed_names", OrderStatus.SUCCEEDED, "Delivery completed", 8, 8),
        ("get_success_planet_folders", OrderStatus.SUCCEEDED, "Manifest delivery completed", 9, 0),
        ("get_success_zip_results", OrderStatus.SUCCEEDED, "Manifest delivery completed", 5, 5),
        ("sdk_order_description", OrderStatus.ORDERED, "string", 3, 0),
    ],
)
def test_every_recorded_order_is_read(
    api: Api,
    orders: PlanetOrders,
    recorded: Callable[[str], Any],
    name: str,
    status: OrderStatus,
    words: str,
    files: int,
    links: int,
) -> None:
    body = recorded(f"orders/{name}")
    api.says(httpx.Response(200, json=body))
    reading = orders.get(body["id"])
    assert reading is not None
    assert (reading.order_id, reading.name, reading.status) == (body["id"], body["name"], status)
    assert reading.message.startswith(words) or words in reading.message
    assert "{" not in reading.message.split(":")[0]
    assert len(reading.results) == files
    assert sum(1 for one in reading.results if one.url) == links


def test_links_say_when_they_end_and_those_that_never_do_say_so(recorded: Callable[[str], Any]) -> None:
    mixed = parse_order(recorded("orders/get_success_clip_mixed_names"))
    assert mixed.results[0].expires_at == datetime(2022, 11, 15, 18, 22, 49, 403000, tzinfo=UTC)
    folders = parse_order(recorded("orders/get_success_planet_folders"))
    assert {one.expires_at for one in folders.results} == {None}


def test_every_recorded_refusal_ends_as_it_should(
    api: Api, orders: PlanetOrders, recorded: Callable[[str], Any], time: Time
) -> None:
    for one in recorded("errors"):
        time.now += REFUSED_FOR_S
        if one["status"] < 400:
            continue
        api.says(httpx.Response(one["status"], json=one["body"]))
        expected = {401: CredentialsRefused, 409: ProviderThrottled}.get(one["status"], ProviderRefused)
        with pytest.raises(expected) as raised:
            orders.place("x", a_wish(), webhook_url=WEBHOOK)
        for message in _messages(one["body"]):
            assert message in str(raised.value), one["provenance"]


def _messages(body: Any) -> list[str]:
    if isinstance(body, dict):
        own = [body["message"]] if isinstance(body.get("message"), str) else []
        return own + [found for value in body.values() for found in _messages(value)]
    return [found for one in body for found in _messages(one)] if isinstance(body, list) else []


def test_an_order_is_placed_and_the_sdk_is_asked_for_nothing_over_the_network(api: Api, orders: PlanetOrders) -> None:
    api.says(httpx.Response(202, json=an_order()))
    assert orders.place("planet-root", a_wish(), webhook_url=WEBHOOK).order_id == ORDER_ID
    assert [request.url.path for request in api.asked] == ["/compute/ops/orders/v2"]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(202, text=""),
        httpx.Response(202, text="<html>"),
        httpx.Response(202, json={}),
        httpx.Response(202, json=[1]),
        httpx.Response(500),
        httpx.ReadTimeout("slow"),
    ],
    ids=str,
)
def test_an_unsure_answer_is_not_taken_for_a_refusal_nor_asked_again(
    api: Api, orders: PlanetOrders, answer: httpx.Response | Exception
) -> None:
    api.says(answer)
    with pytest.raises(ProviderUnavailable):
        orders.place("planet-root", a_wish(), webhook_url=WEBHOOK)
    assert len(api.asked) == 1


def test_a_state_we_do_not_know_is_not_final(api: Api, orders: PlanetOrders) -> None:
    api.says(httpx.Response(202, json=an_order(state="initializing")))
    assert orders.place("planet-root", a_wish(), webhook_url=None).status is OrderStatus.PENDING


def test_a_partial_order_has_succeeded_in_part() -> None:
    reading = parse_order(an_order(state="partial", error_hints=["B was not found"]))
    assert (reading.status, reading.is_partial) == (OrderStatus.SUCCEEDED, True)
    assert reading.message == "Preparing order; B was not found"


def test_an_order_is_found_by_its_name_on_whatever_page_and_by_no_part_of_it(
    api: Api, orders: PlanetOrders, recorded: Callable[[str], Any]
) -> None:
    first = recorded("orders/list_page_with_next")
    api.says(first, {"orders": [an_order(name="planet-root-2", id="2"), an_order()], "_links": {}})
    found = orders.named("planet-root")
    assert found is not None
    assert found.order_id == ORDER_ID
    assert api.asked[0].url.params["name"] == "planet-root"
    assert str(api.asked[1].url) == first["_links"]["next"]


def test_the_newest_of_a_name_is_found(api: Api, orders: PlanetOrders) -> None:
    newer = an_order(id="newer", created_on="2026-05-02T12:00:00.000Z")
    api.says({"orders": [an_order(), newer]})
    found = orders.named("planet-root")
    assert found is not None
    assert found.order_id == "newer"


def test_a_name_that_is_not_there_is_not_found(api: Api, orders: PlanetOrders, recorded: Callable[[str], Any]) -> None:
    api.says(recorded("orders/list_empty"))
    assert orders.named("planet-root") is None


@pytest.mark.parametrize("page", [{}, {"orders": None}])
def test_a_list_that_is_none_is_not_taken_for_an_empty_one(
    api: Api, orders: PlanetOrders, page: dict[str, Any]
) -> None:
    api.says(page)
    with pytest.raises(ProviderAnswerInvalid):
        orders.named("planet-root")


@pytest.mark.parametrize("is_circle", [True, False])
def test_a_list_without_an_end_is_asked_for_again_later(api: Api, orders: PlanetOrders, is_circle: bool) -> None:
    pages = [1 if is_circle else number for number in range(MAX_PAGES + 1)]
    api.says(
        *[{"orders": [an_order(name="other")], "_links": {"next": f"{LIST}?page_marker={page}"}} for page in pages]
    )
    with pytest.raises(ProviderUnavailable, match="not known"):
        orders.named("planet-root")


def test_orders_of_long_ago_are_not_looked_through(api: Api, client: PlanetClient) -> None:
    api.says({"orders": []})
    assert PlanetOrders(client, clock=lambda: datetime(2026, 5, 1, 12, tzinfo=UTC)).named("planet-root") is None
    assert api.asked[0].url.params["created_on"] == "2026-03-02T12:00:00Z/.."


def test_an_order_planet_does_not_know_is_none(api: Api, orders: PlanetOrders) -> None:
    api.says(httpx.Response(404, json={"message": "Could not load order ID: x."}))
    assert orders.get("../../../other") is None
    assert api.asked[0].url.raw_path == b"/compute/ops/orders/v2/..%2F..%2F..%2Fother"


@pytest.mark.parametrize(
    ("body", "order_id"),
    [
        (b'{"order_id": "%s", "items": []}' % ORDER_ID.encode(), ORDER_ID),
        (b'{"id": "%s", "state": "success"}' % ORDER_ID.encode(), ORDER_ID),
        (b"", None),
        (b"null", None),
        (b"[]", None),
        (b'{"order_id": 7}', None),
        (b'{"order_id": "../../etc/passwd"}', None),
        (b'{"order_id": "' + b"a" * 65 + b'"}', None),
        (b"[" * 100_000, None),
        (b"\xff\xfe", None),
        (b'{"n": 1' + b"0" * 10_000 + b"}", None),
        (b" " * (2**20 + 1), None),
    ],
)
def test_a_notification_of_either_shape_names_its_order_and_garbage_names_none(
    body: bytes, order_id: str | None
) -> None:
    assert parse_notification(body) == order_id


def test_recorded_orders_are_notifications_of_the_older_shape(shared_data: Any) -> None:
    body = (shared_data / "api" / "planet" / "orders" / "get_running_starting.json").read_bytes()
    assert parse_notification(body) == "c33d0332-0bf0-4eb6-95fd-a2715d065300"
