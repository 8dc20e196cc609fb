"""The STAC API over HTTP: who may do what, links that lead somewhere, and no 5xx for what a caller sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from imagery.api.problems import KINDS
from imagery.catalogs.sqlite.api.access import Access
from imagery.catalogs.sqlite.app import create_app
from imagery.model.access import Caller

KEYS = {
    "Bearer anna": Caller(owner="anna"),
    "Bearer ben": Caller(owner="ben"),
    "Bearer operator": Caller(owner="operator", operator=True),
}
ANNA, BEN, OPERATOR = ({"Authorization": key} for key in KEYS)
ITEMS = "/stac/collections/clips/items"


def caller_of(request: Request) -> Caller | None:
    return KEYS.get(request.headers.get("authorization", ""))


class AsgiTransport(httpx.BaseTransport):
    """Carries a request to an application in this process, with the bytes as they are."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def carry() -> httpx.Response:
            sent = httpx.Request(request.method, request.url, headers=request.headers, content=body)
            answer = await self._inner.handle_async_request(sent)
            raw = b"".join([part async for part in answer.stream])
            return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(raw))

        body = request.read()
        return asyncio.run(carry())


def client_of(app: Any) -> httpx.Client:
    return httpx.Client(transport=AsgiTransport(app), base_url="http://testserver")


@pytest.fixture
def served(store, make_item) -> Iterator[httpx.Client]:
    """Private, mounted under /stac; anna has two items and ben one."""
    store.put_items([make_item("hers-1", **{"eo:cloud_cover": 3}), make_item("hers-2", **{"eo:cloud_cover": 40})])
    store.put_items([make_item("his", owner="ben", collection="planet")])
    app = create_app(store, title="Clips", access=Access(caller_of=caller_of))
    with client_of(Starlette(routes=[Mount("/stac", app)])) as client:
        yield client


@pytest.fixture
def public(store, make_item) -> Iterator[httpx.Client]:
    store.put_items([make_item(f"hers-{n}", **{"eo:cloud_cover": n}) for n in range(25)])
    store.put_items([make_item("his", owner="ben", collection="planet")])
    app = create_app(store, title="Clips", access=Access(caller_of=caller_of, public=True))
    with client_of(app) as client:
        yield client


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return sorted(feature["id"] for feature in answer.json()["features"])


def is_problem(answer: Any, status: int) -> bool:
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"title", "status", "detail", "instance"} <= body.keys()
    assert body["type"].startswith("/problems/")
    return answer.status_code == body["status"] == status


@pytest.mark.parametrize("path", ["/", "/conformance", "/api", "/api.html", "/queryables", "/collections/x/queryables"])
def test_what_describes_the_service_is_open(served, path):
    assert served.get("/stac" + path).status_code == 200


@pytest.mark.parametrize("path", ["/collections", "/collections/clips", "/collections/clips/items", "/search"])
def test_reading_needs_a_key_and_the_answer_says_how_to_send_it(served, path):
    answer = served.get("/stac" + path)
    assert is_problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer" in answer.json()["detail"]
    assert is_problem(served.get("/stac" + path, headers={"Authorization": "Bearer wrong"}), 401)


def test_an_owner_reads_their_own_and_an_operator_everything(served):
    assert ids(served.get("/stac/search", headers=ANNA)) == ["hers-1", "hers-2"]
    assert ids(served.post("/stac/search", json={}, headers=BEN)) == ["his"]
    assert ids(served.get("/stac/search", headers=OPERATOR)) == ["hers-1", "hers-2", "his"]
    assert [each["id"] for each in served.get("/stac/collections", headers=ANNA).json()["collections"]] == ["clips"]
    assert served.get(f"{ITEMS}/hers-1", headers=ANNA).status_code == 200
    assert is_problem(served.get("/stac/collections/planet/items/his", headers=ANNA), 404)
    assert is_problem(served.get("/stac/collections/planet", headers=ANNA), 404)
    assert is_problem(served.get("/stac/collections/planet/items", headers=ANNA), 404)


