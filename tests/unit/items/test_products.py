"""The items of products: measured, mosaicked, masked, computed, stacked, and one version after another."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagery.errors import ItemInvalid
from imagery.items import CutAsset, item_from_dict, product_name, published_item_id, superseded
from imagery.model.processing import Index, Processing, Resampling
from imagery.model.quality import Quality
from tests.stac_validation import errors_of
from tests.unit.test_items import SENTINEL_2, THUMBNAIL, cut, published, real_items, source_of

EAST: dict[str, Any] = {
    **SENTINEL_2,
    "id": "S2A_33TXL_20230815_0_L2A",
    "properties": {**SENTINEL_2["properties"], "grid:code": "MGRS-33TXL", "eo:cloud_cover": 31.0},
    "links": [
        {"rel": "self", "href": "https://provider.example/collections/s2/items/S2A_33TXL_20230815_0_L2A"},
        {"rel": "license", "href": "https://provider.example/licence"},
    ],
}
QUALITY = Quality(
    band="scl",
    pixels=3000,
    clear=0.5,
    cloud=0.2,
    shadow=0.05,
    snow=0.04,
    water=1 / 3,
    unknown=0.01,
    nodata=0.2,
)
NDVI = Index(name="ndvi", formula="(nir - red) / (nir + red)")
EVERYTHING = Processing(
    mask=True,
    harmonise=True,
    all_touched=True,
    buffer_m=-20.0,
    indices=(NDVI,),
    resolution_m=10.0,
    resampling=Resampling.BILINEAR,
    single_file=True,
)


def index_asset(key: str = "ndvi", **changes: Any) -> CutAsset:
    return cut(key, **{"formula": NDVI.formula, "dtype": "int16", "nodata": -32768.0, "offset": 0.0, **changes})


def own(stac: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stac["properties"].items() if name.startswith("imagery:")}


def links(stac: dict[str, Any], rel: str) -> list[str]:
    return [link["href"] for link in stac["links"] if link["rel"] == rel]


def test_fractions_are_of_the_aoi_and_the_scenes_clouds_have_another_name() -> None:
    stac = published(source_of(SENTINEL_2), quality=QUALITY, coverage=0.4)

    properties = stac["properties"]
    assert errors_of(stac) == []
    assert properties["eo:cloud_cover"] == 25.0
    assert properties["eo:snow_cover"] == 5.0
    assert {name: value for name, value in own(stac).items() if isinstance(value, float)} == {
        "imagery:scene_cloud_cover": 0.2,
        "imagery:clear_fraction": 0.5,
        "imagery:cloud_fraction": 0.2,
        "imagery:shadow_fraction": 0.05,
        "imagery:snow_fraction": 0.04,
        "imagery:water_fraction": 0.333333,
        "imagery:unknown_fraction": 0.01,
        "imagery:nodata_fraction": 0.2,
        "imagery:coverage": 0.8,
    }


def test_where_nothing_of_the_aoi_is_shown_no_cloud_cover_is_claimed() -> None:
    nothing = Quality(band="scl", pixels=9, clear=0, cloud=0, shadow=0, snow=0, water=0, unknown=0, nodata=1)

    stac = published(source_of(SENTINEL_2), quality=nothing)

    assert errors_of(stac) == []
    assert "eo:cloud_cover" not in stac["properties"]
    assert stac["properties"]["imagery:scene_cloud_cover"] == 0.2


def test_without_a_quality_band_the_scenes_clouds_stay() -> None:
    stac = published(source_of(SENTINEL_2))

    assert stac["properties"]["eo:cloud_cover"] == 0.2
    assert not [name for name in own(stac) if name.endswith("_fraction") or "scene" in name]


def test_a_mosaic_names_all_its_sources_and_says_what_is_true_of_all() -> None:
    lead, below = source_of(SENTINEL_2), source_of(EAST, datetime="2023-08-15T09:58:14Z")

    stac = published(lead, sources=[lead, below], acquisition="S2A_20230815T095031_33", quality=QUALITY)

    properties = stac["properties"]
    assert errors_of(stac) == []
    assert properties["imagery:source_item"] == lead.id
    assert properties["imagery:source_items"] == [lead.id, below.id]
    assert properties["imagery:acquisition"] == "S2A_20230815T095031_33"
    assert links(stac, "derived_from") == [
        f"https://provider.example/collections/s2/items/{source.id}" for source in (lead, below)
    ]
    assert links(stac, "license") == ["https://provider.example/licence"]
    assert "grid:code" not in properties
    assert properties["constellation"] == "sentinel-2"
    assert properties["imagery:scene_cloud_cover"] == 0.2
    assert properties["datetime"] == properties["start_datetime"] == "2023-08-15T09:58:11.662000Z"
    assert properties["end_datetime"] == "2023-08-15T09:58:14Z"
    assert properties["processing:lineage"].startswith(f"mosaic of {lead.id} on top of {below.id}, cut to the area")


def test_an_asset_that_only_a_lower_tile_describes_is_described_by_it() -> None:
    lead = source_of({**SENTINEL_2, "assets": {}})

    stac = published(lead, sources=[lead, source_of(EAST)], assets=[cut("blue")])

    assert stac["assets"]["blue"]["title"] == "Blue (band 2) - 10m"


@pytest.mark.parametrize("order", [["below", "lead"], ["below"], ["lead", "lead"]])
def test_a_mosaic_whose_sources_do_not_begin_with_its_lead_is_refused(order: list[str]) -> None:
    named = {"lead": source_of(SENTINEL_2), "below": source_of(EAST)}

    with pytest.raises(ItemInvalid) as refused:
        published(named["lead"], sources=[named[name] for name in order])

    assert refused.value.field == "/properties/imagery:source_items"


def test_nothing_done_but_cut_is_said_in_words_and_by_no_options() -> None:
    stac = published(source_of(SENTINEL_2))

    assert "imagery:processing" not in stac["properties"]
    assert stac["properties"]["processing:lineage"] == (
        "S2A_33TWL_20230815_0_L2A cut to the area of sub_01JX5W0M3N7C2V8Q9T4B6K1ZRD on the source's own grid; "
        "pixels outside it are nodata"
    )


def test_whatever_was_done_is_said_in_words_and_by_its_options() -> None:
    stac = published(source_of(SENTINEL_2), processing=EVERYTHING, quality=QUALITY)

    assert errors_of(stac) == []
    assert stac["properties"]["imagery:processing"] == {
        "mask": True,
        "harmonise": True,
        "all_touched": True,
        "buffer_m": -20.0,
        "indices": [{"name": "ndvi", "formula": NDVI.formula}],
        "resolution_m": 10.0,
        "resampling": "bilinear",
        "single_file": True,
    }
    assert stac["properties"]["processing:lineage"] == (
        "S2A_33TWL_20230815_0_L2A cut to the area of sub_01JX5W0M3N7C2V8Q9T4B6K1ZRD, shrunk by 20 m, on one grid of "
        "10 m by bilinear (classes by nearest); pixels that it does not touch and pixels that are not clear by scl are "
        "nodata; the offset of reflectance is taken off the stored numbers; ndvi computed of it; bands in one file"
    )


@pytest.mark.parametrize("changed", [{"mask": True}, {"buffer_m": 5.0}, {"resampling": Resampling.CUBIC}])
def test_options_left_as_they_are_go_unsaid(changed: dict[str, Any]) -> None:
    stac = published(source_of(SENTINEL_2), processing=Processing(**changed))

    assert errors_of(stac) == []
    assert stac["properties"]["imagery:processing"] == changed


def test_an_index_says_its_formula_and_nothing_of_a_source_asset() -> None:
    named_as_a_band = index_asset("blue", title="Blueness", radiometry="of reflectance")

    stac = published(source_of(SENTINEL_2), assets=[index_asset(), named_as_a_band], processing=EVERYTHING)

    asset = stac["assets"]["ndvi"]
    assert errors_of(stac) == []
    assert (asset["title"], asset["description"], asset["roles"]) == ("ndvi", NDVI.formula, ["data", "index"])
    assert (asset["raster:scale"], asset["nodata"], asset["data_type"]) == (0.0001, -32768, "int16")
    assert stac["assets"]["blue"]["title"] == "Blueness"
    assert "bands" not in stac["assets"]["blue"]


def test_a_stack_describes_each_of_its_bands() -> None:
    source = source_of(SENTINEL_2)
    stack = cut(
        "bands",
        band_sources=("blue", "scl", "unheard_of"),
        scale=None,
        offset=None,
        band_scales=((0.0001, -0.1), None, None),
        radiometry="as the item says",
    )

    stac = published(source, assets=[stack, index_asset()], processing=EVERYTHING)

    asset = stac["assets"]["bands"]
    blue, scl, unheard_of = asset["bands"]
    assert errors_of(stac) == []
    assert asset["roles"] == ["data"]
    assert asset["imagery:radiometry"] == "as the item says"
    assert blue == {
        "description": "Blue (band 2) - 10m",
        "gsd": 10,
        "name": "blue",
        "eo:common_name": "blue",
        "eo:center_wavelength": 0.49,
        "raster:scale": 0.0001,
        "raster:offset": -0.1,
    }
    assert (scl["name"], len(scl["classification:classes"])) == ("scl", 12)
    assert unheard_of == {"name": "unheard_of"}
    assert "https://stac-extensions.github.io/classification/v2.0.0/schema.json" in stac["stac_extensions"]


def test_a_stack_says_once_what_all_its_bands_have_and_names_each_band_once() -> None:
    picture = {
        "href": "https://provider.example/TCI.tif",
        "roles": ["visual"],
        "eo:bands": [{"name": "red", "common_name": "red"}, {"name": "green", "common_name": "green"}],
        "gsd": 10,
    }
    source = source_of({**SENTINEL_2, "assets": {**SENTINEL_2["assets"], "visual": picture}})
    stack = cut("bands", band_sources=("blue", "visual", "visual", "visual"))

    asset = published(source, assets=[stack])["assets"]["bands"]

    assert [band["name"] for band in asset["bands"]] == ["blue", "visual", "visual_2", "visual_3"]
    assert [band.get("eo:common_name") for band in asset["bands"]] == ["blue", "red", "green", None]
    assert asset["gsd"] == 10
    assert not any("gsd" in band for band in asset["bands"])


def test_a_stacks_bands_may_be_named_by_the_file() -> None:
    stack = cut("bands", band_sources=("blue", "scl"), band_names=("B02", "SCL"))

    asset = published(source_of(SENTINEL_2), assets=[stack])["assets"]["bands"]

    assert [band["name"] for band in asset["bands"]] == ["B02", "SCL"]


@pytest.mark.parametrize(
    ("baseline", "said", "offset", "true"),
    [
        ("05.09", True, 0.0, True),
        ("05.09", False, -0.1, False),
        ("05.09", False, 0.0, True),
        ("05.09", True, -0.1, False),
        ("03.01", False, 0.0, False),
        ("05.09", None, 0.0, None),
        ("05.09", False, None, False),
    ],
)
def test_the_flag_of_the_offset_is_that_of_the_files_and_not_the_sources(
    baseline: str, said: bool | None, offset: float | None, true: bool | None
) -> None:
    flag = {} if said is None else {"earthsearch:boa_offset_applied": said}
    source = source_of(SENTINEL_2, **{"s2:processing_baseline": baseline, **flag})
    scale = None if offset is None else 0.0001

    apart = published(source, assets=[cut("blue", scale=scale, offset=offset), index_asset()])
    pair = None if offset is None else (0.0001, offset)
    stack = cut("bands", band_sources=("blue",), scale=None, offset=None, band_scales=(pair,))
    stacked = published(source, assets=[stack])

    assert [stac["properties"].get("earthsearch:boa_offset_applied") for stac in (apart, stacked)] == [true, true]
    assert errors_of(apart) == errors_of(stacked) == []


def test_a_later_version_links_what_it_took_the_place_of() -> None:
    stac = published(source_of(SENTINEL_2), version=2, predecessor="S2A_33TWL_20230815_0_L2A--sub_1")

    assert errors_of(stac) == []
    assert stac["id"] == "S2A_33TWL_20230815_0_L2A.v2--sub_01JX5W0M3N7C2V8Q9T4B6K1ZRD"
    assert stac["properties"]["version"] == "2"
    assert "deprecated" not in stac["properties"]
    assert links(stac, "predecessor-version") == ["./S2A_33TWL_20230815_0_L2A--sub_1"]


def test_an_item_has_the_id_it_is_given() -> None:
    assert published(source_of(SENTINEL_2), item_id="x--sub_1", version=3)["id"] == "x--sub_1"


def test_versions_count_from_one() -> None:
    with pytest.raises(ItemInvalid) as refused:
        published(source_of(SENTINEL_2), version=0, item_id="x")

    assert refused.value.field == "/properties/version"


def old_item() -> pystac.Item:
    return pystac.Item.from_dict(published(source_of(SENTINEL_2), quality=QUALITY))


def json_of(item: pystac.Item) -> dict[str, Any]:
    return item.to_dict(include_self_link=False, transform_hrefs=False)


EXPIRES = datetime(2026, 6, 1, tzinfo=UTC)


def test_a_superseded_item_says_so_until_when_and_by_what() -> None:
    item = old_item()
    before = json_of(item)

    stac = json_of(
        superseded(item, successor_id="new", expires_at=EXPIRES, updated_at=datetime(2026, 5, 2, tzinfo=UTC))
    )

    assert errors_of(stac) == []
    assert json_of(item) == before
    changed = {name: value for name, value in stac["properties"].items() if before["properties"].get(name) != value}
    assert changed == {"deprecated": True, "expires": "2026-06-01T00:00:00Z", "updated": "2026-05-02T00:00:00Z"}
    assert links(stac, "successor-version") == ["./new"]
    assert set(stac["stac_extensions"]) - set(before["stac_extensions"]) == {
        "https://stac-extensions.github.io/timestamps/v1.1.0/schema.json"
    }


def test_superseding_again_changes_nothing_but_the_successor() -> None:
    once = superseded(old_item(), successor_id="new", expires_at=EXPIRES)

    assert json_of(superseded(once, successor_id="new", expires_at=EXPIRES)) == json_of(once)
    newer = json_of(superseded(once, successor_id="newer", expires_at=EXPIRES))
    assert links(newer, "successor-version") == ["./newer"]


def test_an_item_from_before_there_were_versions_becomes_the_first() -> None:
    item = old_item()
    del item.properties["version"]
    item.stac_extensions = [url for url in item.stac_extensions if "/version/" not in url]

    stac = json_of(superseded(item, successor_id="new", expires_at=EXPIRES))

    assert errors_of(stac) == []
    assert stac["properties"]["version"] == "1"


def test_nothing_takes_its_own_place() -> None:
    item = old_item()
    with pytest.raises(ItemInvalid):
        superseded(item, successor_id=item.id, expires_at=EXPIRES)


def test_the_validator_knows_versions_and_expiry() -> None:
    stac = json_of(superseded(old_item(), successor_id="new", expires_at=EXPIRES))

    for name, value in (("version", 1), ("deprecated", "yes"), ("expires", "2026-06-01T00:00:00+02:00")):
        assert errors_of({**stac, "properties": {**stac["properties"], name: value}}) != [], name


def test_an_item_that_is_deprecated_is_read_without_a_warning() -> None:
    stac = json_of(superseded(old_item(), successor_id="new", expires_at=EXPIRES))

    assert json_of(item_from_dict(stac)) == stac
    assert item_from_dict(json_of(old_item())).properties == old_item().properties


def test_a_thumbnail_goes_with_every_product() -> None:
    lead = source_of(SENTINEL_2)

    stac = published(
        lead,
        sources=[lead, source_of(EAST)],
        assets=[cut("bands", band_sources=("blue",)), index_asset()],
        thumbnail=THUMBNAIL,
        quality=QUALITY,
        version=3,
        predecessor="before",
        processing=EVERYTHING,
    )

    assert errors_of(stac) == []
    assert set(stac["assets"]) == {"bands", "ndvi", "thumbnail"}


def test_products_of_real_items_of_every_collection_are_valid(shared_data: Path) -> None:
    kinds: dict[tuple[Any, ...], dict[str, Any]] = {}
    for stac in real_items(shared_data):
        kind = (stac.get("collection"), stac["stac_version"], *sorted(stac["properties"]), *sorted(stac["assets"]))
        kinds.setdefault(kind, stac)

    wrong = {stac["id"]: errors for stac in kinds.values() if (errors := errors_of(_product_of(stac)))}

    assert wrong == {}
    assert len({stac.get("collection") for stac in kinds.values()}) >= 9


def _product_of(stac: dict[str, Any]) -> dict[str, Any]:
    """A superseded mosaic with all there is: a stack of every asset's first band, and an index."""
    lead, other = source_of(stac), source_of({**stac, "id": f"{stac['id']}_other"})
    keys = tuple(stac["assets"]) or ("data",)
    scales = ((0.0001, -0.1), *[None] * (len(keys) - 1))
    stack = cut("bands", band_sources=keys, band_scales=scales, scale=None, offset=None)
    made = published(
        lead,
        sources=[lead, other],
        assets=[stack, index_asset("computed")],
        quality=QUALITY,
        version=2,
        predecessor="before",
        acquisition="of the day",
        processing=EVERYTHING,
    )
    return json_of(superseded(item_from_dict(made), successor_id="after", expires_at=EXPIRES))


