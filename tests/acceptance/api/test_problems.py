"""Whatever is wrong with a request, the answer is a problem document that names it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from .conftest import Api
from .examples import a_body, assert_problem, square, subscribe

BOWTIE = {"type": "Polygon", "coordinates": [[[15, 46], [15.1, 46.1], [15.1, 46], [15, 46.1], [15, 46]]]}


@pytest.mark.parametrize(
    ("changes", "name", "field"),
    [
        ({"aoi": None}, "body-invalid", "/aoi"),
        ({"aoi": "POLYGON((0 0, 1 0, 1 1, 0 0))"}, "body-invalid", "/aoi"),
        ({"aoi": {}}, "aoi-invalid", "/aoi"),
        ({"aoi": {"type": "Point", "coordinates": [15, 46]}}, "aoi-invalid", "/aoi"),
        ({"aoi": BOWTIE}, "aoi-invalid", "/aoi"),
        ({"aoi": square(15, 90.5)}, "aoi-invalid", "/aoi"),
        ({"aoi": square(15, 40, degrees=4)}, "aoi-invalid", "/aoi"),
        ({"provider": "nobody"}, "subscription-invalid", "/provider"),
        ({"provider": ""}, "body-invalid", "/provider"),
        ({"provider": 7}, "body-invalid", "/provider"),
        ({"collection": "no-such"}, "subscription-invalid", "/collection"),
        ({"collection": "../../etc/passwd"}, "body-invalid", "/collection"),
        ({"assets": ["red", "thermal"]}, "subscription-invalid", "/assets/1"),
        ({"assets": "red"}, "body-invalid", "/assets"),
        ({"assets": [f"b{n}" for n in range(101)]}, "body-invalid", "/assets"),
        ({"assets": ["red", "red"]}, "body-invalid", "/assets"),
        ({"start_at": "2026-04-01T00:00:00"}, "body-invalid", "/start_at"),
        ({"start_at": "2026-04-01"}, "body-invalid", "/start_at"),
        ({"start_at": 1711929600}, "body-invalid", "/start_at"),
        ({"start_at": "2026-13-01T00:00:00Z"}, "body-invalid", "/start_at"),
        ({"start_at": "0001-01-01T00:00:00+14:00"}, "body-invalid", "/start_at"),
        ({"end_at": "9999-12-31T23:59:59Z"}, "body-invalid", "/end_at"),
        ({"end_at": "2026-03-01T00:00:00Z"}, "subscription-invalid", "/end_at"),
        ({"filters": {"max_cloud_cover": -1}}, "body-invalid", "/filters/max_cloud_cover"),
        ({"filters": {"max_cloud_cover": "20"}}, "body-invalid", "/filters/max_cloud_cover"),
        ({"filters": {"min_coverage": True}}, "body-invalid", "/filters/min_coverage"),
        ({"filters": {"haze": 1}}, "body-invalid", "/filters/haze"),
        ({"filters": []}, "body-invalid", "/filters"),
        ({"priority": "urgent"}, "body-invalid", "/priority"),
        ({"destination": "../elsewhere"}, "subscription-invalid", "/destination"),
        ({"destination": "x" * 201}, "body-invalid", "/destination"),
        ({"labels": {"a/b": 1}}, "body-invalid", "/labels/a~1b"),
        ({"labels": {"k" * 65: "v"}}, "body-invalid", "/labels/" + "k" * 65),
        ({"labels": {str(n): "v" for n in range(51)}}, "body-invalid", "/labels"),
        ({"max_cloud": 20}, "body-invalid", "/max_cloud"),
    ],
)
def test_a_body_that_cannot_be_used_is_answered_with_the_field(
    refused: httpx.Client, changes: dict[str, Any], name: str, field: str
) -> None:
    answer = refused.post("/v1/subscriptions", json=a_body(**changes))
    problem = assert_problem(answer, 422, name)
    # The area's own problems are named to the vertex.
    assert problem["field"] == field or (field == "/aoi" and problem["field"].startswith("/aoi/")), problem
    assert refused.get("/v1/subscriptions").json()["subscriptions"] == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"aoi": ' + b"[" * 100_000,
        b'{"aoi": ' + b"9" * 5000 + b"}",
    ],
    ids=["empty", "cut", "bytes", "deep", "long number"],
)
def test_what_is_no_json_is_refused(refused: httpx.Client, content: bytes) -> None:
    answer = refused.post("/v1/subscriptions", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "aoi",
    [
        '{"type": "Polygon", "coordinates": [[[NaN, 1], [2, 1], [2, 2], [NaN, 1]]]}',
        '{"type": "Polygon", "coordinates": [[[Infinity, 1], [2, 1], [2, 2], [Infinity, 1]]]}',
        '{"type": "Polygon", "coordinates": [[[1e999, 1], [2, 1], [2, 2], [1, 1]]]}',
        '{"type": "Polygon", "coordinates": ' + "[" * 500 + "]" * 500 + "}",
        '{"type": "\\ud800", "coordinates": []}',
        '{"type": "Polygon", "coordinates": [[["15", "46"], [16, 46], [16, 47], [15, 46]]]}',
        '{"type": "Polygon", "coordinates": [[[true, 46], [16, 46], [16, 47], [true, 46]]]}',
        '{"type": "FeatureCollection", "features": []}',
    ],
)
def test_coordinates_that_are_no_places_are_refused(refused: httpx.Client, aoi: str) -> None:
    content = json.dumps(a_body()).replace(json.dumps(square()), aoi).encode()
    answer = refused.post(
        "/v1/subscriptions", content=content, headers={"Content-Type": "application/json", "Idempotency-Key": "k"}
    )
    assert_problem(answer, 422, "aoi-invalid")


def test_odd_properties_of_a_feature_do_no_harm(ana: httpx.Client) -> None:
    feature = '{"type": "Feature", "geometry": %s, "properties": {"\\ud800": NaN, "deep": %s}}'
    aoi = feature % (json.dumps(square()), "[" * 500 + "]" * 500)
    content = json.dumps(a_body()).replace(json.dumps(square()), aoi).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    assert ana.post("/v1/subscriptions", content=content, headers=headers).status_code == 201


def nasty(shared_data: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted((shared_data / "fields" / "nasty").rglob("*json")):
        yield path.name, json.loads(path.read_text())


def test_real_oddities_are_taken_or_refused_with_the_place_but_never_break_the_service(
    ana: httpx.Client, shared_data: Path
) -> None:
    statuses: dict[str, int] = {}
    for name, aoi in nasty(shared_data):
        answer = ana.post("/v1/subscriptions", json=a_body(aoi=aoi))
        statuses[name] = answer.status_code
        if answer.status_code != 201:
            assert answer.json()["field"].startswith("/aoi"), answer.text
    assert set(statuses.values()) == {201, 422}
    assert statuses["problematic_holes.geojson"] == 201
    assert statuses["problematic_crosses_antimeridian.geojson"] in (201, 422)
    assert statuses["problematic_self_intersection_small.geojson"] == 422


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/subscriptions?limit=0", "/limit"),
        ("/v1/subscriptions?limit=1001", "/limit"),
        ("/v1/subscriptions?limit=many", "/limit"),
        ("/v1/subscriptions?cursor=nonsense", "/cursor"),
        ("/v1/subscriptions?cursor=", "/cursor"),
        ("/v1/subscriptions?status=gone", "/status/0"),
        ("/v1/subscriptions?bbox=1,2,3", "/bbox"),
        ("/v1/subscriptions?bbox=1,2,3,nan", "/bbox"),
        ("/v1/subscriptions?bbox=0,10,1,-10", "/bbox"),
        ("/v1/failures?cursor=nonsense", "/cursor"),
        ("/v1/executions?cursor=nonsense", "/cursor"),
        ("/v1/executions?status=running", "/status"),
        ("/v1/requests?limit=0", "/limit"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(refused: httpx.Client, path: str, field: str) -> None:
    answer = refused.get(path)
    assert answer.status_code == 400
    assert answer.json()["field"] == field


@pytest.mark.parametrize(("name", "value"), [("from", "yesterday"), ("to", "2026-04-01T00:00:00"), ("status", "lost")])
def test_a_ledger_parameter_that_cannot_be_used_is_named(ana: httpx.Client, name: str, value: str) -> None:
    url = subscribe(ana)["links"]["ledger"]
    assert_problem(ana.get(url, params={name: value}), 400, "request-malformed", field=f"/{name}")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/subscriptions/sub_none", "subscription-unknown"),
        ("/v1/subscriptions/sub_none/ledger", "subscription-unknown"),
        ("/v1/subscriptions/%00%ff%F0%9F%92%A9", "subscription-unknown"),
        ("/v1/failures/none", "failure-unknown"),
        ("/v1/executions/none", "execution-unknown"),
        ("/v1/nothing", "not-found"),
        ("/nothing", "not-found"),
        ("/problems/nothing", "not-found"),
    ],
)
def test_what_is_not_there_is_said_not_to_be(refused: httpx.Client, path: str, name: str) -> None:
    assert_problem(refused.get(path), 404, name)


def test_a_method_a_path_does_not_take_is_answered_with_those_it_does(refused: httpx.Client) -> None:
    answer = refused.put("/v1/subscriptions", json={})
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, POST"
    assert refused.put("/v1/subscriptions/sub_1", json={}).headers["allow"] == "DELETE, GET, PATCH"


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data; boundary=x", None])
def test_a_body_that_is_not_called_json_is_refused(refused: httpx.Client, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = refused.post("/v1/subscriptions", content=json.dumps(a_body()), headers=headers)
    assert_problem(answer, 415, "media-type-unsupported")


def test_a_body_above_the_limit_is_refused_before_it_is_read(refused: httpx.Client) -> None:
    body = json.dumps(a_body(labels={"x": "y" * 6 * 2**20}))
    answer = refused.post("/v1/subscriptions", content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 413, "body-too-large")


def test_a_body_that_does_not_say_its_length_is_refused_once_it_is_too_long(refused: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(6 * 16):
            yield b" " * 2**16

    answer = refused.post("/v1/subscriptions", content=pieces(), headers={"Content-Type": "application/json"})
    assert_problem(answer, 413, "body-too-large")


def test_every_kind_of_problem_is_explained_where_its_type_says(api: Api, ana: httpx.Client) -> None:
    stranger = api.client(None)
    problems = [
        ana.post("/v1/subscriptions", json=a_body(aoi=BOWTIE)).json(),
        ana.get("/v1/subscriptions/none").json(),
        stranger.get("/v1/subscriptions").json(),
    ]
    for problem in problems:
        explained = stranger.get(problem["type"])
        assert explained.status_code == 200
        assert explained.json()["status"] == problem["status"]
        assert explained.json()["description"]


def test_a_mistake_of_ours_gives_away_nothing_but_where_the_log_has_it(
    api: Api, ana: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    view = subscribe(ana)
    with api.imagery.subscriptions.store._database.write() as connection:  # type: ignore[attr-defined]
        connection.execute("UPDATE subscription SET body = '{\"secret plan\": 1}'")
    answer = ana.get(view["links"]["self"], headers={"X-Request-Id": "trace-7"})
    problem = assert_problem(answer, 500, "internal")
    assert "secret plan" not in answer.text
    assert problem["request_id"] == "trace-7"
    logged = [record for record in caplog.records if record.message == "request failed"]
    assert [record.request_id for record in logged] == ["trace-7"]  # type: ignore[attr-defined]


def test_when_the_store_does_not_answer_the_service_says_so(api: Api, ana: httpx.Client) -> None:
    ana.get("/v1/subscriptions")
    api.imagery.close()
    for path in ("/health", "/v1/subscriptions"):
        answer = ana.get(path)
        assert_problem(answer, 503, "store-unavailable")
        assert int(answer.headers["retry-after"]) > 0


def test_a_request_line_that_is_no_path_breaks_nothing(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    address = urlsplit(api.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as raw:
        raw.sendall(b"GET /%0d%0aforged:%20line HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert b" 404 " in answer.splitlines()[0]
    assert not any("\n" in record.message or "\r" in record.message for record in caplog.records)


def test_links_lead_through_the_proxy_that_stands_in_front(open_api: Callable[..., Api]) -> None:
    ana = open_api(public_url="https://eo.example/imagery/").client("ana")
    view = subscribe(ana)
    assert view["links"]["self"] == f"https://eo.example/imagery/v1/subscriptions/{view['id']}"
    subscribe(ana)
    answer = ana.get("/v1/subscriptions?limit=1")
    assert answer.links["next"]["url"].startswith("https://eo.example/imagery/v1/subscriptions?limit=1&cursor=")
    stac = ana.get("/stac/").json()
    assert {link["href"] for link in stac["links"] if link["rel"] == "self"} == {"https://eo.example/imagery/stac/"}


def test_the_front_page_says_where_everything_is(api: Api) -> None:
    stranger = api.client(None)
    assert stranger.get("/").json()["stac"] == f"{api.url}/stac/"
    page = stranger.get("/", headers={"Accept": "text/html,application/xhtml+xml"})
    assert page.headers["content-type"].startswith("text/html")
    assert f'href="{api.url}/docs"' in page.text
    assert stranger.get("/docs").status_code == 200