def test_a_public_catalog_is_read_but_not_written_by_anybody(public, make_item):
    assert len(ids(public.get("/search?limit=100"))) == 26
    assert is_problem(public.post("/collections/clips/items", json=make_item("new")), 401)
    assert is_problem(public.delete("/collections/clips/items/hers-1"), 401)
    assert ids(public.get("/search", headers=BEN)) == ["his"]


def test_an_owner_writes_items_of_their_own(served, make_item):
    new = make_item("new")
    del new["properties"]["imagery:owner"], new["links"]
    created = served.post(ITEMS, json=new, headers=ANNA)
    assert created.status_code == 201
    assert created.json()["properties"]["imagery:owner"] == "anna"
    assert served.get(created.headers["location"], headers=ANNA).json() == created.json()

    replaced = {**new, "properties": {"datetime": "2025-01-01T00:00:00Z", "gsd": 5}}
    assert served.put(f"{ITEMS}/new", json=replaced, headers=ANNA).status_code == 204
    patch = {"properties": {"gsd": None, "title": "field"}}
    assert served.patch(f"{ITEMS}/new", json=patch, headers=ANNA).status_code == 204
    properties = served.get(f"{ITEMS}/new", headers=ANNA).json()["properties"]
    assert properties == {"datetime": "2025-01-01T00:00:00Z", "title": "field", "imagery:owner": "anna"}
    assert served.delete(f"{ITEMS}/new", headers=ANNA).status_code == 204
    assert is_problem(served.delete(f"{ITEMS}/new", headers=ANNA), 404)


def test_several_items_are_created_together_or_not_at_all(served, make_item):
    several = {"type": "FeatureCollection", "features": [make_item("n1"), make_item("n2")]}
    assert served.post(ITEMS, json=several, headers=ANNA).status_code == 201
    several["features"] = [make_item("n3"), make_item("n1")]
    assert is_problem(served.post(ITEMS, json=several, headers=ANNA), 409)
    assert ids(served.get("/stac/search", headers=ANNA)) == ["hers-1", "hers-2", "n1", "n2"]


def test_nobody_writes_what_is_anothers(served, make_item):
    others = make_item("mine", owner="ben")
    assert is_problem(served.post(ITEMS, json=others, headers=ANNA), 403)
    taken = make_item("hers-1", owner="ben")
    assert is_problem(served.post(ITEMS, json=taken, headers=BEN), 409)
    assert is_problem(served.put(f"{ITEMS}/hers-1", json=taken, headers=BEN), 404)
    assert is_problem(served.patch(f"{ITEMS}/hers-1", json={"properties": {"gsd": 1}}, headers=BEN), 404)
    assert is_problem(served.delete(f"{ITEMS}/hers-1", headers=BEN), 404)
    stolen = {"properties": {"imagery:owner": "ben"}}
    assert is_problem(served.patch(f"{ITEMS}/hers-1", json=stolen, headers=ANNA), 403)
    assert served.get(f"{ITEMS}/hers-1", headers=ANNA).json()["properties"]["imagery:owner"] == "anna"


def test_what_a_subscription_delivered_is_changed_through_the_subscription_only(served, store, make_item):
    delivered = make_item("delivered", **{"imagery:subscription_id": "sub_1"})
    store.put_items([delivered])
    url = f"{ITEMS}/delivered"
    bare = make_item("delivered")
    for answer in (
        served.delete(url, headers=ANNA),
        served.put(url, json=delivered, headers=ANNA),
        served.put(url, json=bare, headers=ANNA),
        served.patch(url, json={"properties": {"gsd": 1}}, headers=ANNA),
        served.patch(url, json={"properties": {"imagery:subscription_id": None}}, headers=ANNA),
    ):
        assert is_problem(answer, 403)
        assert answer.json()["type"] == "/problems/forbidden"
        assert "the subscription sub_1" in answer.json()["detail"]
    assert store.get_item("clips", "delivered").to_dict() == delivered
    assert is_problem(served.delete(url, headers=BEN), 404)
    assert served.patch(url, json={"properties": {"gsd": 1}}, headers=OPERATOR).status_code == 204
    assert served.delete(url, headers=OPERATOR).status_code == 204
    assert is_problem(served.delete(url, headers=OPERATOR), 404)