def test_one_source_gives_a_product_its_own_id_and_others_add_to_it() -> None:
    assert product_name(["S2A_33TWL_20230815_0_L2A"], 1) == "S2A_33TWL_20230815_0_L2A"
    assert product_name(["S2A_33TWL_20230815_0_L2A"], 2) == "S2A_33TWL_20230815_0_L2A.v2"
    assert re.fullmatch(r"a\.m[0-9a-f]{8}", product_name(["a", "b"], 1))
    assert re.fullmatch(r"a\.m[0-9a-f]{8}\.v12", product_name(["a", "b"], 12))
    assert product_name(["a", "b"], 1) != product_name(["a", "c"], 1) != product_name(["a", "c", "b"], 1)


@pytest.mark.parametrize(("sources", "version"), [([], 1), (["a"], 0)])
def test_a_product_of_nothing_has_no_name(sources: list[str], version: int) -> None:
    with pytest.raises(ValueError, match="a product has"):
        product_name(sources, version)


# Few letters, and names of other products as source ids: what could be mistaken for one another comes up often.
_ids = st.recursive(
    st.sampled_from(
        ["a", "a.v2", "a.v2=", "a.v2==", "a.v02", "a.m00000000", "a=", "a/b", "x" * 200, "x" * 201, "é", ""]
    ),
    lambda inner: st.builds(
        lambda sources, version, publish: (
            published_item_id(product_name(sources, version), "s").removesuffix("--s")
            if publish
            else product_name(sources, version)
        ),
        st.lists(inner, min_size=1, max_size=3),
        st.integers(1, 3),
        st.booleans(),
    ),
    max_leaves=4,
)
_products = st.tuples(st.lists(_ids, min_size=1, max_size=3), st.integers(1, 12))


@given(_products, _products, st.sampled_from(["sub_1", "a-b"]))
def test_two_products_never_have_one_id(
    one: tuple[list[str], int], other: tuple[list[str], int], subscription: str
) -> None:
    first, second = (published_item_id(product_name(*product), subscription) for product in (one, other))

    assert (first == second) == (one == other)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,159}", first)
