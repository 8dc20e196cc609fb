"""What numbers mean in a delivery: tiles that stand in for each other, and files that speak for themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.transform import from_origin

from imagery.errors import RadiometryContradictory
from imagery.model.processing import Index, Processing
from imagery.raster.radiometry import gather
from imagery.workflow.settling import settled_of
from tests.unit.workflow.conftest import LEFT, TOP, House
from tests.unit.workflow.test_delivery import delivered

FOREST = {"blue": 300, "red": 400, "nir": 4500, "scl": 4}
DESERT = {"blue": 1500, "red": 3000, "nir": 4000, "scl": 5}
DATATAKE = "GS2A_20260420T100601_012345_N05.11"


def tile(folder: Path, name: str, numbers: dict[str, int], *, offset: int = 0, **said: Any) -> pystac.Item:
    """One tile of a datatake, the same number everywhere."""
    assets: dict[str, Any] = {}
    for key, number in numbers.items():
        data = np.full((1, 60, 60), number + (0 if key == "scl" else offset), np.uint16)
        href = folder / f"{name}_{key}.tif"
        profile = {"driver": "GTiff", "count": 1, "height": 60, "width": 60, "dtype": "uint16", "nodata": 0}
        with rasterio.open(href, "w", crs="EPSG:32633", transform=from_origin(LEFT, TOP, 10, 10), **profile) as out:
            out.write(data)
        assets[key] = {"href": str(href)}
    usual = {
        "datetime": "2026-04-20T10:06:01Z",
        "s2:datatake_id": DATATAKE,
        "s2:processing_baseline": "05.11",
        "earthsearch:boa_offset_applied": False,
    }
    return pystac.Item.from_dict(
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": name,
            "collection": "sentinel-2-l2a",
            "geometry": None,
            "properties": {**usual, **said},
            "links": [],
            "assets": assets,
        }
    )


def offsets_of(*items: pystac.Item) -> list[float | None]:
    found = settled_of(items, "red", {item.id: gather(item, ["red"]) for item in items})
    return [None if (one := found[item.id]) is None else one.offset for item in items]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_tile_that_shows_too_little_goes_by_one_of_its_acquisition_that_is_certain(tmp_path: Path, is_first) -> None:
    certain, desert = tile(tmp_path, "a", FOREST), tile(tmp_path, "b", DESERT)
    items = (certain, desert) if is_first else (desert, certain)
    assert offsets_of(*items) == [0.0, 0.0]
    assert offsets_of(desert) == [-0.1]


def test_the_offset_that_is_still_in_is_told_to_the_others_as_well(tmp_path: Path) -> None:
    flag = {"earthsearch:boa_offset_applied": True}
    items = (tile(tmp_path, "a", FOREST, offset=1000, **flag), tile(tmp_path, "b", DESERT, offset=1000, **flag))
    assert offsets_of(*items) == [-0.1, -0.1]


@pytest.mark.parametrize(
    "otherwise",
    [
        {"s2:datatake_id": "GS2B_20260423T100601_012345_N05.11"},
        {"s2:processing_baseline": "05.10"},
    ],
)
def test_a_tile_made_otherwise_goes_by_its_own_metadata(tmp_path: Path, otherwise: dict[str, Any]) -> None:
    certain, desert = tile(tmp_path, "a", FOREST, **otherwise), tile(tmp_path, "b", DESERT)
    assert offsets_of(certain, desert) == [0.0, -0.1]


def test_a_right_flag_of_one_tile_does_not_overrule_another_right_one(tmp_path: Path) -> None:
    off = tile(tmp_path, "a", FOREST, **{"earthsearch:boa_offset_applied": True})
    still_in = tile(tmp_path, "b", DESERT, offset=1000)
    assert offsets_of(off, still_in) == [0.0, -0.1]


def test_tiles_that_contradict_their_metadata_doubtfully_are_still_refused(tmp_path: Path) -> None:
    hazy = {"blue": 1050, "red": 1050, "nir": 4200, "scl": 4}
    flag = {"earthsearch:boa_offset_applied": True}
    with pytest.raises(RadiometryContradictory):
        offsets_of(tile(tmp_path, "a", hazy, **flag))
    with pytest.raises(RadiometryContradictory):
        offsets_of(tile(tmp_path, "a", hazy, **flag), tile(tmp_path, "b", FOREST, **flag))


def test_a_files_own_scale_is_in_the_file_in_the_item_and_in_the_index(house: House) -> None:
    house.provider.publish("a")
    for key, number in (("lst", 100), ("soil", 300)):
        href = house.provider.folder / f"own_{key}.tif"
        profile = {"driver": "GTiff", "count": 1, "height": 100, "width": 100, "dtype": "uint16", "nodata": 0}
        with rasterio.open(href, "w", crs="EPSG:32633", transform=from_origin(LEFT, TOP, 10, 10), **profile) as out:
            out.write(np.full((1, 100, 100), number, np.uint16))
            out.scales, out.offsets = [0.002], [0.1]
        house.provider.items["a"].add_asset(key, pystac.Asset(href=str(href)))
    processing = Processing(indices=(Index(name="sum", formula="lst + soil"),))

    _, item = delivered(house, house.subscribe(assets=("lst", "soil"), processing=processing))

    for key in ("lst", "soil"):
        said = item.assets[key].extra_fields
        assert (said["raster:scale"], said["raster:offset"]) == (0.002, 0.1)
        assert "the file itself" in said["imagery:radiometry"]
        with rasterio.open(item.assets[key].href) as clip:
            assert (clip.scales, clip.offsets) == ((0.002,), (0.1,))
    with rasterio.open(item.assets["sum"].href) as index:
        assert index.read(1).max() == round((0.3 + 0.7) / 0.0001)