def test_nobody_but_an_operator_says_that_a_subscription_made_an_item(served, make_item):
    forged = make_item("forged", **{"imagery:subscription_id": "sub_of_ben"})
    assert is_problem(served.post(ITEMS, json=forged, headers=ANNA), 403)
    several = {"type": "FeatureCollection", "features": [make_item("n1"), forged]}
    assert is_problem(served.post(ITEMS, json=several, headers=ANNA), 403)
    assert is_problem(served.put(f"{ITEMS}/hers-1", json={**forged, "id": "hers-1"}, headers=ANNA), 403)
    added = {"properties": {"imagery:subscription_id": "sub_of_ben"}}
    assert is_problem(served.patch(f"{ITEMS}/hers-1", json=added, headers=ANNA), 403)
    assert ids(served.get("/stac/search", headers=ANNA)) == ["hers-1", "hers-2"]
    assert served.post(ITEMS, json=forged, headers=OPERATOR).status_code == 201


def test_an_operators_change_leaves_an_item_with_its_owner(served, make_item):
    changed = make_item("hers-1")
    del changed["properties"]["imagery:owner"]
    assert served.put(f"{ITEMS}/hers-1", json=changed, headers=OPERATOR).status_code == 204
    assert served.get(f"{ITEMS}/hers-1", headers=ANNA).status_code == 200


def test_collections_are_changed_by_operators_only(served, make_collection):
    body = make_collection("new")
    for send in (
        lambda key: served.post("/stac/collections", json=body, headers=key),
        lambda key: served.put("/stac/collections/clips", json=make_collection(), headers=key),
        lambda key: served.patch("/stac/collections/clips", json={"title": "x"}, headers=key),
        lambda key: served.delete("/stac/collections/clips", headers=key),
    ):
        assert is_problem(send({}), 401)
        assert is_problem(send(ANNA), 403)
        assert send(OPERATOR).status_code in (200, 201, 204)
    assert is_problem(served.post("/stac/collections", json=body, headers=OPERATOR), 409)
    assert is_problem(served.delete("/stac/collections/clips", headers=OPERATOR), 404)


def test_every_link_leads_to_what_it_says_under_a_prefix(served):
    landing = served.get("/stac/").json()
    found = {link["rel"]: link for link in landing["links"]}
    assert {"self", "root", "data", "conformance", "search", "service-desc", "service-doc"} <= found.keys()
    item = served.get(f"{ITEMS}/hers-1", headers=ANNA).json()
    collection = served.get("/stac/collections/clips", headers=ANNA).json()
    page = served.get("/stac/search?limit=1&sortby=-properties.eo:cloud_cover", headers=ANNA).json()
    for document in (landing, item, collection, page):
        for link in document["links"]:
            if link["rel"] == "derived_from":
                continue
            assert link["href"].startswith("http://testserver/stac/")
            answer = served.get(link["href"], headers=ANNA)
            assert answer.status_code == 200, link
            assert answer.headers["content-type"].split(";")[0] == link["type"].split(";")[0]
    assert {link["rel"] for link in item["links"]} >= {"self", "parent", "collection", "root", "derived_from"}


def test_every_link_has_a_title(served):
    for path in ("/", "/collections", "/collections/clips", "/collections/clips/items?limit=1", "/search?limit=1"):
        document = served.get("/stac" + path, headers=ANNA).json()
        assert [link["rel"] for link in document["links"] if not link.get("title")] == []
    item = served.get(f"{ITEMS}/hers-1", headers=ANNA).json()
    titles = {link["rel"]: link.get("title") for link in item["links"] if link["rel"] != "derived_from"}
    assert titles == {"self": "hers-1", "parent": "clips", "collection": "clips", "root": "Catalog"}


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/search?limit=x", "request-malformed"),
        ("GET", "/search?filter=a%20<<", "filter-invalid"),
        ("GET", "/search?token=zzz", "cursor-invalid"),
        ("GET", "/nowhere", "not-found"),
        ("GET", "/collections/nowhere", "collection-unknown"),
        ("DELETE", "/search", "method-not-allowed"),
        ("DELETE", "/collections/clips/items/hers-1", "key-unknown"),
    ],
)
def test_a_problem_is_of_a_kind_that_the_service_explains(public, method, path, kind):
    problem = public.request(method, path).json()
    assert problem["type"] == f"/problems/{kind}"
    assert problem["instance"] == path.partition("?")[0]
    assert kind in KINDS
    assert problem["title"] == KINDS[kind].title


