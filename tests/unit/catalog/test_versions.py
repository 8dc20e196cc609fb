"""Versions of a product in the catalog: links that lead to the other one, and searches that leave out the old ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from imagery.catalogs.sqlite.api.access import Access
from imagery.catalogs.sqlite.app import create_app
from tests.unit.catalog.test_api import client_of

BESIDE = "http://testserver/stac/collections/clips/items"
CURRENT_TEXT = "deprecated IS NULL"
CURRENT_JSON = {"op": "isNull", "args": [{"property": "deprecated"}]}


@pytest.fixture
def served(store, make_item) -> Iterator[httpx.Client]:
    """Open to all, mounted under /stac; `old` was superseded by `new`, `only` never was."""
    old = make_item("old", **{"deprecated": True, "expires": "2026-06-01T00:00:00Z", "version": "1"})
    old["links"].append({"rel": "successor-version", "href": "./new", "type": "application/geo+json", "title": "new"})
    new = make_item("new", **{"version": "2", "imagery:clear_fraction": 0.75})
    new["links"].append({"rel": "predecessor-version", "href": "./old"})
    store.put_items([old, new, make_item("only", **{"version": "1", "imagery:clear_fraction": 0.5})])
    app = create_app(store, title="Clips", access=Access(caller_of=lambda _: None, public=True))
    with client_of(Starlette(routes=[Mount("/stac", app)])) as client:
        yield client


def link_of(item: dict[str, Any], rel: str) -> dict[str, Any]:
    (link,) = [link for link in item["links"] if link["rel"] == rel]
    return link


def found(client: httpx.Client, **search: Any) -> dict[str, dict[str, Any]]:
    answer = client.post("/stac/search", json=search)
    assert answer.status_code == 200, answer.text
    return {feature["id"]: feature for feature in answer.json()["features"]}


def test_a_link_to_another_version_leads_there_from_an_item(served):
    old = served.get("/stac/collections/clips/items/old").json()
    link = link_of(old, "successor-version")
    assert link == {
        "rel": "successor-version",
        "href": f"{BESIDE}/new",
        "type": "application/geo+json",
        "title": "new",
    }
    new = served.get(link["href"]).json()
    assert link_of(new, "predecessor-version")["href"] == link_of(old, "self")["href"]
    assert link_of(old, "derived_from")["href"] == "https://example.com/source"


def test_a_link_to_another_version_leads_there_from_a_search_and_a_list(served):
    listed = served.get("/stac/collections/clips/items").json()["features"]
    searched = served.get("/stac/search", params={"fields": "links"}).json()["features"]
    for features in (listed, searched, found(served).values()):
        by_id = {feature["id"]: feature for feature in features}
        assert link_of(by_id["old"], "successor-version")["href"] == f"{BESIDE}/new"
        assert link_of(by_id["new"], "predecessor-version")["href"] == f"{BESIDE}/old"


def test_links_that_are_no_siblings_are_left_as_they_are(store, make_item, served):
    odd = make_item("odd")
    odd["links"] = [
        {"rel": "about", "href": "./new", "title": "./x"},
        {"rel": "about", "href": 7},
        {"rel": "about"},
        {"rel": "about", "href": "../elsewhere"},
        {"rel": "about", "href": "https://example.com/./new"},
    ]
    store.put_items([odd])
    links = served.get("/stac/collections/clips/items/odd").json()["links"]
    about = [link.get("href") for link in links if link["rel"] == "about"]
    assert about == [f"{BESIDE}/new", 7, None, "../elsewhere", "https://example.com/./new"]


def test_what_is_stored_stays_relative(store, served):
    served.get("/stac/collections/clips/items/old")
    assert link_of(store.get_item("clips", "old").to_dict(), "successor-version")["href"] == "./new"


def test_a_search_finds_old_versions_as_well(served):
    assert set(found(served)) == {"old", "new", "only"}


@pytest.mark.parametrize(
    ("text", "tree", "expected"),
    [
        (CURRENT_TEXT, CURRENT_JSON, {"new", "only"}),
        ("deprecated = TRUE", {"op": "=", "args": [{"property": "deprecated"}, True]}, {"old"}),
        (
            'deprecated IS NULL AND "imagery:clear_fraction" >= 0.6',
            {"op": "and", "args": [CURRENT_JSON, {"op": ">=", "args": [{"property": "imagery:clear_fraction"}, 0.6]}]},
            {"new"},
        ),
        (
            "expires < TIMESTAMP('2027-01-01T00:00:00Z')",
            {"op": "<", "args": [{"property": "expires"}, {"timestamp": "2027-01-01T00:00:00Z"}]},
            {"old"},
        ),
    ],
)
def test_a_filter_tells_versions_apart_as_text_and_as_json(served, text, tree, expected):
    assert set(found(served, **{"filter": text, "filter-lang": "cql2-text"})) == expected
    assert set(found(served, **{"filter": tree, "filter-lang": "cql2-json"})) == expected
    for path in ("/stac/search", "/stac/collections/clips/items"):
        for lang, expression in (("cql2-text", text), ("cql2-json", json.dumps(tree))):
            answer = served.get(path, params={"filter": expression, "filter-lang": lang})
            assert {feature["id"] for feature in answer.json()["features"]} == expected, (path, lang)


def test_what_tells_versions_and_clear_images_apart_can_be_queried(served):
    for path in ("/stac/queryables", "/stac/collections/clips/queryables"):
        names = served.get(path).json()["properties"]
        assert {"version", "deprecated", "expires", "imagery:clear_fraction", "imagery:acquisition"} <= names.keys()
        assert names["deprecated"]["type"] == "boolean"
