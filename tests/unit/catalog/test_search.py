"""What a search finds, against shapely and plain Python, and that its pages lose and repeat nothing."""

from __future__ import annotations

import random

import pytest
import shapely
import shapely.geometry

from imagery.catalogs.sqlite.conditions import MAX_LIMIT, ItemQuery
from imagery.errors import CursorInvalid, FilterInvalid


@pytest.mark.parametrize("seed", range(12))
def test_a_box_and_a_time_span_find_what_shapely_finds(full, items, find, seed):
    r = random.Random(seed)
    x, y, h = r.uniform(-10, 30), r.uniform(35, 60), r.choice([0.05, 1, 5, 30])
    bbox = (x - h, y - h, x + h, y + h)
    year = r.randrange(2021, 2024)
    low, high = f"{year}-03-01T00:00:00Z", f"{year + 1}-02-01T00:00:00Z"
    box = shapely.box(*bbox)
    expected = {
        each["id"]
        for each in items
        if shapely.geometry.shape(each["geometry"]).intersects(box) and low <= each["properties"]["datetime"] <= high
    }

    by_bbox = find(full, bbox=bbox, datetime=f"{low}/{high}")
    by_shape = find(full, intersects=shapely.geometry.mapping(box), datetime=f"{low}/{high}")

    assert set(by_bbox) == set(by_shape) == expected
    assert len(by_bbox) == len(expected)


def test_without_an_order_the_newest_come_first(full, items, find):
    when = {each["id"]: each["properties"]["datetime"] for each in items}
    found = [when[item_id] for item_id in find(full)]
    assert found == sorted(when.values(), reverse=True)


@pytest.mark.parametrize(
    "sortby",
    [
        (("eo:cloud_cover", False),),
        (("properties.eo:cloud_cover", True),),
        (("platform", False), ("eo:cloud_cover", True)),
        (("nothing_has_this", True), ("id", False)),
        (("datetime", False),),
        (("id", True),),
        (("collection", False), ("datetime", True)),
    ],
)
@pytest.mark.parametrize("bbox", [None, (0, 40, 20, 55)])
def test_in_every_order_ties_and_missing_values_are_paged_without_loss(full, items, find, sortby, bbox):
    everything = find(full, bbox=bbox, page=MAX_LIMIT)
    found = find(full, sortby=sortby, bbox=bbox, page=7)
    assert sorted(found) == sorted(everything)
    name, descending = sortby[0]
    by_id = {each["id"]: {**each["properties"], "id": each["id"], "collection": each["collection"]} for each in items}
    values = [by_id[item_id].get(name.removeprefix("properties.")) for item_id in found]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=descending)


def test_items_that_come_while_somebody_pages_move_nothing(store, make_item):
    store.put_items([make_item(f"old-{n}", datetime=f"2024-05-{1 + n % 9:02d}T00:00:00Z") for n in range(40)])
    seen: list[str] = []
    token = None
    for turn in range(100):
        page = store.search(ItemQuery(limit=6, token=token))
        seen += [each.id for each in page.items]
        store.put_items([make_item(f"new-{turn}", datetime="2025-01-01T00:00:00Z")])
        token = page.next_token
        if token is None:
            break
    assert sorted(seen) == sorted(f"old-{n}" for n in range(40))


def test_ids_and_collections_narrow_a_search(full, items, find):
    assert set(find(full, ids=["item-3", "item-5", "no-such"])) == {"item-3", "item-5"}
    expected = {each["id"] for each in items if each["collection"] == "planet"}
    assert set(find(full, collections=["planet", "no-such"])) == expected


def test_matches_are_counted_where_that_is_cheap(full, items):
    assert full.search(ItemQuery(limit=1)).matched == len(items)
    assert full.search(ItemQuery(limit=1), owner="anna").matched == sum(
        each["properties"]["imagery:owner"] == "anna" for each in items
    )
    cloudless = sum(each["properties"].get("eo:cloud_cover", 100) < 20 for each in items)
    assert full.search(ItemQuery(limit=1, filter="eo:cloud_cover < 20")).matched == cloudless


def test_a_page_holds_no_more_than_the_most_there_is(full):
    assert len(full.search(ItemQuery(limit=10**30)).items) == 600
    with pytest.raises(FilterInvalid):
        full.search(ItemQuery(limit=0))