def test_a_problem_carries_the_name_the_request_has_in_the_log(public, store):
    app = create_app(store, title="Clips", access=Access(caller_of=caller_of))

    async def named(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": {"request_id": "r-1"}}, receive, send)

    with client_of(named) as client:
        assert client.get("/search").json()["request_id"] == "r-1"


def test_the_landing_page_is_a_stac_catalog(public):
    landing = public.get("/").json()
    assert (landing["type"], landing["stac_version"], landing["id"]) == ("Catalog", "1.1.0", "imagery")
    assert landing["title"] == "Clips"
    assert {f"https://api.stacspec.org/v1.{n}.0/item-search#sort" for n in (0, 1)} <= set(landing["conformsTo"])
    assert public.get("/api").headers["content-type"].startswith("application/vnd.oai.openapi+json")
    known = public.get("/queryables").json()["properties"]
    assert {"eo:cloud_cover", "imagery:subscription_id", "platform", "grid:code", "datetime"} <= known.keys()


def test_pages_follow_each_other_by_get_and_post(public):
    for method in ("GET", "POST"):
        seen: list[str] = []
        body: dict[str, Any] = {"limit": 10, "filter": {"op": ">=", "args": [{"property": "eo:cloud_cover"}, 2]}}
        if method == "GET":
            answer = public.get("/search?limit=10&filter=eo:cloud_cover>=2")
        else:
            answer = public.post("/search", json=body)
        while True:
            seen += [feature["id"] for feature in answer.json()["features"]]
            link = next((each for each in answer.json()["links"] if each["rel"] == "next"), None)
            if link is None:
                break
            assert link["method"] == method
            answer = public.request(method, link["href"], json=link.get("body"))
        assert sorted(seen) == sorted(f"hers-{n}" for n in range(2, 25))


def test_fields_narrow_an_item_to_what_was_asked(public):
    def first(fields: Any) -> dict[str, Any]:
        body = {"ids": ["hers-3"], "fields": fields}
        feature: dict[str, Any] = public.post("/search", json=body).json()["features"][0]
        return feature

    assert first({"include": ["properties.eo:cloud_cover"]}).keys() == {"type", "id", "collection", "properties"}
    assert first({"include": ["eo:cloud_cover"]})["properties"] == {"eo:cloud_cover": 3}
    assert "geometry" not in first({"exclude": ["geometry"]})
    assert "imagery:owner" not in first({"exclude": ["properties.imagery:owner"]})["properties"]
    assert first({})["properties"] == {"datetime": "2024-05-03T10:00:00Z"}
    assert first({"include": ["assets.red.href"]})["assets"] == {"red": {"href": "https://example.com/red.tif"}}
    by_get = public.get("/search?ids=hers-3&fields=id,-links,properties.datetime").json()["features"][0]
    assert by_get["properties"] == {"datetime": "2024-05-03T10:00:00Z"}


BAD_GETS = [
    "bbox=1,2,3",
    "bbox=nan,0,1,1",
    "bbox=0,5,1,2",
    "datetime=soon",
    "datetime=2020-01-01T00:00:00Z%2F2019-01-01T00:00:00Z",
    "limit=0",
    "limit=-1",
    "limit=x",
    "token=zzz",
    "filter=a%20<<",
    "filter=" + "(" * 50,
    "filter=[[[&filter-lang=cql2-json",
    "filter-lang=nope&filter=a=1",
    "intersects=x",
    "intersects=[]",
    "intersects=%7B%22type%22%3A%22Polygon%22%2C%22coordinates%22%3A%5B%5D%7D",
    "query=[]",
    "query=" + "[" * 3000,
    "sortby=%2B",
    "sortby=geometry",
]


@pytest.mark.parametrize("query", BAD_GETS)
def test_a_search_that_makes_no_sense_is_a_problem_not_a_crash(public, query):
    assert is_problem(public.get(f"/search?{query}"), 400)
    if not query.startswith("intersects"):
        assert is_problem(public.get(f"/collections/clips/items?{query}"), 400)


BAD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"5",
    b"\xff",
    b"[" * 100_000,
    b'{"bbox": [NaN, 0, 1, 1]}',
    b'{"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [1, 1]}}',
    b'{"intersects": {"type": "Point", "coordinates": [500, 1]}}',
    b'{"datetime": "9999-12-31T23:59:59-14:00"}',
    b'{"limit": 0}',
    b'{"ids": "x"}',
    b'{"ids": ["\\ud800"]}',
    b'{"filter": {"op": "=", "args": [{"property": "a"}, NaN]}}',
    b'{"filter": ' + b'{"op":"not","args":[' * 900 + b"1" + b"]}" * 900 + b"}",
    b'{"sortby": [{"field": "", "direction": "asc"}]}',
    b'{"query": {"a": {"in": [{}]}}}',
    b'{"token": 5}',
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: body[:40].decode(errors="replace"))
def test_a_body_that_makes_no_sense_is_a_problem_not_a_crash(public, body):
    sent = {"Content-Type": "application/json"}
    assert is_problem(public.post("/search", content=body, headers=sent), 400)
    if (body.startswith((b"{", b"[")) and b'"' not in body) or body in (b"", b"5", b"\xff"):
        assert is_problem(public.post("/collections/clips/items", content=body, headers={**sent, **ANNA}), 400)
        assert is_problem(public.patch("/collections/clips/items/hers-1", content=body, headers={**sent, **ANNA}), 400)
        assert is_problem(public.post("/collections", content=body, headers={**sent, **OPERATOR}), 400)


