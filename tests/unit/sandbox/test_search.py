"""The sandbox answers as Earth Search was recorded to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pystac_client
import pytest

from imagery.sandbox.scenes import Scenes
from imagery.sandbox.shelf import Shelf

from .conftest import NOW, twin


def post(sandbox: httpx.Client, **body: Any) -> dict[str, Any]:
    response = sandbox.post("/search", json=body)
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


def ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["features"]]


def pages(sandbox: httpx.Client, **body: Any) -> Iterator[dict[str, Any]]:
    page = post(sandbox, **body)
    while True:
        yield page
        link = next((link for link in page["links"] if link["rel"] == "next"), None)
        if link is None:
            return
        assert (link["method"], link["merge"]) == ("POST", False)
        page = sandbox.post(link["href"], json=link["body"]).json()


def test_a_full_result_links_on_to_an_empty_page_without_a_link(sandbox: httpx.Client) -> None:
    found = list(pages(sandbox, collections=["sentinel-2-l2a"], bbox=[15.0, 45.0, 16.0, 47.0]))
    assert [len(page["features"]) for page in found] == [10, 2, 0]
    assert [page["context"] for page in found] == [{"limit": 10, "matched": 12, "returned": n} for n in (10, 2, 0)]
    assert len({item for page in found for item in ids(page)}) == 12


def test_the_next_body_is_the_request_with_a_token(sandbox: httpx.Client) -> None:
    page = post(sandbox, bbox=[15.0, 45.0, 16.5, 47.0], limit=1, filter={"op": "and"})
    link = page["links"][0]
    last = page["features"][0]
    assert link["body"] == {
        "bbox": [15, 45, 16.5, 47],
        "limit": 1,
        "next": f"{last['properties']['datetime']},{last['id']},sentinel-2-l2a",
    }


def test_the_newest_acquisition_comes_first(sandbox: httpx.Client) -> None:
    times = [item["properties"]["datetime"] for page in pages(sandbox) for item in page["features"]]
    assert times == sorted(times, reverse=True)


def test_no_result_is_one_page_without_a_link(sandbox: httpx.Client) -> None:
    page = post(sandbox, bbox=[0, 0, 1, 1])
    assert (page["features"], [link["rel"] for link in page["links"]]) == ([], ["root"])


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"collections": ["naip"]}, 0),
        ({"ids": ["S2A_33TWM_20260405_0_L2A"]}, 1),
        ({"datetime": "2026-04-05T00:00:00Z/2026-04-10T23:59:59Z"}, 4),
        ({"datetime": "../2026-04-05T23:59:59Z"}, 2),
        ({"datetime": "2026-04-05T09:57:57Z"}, 1),
        ({"bbox": [170.0, 45.0, -170.0, 47.0]}, 0),
        ({"bbox": [15.0, 45.0, 0.0, 16.0, 47.0, 1000.0]}, 12),
        ({"query": {"eo:cloud_cover": {"lte": 20}}}, 8),
        ({"query": {"eo:cloud_cover": {"lte": "20"}}}, 8),
        ({"query": {"grid:code": {"eq": "MGRS-33TWM"}, "platform": {"in": ["sentinel-2a"]}}}, 3),
        ({"query": {"grid:code": {"startsWith": "MGRS", "endsWith": "WL", "contains": "33"}}}, 6),
        ({"query": {"platform": {"neq": "sentinel-2a"}}}, 6),
        ({"query": {"updated": {"gte": "2026-04-30T00:00:00+00:00"}}}, 2),
        ({"query": {"nonsense": {"gt": 1}}}, 0),
    ],
    ids=str,
)
def test_a_search_finds_what_it_asks_for(sandbox: httpx.Client, body: dict[str, Any], count: int) -> None:
    assert post(sandbox, **body, limit=100)["numberMatched"] == count


@pytest.mark.parametrize(
    "body",
    [
        {"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [0, 0]}},
        {"bbox": [0, 0, 1]},
        {"bbox": [0, 1, 1, 0]},
        {"limit": -1},
        {"limit": "many"},
        {"datetime": "yesterday"},
        {"datetime": "2026-05-01T00:00:00Z/2026-04-01T00:00:00Z"},
        {"intersects": {"type": "Blob"}},
        {"query": {"eo:cloud_cover": {"about": 5}}},
        {"sortby": ["-datetime"]},
        {"next": "nonsense"},
    ],
    ids=str,
)
def test_a_search_that_cannot_be_read_is_a_bad_request(sandbox: httpx.Client, body: dict[str, Any]) -> None:
    response = sandbox.post("/search", json=body)
    assert (response.status_code, response.json()["code"]) == (400, "BadRequest")


def test_a_body_that_is_no_json_is_a_bad_request(sandbox: httpx.Client) -> None:
    assert sandbox.post("/search", content=b"{").status_code == 400
    assert sandbox.post("/search", content=b"[]").status_code == 400


def test_sorted_pages_hold_every_item_once_though_some_are_published_anew(
    growing_sandbox: httpx.Client, shelf: Shelf
) -> None:
    sortby = [{"field": "properties.updated", "direction": "asc"}]
    seen: list[str] = []
    for number, page in enumerate(pages(growing_sandbox, limit=5, sortby=sortby)):
        seen += ids(page)
        if number == 0:
            shelf.publish(shelf.get("sentinel-2-l2a", seen[0]), now=NOW)
    assert len(seen) == 13
    assert seen[-1] == seen[0]
    assert len(set(seen)) == 12


@pytest.mark.parametrize("field", ["eo:cloud_cover", "properties.nothing", "id"])
def test_paging_is_whole_in_any_order(sandbox: httpx.Client, field: str) -> None:
    for direction in ("asc", "desc"):
        found = [
            i for page in pages(sandbox, limit=1, sortby=[{"field": field, "direction": direction}]) for i in ids(page)
        ]
        assert len(found) == len(set(found)) == 12


def test_get_says_the_same_as_post(sandbox: httpx.Client) -> None:
    parameters = {
        "bbox": "15,45,16,47",
        "collections": "sentinel-2-l2a",
        "query": json.dumps({"eo:cloud_cover": {"lt": 20}}),
        "sortby": "-properties.eo:cloud_cover,+id",
        "fields": "id,properties.datetime,-links",
    }
    page = sandbox.get("/search", params=parameters).json()
    assert page["numberMatched"] == 8
    assert set(page["features"][0]) == {"id", "collection", "type", "stac_version", "properties"}
    assert set(page["features"][0]["properties"]) == {"datetime"}


def test_items_of_a_collection_page_by_get_links(sandbox: httpx.Client) -> None:
    page = sandbox.get("/collections/sentinel-2-l2a/items").json()
    assert [link["rel"] for link in page["links"]] == ["next", "root", "self", "collection"]
    page = sandbox.get(page["links"][0]["href"]).json()
    assert len(page["features"]) == 2
    page = sandbox.get(page["links"][0]["href"]).json()
    assert page["features"] == []
    assert sandbox.get("/collections/foo/items").status_code == 404


@pytest.mark.parametrize("path", ["/collections/foo", "/collections/sentinel-2-l2a/items/foo", "/nowhere"])
def test_what_is_not_there_is_said_as_recorded(sandbox: httpx.Client, path: str) -> None:
    response = sandbox.get(path)
    assert (response.status_code, response.json()) == (404, {"code": "NotFound", "description": "Not Found"})


def test_the_landing_page_says_what_earth_search_said(sandbox: httpx.Client, shared_data: Path) -> None:
    recorded = json.loads((shared_data / "api/earth_search/exchanges/01_landing_v1.json").read_text())["response"][
        "body"
    ]
    ours = sandbox.get("/").json()["conformsTo"]
    assert [one for one in recorded["conformsTo"] if "aggregation" not in one] == ours
    assert sandbox.get("/conformance").json() == {"conformsTo": ours}


def test_a_published_scene_is_found_at_once(growing_sandbox: httpx.Client, shelf: Shelf, synthetic: Scenes) -> None:
    shelf.publish(twin(synthetic.scenes[0], "NEW"), now=NOW)
    found = post(growing_sandbox, query={"updated": {"gte": "2026-05-01T12:00:00Z"}})
    assert ids(found) == ["NEW"]


def test_a_scene_published_again_keeps_its_created(shelf: Shelf, synthetic: Scenes) -> None:
    first = synthetic.scenes[0]
    shelf.publish(first, now=NOW + timedelta(days=1))
    properties = shelf.get(first.collection, first.id).item["properties"]
    assert properties["created"] == first.item["properties"]["created"]
    assert properties["updated"] == "2026-05-02T12:00:00.000000Z"


def test_pystac_client_finds_every_item_once(sandbox_url: str) -> None:
    catalog = pystac_client.Client.open(sandbox_url)
    search = catalog.search(collections=["sentinel-2-l2a"], limit=5, query={"eo:cloud_cover": {"lt": 90}})
    found = [item.id for item in search.items()]
    assert len(found) == len(set(found)) == 12
    assert search.matched() == 12
    assert [one.id for one in catalog.get_collections()] == ["sentinel-2-l2a"]
    newest = next(catalog.search(max_items=1, sortby="-properties.datetime").items())
    assert newest.assets["red"].href.startswith(f"{sandbox_url}/files/")
