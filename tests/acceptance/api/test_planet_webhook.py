"""The door for Planet's webhooks: plain answers, no leak, and of no use to strangers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from imagery.api.routes.planet import read_body
from imagery.model.order import Order, OrderStatus, OrderWish

from .conftest import Api

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY = "k" * 43
ORDER_ID = "fdc6a140-9342-4f9f-a475-1a38e7846046"
NEWS = {"order_id": ORDER_ID, "name": "n", "state": "success", "items": []}
WHOLE = {"id": ORDER_ID, "name": "n", "state": "success", "products": [], "_links": {}}


def order(**changes: Any) -> Order:
    usual: dict[str, Any] = {
        "name": "req_1",
        "provider": "planet",
        "execution_id": "req_1",
        "task_token": "token",
        "webhook_key": KEY,
        "wish": OrderWish(
            collection="PSScene", item_ids=("a",), item_states=("",), assets=("ortho_udm2",), aoi={"type": "Polygon"}
        ),
        "subscription_ids": ("sub_1",),
        "hectares": 1.0,
        "created_at": datetime(2026, 5, 1, 11, tzinfo=UTC),
        "updated_at": NOW,
    }
    return Order(**{**usual, **changes})


@pytest.fixture
def planet_api(open_api: Callable[..., Api]) -> Callable[..., Api]:
    def opened(**changes: Any) -> Api:
        account = {
            "planet_api_key": "a-key-0123456789",
            "planet_url": "http://127.0.0.1:9",
            "public_url": "http://x.test",
        }
        return open_api(**{**account, **changes})

    return opened


@pytest.fixture
def api(planet_api: Callable[..., Api]) -> Api:
    return planet_api()


def saved(api: Api, **changes: Any) -> Order:
    one = order(**changes)
    api.imagery.orders.save(one)
    return one


def post(api: Api, key: str, **what: Any) -> httpx.Response:
    return api.client(None).post(f"/webhooks/planet/{key}", **what)


@pytest.mark.parametrize("body", [NEWS, WHOLE, {}, [], "x", None])
def test_an_orders_own_url_takes_whatever_is_posted_and_has_the_order_looked_at(api: Api, body: object) -> None:
    saved(api)

    answer = post(api, KEY, json=body)

    assert (answer.status_code, answer.content) == (204, b"")
    found = api.imagery.orders.get("req_1")
    assert found is not None
    assert (found.look_at is not None) is (body in (NEWS, WHOLE))
    assert found.status is OrderStatus.ORDERABLE, "what a stranger may have written is not believed"


def test_news_of_another_order_changes_nothing(api: Api) -> None:
    one = saved(api, order_id="11111111-9342-4f9f-a475-1a38e7846046", status=OrderStatus.ORDERED)

    assert post(api, KEY, json=NEWS).status_code == 204
    assert api.imagery.orders.get("req_1") == one


def test_news_of_an_order_that_is_final_changes_nothing(api: Api) -> None:
    one = saved(api, order_id=ORDER_ID, status=OrderStatus.SUCCEEDED)

    assert [post(api, KEY, json=NEWS).status_code for _ in range(2)] == [204, 204]
    assert api.imagery.orders.get("req_1") == one


@pytest.mark.parametrize("key", ["x", "K" * 43, "k" * 42, "k" * 5000, "%00", "%F0%9F%8C%8D", "..", "'--"])
def test_a_stranger_is_told_nothing_and_nothing_is_written(api: Api, key: str) -> None:
    one = saved(api)

    answer = post(api, key, json=NEWS)

    assert (answer.status_code, len(answer.content) < 1000) == (404, True)
    assert api.imagery.orders.get("req_1") == one


def test_a_body_that_is_not_planets_is_refused_unread(api: Api) -> None:
    saved(api)

    assert post(api, KEY, content=b" " * (2**20 + 1)).status_code == 413
    assert post(api, "stranger", content=b" " * (2**20 + 1)).status_code == 404
    assert post(api, KEY, content=b"[" * 100_000).status_code == 204


def test_a_body_that_comes_too_slowly_is_not_waited_for() -> None:
    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError("it was waited for")

    request = Request({"type": "http", "headers": []}, receive)

    with pytest.raises(TimeoutError):
        asyncio.run(read_body(request, within_s=0.01))


def test_a_url_that_is_almost_an_orders_is_not_redirected(api: Api) -> None:
    saved(api)

    for path in (f"/webhooks/planet/{KEY}/", "/webhooks/planet/", "/webhooks/planet"):
        answer = api.client(None).post(path, json=NEWS, headers={"Host": "evil.example"})
        assert (answer.status_code, answer.headers.get("location")) == (404, None)
    assert api.client(None).get(f"/webhooks/planet/{KEY}").status_code == 405


@pytest.mark.parametrize(
    ("credentials", "status"),
    [(None, 401), (("planet", "wrong"), 401), (("planet", "p@ss:word"), 204), (("x", "p@ss:word"), 401)],
)
def test_the_name_and_password_that_were_given_out_are_asked_for(
    planet_api: Callable[..., Api], credentials: tuple[str, str] | None, status: int
) -> None:
    api = planet_api(planet_webhook_user="planet", planet_webhook_password="p@ss:word")
    saved(api)
    assert api.imagery.planet is not None
    assert api.imagery.planet.orders.webhook_url == "http://planet:p%40ss%3Aword@x.test/webhooks/planet"

    auth = httpx.BasicAuth(*credentials) if credentials else None
    assert post(api, KEY, json=NEWS, auth=auth).status_code == status
    for header in ("Basic", "Basic !!!", "Bearer x", "Basic \u00ff".encode("latin-1")):
        assert post(api, KEY, json=NEWS, headers={"Authorization": header}).status_code == 401


def test_neither_key_nor_body_are_in_the_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    saved(api)

    with caplog.at_level(logging.DEBUG, logger="imagery"):
        post(api, KEY, json={"order_id": ORDER_ID, "secret": "do-not-log"})
        post(api, f"{KEY}/", json=NEWS)
        api.client(None).get(f"/webhooks/planet/{KEY}")

    said = "\n".join(record.getMessage() + str(record.__dict__) for record in caplog.records)
    assert "/webhooks/planet/***" in said
    assert KEY not in said
    assert "do-not-log" not in said


def test_without_an_account_there_is_no_such_door(open_api: Callable[..., Api]) -> None:
    assert post(open_api(), KEY, json=NEWS).status_code == 404


def test_operators_see_orders_without_what_opens_them(api: Api) -> None:
    saved(api, task_token="token-that-resumes")

    answer = api.client("olga", operator=True).get("/v1/orders", params={"status": "orderable"})

    assert [one["name"] for one in answer.json()["orders"]] == ["req_1"]
    assert KEY not in answer.text
    assert "token-that-resumes" not in answer.text
    assert api.client("ana").get("/v1/orders").status_code == 403


def test_metrics_count_orders(api: Api) -> None:
    saved(api)

    said = api.client("olga", operator=True).get("/metrics").text

    assert 'imagery_orders{status="orderable"} 1.0' in said
    assert "imagery_ordered_hectares_today 1.0" in said
    assert 'imagery_provider_key_refused{provider="planet"} 0.0' in said
