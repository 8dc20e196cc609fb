"""What a caller may make the catalog compute, and how long anybody waits."""

from __future__ import annotations

import fcntl
import threading
import time
from typing import Any

import pytest

from imagery.catalogs.sqlite.catalog import SqliteCatalog
from imagery.catalogs.sqlite.conditions import ItemQuery
from imagery.catalogs.sqlite.connections import READERS, Connections
from imagery.catalogs.sqlite.geometry import PUBLISHED
from imagery.catalogs.sqlite.store import CatalogStore
from imagery.errors import CatalogUnavailable, FilterInvalid, ItemInvalid


def comb(teeth: int, *, upright: bool) -> list[list[list[float]]]:
    """A polygon of 4 * teeth + 3 vertices; an upright one and one that lies cross at every tooth."""
    ring: list[list[float]] = [[0, -0.1]]
    for n in range(teeth):
        left, right = n / teeth, (n + 0.4) / teeth
        ring += [[left, 0.01], [left, 1], [right, 1], [right, 0.01]]
    ring += [[1, -0.1], [0, -0.1]]
    return [ring if upright else [[y, x] for x, y in ring]]


def crossing_combs(teeth: int) -> dict[str, Any]:
    return {"type": "MultiPolygon", "coordinates": [comb(teeth, upright=True), comb(teeth, upright=False)]}


def zigzag(vertices: int, *, upright: bool) -> dict[str, Any]:
    points = [[n / vertices, float(n % 2)] for n in range(vertices)]
    return {"type": "LineString", "coordinates": points if upright else [[y, x] for x, y in points]}


COSTLY = [
    pytest.param(crossing_combs(400), "Self-intersection", id="combs that cross"),
    pytest.param(crossing_combs(40), "Self-intersection", id="small combs that cross"),
    pytest.param({"type": "Polygon", "coordinates": comb(2_600, upright=True)}, "10000 vertices", id="valid but large"),
    pytest.param(zigzag(1_100, upright=True), "1000 vertices", id="a long line"),
    pytest.param(
        {
            "type": "MultiLineString",
            "coordinates": [zigzag(200, upright=upright)["coordinates"] for upright in (True, False)],
        },
        "cross themselves",
        id="lines that cross",
    ),
    pytest.param(
        {"type": "GeometryCollection", "geometries": [zigzag(600, upright=upright) for upright in (True, False)]},
        "1000 vertices",
        id="a large collection",
    ),
]


@pytest.mark.parametrize(("geometry", "said"), COSTLY)
def test_a_geometry_that_costs_more_than_a_moment_is_refused_at_once(store, make_item, geometry, said):
    began = time.monotonic()
    with pytest.raises(FilterInvalid, match=said):
        store.search(ItemQuery(intersects=geometry))
    with pytest.raises(FilterInvalid, match=said):
        store.search(ItemQuery(filter={"op": "s_overlaps", "args": [{"property": "geometry"}, geometry]}))
    with pytest.raises(ItemInvalid, match=said) as caught:
        store.put_items([{**make_item("x"), "geometry": geometry}])
    assert caught.value.field == "/geometry"
    assert time.monotonic() - began < 5


def test_a_refusal_says_where_an_outline_crosses_itself(store):
    with pytest.raises(FilterInvalid, match=r"Self-intersection\[0\.\d+ 0\.\d+\]"):
        store.search(ItemQuery(intersects=crossing_combs(100)))


def test_an_outline_of_moderate_size_that_crosses_itself_is_mended_in_a_moment(store, make_item, find):
    store.put_items([make_item("there", box=(0.2, 0.2, 0.3, 0.3)), make_item("elsewhere")])
    began = time.monotonic()
    assert find(store, intersects=crossing_combs(36)) == ["there"]
    assert time.monotonic() - began < 3


def test_a_large_valid_area_is_searched(store, make_item, find):
    store.put_items([make_item("there", box=(0.2, 0.2, 0.3, 0.3)), make_item("elsewhere")])
    assert find(store, intersects={"type": "Polygon", "coordinates": comb(2_490, upright=True)}) == ["there"]


def test_many_geometries_in_one_filter_are_bounded_together(store):
    each = {"type": "Polygon", "coordinates": comb(1_000, upright=True)}
    tests = [{"op": "s_intersects", "args": [{"property": "geometry"}, each]} for _ in range(3)]
    with pytest.raises(FilterInvalid, match="together"):
        store.search(ItemQuery(filter={"op": "or", "args": tests}))


def test_many_outlines_in_one_request_are_bounded_together(store, make_item, find):
    outline = {"type": "Polygon", "coordinates": comb(2_490, upright=True)}
    with pytest.raises(ItemInvalid, match="together"):
        store.put_items([{**make_item(f"i{n}"), "geometry": outline} for n in range(11)])
    assert find(store) == []


def test_what_we_publish_ourselves_may_be_finer_than_what_callers_send(store, make_item, find):
    outline = {"type": "Polygon", "coordinates": comb(2_600, upright=True)}
    store.put_items([{**make_item("fine"), "geometry": outline}], limits=PUBLISHED)
    assert find(store) == ["fine"]
    found = SqliteCatalog(store).get("clips", "fine")
    assert found is not None
    SqliteCatalog(store).publish([found])


def test_a_search_that_is_refused_takes_no_readers_place(tmp_path):
    store = CatalogStore(tmp_path / "never-made" / "catalog.db")
    for _ in range(READERS + 1):
        with pytest.raises(FilterInvalid):
            store.search(ItemQuery(intersects=crossing_combs(100)))
    assert not (tmp_path / "never-made").exists()


def test_time_spent_on_few_but_costly_outlines_counts_too(tmp_path, make_item, make_collection):
    hasty = CatalogStore(tmp_path / "hasty.db", query_timeout_s=0.0)
    hasty.put_collection(make_collection())
    hasty.put_items([make_item(f"i{n}") for n in range(3)])
    with pytest.raises(FilterInvalid, match="too long"):
        hasty.search(ItemQuery(intersects={"type": "Point", "coordinates": [14.05, 46.05]}))
    hasty.close()


def test_a_writer_does_not_wait_for_ever(tmp_path):
    connections = Connections(tmp_path / "catalog.db", indexed=(), query_timeout_s=20, wait_s=0.1)
    with (tmp_path / "catalog.db.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CatalogUnavailable, match="another process"), connections.write():
            pass
    with connections.write() as db:
        assert db.in_transaction
    connections.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "imagery-turn"]
