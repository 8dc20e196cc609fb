"""What an analyst does with pystac-client, against a real server on a loopback port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pystac_client
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from imagery.catalogs.sqlite.api.access import Access
from imagery.catalogs.sqlite.app import create_app
from imagery.model.access import Caller


@pytest.fixture(scope="module")
def url(full) -> Iterator[str]:
    """Of the API over the 600 items, mounted under /stac; the key `anna` sees anna's."""

    def caller_of(request):
        known = {"Bearer anna": Caller(owner="anna"), "Bearer op": Caller(owner="op", operator=True)}
        return known.get(request.headers.get("authorization", ""))

    app = Starlette(routes=[Mount("/stac", create_app(full, title="Clips", access=Access(caller_of=caller_of)))])
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/stac"
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def client(url) -> pystac_client.Client:
    return pystac_client.Client.open(url, headers={"Authorization": "Bearer op"})


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_search_by_everything_at_once_pages_to_its_end(client, items, method):
    search = client.search(
        method=method,
        collections=["clips"],
        bbox=[-10, 35, 33, 63],
        datetime="2022-01-01/2023-12-31",
        sortby=["-properties.eo:cloud_cover", "+id"],
        query=["eo:cloud_cover<50"],
        limit=7,
    )
    expected = [
        (-item["properties"]["eo:cloud_cover"], item["id"])
        for item in items
        if item["collection"] == "clips"
        and item["properties"].get("eo:cloud_cover", 100) < 50
        and "2022" <= item["properties"]["datetime"] < "2024"
    ]
    assert [item.id for item in search.items()] == [item_id for _, item_id in sorted(expected)]
    assert search.matched() == len(expected)


@pytest.mark.parametrize(
    ("method", "expression", "language"),
    [
        ("GET", "eo:cloud_cover < 10 AND platform = 'PSB'", "cql2-text"),
        ("POST", "eo:cloud_cover < 10 AND platform = 'PSB'", "cql2-text"),
        ("POST", "eo:cloud_cover < 10 AND platform = 'PSB'", None),
        (
            "POST",
            {
                "op": "and",
                "args": [
                    {"op": "<", "args": [{"property": "eo:cloud_cover"}, 10]},
                    {"op": "=", "args": [{"property": "platform"}, "PSB"]},
                ],
            },
            "cql2-json",
        ),
    ],
)
def test_a_filter_finds_the_same_as_text_and_as_json(client, items, method, expression, language):
    expected = {
        item["id"]
        for item in items
        if item["properties"].get("eo:cloud_cover", 100) < 10 and item["properties"]["platform"] == "PSB"
    }
    search = client.search(method=method, filter=expression, filter_lang=language, limit=5)
    assert {item.id for item in search.items()} == expected


def test_ids_and_fields(client):
    search = client.search(ids=["item-1", "item-2"], fields=["id", "properties.gsd"])
    assert {each["id"]: list(each["properties"]) for each in search.items_as_dicts()} == {
        "item-1": ["gsd"],
        "item-2": ["gsd"],
    }


def test_a_collection_gives_all_its_items_through_many_pages(client, items):
    expected = sorted(item["id"] for item in items if item["collection"] == "planet")
    collection = client.get_collection("planet")
    assert sorted(item.id for item in collection.get_items()) == expected
    assert collection.get_item(expected[0]).id == expected[0]
    assert {each.id for each in client.get_collections()} == {"clips", "planet"}


def test_a_key_shows_its_owners_items_only(url, items):
    annas = pystac_client.Client.open(url, headers={"Authorization": "Bearer anna"})
    found = {item.id for item in annas.search(limit=1000).items()}
    assert found == {item["id"] for item in items if item["properties"]["imagery:owner"] == "anna"}


def test_without_a_key_the_answer_says_what_to_send(url):
    stranger = pystac_client.Client.open(url)
    with pytest.raises(pystac_client.exceptions.APIError, match="Authorization: Bearer"):
        list(stranger.search().items())
