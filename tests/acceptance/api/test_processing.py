"""What is done to the pixels, asked for over HTTP: shown whole, merged by patches, refused by the field."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest

from .conftest import Api
from .examples import Json, a_body, assert_problem, subscribe

DEFAULT: Json = {
    "mask": False,
    "harmonise": False,
    "all_touched": False,
    "buffer_m": 0,
    "indices": [],
    "resolution_m": None,
    "resampling": "nearest",
    "single_file": False,
}
RATIO = {"name": "ratio", "formula": "nir / red"}
NDVI = {"name": "ndvi", "formula": "(nir - red) / (nir + red)"}


@pytest.fixture
def ana(shared_api: Api, request: pytest.FixtureRequest) -> httpx.Client:
    return shared_api.client("ana-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16])


def test_nothing_is_done_unless_it_is_asked_for(ana: httpx.Client) -> None:
    absent: list[Json] = [{}, {"processing": None}, {"processing": {}}, {"processing": dict.fromkeys(DEFAULT)}]
    for body in absent:
        assert subscribe(ana, **body)["processing"] == DEFAULT


def test_all_that_is_asked_for_is_shown_with_indices_written_out(ana: httpx.Client) -> None:
    asked = {
        "mask": True,
        "harmonise": True,
        "all_touched": True,
        "buffer_m": -10,
        "indices": ["ndvi", RATIO],
        "resolution_m": 10,
        "resampling": "bilinear",
        "single_file": True,
    }
    view = subscribe(ana, processing=asked, filters={"min_clear_fraction": 0.7})
    assert view["processing"]["indices"][0]["name"] == "ndvi"
    assert view["processing"] == asked | {"indices": [view["processing"]["indices"][0], RATIO]}
    assert view["filters"] == {"max_cloud_cover": None, "min_clear_fraction": 0.7, "min_coverage": None}
    assert ana.get(view["links"]["self"]).json() == view
    again = subscribe(ana, processing=view["processing"], filters=view["filters"])
    assert again["processing"] == view["processing"]


def test_a_merge_patch_changes_the_options_it_names(ana: httpx.Client) -> None:
    before = subscribe(ana, processing={"mask": True, "resolution_m": 10, "indices": ["ndvi"]})
    url = before["links"]["self"]

    changed = ana.patch(url, json={"processing": {"resolution_m": None, "indices": [RATIO], "buffer_m": 5}}).json()
    cleared = ana.patch(url, json={"processing": None}).json()

    assert changed["processing"] == DEFAULT | {"mask": True, "indices": [RATIO], "buffer_m": 5}
    assert cleared["processing"] == DEFAULT
    assert cleared["version"] == 3


def test_a_patch_of_one_filter_leaves_the_others(ana: httpx.Client) -> None:
    url = subscribe(ana, filters={"max_cloud_cover": 40, "min_clear_fraction": 0.7})["links"]["self"]
    changed = ana.patch(url, json={"filters": {"min_clear_fraction": 0.5}}).json()
    cleared = ana.patch(url, json={"filters": {"min_clear_fraction": None}}).json()
    assert changed["filters"] == {"max_cloud_cover": 40, "min_clear_fraction": 0.5, "min_coverage": None}
    assert cleared["filters"] == {"max_cloud_cover": 40, "min_clear_fraction": None, "min_coverage": None}


@pytest.mark.parametrize(
    ("processing", "name", "field"),
    [
        ({"haze": True}, "body-invalid", "/processing/haze"),
        ({"mask": "yes"}, "body-invalid", "/processing/mask"),
        ({"mask": 1}, "body-invalid", "/processing/mask"),
        ({"buffer_m": 1001}, "body-invalid", "/processing/buffer_m"),
        ({"buffer_m": "10"}, "body-invalid", "/processing/buffer_m"),
        ({"buffer_m": -900}, "subscription-invalid", "/processing/buffer_m"),
        ({"resolution_m": 0}, "body-invalid", "/processing/resolution_m"),
        ({"resolution_m": 0.1}, "subscription-invalid", "/processing/resolution_m"),
        ({"resampling": "bilinear"}, "subscription-invalid", "/processing/resampling"),
        ({"resampling": "lanczos"}, "body-invalid", "/processing/resampling"),
        ({"indices": "ndvi"}, "body-invalid", "/processing/indices"),
        ({"indices": ["my ndvi"]}, "body-invalid", "/processing/indices/0"),
        ({"indices": [7]}, "body-invalid", "/processing/indices/0"),
        ({"indices": [RATIO] * 11}, "body-invalid", "/processing/indices"),
        ({"indices": [{"name": "a"}]}, "body-invalid", "/processing/indices/0/formula"),
        ({"indices": [{"name": "a", "formula": ""}]}, "body-invalid", "/processing/indices/0/formula"),
        ({"indices": [RATIO | {"scale": 1}]}, "body-invalid", "/processing/indices/0/scale"),
        ({"indices": ["ndvi", "dnvi"]}, "formula-invalid", "/processing/indices/1"),
        ({"indices": ["ndvi", {"name": "a", "formula": "nir +"}]}, "formula-invalid", "/processing/indices/1"),
        ({"indices": [{"name": "a", "formula": "thermal"}]}, "formula-invalid", "/processing/indices/0"),
        ({"indices": [RATIO, RATIO]}, "subscription-invalid", "/processing/indices/1"),
        ({"indices": [RATIO | {"name": "scl"}]}, "subscription-invalid", "/processing/indices/0"),
    ],
)
def test_what_cannot_be_done_names_the_field(ana: httpx.Client, processing: Json, name: str, field: str) -> None:
    url = subscribe(ana)["links"]["self"]
    created = ana.post("/v1/subscriptions", json=a_body(processing=processing))
    patched = ana.patch(url, json={"processing": processing})
    for answer in (created, patched):
        assert_problem(answer, 422, name, field=field)
    assert ana.get(url).json()["version"] == 1


@pytest.mark.parametrize("value", [1.01, -0.1, 70, "0.5", True])
def test_a_fraction_is_a_number_from_0_to_1(ana: httpx.Client, value: Any) -> None:
    answer = ana.post("/v1/subscriptions", json=a_body(filters={"min_clear_fraction": value}))
    assert_problem(answer, 422, "body-invalid", field="/filters/min_clear_fraction")
    if isinstance(value, float | int) and value is not True:
        assert "a fraction from 0 to 1, such as 0.7" in answer.text


def test_a_known_index_may_be_written_in_capitals(ana: httpx.Client) -> None:
    assert subscribe(ana, processing={"indices": ["NDVI"]})["processing"]["indices"] == [NDVI]


@pytest.mark.parametrize("name", ["my ndvi", "NDXI"])
def test_a_name_that_is_no_known_index_is_answered_with_those_there_are(ana: httpx.Client, name: str) -> None:
    answer = ana.post("/v1/subscriptions", json=a_body(processing={"indices": [name]}))
    assert answer.status_code == 422
    assert "evi, gndvi, nbr, ndmi, ndre, ndvi, ndwi, savi" in answer.text


def test_a_repeat_with_another_processing_is_another_wish(ana: httpx.Client) -> None:
    def create(**changes: Any) -> httpx.Response:
        return ana.post("/v1/subscriptions", json=a_body(**changes), headers={"Idempotency-Key": "k"})

    first = create().json()
    assert create(processing={"mask": False}, filters={"min_clear_fraction": None}).json()["id"] == first["id"]
    assert_problem(create(processing={"mask": True}), 422, "idempotency-conflict")
    assert_problem(create(filters={"min_clear_fraction": 0}), 422, "idempotency-conflict")


def test_the_description_tells_the_options(ana: httpx.Client) -> None:
    schemas = ana.get("/openapi.json").json()["components"]["schemas"]
    assert set(schemas["ProcessingBody"]["properties"]) == set(DEFAULT) == set(schemas["ProcessingView"]["properties"])
    for schema in (schemas["ProcessingBody"], schemas["FiltersBody"]):
        assert all(member["description"] for member in schema["properties"].values())