def test_a_body_that_is_too_large_is_refused(public):
    whole = public.post("/search", content=b"x" * (17 << 20), headers={"Content-Type": "application/json"})
    assert is_problem(whole, 413)
    chunks = public.post("/collections/clips/items", content=(b"x" * (1 << 20) for _ in range(17)), headers=ANNA)
    assert is_problem(chunks, 413)
    search = public.post("/search", content=b" " * (2 << 20) + b"{}", headers={"Content-Type": "application/json"})
    assert is_problem(search, 413)


def test_the_largest_area_that_can_be_searched_fits_into_a_body(public):
    ring = [[14 + n / 1e5 + 1e-16, 46 + (n % 2) / 1e7 + 1e-15] for n in range(9_990)]
    ring += [[14.0999, 47], [14, 47], ring[0]]
    answer = public.post("/search", json={"intersects": {"type": "Polygon", "coordinates": [ring]}, "limit": 100})
    assert len(ids(answer)) == 26


@pytest.mark.parametrize(
    "change",
    [
        {"id": "a b"},
        {"geometry": None},
        {"bbox": None},
        {"collection": "planet"},
        {"properties": {"datetime": None}},
        {"properties": {"datetime": "9999-12-31T23:59:59-14:00"}},
        {"assets": 5},
        {"links": [5]},
    ],
)
def test_an_item_that_is_none_is_refused_with_the_field_named(public, make_item, change):
    answer = public.post("/collections/clips/items", json={**make_item("new"), **change}, headers=ANNA)
    assert is_problem(answer, 400)
    assert next(iter(change)) in json.dumps(answer.json())


def test_browsers_of_other_sites_may_call_it(public):
    asked = {
        "Origin": "https://map.example",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = public.options("/collections/clips/items/hers-1", headers=asked)
    assert answer.status_code == 200
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(answer.headers["access-control-allow-methods"].split(", "))
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert (
        public.get("/search", headers={"Origin": "https://map.example"}).headers["access-control-allow-origin"] == "*"
    )
