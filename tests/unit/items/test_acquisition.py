"""Which real items are told to show the same moment, whatever catalog they come from."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest

from imagery.items.acquisition import Acquisition, acquisition_of_item

AT = datetime(2024, 7, 10, 7, 41, tzinfo=UTC)


def acquisition(item_id: str, at: datetime = AT, **said: Any) -> Acquisition:
    named = {name.replace("__", ":"): value for name, value in said.items()}
    return acquisition_of_item(pystac.Item(id=item_id, geometry=None, bbox=None, datetime=at, properties=named))


def recorded(shared_data: Path) -> Iterator[pystac.Item]:
    """Every Sentinel-2 and Landsat item on record, each once."""
    with gzip.open(shared_data / "items" / "earth_search_v1_mixed.ndjson.gz", "rt") as lines:
        bodies = [json.loads(line) for line in lines]
    folder = shared_data / "api" / "earth_search"
    for path in [*folder.glob("exchanges/*.json"), *folder.glob("item*.json"), *folder.glob("items_*/*.json")]:
        read = json.loads(path.read_text())
        body = read["response"]["body"] if "response" in read else read
        if isinstance(body, dict):
            bodies += body.get("features") or ([body] if body.get("type") == "Feature" else [])
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for body in bodies:
        known.setdefault((body.get("collection", ""), body["id"]), {**body, "links": [], "assets": {}})
    for body in known.values():
        body.setdefault("geometry", None)
        properties = body.setdefault("properties", {})
        properties.setdefault("datetime", None)
        if properties["datetime"] or properties.get("start_datetime"):
            yield pystac.Item.from_dict(body)


def one_of(shared_data: Path, name: str) -> pystac.Item:
    path = next((shared_data / "api" / "earth_search").rglob(name))
    read = json.loads(path.read_text())
    return pystac.Item.from_dict(read["response"]["body"] if "response" in read else read)


def test_two_processings_of_a_tile_are_one_acquisition_and_one_ground(shared_data: Path) -> None:
    for tile in ("32TMT_20200302", "32UNU_20200305"):
        older, newer = (acquisition_of_item(one_of(shared_data, f"60_item_S2A_{tile}_{n}_L2A.json")) for n in (0, 1))

        assert (older.id, older.tile) == (newer.id, newer.tile)
        assert older.rank < newer.rank


def test_sixteen_passes_over_a_tile_are_sixteen_acquisitions(shared_data: Path) -> None:
    paths = list((shared_data / "api" / "earth_search" / "items_33TWN_2016-2022").glob("*.json"))
    found = [acquisition_of_item(pystac.Item.from_file(str(path))) for path in paths]

    assert len(paths) == 16
    assert len({one.id for one in found}) == 16
    assert {one.tile.partition("_")[0] for one in found} == {"33TWN", "32TMS"}


def test_every_recorded_item_of_a_datatake_is_of_one_acquisition(shared_data: Path) -> None:
    by_datatake: dict[str, set[str]] = defaultdict(set)
    by_id: dict[str, set[str]] = defaultdict(set)
    for item in recorded(shared_data):
        if "s2:datatake_id" in item.properties:
            datatake = item.properties["s2:datatake_id"].rpartition("_N")[0]
            by_datatake[datatake].add(acquisition_of_item(item).id)
            by_id[acquisition_of_item(item).id].add(datatake)

    assert len(by_datatake) > 30
    assert all(len(ids) == 1 for ids in by_datatake.values())
    assert all(len(datatakes) == 1 for datatakes in by_id.values())


def test_levels_and_collections_of_one_tile_are_one_ground_and_the_higher_level_is_better(shared_data: Path) -> None:
    grounds: dict[tuple[str, str], list[Acquisition]] = defaultdict(list)
    for item in recorded(shared_data):
        if item.id in ("S2B_T25LBG_20240809T124253_L2A", "S2B_25LBG_20240809_0_L2A", "S2B_25LBG_20240809_0_L1C"):
            found = acquisition_of_item(item)
            grounds[found.id, found.tile].append(found)

    ((key, processings),) = grounds.items()
    assert key == ("S2B_20240809T124259", "25LBG_20240809T124253")
    assert sorted(one.rank.level for one in processings) == [1, 2, 2]
    assert min(processings, key=lambda one: one.rank).rank.level == 1


def test_an_item_of_the_older_api_is_told_by_its_product_id(shared_data: Path) -> None:
    found = acquisition_of_item(one_of(shared_data, "item_S2A_17SPR_20221106_0_L2A.json"))

    assert (found.id, found.tile) == ("S2A_20221106T155441", "17SPR")
    assert (found.rank.level, found.rank.baseline) == (2, (4, 0))


def test_a_bare_product_name_and_the_datatake_tell_the_same() -> None:
    name = "S2B_MSIL2A_20240710T071619_N0510_R006_T37MGP_20240710T103747"
    named = acquisition(name)
    said = acquisition("x", s2__datatake_id="GS2B_20240710T071619_038356_N05.10", grid__code="MGRS-37MGP")

    assert (named.id, named.tile) == (said.id, said.tile) == ("S2B_20240710T071619", "37MGP")
    assert named.rank.generated == "2024-07-10T10:37:47.000000Z"


def test_an_item_without_properties_is_told_by_its_id() -> None:
    found = [acquisition(f"S2B_T37M{square}_20240710T073012_L2A") for square in ("GP", "HP")]

    assert [(one.id, one.tile) for one in found] == [
        ("S2B_20240710T073012", "37MGP"),
        ("S2B_20240710T073012", "37MHP"),
    ]


def test_at_the_seam_of_two_datastrips_a_tile_is_two_grounds() -> None:
    said: dict[str, Any] = {"s2__datatake_id": "GS2C_20250729T174921_004688_N05.11", "grid__code": "MGRS-13TDE"}
    parts = [
        acquisition("x", s2__datastrip_id=f"S2C_OPER_MSI_L2A_DS_2CPS_20250729T221000_S20250729T{at}_N05.11", **said)
        for at in ("175521", "180310")
    ]

    assert parts[0].id == parts[1].id
    assert parts[0].tile != parts[1].tile


def test_rows_of_a_landsat_path_are_one_acquisition(shared_data: Path) -> None:
    passes: dict[str, list[pystac.Item]] = defaultdict(list)
    for item in recorded(shared_data):
        if item.collection_id == "landsat-c2-l2":
            passes[acquisition_of_item(item).id].append(item)

    rows = {item.properties["landsat:wrs_row"] for item in passes["L09_078_20250202"]}
    assert {"113", "114", "115", "116", "117", "118", "119"} <= rows
    for items in passes.values():
        times = [item.datetime for item in items if item.datetime]
        assert (max(times) - min(times)).total_seconds() < 3600
        assert len({item.properties["landsat:wrs_path"] for item in items}) == 1


def test_midnight_between_two_rows_of_a_pass_does_not_part_them() -> None:
    rows = [
        acquisition(f"LC08_L2SP_0910{row}_2024{day}_02_T1", datetime(2024, *at, tzinfo=UTC), platform="landsat-8")
        for row, day, at in (("80", "0301", (3, 1, 23, 59, 50)), ("81", "0302", (3, 2, 0, 0, 14)))
    ]

    assert rows[0].id == rows[1].id
    assert (rows[0].tile, rows[1].tile) == ("080", "081")


@pytest.mark.parametrize(("worse", "better"), [("02_RT", "02_T1"), ("02_T2", "02_T1")])
def test_a_landsat_scene_of_the_better_tier_is_better(worse: str, better: str) -> None:
    ranks = [acquisition(f"LC08_L2SP_033032_20231008_{tier}", platform="landsat-8").rank for tier in (worse, better)]

    assert ranks[0] < ranks[1]


def test_scenes_of_a_planet_strip_are_acquisitions_of_their_own() -> None:
    # To look at another one of the strip it would have to be ordered, and paid for.
    scenes = [acquisition(f"20220125_07550{n}_17_1061", strip_id="5374513") for n in (9, 8)]

    assert [one.id for one in scenes] == ["20220125_075509_17_1061", "20220125_075508_17_1061"]


def test_what_has_nothing_in_common_with_others_stands_alone(shared_data: Path) -> None:
    for item in recorded(shared_data):
        if item.collection_id in ("cop-dem-glo-30", "naip"):
            assert acquisition_of_item(item).id == item.id


@pytest.mark.parametrize(
    "said",
    [
        {"s2__datatake_id": None, "s2__product_uri": 5, "platform": ["landsat-8"]},
        {"s2__datatake_id": "", "landsat__wrs_path": "", "platform": "landsat-8"},
        {"landsat__wrs_path": "abc", "landsat__wrs_row": "1", "platform": "landsat-9"},
        {"strip_id": {}, "updated": "never", "s2__processing_baseline": "?"},
    ],
)
def test_odd_properties_are_read_as_said_nothing(said: dict[str, Any]) -> None:
    assert acquisition("odd", **said).id == "odd"
