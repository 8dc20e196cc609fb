"""Earth Search: paging, judging and reading what comes back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from imagery.errors import CollectionUnknown, ItemUnknown, ProviderAnswerInvalid, SettingsInvalid
from imagery.model.aoi import Aoi
from imagery.providers.earth_search import EarthSearch

from .conftest import ROOT, Api, a_page, a_search, an_aoi, an_item, next_link, square


def ids(provider: EarthSearch, **changes: Any) -> list[str]:
    return [item.id for item in provider.search(a_search(**changes))]


def test_a_search_sends_what_was_asked(api: Api, provider: EarthSearch) -> None:
    api.answers = [a_page()]
    assert ids(provider) == []
    assert api.bodies == [
        {
            "collections": ["sentinel-2-l2a"],
            "intersects": square(15.0, 46.0, 15.1, 46.1),
            "datetime": "2023-08-01T00:00:00.000000Z/2023-08-31T00:00:00.000000Z",
            "limit": 100,
        }
    ]


def test_next_bodies_are_sent_as_given_until_there_is_no_next_link(api: Api, provider: EarthSearch) -> None:
    body = {"bbox": [9, 47, 10, 48], "next": "2023-08-15T09:57:57Z,B,sentinel-2-l2a"}
    api.answers = [
        a_page(an_item("A"), links=[next_link(body)]),
        a_page(an_item("B"), links=[next_link({"p": 3})]),
        a_page(),
    ]
    assert ids(provider) == ["A", "B"]
    assert api.bodies[1:] == [body, {"p": 3}]


def test_a_merging_next_link_is_laid_over_the_last_body(api: Api, provider: EarthSearch) -> None:
    api.answers = [a_page(an_item("A"), links=[next_link({"token": "2"}, merge=True)]), a_page()]
    ids(provider)
    assert api.bodies[1] == {**api.bodies[0], "token": "2"}


def test_a_relative_get_link_is_followed(api: Api, provider: EarthSearch) -> None:
    api.answers = [a_page(an_item("A"), links=[{"rel": "next", "href": "search?token=2"}]), a_page(an_item("B"))]
    assert ids(provider) == ["A", "B"]
    assert (api.asked[1].method, str(api.asked[1].url)) == ("GET", f"{ROOT}/search?token=2")


def test_a_link_written_with_http_behind_a_tls_proxy_is_followed_over_https(api: Api, provider: EarthSearch) -> None:
    api.answers = [
        a_page(links=[{"rel": "next", "href": "http://earth-search.aws.element84.com/v1/search?token=2"}]),
        a_page(an_item("B")),
    ]
    assert ids(provider) == ["B"]
    assert api.asked[1].url.scheme == "https"


@pytest.mark.parametrize(
    "link",
    [
        {"rel": "next", "href": "https://elsewhere.test/search?token=2"},
        {"rel": "next", "href": "http://earth-search.aws.element84.com:8080/v1/search"},
        {"rel": "next"},
        {"rel": "next", "href": "http://[broken"},
        {"rel": "next", "href": "https://earth-search.aws.element84.com:port/v1"},
        {"rel": "next", "href": f"{ROOT}/search", "method": "POST"},
        {"rel": "next", "href": f"{ROOT}/search", "method": "DELETE"},
    ],
)
def test_a_next_link_that_cannot_be_followed_is_an_invalid_answer(
    api: Api, provider: EarthSearch, link: dict[str, Any]
) -> None:
    api.answers = [a_page(an_item("A"), links=[link])]
    with pytest.raises(ProviderAnswerInvalid, match="next link"):
        ids(provider)


def test_pages_in_a_circle_are_an_invalid_answer(api: Api, provider: EarthSearch) -> None:
    api.answers = [a_page(an_item("A"), links=[next_link({"next": "same"})])]
    with pytest.raises(ProviderAnswerInvalid, match="circle"):
        ids(provider)
    assert len(api.asked) == 2


def test_an_item_on_two_pages_is_given_once(api: Api, provider: EarthSearch) -> None:
    api.answers = [a_page(an_item("A"), an_item("B"), links=[next_link({"p": 2})]), a_page(an_item("B"), an_item("C"))]
    assert ids(provider) == ["A", "B", "C"]


STRAYS = {
    "collection": {"collection": "sentinel-2-l1c"},
    "before the window": {"properties": {"datetime": "2023-07-31T23:59:59.999999Z"}},
    "range after the window": {
        "properties": {
            "datetime": None,
            "start_datetime": "2023-08-31T00:00:01Z",
            "end_datetime": "2023-09-02T00:00:00Z",
        }
    },
    "footprint": {"geometry": square(16.0, 46.0, 17.0, 47.0)},
    "bbox, without a geometry": {"geometry": None, "bbox": [16.0, 46.0, 17.0, 47.0]},
    "updated": {"properties": {"datetime": "2023-08-15T00:00:00Z", "updated": "2023-08-15T21:19:47Z"}},
    "unreadable, but of another collection": {"collection": "naip", "geometry": {"type": "Blob"}},
}


@pytest.mark.parametrize("stray", STRAYS.values(), ids=STRAYS.keys())
def test_items_nobody_asked_for_are_dropped(api: Api, provider: EarthSearch, stray: dict[str, Any]) -> None:
    fresh = an_item("A", properties={"datetime": "2023-08-15T00:00:00Z", "updated": "2023-08-16T00:00:00Z"})
    api.answers = [a_page(an_item("S", **stray), fresh)]
    assert ids(provider, updated_since=datetime(2023, 8, 16, tzinfo=UTC)) == ["A"]


MATCHES = {
    "first instant": {"properties": {"datetime": "2023-08-01T00:00:00Z"}},
    "last instant, with an offset": {"properties": {"datetime": "2023-08-31T02:00:00+02:00"}},
    "no offset": {"properties": {"datetime": "2023-08-15T00:00:00"}},
    "range over the end": {
        "properties": {
            "datetime": None,
            "start_datetime": "2023-08-30T00:00:00Z",
            "end_datetime": "2023-09-02T00:00:00Z",
        }
    },
    "bbox, without a geometry": {"geometry": None},
    "bow tie": {
        "geometry": {"type": "Polygon", "coordinates": [[[14, 45], [16, 47], [16, 45], [14, 47], [14, 45]]]},
    },
}


@pytest.mark.parametrize("match", MATCHES.values(), ids=MATCHES.keys())
def test_items_that_match_at_the_edge_are_kept(api: Api, provider: EarthSearch, match: dict[str, Any]) -> None:
    api.answers = [a_page(an_item("A", **match))]
    aoi = an_aoi(14.2, 45.0, 14.3, 47.0)
    assert ids(provider, aoi=aoi, updated_since=datetime(2023, 8, 1, tzinfo=UTC)) == ["A"]


@pytest.mark.parametrize(
    "footprint",
    [
        square(179.0, -18.0, 181.0, -17.0),
        square(-181.0, -18.0, -179.0, -17.0),
        {"type": "Polygon", "coordinates": [[[179, -18], [-179, -18], [-179, -17], [179, -17], [179, -18]]]},
    ],
)
@pytest.mark.parametrize("west", [179.5, -179.6])
def test_scenes_over_the_antimeridian_are_found_from_both_sides(
    api: Api, provider: EarthSearch, footprint: dict[str, Any], west: float
) -> None:
    api.answers = [a_page(an_item("A", geometry=footprint))]
    assert ids(provider, aoi=an_aoi(west, -17.6, west + 0.1, -17.5)) == ["A"]


@pytest.mark.parametrize(
    "broken",
    [
        {"geometry": None, "bbox": None},
        {"geometry": {"type": "Blob"}},
        {"properties": {"datetime": "yesterday"}},
        {"properties": None},
        {"collection": None},
        {"assets": None},
        {"assets": {"red": {}}},
        {"assets": {"red": {"href": "http://[BROKEN"}}},
    ],
)
def test_an_item_that_might_match_but_cannot_be_read_is_never_left_out_silently(
    api: Api, provider: EarthSearch, broken: dict[str, Any]
) -> None:
    api.answers = [a_page(an_item("BROKEN", **broken))]
    with pytest.raises(ProviderAnswerInvalid, match="BROKEN"):
        ids(provider)


@pytest.mark.parametrize("thing", [None, "item", {"type": "Feature"}, {"type": "Polygon", "id": "A"}])
def test_something_that_is_no_item_is_an_invalid_answer(api: Api, provider: EarthSearch, thing: object) -> None:
    api.answers = [a_page(thing)]
    with pytest.raises(ProviderAnswerInvalid, match="no item"):
        ids(provider)


def test_a_catalogue_that_ignores_the_search_is_not_walked_to_its_end(provider: EarthSearch, api: Api) -> None:
    strays = [an_item(f"S{n}", collection="naip") for n in range(100)]
    api.answers = [a_page(*strays, links=[next_link({"page": n})]) for n in range(50)]
    with pytest.raises(ProviderAnswerInvalid, match="ignore"):
        ids(provider)
    assert len(api.asked) == 11


def test_updates_are_asked_for_by_query_and_sort_where_the_api_has_them(api: Api, provider: EarthSearch) -> None:
    api.answers = [a_page()]
    ids(provider, updated_since=datetime(2023, 8, 16, tzinfo=UTC))
    assert api.bodies[0]["query"] == {"updated": {"gte": "2023-08-16T00:00:00.000000Z"}}
    assert api.bodies[0]["sortby"] == [{"field": "properties.updated", "direction": "asc"}]


def test_updates_are_told_apart_here_where_the_api_cannot_query(api: Api, provider: EarthSearch) -> None:
    api.conforms_to, api.answers = [], [a_page(an_item("OLD"))]
    assert ids(provider, updated_since=datetime(2023, 8, 16, tzinfo=UTC)) == []
    assert "query" not in api.bodies[0]


def test_an_api_that_refuses_its_own_query_extension_is_asked_without_it(api: Api, provider: EarthSearch) -> None:
    api.answers = [httpx.Response(400, json={"code": "BadRequest"}), a_page(an_item("A"))]
    assert ids(provider, updated_since=datetime(2023, 8, 1, tzinfo=UTC)) == ["A"]
    assert ["query" in body for body in api.bodies] == [True, False]


def test_an_aoi_of_very_many_vertices_is_searched_by_its_boxes(api: Api, provider: EarthSearch) -> None:
    ring = [[179.0 + n / 1000, -18.0] for n in range(1000)] + [[180.0, -17.0], [179.0, -18.0]]
    islands = {"type": "MultiPolygon", "coordinates": [[ring], square(-180, -18, -179.5, -17)["coordinates"]]}
    api.answers = [a_page()]
    ids(provider, aoi=Aoi(geometry=islands, bbox=(179.0, -18.0, -179.5, -17.0), area_km2=1.0))
    sent = api.bodies[0]["intersects"]
    assert sent["type"] == "MultiPolygon"
    assert sorted(len(polygon[0]) for polygon in sent["coordinates"]) == [5, 5]


def test_items_come_as_sent_with_hrefs_absolute(api: Api, provider: EarthSearch) -> None:
    item = an_item("A", assets={"red": {"href": "./B04.tif", "raster:bands": [{"offset": -0.1}]}})
    item["properties"] |= {"proj:epsg": 32633, "earthsearch:boa_offset_applied": True}
    api.answers = [a_page(item)]
    found = next(provider.search(a_search()))
    assert found.assets["red"].href == f"{ROOT}/collections/sentinel-2-l2a/items/B04.tif"
    assert found.assets["red"].extra_fields["raster:bands"] == [{"offset": -0.1}]
    assert found.properties["proj:epsg"] == 32633
    assert found.get_self_href() == f"{ROOT}/collections/sentinel-2-l2a/items/A"


def test_relative_hrefs_are_relative_to_where_the_item_says_it_lies(api: Api, provider: EarthSearch) -> None:
    links = [{"rel": "self", "href": "s3://bucket/33/A/A.json"}]
    api.answers = [a_page(an_item("A", links=links, assets={"red": {"href": "../B/B04.tif"}}))]
    assert next(provider.search(a_search())).assets["red"].href == "s3://bucket/33/B/B04.tif"


@pytest.mark.parametrize("href", ["file:///etc/passwd", "vsizip:///etc/passwd", "C:/secrets.tif"])
def test_a_provider_cannot_make_us_open_a_local_file(api: Api, provider: EarthSearch, href: str) -> None:
    api.answers = [a_page(an_item("A", assets={"red": {"href": href}, "nir": {"href": "https://cogs.test/B08.tif"}}))]
    assert list(next(provider.search(a_search())).assets) == ["nir"]


def test_an_item_is_got_by_its_id(api: Api, provider: EarthSearch) -> None:
    api.answers = [httpx.Response(200, json=an_item("A/B"))]
    assert provider.get("sentinel-2-l2a", "A/B").id == "A/B"
    assert api.asked[0].url.raw_path == b"/v1/collections/sentinel-2-l2a/items/A%2FB"


def test_another_item_than_the_one_asked_for_is_an_invalid_answer(api: Api, provider: EarthSearch) -> None:
    api.answers = [httpx.Response(200, json=an_item("B"))]
    with pytest.raises(ProviderAnswerInvalid, match="another item"):
        provider.get("sentinel-2-l2a", "A")


def test_unknown_things_are_unknown(api: Api, provider: EarthSearch) -> None:
    api.answers = [httpx.Response(404, json={"code": "NotFound", "description": "Not Found"})]
    with pytest.raises(ItemUnknown, match="no item A"):
        provider.get("sentinel-2-l2a", "A")
    with pytest.raises(CollectionUnknown, match="no collection foo"):
        provider.get_collection("foo")
    with pytest.raises(ItemUnknown):
        provider.get("sentinel-2-l2a", "..")


@pytest.mark.parametrize(
    "url", ["earth-search", "ftp://host/v1", "https://user:secret@host/v1", "https://host?key=secret"]
)
def test_a_url_that_cannot_be_a_stac_root_is_refused_without_being_told(url: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        EarthSearch("mine", url)
    assert "mine" in str(refused.value)
    assert "secret" not in str(refused.value)
