"""Searches of the local Planet: filters, order, pages, and what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Desk


def _search(desk: Desk, *filters: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    body = {"item_types": ["PSScene"], "filter": {"type": "AndFilter", "config": list(filters)}}
    response = desk.client.post(f"/data/v1/quick-search{query}", json=body)
    assert response.status_code == 200, response.text
    return list(response.json()["features"])


def _ids(found: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in found]


def test_a_scene_published_late_is_found_by_when_it_was_published(desk: Desk) -> None:
    since = {"type": "DateRangeFilter", "field_name": "published", "config": {"gt": "2026-05-01T12:00:00Z"}}

    before = _search(desk, since)
    desk.clock.advance(61)
    after = _search(desk, since)

    assert before == []
    assert len(after) == 2
    assert all(one["properties"]["acquired"] < "2026-04-24" for one in after)


def test_a_standard_scene_is_finalized_later_and_says_so_by_its_update(desk: Desk) -> None:
    standard = {"type": "StringInFilter", "field_name": "publishing_stage", "config": ["standard"]}
    changed = {"type": "UpdateFilter", "field_name": "x", "config": {"gt": "2026-05-01T12:00:00Z"}}

    before = _search(desk, standard)
    desk.clock.advance(121)
    after = _search(desk, standard)
    updated = _search(desk, changed)

    assert (len(before), after) == (2, [])
    assert {"finalized", "standard"} >= {one["properties"]["publishing_stage"] for one in updated}
    assert set(_ids(before)) <= set(_ids(updated))


@pytest.mark.parametrize(
    ("filter_", "count"),
    [
        ({"type": "RangeFilter", "field_name": "clear_percent", "config": {"gte": 90}}, 5),
        ({"type": "NotFilter", "config": {"type": "AssetFilter", "config": ["ortho_analytic_4b_sr"]}}, 2),
        ({"type": "NumberInFilter", "field_name": "pixel_resolution", "config": [3]}, 10),
        ({"type": "RangeFilter", "field_name": "instrument", "config": {"gte": 90}}, 0),
        ({"type": "AssetFilter", "config": [["nested"], {}]}, 0),
        ({"type": "OrFilter", "config": []}, 0),
        ({"type": "PermissionFilter", "config": ["assets:download"]}, 10),
        ({"type": "PermissionFilter", "config": ["assets.ortho_analytic_8b:download"]}, 0),
        (
            {"type": "GeometryFilter", "field_name": "geometry", "config": {"type": "Point", "coordinates": [0, 0]}},
            0,
        ),
    ],
)
def test_filters_mean_what_planet_means(desk: Desk, filter_: dict[str, Any], count: int) -> None:
    assert len(_search(desk, filter_)) == count


def test_both_scenes_of_a_strip_see_the_aoi_in_the_middle(desk: Desk) -> None:
    geometry = {"type": "GeometryFilter", "field_name": "geometry", "config": desk.aoi}

    found = _search(desk, geometry)

    strips = [one["properties"]["strip_id"] for one in found]
    assert len(found) == 10
    assert all(strips.count(strip) == 2 for strip in strips)


def test_pages_follow_one_another_to_an_empty_one_and_name_every_scene_once(desk: Desk) -> None:
    body = {"item_types": ["PSScene"], "filter": {"type": "AndFilter", "config": []}}
    page = desk.client.post("/data/v1/quick-search?_sort=acquired asc&_page_size=3", json=body).json()
    seen, sizes = _ids(page["features"]), [len(page["features"])]
    while following := page["_links"].get("_next"):
        page = desk.client.get(following).json()
        seen += _ids(page["features"])
        sizes.append(len(page["features"]))

    assert sizes == [3, 3, 3, 1, 0]
    assert seen == desk.ids()


@pytest.mark.parametrize(
    "query", ["?_sort=cloud_cover asc", "?_page_size=many", "/../searches/00000000000000000000000000000000/results"]
)
def test_a_search_that_cannot_be_read_is_refused(desk: Desk, query: str) -> None:
    body = {"item_types": ["PSScene"], "filter": {"type": "AndFilter", "config": []}}

    assert desk.client.post(f"/data/v1/quick-search{query}", json=body).status_code in (400, 404, 405)


def test_bad_filters_are_answered_as_recorded(desk: Desk, shared_data: Path) -> None:
    recorded = json.loads((shared_data / "api" / "planet" / "errors.json").read_text("utf-8"))
    bodies = [one["body"] for one in recorded if one["api"] == "data quick-search"]
    point = "POINT(40 -90)"
    geometry = {"type": "GeometryFilter", "field_name": "geometry", "config": point}

    def asked(filter_: dict[str, Any]) -> dict[str, Any]:
        return dict(
            desk.client.post("/data/v1/quick-search", json={"item_types": ["PSScene"], "filter": filter_}).json()
        )

    nested = asked({"type": "AndFilter", "config": [{"type": "OrFilter", "config": []}, geometry]})
    assert asked({"config": []}) in bodies
    assert asked(geometry) in bodies
    assert list(nested["field"]) == ["filter.config.1.config"]
    assert "filter.config.1.config" in {name for body in bodies for name in body["field"]}


def test_an_item_has_the_properties_of_recorded_ones(desk: Desk, shared_data: Path) -> None:
    page = json.loads(
        (shared_data / "api" / "planet" / "data" / "quick_search_page_2024_PSScene.json").read_text("utf-8")
    )
    recorded = page["features"][0]

    ours = desk.client.get(f"/data/v1/item-types/PSScene/items/{desk.ids()[0]}").json()

    assert set(ours) == set(recorded)
    assert set(ours["properties"]) == set(recorded["properties"])
    assert set(ours["_links"]) == set(recorded["_links"])
    assert {key: type(value) for key, value in ours["properties"].items() if key != "cloud_cover"} == {
        key: type(value) for key, value in recorded["properties"].items() if key != "cloud_cover"
    }


def test_coverage_tells_of_the_aoi_unless_the_plan_does_not_allow_it(desk: Desk) -> None:
    url = f"/data/v1/item-types/PSScene/items/{desk.ids()[-1]}/coverage"

    allowed = desk.client.post(url, json={"geometry": desk.aoi})
    desk.planet.account.manners.change(coverage=False)
    refused = desk.client.post(url, json={"geometry": desk.aoi})

    assert allowed.json()["clear_percent"] == 100
    assert refused.status_code == 403
