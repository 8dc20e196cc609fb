"""Scale and offset by an item's metadata, on real items and on their mutations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pystac
import pytest

from imagery.raster.radiometry import decide

MAIN_ITEM = "imagery/earthsearch_33T_2023-08/S2A_33TWL_20230815_0_L2A/S2A_33TWL_20230815_0_L2A.json"


def sentinel2(
    collection: str = "sentinel-2-l2a",
    *,
    key: str = "red",
    bands: list[dict[str, Any]] | None = None,
    **properties: Any,
) -> pystac.Item:
    fields = {} if bands is None else {"raster:bands": bands}
    return pystac.Item.from_dict(
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": "x",
            "collection": collection,
            "geometry": None,
            "properties": {"datetime": "2023-08-15T10:00:00Z", **properties},
            "links": [],
            "assets": {key: {"href": "https://host/B04.tif", **fields}},
        }
    )


DECLARED = [{"scale": 0.0001, "offset": -0.1}]


@pytest.mark.parametrize(
    ("baseline", "flag", "offset"),
    [
        ("02.14", None, 0),
        ("03.01", False, 0),
        ("04.00", None, -0.1),
        ("04.00", False, -0.1),
        ("04.00", True, 0),
        ("05.09", True, 0),
        ("05.11", False, -0.1),
    ],
)
def test_sentinel_2_of_before_collection_1_follows_baseline_and_flag(baseline, flag, offset) -> None:
    properties = {"s2:processing_baseline": baseline}
    if flag is not None:
        properties["earthsearch:boa_offset_applied"] = flag
    found = decide(sentinel2(bands=DECLARED, **properties), "red")
    assert found is not None
    assert (found.scale, found.offset) == (0.0001, offset)
    assert baseline in found.source or "boa_offset_applied" in found.source


def test_the_older_spellings_are_known() -> None:
    properties = {"sentinel:processing_baseline": "04.00", "sentinel:boa_offset_applied": True}
    found = decide(sentinel2("sentinel-s2-l2a-cogs", key="B04", **properties), "B04")
    assert found is not None and (found.scale, found.offset) == (0.0001, 0)


def test_collection_1_always_has_the_offset() -> None:
    found = decide(sentinel2("sentinel-2-c1-l2a", bands=DECLARED, **{"earthsearch:boa_offset_applied": True}), "red")
    assert found is not None and (found.scale, found.offset) == (0.0001, -0.1)


def test_the_agencys_own_jp2_has_the_offset_whatever_the_flag_says_of_the_cog() -> None:
    properties = {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True}
    found = decide(sentinel2(key="red-jp2", bands=DECLARED, **properties), "red-jp2")
    assert found is not None and found.offset == -0.1


def test_without_a_baseline_the_declaration_stands_and_says_so() -> None:
    found = decide(sentinel2(bands=DECLARED), "red")
    assert found is not None and found.offset == -0.1
    assert "unknown" in found.source


def test_classes_and_other_products_are_as_declared() -> None:
    properties = {"s2:processing_baseline": "05.09"}
    assert decide(sentinel2(key="scl", bands=[{"data_type": "uint8"}], **properties), "scl") is None
    found = decide(sentinel2(key="aot", bands=[{"scale": 0.001, "offset": 0}], **properties), "aot")
    assert found is not None and (found.scale, found.offset) == (0.001, 0)
    assert decide(sentinel2(**properties), "no-such-asset") is None


def test_other_collections_are_as_declared_in_either_version_of_the_extension() -> None:
    old = decide(sentinel2("naip", bands=[{"scale": 2.75e-05, "offset": -0.2}]), "red")
    assert old is not None and (old.scale, old.offset) == (2.75e-05, -0.2)
    item = sentinel2("naip")
    item.assets["red"].extra_fields["raster:scale"] = 0.5
    new = decide(item, "red")
    assert new is not None and (new.scale, new.offset) == (0.5, 0)
    item = sentinel2("naip")
    item.assets["red"].extra_fields["bands"] = [{"raster:offset": -3}]
    of_band = decide(item, "red")
    assert of_band is not None and (of_band.scale, of_band.offset) == (1, -3)
    assert decide(sentinel2("naip"), "red") is None


@pytest.mark.parametrize("bands", ["x", [], [None], [{"scale": "0.1"}], [{"scale": True}], {"scale": 1}])
def test_nonsense_is_no_declaration(bands) -> None:
    item = sentinel2("naip")
    item.assets["red"].extra_fields["raster:bands"] = bands
    assert decide(item, "red") is None


def test_real_items(shared_data: Path) -> None:
    item = pystac.Item.from_dict(json.loads((shared_data / MAIN_ITEM).read_text()))
    offsets = {}
    for key in ("red", "nir", "red-jp2", "aot", "scl"):
        found = decide(item, key)
        offsets[key] = None if found is None else found.offset
    assert offsets == {"red": 0, "nir": 0, "red-jp2": -0.1, "aot": 0, "scl": None}
    for path in sorted((shared_data / "api/earth_search/items_33TWN_2016-2022").glob("*.json")):
        item = pystac.Item.from_dict(json.loads(path.read_text()))
        found = decide(item, "red")
        assert found is not None and found.scale == 0.0001
        baseline = item.properties["s2:processing_baseline"]
        applied = item.properties.get("earthsearch:boa_offset_applied")
        assert found.offset == (0 if baseline < "04.00" or applied else -0.1), path.name


def test_bands_that_differ_each_have_their_own_scale_and_offset() -> None:
    item = sentinel2("landsat-c2-l2")
    item.assets["red"].extra_fields["bands"] = [{"raster:scale": 0.02}, {"raster:scale": 0.002, "raster:offset": 0.49}]
    found = decide(item, "red")
    assert found is not None and (found.scale, found.offset) == (None, None)
    assert found.bands == ((0.02, 0.0), (0.002, 0.49))
    old = decide(sentinel2("landsat-c2-l2", bands=[{"scale": 0.02}, {"nodata": 0}]), "red")
    assert old is not None and old.bands == ((0.02, 0.0), None)


def test_bands_that_agree_speak_for_the_asset() -> None:
    found = decide(sentinel2("landsat-c2-l2", bands=[{"scale": 0.02}, {"scale": 0.02, "offset": 0}]), "red")
    assert found is not None and (found.scale, found.offset, found.bands) == (0.02, 0.0, ())


def test_a_bands_own_word_goes_before_its_assets() -> None:
    item = sentinel2("landsat-c2-l2")
    item.assets["red"].extra_fields.update({"raster:scale": 0.5, "bands": [{}, {"raster:scale": 0.25}]})
    found = decide(item, "red")
    assert found is not None and found.bands == ((0.5, 0.0), (0.25, 0.0))
