"""Scale and offset by an item's metadata, on real items and on their mutations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pystac
import pytest

from imagery.errors import RadiometryContradictory
from imagery.raster.radiometry import Radiometry, decide, of_file

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
    item = sentinel2("naip")
    item.assets["red"].extra_fields["bands"] = [{"raster:scale": 0.02}, {"raster:scale": 0.002, "raster:offset": 0.49}]
    found = decide(item, "red")
    assert found is not None and (found.scale, found.offset) == (None, None)
    assert found.bands == ((0.02, 0.0), (0.002, 0.49))
    old = decide(sentinel2("naip", bands=[{"scale": 0.02}, {"nodata": 0}]), "red")
    assert old is not None and old.bands == ((0.02, 0.0), None)


def test_bands_that_agree_speak_for_the_asset() -> None:
    found = decide(sentinel2("naip", bands=[{"scale": 0.02}, {"scale": 0.02, "offset": 0}]), "red")
    assert found is not None and (found.scale, found.offset, found.bands) == (0.02, 0.0, ())


def test_a_bands_own_word_goes_before_its_assets() -> None:
    item = sentinel2("naip")
    item.assets["red"].extra_fields.update({"raster:scale": 0.5, "bands": [{}, {"raster:scale": 0.25}]})
    found = decide(item, "red")
    assert found is not None and found.bands == ((0.5, 0.0), (0.25, 0.0))


@pytest.mark.parametrize("baseline", ["5.11", 5.11, "0511", "N0511", "n0511", "05.11 ", 4.0, 4, "4.00", "04.00"])
def test_a_baseline_is_known_however_it_is_spelled(baseline: object) -> None:
    old = {"datetime": "2020-01-01T10:00:00Z"}
    found = decide(sentinel2(**{"s2:processing_baseline": baseline}, **old), "red")
    assert found is not None and found.offset == -0.1 and "processing baseline" in found.source


@pytest.mark.parametrize("baseline", ["2.14", 2.14, "0214", "N0214", 3.01, 3, "03.99"])
def test_an_old_baseline_is_known_however_it_is_spelled(baseline: object) -> None:
    found = decide(sentinel2(**{"s2:processing_baseline": baseline}), "red")
    assert found is not None and found.offset == 0 and "older than 04.00" in found.source


@pytest.mark.parametrize("baseline", ["N/A", "", None, True, "five", "05.11.1", "12345", float("nan")])
def test_what_is_no_baseline_is_none(baseline: object) -> None:
    found = decide(sentinel2(**{"s2:processing_baseline": baseline}), "red")
    assert found is not None and found.source.startswith("no processing baseline; of 2023-08-15")


@pytest.mark.parametrize(
    ("flags", "offset"),
    [
        ({"earthsearch:boa_offset_applied": 1}, 0),
        ({"earthsearch:boa_offset_applied": "1"}, 0),
        ({"earthsearch:boa_offset_applied": " True"}, 0),
        ({"earthsearch:boa_offset_applied": 0, "sentinel:boa_offset_applied": True}, -0.1),
        ({"earthsearch:boa_offset_applied": "0"}, -0.1),
        ({"earthsearch:boa_offset_applied": "false"}, -0.1),
        ({"earthsearch:boa_offset_applied": None, "sentinel:boa_offset_applied": True}, 0),
        ({"earthsearch:boa_offset_applied": "perhaps", "s2:boa_offset_applied": "true"}, 0),
        ({"earthsearch:boa_offset_applied": None}, -0.1),
        ({"earthsearch:boa_offset_applied": []}, -0.1),
    ],
)
def test_a_flag_is_known_however_it_is_spelled_and_null_is_none(flags: dict[str, Any], offset: float) -> None:
    found = decide(sentinel2(**{"s2:processing_baseline": "05.11"}, **flags), "red")
    assert found is not None and found.offset == offset


@pytest.mark.parametrize(
    ("collection", "declaration", "offset"),
    [
        ("sentinel-2-c1-l2a", {"scale": 0.0001}, -0.1),
        ("sentinel-2-c1-l2a", {"offset": -0.1}, -0.1),
        ("sentinel-2-c1-l2a", {"scale": 0.0001, "offset": -1000}, -0.1),
        ("sentinel-2-c1-l2a", {"scale": 0.0001, "offset": 0}, 0),
        ("sentinel-2-c1-l2a", {"scale": 1, "offset": 0}, -0.1),
        ("sentinel-2-c1-l2a", {"scale": 1}, -0.1),
        ("sentinel-2-l2a", {"scale": 1, "offset": 0, "data_type": "uint16"}, -0.1),
        ("sentinel-2-l2a", {"scale": 0.0001}, -0.1),
        ("sentinel-2-l2a", {"scale": 0.0001, "offset": -1000}, -0.1),
        ("sentinel-2-l2a", {"scale": 0.0001, "offset": 0}, 0),
    ],
)
def test_the_half_that_is_not_said_is_the_rules(collection: str, declaration: dict[str, Any], offset: float) -> None:
    found = decide(sentinel2(collection, bands=[declaration]), "red")
    assert found is not None and (found.scale, found.offset) == (0.0001, offset)


@pytest.mark.parametrize(
    ("declaration", "named"),
    [
        ({"scale": 0.0000275, "offset": -0.2}, "scale 2.75e-05"),
        ({"scale": 0.0001, "offset": 0.1}, "offset 0.1"),
        ({"scale": 0.0001, "offset": 1000}, "offset 1000"),
        ({"scale": 1, "offset": -1000}, "scale 1"),
        ({"scale": 1, "offset": 0, "data_type": "float32"}, "scale 1 of float32"),
        ({"scale": 0}, "scale 0"),
        ({"offset": float("nan")}, "offset nan"),
    ],
)
@pytest.mark.parametrize("collection", ["sentinel-2-c1-l2a", "sentinel-2-l2a", "sentinel-2-l1c"])
def test_what_sentinel_2_never_was_stored_as_is_refused_by_name(
    collection: str, declaration: dict[str, Any], named: str
) -> None:
    item = sentinel2(collection, bands=[declaration], **{"s2:processing_baseline": "05.11"})
    with pytest.raises(RadiometryContradictory, match=named):
        decide(item, "red")


def test_two_offsets_of_one_file_are_refused() -> None:
    item = sentinel2("sentinel-2-c1-l2a", bands=[{"scale": 0.0001, "offset": 0}, {"scale": 0.0001, "offset": -0.1}])
    with pytest.raises(RadiometryContradictory, match="two offsets"):
        decide(item, "red")


@pytest.mark.parametrize(
    ("properties", "offset"),
    [
        ({}, -0.1),
        ({"datetime": "2022-01-25T00:00:00Z"}, -0.1),
        ({"datetime": "2022-01-24T23:59:59Z"}, 0),
        ({"datetime": "2020-06-01T10:00:00Z"}, 0),
        ({"datetime": "2020-06-01T10:00:00Z", "s2:generation_time": "2023-01-01T00:00:00Z"}, -0.1),
        ({"datetime": "2020-06-01T10:00:00Z", "s2:generation_time": "2020-06-01T20:00:00Z"}, 0),
        ({"datetime": "2020-06-01T10:00:00Z", "s2:generation_time": "soon"}, 0),
        ({"datetime": "2020-06-01T10:00:00Z", "earthsearch:boa_offset_applied": False}, 0),
        ({"earthsearch:boa_offset_applied": True}, 0),
        ({"earthsearch:boa_offset_applied": False}, -0.1),
    ],
)
def test_without_a_baseline_the_day_it_was_made_tells(properties: dict[str, Any], offset: float) -> None:
    found = decide(sentinel2(**properties), "red")
    assert found is not None and (found.scale, found.offset) == (0.0001, offset)


@pytest.mark.parametrize(
    ("key", "declaration", "pair"),
    [
        ("red", {"scale": 2.75e-05}, (2.75e-05, -0.2)),
        ("red", {"offset": -0.2}, (2.75e-05, -0.2)),
        ("red", {"scale": 1, "offset": 0}, (2.75e-05, -0.2)),
        ("lwir11", {"scale": 0.00341802}, (0.00341802, 149.0)),
        ("red", {"scale": 0.0001, "offset": 0}, (0.0001, 0.0)),
    ],
)
def test_of_landsat_the_half_that_is_not_said_is_the_guides(key, declaration, pair) -> None:
    found = decide(sentinel2("landsat-c2-l2", key=key, bands=[declaration]), key)
    assert found is not None and (found.scale, found.offset) == pair


def test_half_a_pair_that_is_not_landsats_is_nobodys() -> None:
    with pytest.raises(RadiometryContradictory, match=r"scale 0\.0001"):
        decide(sentinel2("landsat-c2-l2", bands=[{"scale": 0.0001}]), "red")


def test_a_files_own_word_is_taken_where_it_says_something() -> None:
    assert of_file((1.0, 1.0), (0.0, 0.0)) is None
    assert of_file((), ()) is None
    assert of_file((0.0, float("nan")), (5.0, 0.0)) is None
    found = of_file((0.01,), (-2.0,))
    assert isinstance(found, Radiometry) and (found.scale, found.offset) == (0.01, -2.0) and "file" in found.source
    each = of_file((0.01, 1.0), (0.0, 0.0))
    assert each is not None and (each.scale, each.bands) == (None, ((0.01, 0.0), None))
