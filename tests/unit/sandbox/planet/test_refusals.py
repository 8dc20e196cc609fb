"""Orders the local Planet does not take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import ORDERS, Desk


def _many_vertices(aoi: dict[str, Any]) -> dict[str, Any]:
    (x, y) = aoi["coordinates"][0][0]
    angles = np.linspace(0, 2 * np.pi, 1600, endpoint=False)
    ring = [[x + 0.001 * float(np.cos(a)), y + 0.001 * float(np.sin(a))] for a in angles]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def test_orders_that_cannot_be_are_refused_as_recorded(desk: Desk, shared_data: Path) -> None:
    recorded = json.loads((shared_data / "api" / "planet" / "errors.json").read_text("utf-8"))
    bodies = [one["body"] for one in recorded if one["api"] == "orders create"]
    good = desk.body()
    product = good["products"][0]
    without = next(one for one in desk.ids() if one not in desk.ids("ortho_analytic_4b_sr"))

    def refusal(**changes: Any) -> dict[str, Any]:
        body = {**good, "products": [{**product, **changes}]}
        response = desk.client.post(ORDERS, json=body)
        assert response.status_code == 400
        return dict(response.json())

    said = refusal(item_type="invalid", product_bundle="analytic_udm2")
    assert said["field"] == {"Products": [{"message": "Bad item type 'invalid' for bundle type 'analytic_udm2'"}]}
    assert said["general"] == bodies[0]["general"]
    assert refusal(item_ids=[]) in bodies
    assert refusal(item_ids=[without]) in bodies
    assert refusal(item_ids=["nowhere"])["field"] == {
        "Details": [{"message": "Item ID nowhere / Item Type PSScene doesn't exist"}]
    }
    assert "at most 500" in str(refusal(item_ids=[f"{number}" for number in range(501)]))
    assert (
        "at most 1500"
        in desk.client.post(ORDERS, json={**good, "tools": [{"clip": {"aoi": _many_vertices(desk.aoi)}}]}).text
    )
    assert desk.client.post(ORDERS, json={**good, "delivery": {"amazon_s3": {}}}).json()["code"] == 602
    assert desk.planet.account.book.count_by_name() == {}


@pytest.mark.parametrize("body", ["", "[]", "null", "{", '"x"', '{"name": 1}', '{"name":"x","products":[1]}'])
def test_garbage_is_refused(desk: Desk, body: str) -> None:
    assert desk.client.post(ORDERS, content=body).status_code == 400
    assert desk.client.post("/data/v1/quick-search", content=body).status_code == 400


def test_hectares_are_those_of_the_aoi_and_a_quota_is_final(desk: Desk) -> None:
    desk.create("within")
    used = desk.client.get("/_orders").json()["hectares"]
    desk.planet.account.manners.change(quota_hectares=used * 1.5)

    refused = desk.client.post(ORDERS, json=desk.body("beyond"))

    assert 0.5 < used < 1.1
    assert refused.status_code == 429
    assert refused.json()["general"] == [{"message": "Download quota has been exceeded."}]
    assert desk.client.get("/_orders").json()["by_name"] == {"within": 1}


@pytest.mark.parametrize("url", ["http://[bad", "ftp://127.0.0.1/x", None, ""])
def test_a_webhook_that_cannot_be_called_is_refused(desk: Desk, url: str | None) -> None:
    body = desk.body(notifications={"webhook": {"url": url}})

    assert desk.client.post(ORDERS, json=body).status_code == 400