def test_a_range_is_found_by_any_instant_of_it(store, make_item, find):
    span = {"datetime": None, "start_datetime": "1990-01-01T00:00:00Z", "end_datetime": "1990-03-01T00:00:00Z"}
    store.put_items([make_item("range", **span), make_item("instant")])
    assert find(store, datetime="1990-02-01T00:00:00Z") == ["range"]
    assert find(store, datetime="1990-02-01T00:00:00Z/..") == ["instant", "range"]
    store.put_items([make_item("odd", **{**span, "datetime": "1980-01-01T00:00:00Z"})])
    assert find(store, datetime="1980-01-01T00:00:00Z") == ["odd"]
    assert set(find(store, datetime="1990-02-01T00:00:00Z", bbox=(13, 45, 15, 47))) == {"odd", "range"}
    store.remove_items("clips", ["odd"])
    assert find(store, datetime="1990-03-02T00:00:00Z/2000-01-01T00:00:00Z") == []


def test_a_search_and_a_footprint_may_cross_the_antimeridian(store, make_item, find):
    halves = [(179.9, -17, 180, -16.9), (-180, -17, -179.9, -16.9)]
    split = make_item("both")
    split["geometry"] = shapely.geometry.mapping(shapely.MultiPolygon([shapely.box(*half) for half in halves]))
    split["bbox"] = [179.9, -17, -179.9, -16.9]
    east = make_item("east", box=(-179.95, -17, -179.91, -16.95))
    store.put_items([split, east, make_item("far", box=(0, -17, 0.1, -16.9))])

    assert set(find(store, bbox=(179.5, -18, -179.5, -16))) == {"both", "east"}
    assert set(find(store, bbox=(179.5, -18, 0, -179.5, -16, 9))) == {"both", "east"}
    assert set(find(store, intersects=split["geometry"])) == {"both", "east"}
    assert find(store, bbox=(-1, -18, 1, -16)) == ["far"]
    assert set(find(store, bbox=(-180, -18, 180, -16))) == {"both", "east", "far"}
    halfway = "S_INTERSECTS(geometry, BBOX(-179.92, -17, -179.915, -16))"
    assert set(find(store, filter=halfway)) == {"both", "east"}


@pytest.mark.parametrize(
    "query",
    [
        {"bbox": (1, 2, 3)},
        {"bbox": (0, 5, 1, 2)},
        {"bbox": (-181, 0, 1, 1)},
        {"bbox": (float("nan"), 0, 1, 1)},
        {"bbox": (0, 0, 1, 1), "intersects": {"type": "Point", "coordinates": [1, 1]}},
        {"datetime": "soon"},
        {"datetime": "../.."},
        {"datetime": "2024-01-02T00:00:00Z/2024-01-01T00:00:00Z"},
        {"datetime": "9999-12-31T23:59:59-14:00"},
        {"intersects": {"type": "Nope"}},
        {"intersects": {"type": "Polygon", "coordinates": []}},
        {"intersects": {"type": "Point", "coordinates": [500, 1]}},
        {"sortby": (('a"b', False),)},
        {"sortby": (("geometry", False),)},
        {"sortby": tuple((f"p{n}", False) for n in range(9))},
        {"ids": ["\ud800"]},
        {"ids": [f"x{n}" for n in range(10_001)]},
        {"query": {"a": {"nope": 1}}},
        {"query": {"a": 1}},
        {"query": {"a": {"eq": 10**400}}},
    ],
)
def test_a_search_that_cannot_be_answered_is_refused(full, query):
    with pytest.raises(FilterInvalid):
        full.search(ItemQuery(**query))


@pytest.mark.parametrize("token", ["zzz", "é", "W10", "e30", "x" * 10_000, "%%"])
def test_a_token_that_is_none_of_ours_is_refused(full, token):
    with pytest.raises(CursorInvalid):
        full.search(ItemQuery(token=token))


def test_a_token_of_another_order_is_refused(full):
    token = full.search(ItemQuery(limit=1)).next_token
    with pytest.raises(CursorInvalid):
        full.search(ItemQuery(token=token, sortby=(("id", False),)))
