"""What goes in comes out, what is wrong stays out, and everybody sees what is theirs."""

from __future__ import annotations

import sqlite3

import pytest

from imagery.catalogs.sqlite.conditions import ItemQuery
from imagery.catalogs.sqlite.store import CatalogStore
from imagery.catalogs.sqlite.writing import Mode
from imagery.errors import CatalogUnavailable, CollectionUnknown, ItemExists, ItemInvalid, ItemUnknown


def test_an_item_comes_out_as_it_went_in(store, make_item):
    sent = make_item(
        "a.b-C_1", title="Großes Feld 🌾", number=1.0, big=2**70, small=1e-7, nested={"a": [1, None, True]}
    )
    store.put_items([sent])
    assert store.get_item("clips", "a.b-C_1").to_dict() == sent


def test_links_that_say_where_it_is_served_are_not_kept(store, make_item):
    sent = make_item("x")
    sent["links"].append({"rel": "self", "href": "https://elsewhere.example"})
    store.put_items([sent])
    assert [link["rel"] for link in store.get_item("clips", "x").to_dict()["links"]] == ["derived_from"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": "a b"}, "/id"),
        ({"id": ""}, "/id"),
        ({"id": ".."}, "/id"),
        ({"id": "x" * 201}, "/id"),
        ({"id": 5}, "/id"),
        ({"collection": None}, "/collection"),
        ({"geometry": None}, "/geometry"),
        ({"geometry": {"type": "Point", "coordinates": [500, 0]}}, "/geometry"),
        ({"geometry": {"type": "Polygon", "coordinates": []}}, "/geometry"),
        ({"properties": None}, "/properties"),
        ({"properties": {}}, "/properties/datetime"),
        ({"properties": {"datetime": "yesterday"}}, "/properties/datetime"),
        ({"properties": {"datetime": "2024-05-03T10:00:00"}}, "/properties/datetime"),
        ({"properties": {"datetime": None, "start_datetime": "2024-05-03T10:00:00Z"}}, "/properties/datetime"),
        (
            {
                "properties": {
                    "datetime": None,
                    "start_datetime": "2024-05-03T10:00:00Z",
                    "end_datetime": "2024-05-02T10:00:00Z",
                }
            },
            "/properties/start_datetime",
        ),
        ({"properties": {"datetime": "2024-05-03T10:00:00Z", "imagery:owner": 5}}, "/properties/imagery:owner"),
        ({"properties": {"datetime": "2024-05-03T10:00:00Z", "x": float("nan")}}, "/properties"),
        ({"properties": {"datetime": "2024-05-03T10:00:00Z", "x": "\ud800"}}, "/properties"),
        ({"links": [5]}, "/links"),
    ],
)
def test_an_item_the_catalog_cannot_hold_is_refused_by_field_and_with_its_batch(store, make_item, find, change, field):
    with pytest.raises(ItemInvalid) as caught:
        store.put_items([make_item("good"), {**make_item("bad"), **change}])
    assert caught.value.field == field
    assert find(store) == []


def test_a_write_says_what_has_to_be_there(store, make_item, find):
    store.put_items([make_item("a"), make_item("b")], mode=Mode.INSERT)
    with pytest.raises(ItemExists):
        store.put_items([make_item("c"), make_item("b")], mode=Mode.INSERT)
    with pytest.raises(ItemUnknown):
        store.put_items([make_item("d")], mode=Mode.REPLACE)
    with pytest.raises(ItemUnknown):
        store.put_items([make_item("a", owner="ben")], mode=Mode.REPLACE, owner="ben")
    with pytest.raises(CollectionUnknown):
        store.put_items([make_item("e", collection="nowhere")])
    assert sorted(find(store)) == ["a", "b"]
    assert store.remove_items("clips", ["a", "a", "never-was"]) == 1
    assert store.remove_items("clips", ["a"]) == 0


def test_the_same_id_lives_in_two_collections(store, make_item):
    store.put_items([make_item("x", gsd=1), make_item("x", collection="planet", gsd=2)])
    assert store.get_item("planet", "x").to_dict()["properties"]["gsd"] == 2
    store.remove_items("planet", ["x"])
    assert store.get_item("clips", "x").to_dict()["properties"]["gsd"] == 1


def test_an_owner_sees_their_own_and_nothing_of_others(store, make_item, find):
    store.put_items([make_item("hers"), make_item("his", owner="ben", collection="planet", box=(1, 1, 2, 2))])
    store.put_items([{**make_item("nobodys"), "properties": {"datetime": "2024-05-03T10:00:00Z"}}])

    assert find(store, owner="anna") == ["hers"]
    assert find(store, owner="anna", ids=["his", "hers"]) == ["hers"]
    assert find(store, owner="anna", bbox=(0, 0, 3, 3)) == []
    assert find(store, owner="anna", collections=["planet"]) == []
    assert find(store, owner="stranger") == []
    assert sorted(find(store)) == ["hers", "his", "nobodys"]
    with pytest.raises(ItemUnknown):
        store.get_item("planet", "his", owner="anna")
    assert store.remove_items("planet", ["his"], owner="anna") == 0
    with pytest.raises(ItemUnknown):
        store.change_item("planet", "his", lambda stored: stored.to_dict(), owner="anna")


def test_a_scope_lists_the_collections_it_has_items_in_with_its_own_extent(store, make_item):
    store.put_items([make_item("hers", box=(10, 40, 11, 41)), make_item("his", owner="ben", box=(20, 50, 21, 51))])
    assert [each["id"] for each in store.collections()] == ["clips", "planet"]
    assert [each["id"] for each in store.collections(owner="anna")] == ["clips"]
    assert store.collections(owner="stranger") == []
    with pytest.raises(CollectionUnknown):
        store.get_collection("planet", owner="anna")
    extent = store.get_collection("clips", owner="anna")["extent"]
    assert extent["spatial"]["bbox"] == [[10, 40, 11, 41]]
    assert store.get_collection("clips")["extent"]["spatial"]["bbox"] == [[10, 40, 21, 51]]
    assert store.get_collection("planet")["extent"]["spatial"]["bbox"] == [[-180, -90, 180, 90]]


def test_a_file_that_is_no_database_is_said_to_be_unusable(tmp_path):
    (tmp_path / "catalog.db").write_bytes(b"not a database, but long enough to be read as one" * 100)
    store = CatalogStore(tmp_path / "catalog.db")
    with pytest.raises(CatalogUnavailable, match=r"catalog\.db"):
        store.search(ItemQuery())
    store.close()


def test_a_file_of_a_later_version_is_left_alone(tmp_path):
    db = sqlite3.connect(tmp_path / "catalog.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    store = CatalogStore(tmp_path / "catalog.db")
    with pytest.raises(CatalogUnavailable, match="upgrade"):
        store.collections()
    store.close()


def test_nothing_is_made_before_it_is_needed(tmp_path):
    CatalogStore(tmp_path / "deep" / "catalog.db").close()
    assert not (tmp_path / "deep").exists()


def test_a_closed_store_opens_again(store, make_item, find):
    store.put_items([make_item("a")])
    store.close()
    assert find(store) == ["a"]


def test_a_deleted_collection_takes_its_items_with_it(store, make_item, find):
    store.put_items([make_item("a"), make_item("b", collection="planet")])
    store.remove_collection("clips")
    assert find(store) == ["b"]
    assert find(store, bbox=(13, 45, 15, 47)) == ["b"]
    with pytest.raises(CollectionUnknown):
        store.remove_collection("clips")
