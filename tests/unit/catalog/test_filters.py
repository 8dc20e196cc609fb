"""CQL2 and `query`, against the `cql2` package's own matcher, and within the limits that keep its parser alive."""

from __future__ import annotations

import json

import cql2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagery.catalogs.sqlite.conditions import ItemQuery
from imagery.catalogs.sqlite.store import CatalogStore
from imagery.errors import FilterInvalid

EUROPE = "POLYGON((0 40, 15 40, 15 52, 0 52, 0 40))"

FILTERS = [
    "eo:cloud_cover < 10",
    "eo:cloud_cover BETWEEN 20 AND 40",
    "eo:cloud_cover >= 50 AND platform = 'sentinel-2a'",
    "\"imagery:subscription_id\" = 'sub_3' AND eo:cloud_cover < 30",
    "\"imagery:subscription_id\" IN ('sub_1','sub_2') OR gsd = 3",
    "platform IS NULL",
    "platform IS NOT NULL AND gsd > 5",
    "platform LIKE 'sentinel-2_' AND NOT gsd = 10",
    "gsd + 1 > 10 AND gsd * 2 < 30",
    "eo:cloud_cover > gsd",
    "CASEI(platform) = CASEI('psb')",
    "id LIKE 'item-1%' AND collection = 'planet'",
    f"S_INTERSECTS(geometry, {EUROPE})",
    f"S_WITHIN(geometry, {EUROPE}) AND gsd = 10",
    f"S_DISJOINT(geometry, {EUROPE})",
    "eo:cloud_cover < 5 OR (gsd = 10 AND NOT (gsd > 15))",
]


def matches(expression: cql2.Expr, item: dict) -> bool:
    """The oracle looks names up in properties first."""
    own = {"id": item["id"], "collection": item["collection"]}
    try:
        return bool(expression.matches({**item, "properties": {**item["properties"], **own}}))
    except Exception:  # it raises where a property is missing: SQL's NULL, so no match
        return False


@pytest.mark.parametrize("text", FILTERS)
def test_a_filter_finds_what_the_oracle_finds_as_text_and_as_json(full, items, find, text):
    expression = cql2.parse_text(text)
    expected = {item["id"] for item in items if matches(expression, item)}
    assert set(find(full, filter=text)) == expected
    assert set(find(full, filter=expression.to_json())) == expected


comparisons = st.builds(
    lambda name, op, value: {"op": op, "args": [{"property": name}, value]},
    st.just("gsd"),
    st.sampled_from(["=", "<>", "<", "<=", ">", ">="]),
    st.sampled_from([3, 10, 15, 20]),
)
trees = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(
            lambda op, args: {"op": op, "args": args},
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=2, max_size=3),
        ),
        st.builds(lambda arg: {"op": "not", "args": [arg]}, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees)
def test_any_tree_of_comparisons_finds_what_the_oracle_finds(full, items, find, tree):
    expression = cql2.parse_json(json.dumps(tree))
    expected = {item["id"] for item in items if matches(expression, item)}
    assert set(find(full, filter=tree, page=1000)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A_CONTAINS(instruments, ('msi','psb'))", lambda p: p["instruments"] == ["msi", "psb"]),
        ("A_OVERLAPS(instruments, ('psb','x'))", lambda p: "psb" in p["instruments"]),
        ("A_CONTAINEDBY(instruments, ('msi'))", lambda p: p["instruments"] != ["msi", "psb"]),
        ("A_CONTAINS(platform, ('x'))", lambda p: False),
        ("T_AFTER(datetime, TIMESTAMP('2023-01-01T00:00:00Z'))", lambda p: p["datetime"] > "2023-01-01T00:00:00Z"),
        (
            "T_DURING(datetime, INTERVAL('2022-01-01T00:00:00Z','2022-12-31T00:00:00Z'))",
            lambda p: "2022-01-01T00:00:00Z" < p["datetime"] < "2022-12-31T00:00:00Z",
        ),
        ("T_BEFORE(datetime, DATE('2022-01-01'))", lambda p: p["datetime"] < "2022"),
        ("datetime >= TIMESTAMP('2024-01-01T00:00:00Z')", lambda p: p["datetime"] >= "2024"),
        ("platform > 5", lambda p: False),
        ("eo:cloud_cover = 'x'", lambda p: False),
        ("nobody_has_this = 1", lambda p: False),
    ],
)
def test_arrays_times_and_strange_types(full, items, find, text, expected):
    assert set(find(full, filter=text)) == {item["id"] for item in items if expected(item["properties"])}


def test_numbers_sent_as_text_in_query_are_numbers_too(full, items, find):
    expected = {item["id"] for item in items if item["properties"].get("eo:cloud_cover", 100) < 20}
    assert set(find(full, query={"eo:cloud_cover": {"lt": "20"}})) == expected
    assert set(find(full, query={"eo:cloud_cover": {"lt": 20}, "id": {"startsWith": "item-"}})) == expected
    assert find(full, query={"id": {"contains": "%"}}) == []


def nested(levels: int) -> dict:
    tree: dict = {"op": "=", "args": [{"property": "a"}, 1]}
    for _ in range(levels):
        tree = {"op": "not", "args": [tree]}
    return tree


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "a <<",
        "foo(a) = 1",
        "(" * 100 + "a=1",
        "(" * 30 + "a=" + ")" * 30,
        "NOT " * 5000 + "a=1",
        "a=" + "-" * 9000 + "1",
        "a=" + "1+" * 4000 + "1",
        "'" * 9001,
        "x" * 20_000,
        "a LIKE '" + "%a" * 200 + "'",
        "S_INTERSECTS(geometry, POLYGON((0 0, 1 1)))",
        "S_INTERSECTS(platform, POINT(0 0))",
        "S_INTERSECTS(geometry, BBOX(1,2,3))",
        "T_AFTER(datetime, 5)",
        "datetime > 'x'",
        '"a b" = 1',
        "'\ud800' = a",
        nested(70),
        nested(5000),
        {"op": "nosuch", "args": []},
        {"op": "not", "args": []},
        {"op": "=", "args": [{"property": 5}, 1]},
        {"op": "=", "args": [{"property": "a"}, float("nan")]},
        {"op": "in", "args": [{"property": "a"}, 5]},
        {"op": "between", "args": [{"property": "a"}, 1]},
        {"op": "a_contains", "args": [{"property": "a"}, [[1]]]},
    ],
)
def test_a_filter_that_is_wrong_or_costly_is_refused(full, expression):
    with pytest.raises(FilterInvalid):
        full.search(ItemQuery(filter=expression))


def test_the_older_between_is_understood(full, find):
    old = {"op": "between", "args": [{"property": "gsd"}, [5, 15]]}
    assert find(full, filter=old) == find(full, filter="gsd BETWEEN 5 AND 15")


def test_a_search_that_takes_too_long_is_refused(tmp_path, make_item, make_collection):
    hasty = CatalogStore(tmp_path / "hasty.db", query_timeout_s=0.0)
    hasty.put_collection(make_collection())
    hasty.put_items([make_item(f"i{n}") for n in range(3000)])
    with pytest.raises(FilterInvalid, match="too long"):
        hasty.search(ItemQuery(filter="nobody_has_this = 1"))
    hasty.close()
