"""A collection's extent is that of its items: after each write, and on both sides of the antimeridian."""

from __future__ import annotations

import random

import shapely
import shapely.geometry


def spatial(store, owner=None):
    return store.get_collection("clips", owner=owner)["extent"]["spatial"]["bbox"][0]


def test_after_any_writes_and_removals_it_is_that_of_the_items_left(store, make_item, find):
    r = random.Random(4)
    kept: dict[str, tuple] = {}
    for turn in range(60):
        item_id = f"i{r.randrange(25)}"
        if r.random() < 0.4 and item_id in kept:
            store.remove_items("clips", [item_id])
            del kept[item_id]
        else:
            west, south, owner = r.randrange(-60, 60), r.randrange(-60, 60), r.choice(["anna", "ben"])
            day = f"2024-{r.randrange(1, 13):02d}-05T00:00:00Z"
            box = (west, south, west + 1, south + 1)
            store.put_items([make_item(item_id, box=box, datetime=day, owner=owner)])
            kept[item_id] = (box, day, owner)
        for scope in (None, "anna", "ben"):
            mine = [value for value in kept.values() if scope in (None, value[2])]
            if not mine:
                continue
            extent = store.get_collection("clips", owner=scope)["extent"]
            boxes = [value[0] for value in mine]
            expected = [
                min(b[0] for b in boxes),
                min(b[1] for b in boxes),
                max(b[2] for b in boxes),
                max(b[3] for b in boxes),
            ]
            assert extent["spatial"]["bbox"] == [expected], turn
            days = sorted(value[1] for value in mine)
            assert extent["temporal"]["interval"] == [[days[0], days[-1]]]


def test_fields_on_both_sides_of_the_antimeridian_make_a_narrow_box_across_it(store, make_item):
    store.put_items([make_item("fiji", box=(178, -18, 178.5, -17)), make_item("east", box=(-179, -16, -178.5, -15))])
    assert spatial(store) == [178, -18, -178.5, -15]
    store.remove_items("clips", ["east"])
    assert spatial(store) == [178, -18, 178.5, -17]


def test_a_split_footprint_makes_a_narrow_box_across_it(store, make_item):
    split = make_item("both")
    halves = [shapely.box(179.9, -17, 180, -16.9), shapely.box(-180, -17, -179.9, -16.9)]
    split["geometry"] = shapely.geometry.mapping(shapely.MultiPolygon(halves))
    store.put_items([split, make_item("other", box=(170, -20, 171, -19), owner="ben")])
    assert spatial(store, "anna") == [179.9, -17, -179.9, -16.9]
    assert spatial(store) == [170, -20, -179.9, -16.9]
    store.remove_items("clips", ["other"])
    assert spatial(store) == [179.9, -17, -179.9, -16.9]


def test_europe_and_america_are_spanned_across_greenwich(store, make_item):
    store.put_items(
        [make_item("slovenia"), make_item("iowa", box=(-94, 42, -93, 43)), make_item("london", box=(-1, 51, 1, 52))]
    )
    assert spatial(store) == [-94, 42, 14.1, 52]
