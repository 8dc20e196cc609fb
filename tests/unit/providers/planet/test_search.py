"""What Planet has over an area, as STAC items, and what of it may be ordered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pystac
import pytest

from imagery.errors import (
    CollectionUnknown,
    CredentialsRefused,
    FeedUnsupported,
    ItemUnknown,
    ProviderAnswerInvalid,
    ProviderUnavailable,
)
from imagery.model.aoi import Aoi
from imagery.model.search import Search
from imagery.providers.planet.client import PLANET_URL, PlanetClient
from imagery.providers.planet.items import to_item
from imagery.providers.planet.search import PlanetSearch

from .conftest import Api, square

KEYS = ("ortho_analytic_4b_sr", "ortho_analytic_8b_sr", "ortho_udm2")
NEXT = f"{PLANET_URL}/data/v1/searches/s/results?_page=2"


@pytest.fixture
def provider(client: PlanetClient) -> PlanetSearch:
    return PlanetSearch(client)


def a_search(**changes: Any) -> Search:
    fields: dict[str, Any] = {
        "collection": "PSScene",
        "aoi": Aoi(geometry=square(), bbox=(15.0, 46.0, 15.1, 46.1), area_km2=80.0),
        "acquired_from": datetime(2026, 4, 1, tzinfo=UTC),
        "acquired_to": datetime(2026, 5, 1, tzinfo=UTC),
    }
    return Search(**{**fields, **changes})


def a_feature(item_id: str = "A", **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": item_id,
        "_permissions": [f"assets.{key}:download" for key in KEYS],
        "assets": list(KEYS),
        "geometry": square(14.9, 45.9, 0.5),
        "properties": {
            "acquired": "2026-04-20T10:00:00.5Z",
            "published": "2026-04-20T15:00:00Z",
            "updated": "2026-04-20T22:00:00Z",
            "item_type": "PSScene",
            "cloud_cover": 0.25,
            "publishing_stage": "standard",
            "strip_id": "77",
            **properties,
        },
    }


def a_page(*features: dict[str, Any], following: str | None = None) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features), "_links": {"_next": following}}


def found(provider: PlanetSearch, **changes: Any) -> list[str]:
    return [item.id for item in provider.search(a_search(**changes))]


def test_the_search_says_all_that_is_asked(api: Api, provider: PlanetSearch) -> None:
    api.says(a_page())
    since = datetime(2026, 4, 20, tzinfo=UTC)
    found(provider, assets=("ortho_analytic_8b_sr", "ortho_udm2"), updated_since=since)
    [body] = api.bodies
    assert body["item_types"] == ["PSScene"]
    filters = {(one["type"], one.get("field_name")): one["config"] for one in body["filter"]["config"]}
    assert filters["GeometryFilter", "geometry"] == square()
    assert filters["DateRangeFilter", "acquired"] == {
        "gte": "2026-04-01T00:00:00+00:00",
        "lte": "2026-05-01T00:00:00+00:00",
    }
    assert filters["PermissionFilter", None] == ["assets:download"]
    assert filters["StringInFilter", "publishing_stage"] == ["standard", "finalized"]
    assert [one["config"] for one in filters["AndFilter", None]] == [
        ["ortho_analytic_8b_sr"],
        ["ortho_udm2"],
    ]
    assert [one["field_name"] for one in filters["OrFilter", None]] == ["published", "updated"]


def test_pages_are_followed_to_the_last_and_each_item_comes_once(api: Api, provider: PlanetSearch) -> None:
    api.says(a_page(a_feature("A"), a_feature("B"), following=NEXT), a_page(a_feature("B"), a_feature("C")))
    assert found(provider) == ["A", "B", "C"]
    assert [request.method for request in api.asked] == ["POST", "GET"]


def test_a_last_page_that_is_empty_ends_the_search(api: Api, provider: PlanetSearch) -> None:
    api.says(a_page(a_feature(), following=NEXT), a_page(following=NEXT))
    assert found(provider) == ["A"]


@pytest.mark.parametrize(
    "answer",
    [
        a_page(a_feature(), following=NEXT),
        {"no": "features"},
        a_page(a_feature(), following="https://evil.test/page"),
    ],
    ids=["circle", "no features", "other host"],
)
def test_a_search_that_cannot_be_finished_is_never_taken_for_whole(
    api: Api, provider: PlanetSearch, answer: dict[str, Any]
) -> None:
    api.says(answer)
    with pytest.raises(ProviderAnswerInvalid):
        found(provider)


def test_a_search_that_breaks_off_is_an_error(api: Api, provider: PlanetSearch) -> None:
    api.says(a_page(a_feature(), following=NEXT), httpx.Response(503))
    with pytest.raises(ProviderUnavailable):
        found(provider)


@pytest.mark.parametrize(
    ("feature", "asked"),
    [
        (a_feature() | {"_permissions": []}, {}),
        (a_feature() | {"_permissions": ["assets.ortho_visual:download"]}, {"assets": ("ortho_udm2",)}),
        (a_feature(publishing_stage="preview"), {}),
        (a_feature(acquired="2026-03-01T10:00:00Z"), {}),
        (a_feature(item_type="SkySatCollect"), {}),
        (a_feature() | {"geometry": square(20.0)}, {}),
        (a_feature(), {"updated_since": datetime(2026, 4, 21, tzinfo=UTC)}),
    ],
    ids=["no permission", "not to what is asked", "preview", "earlier", "another type", "elsewhere", "not new"],
)
def test_what_was_not_asked_for_is_passed_over(
    api: Api, provider: PlanetSearch, feature: dict[str, Any], asked: dict[str, Any]
) -> None:
    api.says(a_page(feature))
    assert found(provider, **asked) == []


@pytest.mark.parametrize("page", ["quick_search_page_2024_PSScene", "quick_search_page_2021_PSScene4Band"])
def test_recorded_pages_become_items(recorded: Callable[[str], Any], page: str) -> None:
    features = recorded(f"data/{page}")["features"]
    for feature in features:
        item = to_item(feature, url=PLANET_URL)
        assert isinstance(item, pystac.Item)
        assert item.id == feature["id"]
        assert set(item.assets) == {one.split(".")[1].split(":")[0] for one in feature["_permissions"]} != set()
        assert item.properties["pl:strip_id"] == feature["properties"]["strip_id"]
        assert 0 <= item.properties["eo:cloud_cover"] <= 100


def test_recorded_items_are_got(api: Api, provider: PlanetSearch, recorded: Callable[[str], Any]) -> None:
    api.says(recorded("data/item_20220125_075509_67_1061"))
    item = provider.get("PSScene", "20220125_075509_67_1061")
    assert item.properties["created"] == "2022-04-04T18:57:56Z"
    assert item.properties["pl:publishing_stage"] == "finalized"
    assert [band["name"] for band in item.assets["ortho_analytic_4b_sr"].extra_fields["eo:bands"]] == [
        "blue",
        "green",
        "red",
        "nir",
    ]
    api.says(recorded("data/quick_search_result_skysat"))
    assert provider.get("SkySatCollect", "20200130_093253_ssc6_u0001").collection_id == "SkySatCollect"


def test_an_item_over_the_antimeridian_has_a_box_over_it() -> None:
    feature = a_feature()
    feature["geometry"] = {
        "type": "MultiPolygon",
        "coordinates": [square(179.5, 10.0, 0.5)["coordinates"], square(-180.0, 10.0, 0.5)["coordinates"]],
    }
    assert to_item(feature, url=PLANET_URL).bbox == [179.5, 10.0, -179.5, 10.5]


@pytest.mark.parametrize("item_id", ["gone", "../../../etc/passwd", "..", ""])
def test_an_unknown_item_is_unknown(api: Api, provider: PlanetSearch, item_id: str) -> None:
    api.says(httpx.Response(404, json={"message": "not found"}))
    with pytest.raises(ItemUnknown):
        provider.get("PSScene", item_id)
    assert all("/items/" in str(request.url) for request in api.asked)


def test_another_item_than_asked_for_is_not_taken(api: Api, provider: PlanetSearch) -> None:
    api.says(a_feature("B"))
    with pytest.raises(ProviderAnswerInvalid):
        provider.get("PSScene", "A")


def test_an_item_type_is_a_collection(api: Api, provider: PlanetSearch) -> None:
    api.says({"id": "PSScene", "display_name": "PlanetScope", "supported_asset_types": list(KEYS)})
    collection = provider.get_collection("PSScene")
    assert (collection.id, list(collection.extra_fields["item_assets"])) == ("PSScene", list(KEYS))
    api.says(httpx.Response(404))
    for name in ("gone", "..", ""):
        with pytest.raises(CollectionUnknown):
            provider.get_collection(name)


def test_there_is_no_feed(provider: PlanetSearch) -> None:
    with pytest.raises(FeedUnsupported):
        provider.changes("PSScene", since=datetime(2026, 5, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("answer", "fraction"),
    [
        (httpx.Response(200, json={"clear_percent": 87}), 0.87),
        (httpx.Response(200, json={"clear_percent": "87"}), None),
        (httpx.Response(200, json={"clear_percent": True}), None),
        (httpx.Response(200, json={"clear_percent": 870}), None),
        (httpx.Response(200, json={}), None),
        (httpx.Response(403, json={"message": "not in your plan"}), None),
        (httpx.Response(404), None),
        (httpx.Response(429, json={"general": [{"message": "quota exceeded"}]}), None),
    ],
    ids=str,
)
def test_planets_own_estimate_is_taken_where_the_plan_has_it(
    api: Api, provider: PlanetSearch, answer: httpx.Response, fraction: float | None
) -> None:
    api.says(answer)
    assert provider.clear_fraction("PSScene", "A", square()) == fraction
    api.says(a_feature())
    assert provider.get("PSScene", "A").id == "A"


def test_a_key_that_is_refused_is_no_matter_of_the_plan(api: Api, provider: PlanetSearch) -> None:
    api.says(httpx.Response(401))
    with pytest.raises(CredentialsRefused):
        provider.clear_fraction("PSScene", "A", square())


BROKEN: tuple[Any, ...] = (
    None,
    "text",
    {},
    a_feature("X", acquired=None),
    a_feature("X", acquired="yesterday"),
    a_feature("X", view_angle="steep"),
    {**a_feature("X"), "geometry": None},
    {**a_feature("X"), "geometry": {"type": "Polygon", "coordinates": []}},
    {**a_feature("X"), "geometry": {"type": "Polygon", "coordinates": [[[None, 1]]]}},
    {**a_feature("X"), "geometry": {"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}},
    {**a_feature("X"), "properties": None},
    {**a_feature("X"), "_permissions": 7},
)


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_one_item_that_is_none_does_not_end_the_search(
    api: Api, provider: PlanetSearch, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    api.says(a_page(a_feature("A"), broken, a_feature("B")))
    assert found(provider) == ["A", "B"]
    assert [vars(record)["passed_over"] for record in caplog.records if "passed_over" in vars(record)] == [1]


def test_nothing_but_items_that_are_none_is_no_answer(api: Api, provider: PlanetSearch) -> None:
    api.says(a_page(*BROKEN))
    with pytest.raises(ProviderAnswerInvalid):
        found(provider)
