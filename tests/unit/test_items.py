"""A source item and what was cut from it → the item and the collection we publish."""

from __future__ import annotations

import gzip
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest

from imagery.errors import ItemInvalid
from imagery.items import CutAsset, collection_for, make_item, published_collection_id, published_item_id
from imagery.model.aoi import Aoi
from imagery.model.subscription import Subscription
from tests.stac_validation import SchemaMissing, errors_of

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
FIELD = {"type": "Polygon", "coordinates": [[[15.0, 46.0], [15.1, 46.0], [15.1, 46.1], [15.0, 46.0]]]}
SUBSCRIPTION = Subscription(
    id="sub_01JX5W0M3N7C2V8Q9T4B6K1ZRD",
    owner="farm",
    aoi=Aoi(geometry=dict(FIELD), bbox=(15.0, 46.0, 15.1, 46.1), area_km2=40.0),
    provider="earth-search",
    collection="sentinel-2-l2a",
    assets=("blue", "scl"),
    start_at=NOW,
    created_at=NOW,
    updated_at=NOW,
)
THUMBNAIL = CutAsset(
    key="thumbnail", href="s3://clips/thumbnail.png", media_type="image/png", body_size=99, sha256="cd" * 32
)
SENTINEL_2: dict[str, Any] = {
    "type": "Feature",
    "stac_version": "1.0.0",
    "id": "S2A_33TWL_20230815_0_L2A",
    "collection": "sentinel-2-l2a",
    "geometry": FIELD,
    "bbox": [15.0, 46.0, 15.1, 46.1],
    "properties": {
        "datetime": "2023-08-15T09:58:11.662000Z",
        "created": "2023-08-15T21:18:57.067Z",
        "constellation": "sentinel-2",
        "eo:cloud_cover": 0.2,
        "proj:epsg": 32633,
        "grid:code": "MGRS-33TWL",
        "view:sun_elevation": 55.8,
        "s2:processing_baseline": "05.09",
        "s2:vegetation_percentage": 96.4,
        "s2:sequence": "0",
        "earthsearch:payload_id": "roda-sentinel2/1",
    },
    "links": [
        {"rel": "canonical", "href": "s3://sentinel-cogs/S2A_33TWL_20230815_0_L2A.json"},
        {"rel": "self", "href": "https://provider.example/collections/s2/items/S2A_33TWL_20230815_0_L2A"},
        {"rel": "license", "href": "https://provider.example/licence"},
        {"rel": "parent", "href": "https://provider.example/collections/s2"},
    ],
    "assets": {
        "blue": {
            "href": "https://provider.example/B02.tif",
            "title": "Blue (band 2) - 10m",
            "gsd": 10,
            "roles": ["data", "reflectance"],
            "proj:shape": [10980, 10980],
            "proj:transform": [10, 0, 499980, 0, -10, 5100000],
            "file:size": 1234567,
            "eo:bands": [{"name": "blue", "common_name": "blue", "center_wavelength": 0.49}],
            "raster:bands": [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}],
        },
        "scl": {"href": "https://provider.example/SCL.tif", "roles": ["data", "reflectance"]},
    },
    "stac_extensions": ["https://stac-extensions.github.io/eo/v1.1.0/schema.json"],
}


def cut(key: str, **changes: Any) -> CutAsset:
    asset = CutAsset(
        key=key,
        href=f"s3://clips/{key}.tif",
        body_size=4321,
        sha256="ab" * 32,
        crs="EPSG:32633",
        shape=(31, 42),
        transform=(120.0, 0.0, 514980.0, 0.0, -120.0, 5100000.0),
        bounds=(514980.0, 5096280.0, 520020.0, 5100000.0),
        dtype="uint16",
        nodata=0.0,
        scale=0.0001,
        offset=-0.1,
        resolution_m=120.0,
    )
    return replace(asset, **changes)


def source_of(stac: dict[str, Any], **properties: Any) -> pystac.Item:
    changed = {**stac, "properties": {**stac["properties"], **properties}}
    with warnings.catch_warnings():
        # pystac warns of storage fields it cannot bring up to date; they are none of ours.
        warnings.simplefilter("ignore")
        return pystac.Item.from_dict(changed)


def published(source: pystac.Item, *, assets: list[CutAsset] | None = None, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "source": source,
        "subscription": SUBSCRIPTION,
        "collection_id": "sentinel-2-l2a",
        "assets": assets if assets is not None else [cut("blue"), cut("scl", dtype="uint8", scale=None, offset=None)],
        "thumbnail": THUMBNAIL,
        "geometry": FIELD,
        "coverage": 0.97,
        "created_at": NOW,
        "updated_at": NOW,
        "software_version": "0.1.0",
    }
    stac: dict[str, Any] = make_item(**{**given, **changes}).to_dict(include_self_link=False, transform_hrefs=False)
    return stac


def test_a_sentinel_2_clip_is_valid_against_every_schema_it_declares() -> None:
    stac = published(source_of(SENTINEL_2))

    assert errors_of(stac) == []
    assert [url.split("/")[3] for url in stac["stac_extensions"]] == [
        "classification",
        "eo",
        "file",
        "grid",
        "processing",
        "projection",
        "raster",
        "sentinel-2",
        "version",
        "view",
    ]


def test_a_clip_says_whose_it_is_and_where_it_came_from() -> None:
    stac = published(source_of(SENTINEL_2))

    own = {name: value for name, value in stac["properties"].items() if name.startswith("imagery:")}
    assert own == {
        "imagery:subscription_id": SUBSCRIPTION.id,
        "imagery:owner": "farm",
        "imagery:provider": "earth-search",
        "imagery:source_item": "S2A_33TWL_20230815_0_L2A",
        "imagery:source_items": ["S2A_33TWL_20230815_0_L2A"],
        "imagery:coverage": 0.97,
    }
    assert [(link["rel"], link["href"]) for link in stac["links"]] == [
        ("derived_from", "https://provider.example/collections/s2/items/S2A_33TWL_20230815_0_L2A"),
        ("license", "https://provider.example/licence"),
    ]


def test_what_is_true_of_the_scene_alone_is_left_behind() -> None:
    stac = published(source_of(SENTINEL_2))

    assert stac["properties"]["eo:cloud_cover"] == 0.2
    assert stac["properties"]["s2:processing_baseline"] == "05.09"
    assert stac["properties"]["created"] == "2026-05-01T12:00:00Z"
    assert stac["properties"]["datetime"] == "2023-08-15T09:58:11.662000Z"
    assert not {"s2:vegetation_percentage", "s2:sequence", "earthsearch:payload_id", "proj:epsg"} & set(
        stac["properties"]
    )


def test_size_place_and_checksum_are_those_of_the_clip() -> None:
    blue = published(source_of(SENTINEL_2))["assets"]["blue"]

    assert blue["file:size"] == 4321
    assert blue["file:checksum"] == "1220" + "ab" * 32
    assert blue["proj:code"] == "EPSG:32633"
    assert blue["proj:shape"] == [31, 42]
    assert blue["proj:transform"] == [120, 0, 514980, 0, -120, 5100000]
    assert blue["raster:spatial_resolution"] == 120
    assert (blue["raster:scale"], blue["raster:offset"], blue["nodata"]) == (0.0001, -0.1, 0)


def test_old_band_fields_become_bands() -> None:
    blue = published(source_of(SENTINEL_2))["assets"]["blue"]

    assert blue["bands"] == [{"name": "blue", "eo:common_name": "blue", "eo:center_wavelength": 0.49}]
    assert not {"eo:bands", "raster:bands"} & set(blue)


def test_the_scene_classification_is_no_reflectance_and_has_its_classes() -> None:
    scl = published(source_of(SENTINEL_2))["assets"]["scl"]

    assert scl["roles"] == ["data"]
    assert [part["value"] for part in scl["classification:classes"]] == list(range(12))


def test_classes_the_source_gives_are_kept_and_named() -> None:
    asset = {
        "href": "https://provider.example/qa.tif",
        "classification:classes": [{"value": 0, "description": "Not clear!", "color-hint": "#00ff00"}],
    }
    source = source_of({**SENTINEL_2, "assets": {"scl": asset}})

    scl = published(source, assets=[cut("scl")])["assets"]["scl"]

    assert scl["classification:classes"] == [
        {"value": 0, "name": "not_clear", "description": "Not clear!", "color_hint": "00ff00"}
    ]


def test_bands_are_matched_by_name_when_only_some_were_cut() -> None:
    bands = [{"name": "Red", "common_name": "red"}, {"name": "NIR", "common_name": "nir"}]
    source = source_of({**SENTINEL_2, "assets": {"image": {"href": "https://x.example/i.tif", "eo:bands": bands}}})

    image = published(source, assets=[cut("image", band_names=("NIR",))])["assets"]["image"]

    assert image["bands"] == [{"name": "NIR", "eo:common_name": "nir"}]


def test_bands_of_an_asset_the_source_does_not_know_have_the_files_names() -> None:
    stac = published(source_of(SENTINEL_2), assets=[cut("ndvi", band_names=("ndvi",))])

    assert stac["assets"]["ndvi"]["bands"] == [{"name": "ndvi"}]
    assert stac["assets"]["ndvi"]["roles"] == ["data"]
    assert errors_of(stac) == []


def test_nodata_that_json_cannot_say_is_spelled() -> None:
    stac = published(source_of(SENTINEL_2), assets=[cut("dem", nodata=float("nan"), dtype="float32")])

    assert stac["assets"]["dem"]["nodata"] == "nan"
    assert errors_of(stac) == []


def test_the_thumbnail_has_no_place_on_the_grid() -> None:
    thumbnail = published(source_of(SENTINEL_2))["assets"]["thumbnail"]

    assert thumbnail["roles"] == ["thumbnail"]
    assert thumbnail["proj:code"] is None


def test_assets_in_different_grids_leave_the_item_without_a_common_one() -> None:
    stac = published(source_of(SENTINEL_2), assets=[cut("blue"), cut("scl", crs="EPSG:32634")])

    assert "proj:code" not in stac["properties"]
    assert "proj:code" not in stac["assets"]["thumbnail"]
    assert errors_of(stac) == []


def test_a_raster_without_a_crs_code_says_so() -> None:
    stac = published(source_of(SENTINEL_2), assets=[cut("blue", crs=None)])

    assert stac["assets"]["blue"]["proj:code"] is None
    assert "proj:code" not in stac["properties"]
    assert errors_of(stac) == []


def test_a_range_of_time_is_kept_where_there_is_no_instant() -> None:
    span = {"datetime": None, "start_datetime": "2021-01-01T01:00:00+01:00", "end_datetime": "2021-12-31T00:00:00Z"}

    stac = published(source_of(SENTINEL_2, **span))

    assert stac["properties"]["datetime"] is None
    assert stac["properties"]["start_datetime"] == "2021-01-01T00:00:00Z"
    assert errors_of(stac) == []


def test_a_source_that_says_no_time_is_refused() -> None:
    span = {"datetime": None, "start_datetime": "once", "end_datetime": "later"}
    source = source_of(SENTINEL_2)
    source.datetime = None
    source.properties.update(span)

    with pytest.raises(ItemInvalid, match="neither when"):
        published(source)


def test_a_source_without_clouds_or_classes_declares_neither() -> None:
    dem = {**SENTINEL_2, "properties": {"datetime": "2021-04-22T00:00:00Z", "gsd": 30}, "assets": {}, "links": []}

    stac = published(source_of(dem), assets=[cut("data", dtype="float32")], thumbnail=None)

    assert {url.split("/")[3] for url in stac["stac_extensions"]} == {
        "file",
        "processing",
        "projection",
        "raster",
        "version",
    }
    assert stac["links"] == []
    assert errors_of(stac) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eo:cloud_cover", None),
        ("eo:cloud_cover", 140),
        ("eo:cloud_cover", "12"),
        ("eo:cloud_cover", True),
        ("view:sun_elevation", float("nan")),
        ("sat:relative_orbit", 0),
        ("grid:code", "33TWL"),
        ("instruments", "msi"),
        ("gsd", -1),
        ("s2:processing_baseline", "5"),
        ("s2:generation_time", "yesterday"),
        ("landsat:scene_id", "x"),
        ("mgrs:utm_zone", 33),
        ("license", "see website"),
        ("start_datetime", "2021-01-01T00:00:00Z"),
    ],
)
def test_a_source_field_that_would_make_the_clip_invalid_does_no_harm(name: str, value: object) -> None:
    stac = published(source_of(SENTINEL_2, **{name: value}))

    assert errors_of(stac) == []


def test_the_same_cut_gives_the_same_json() -> None:
    first, second = (json.dumps(published(source_of(SENTINEL_2))) for _ in range(2))

    assert first == second


def test_the_source_item_is_left_as_it_was() -> None:
    source = source_of(SENTINEL_2)
    before = source.to_dict()

    published(source)

    assert source.to_dict() == before


def test_addresses_of_the_providers_disk_are_not_published() -> None:
    links = [{"rel": "self", "href": "/srv/data/item.json"}, {"rel": "license", "href": "file:///srv/licence.txt"}]

    assert published(source_of({**SENTINEL_2, "links": links}))["links"] == []


def test_a_source_without_an_address_is_found_through_its_collection() -> None:
    links = [{"rel": "collection", "href": "https://provider.example/collections/s2"}]

    stac = published(source_of({**SENTINEL_2, "links": links}))

    assert [link["href"] for link in stac["links"]] == [
        "https://provider.example/collections/s2/items/S2A_33TWL_20230815_0_L2A"
    ]


def polygon(west: float, east: float) -> list[list[list[float]]]:
    return [[[west, -17.0], [east, -17.0], [east, -16.0], [west, -16.0], [west, -17.0]]]


@pytest.mark.parametrize(
    ("geometry", "bbox"),
    [
        ({"type": "Polygon", "coordinates": polygon(15, 16)}, [15, -17, 16, -16]),
        ({"type": "MultiPolygon", "coordinates": [polygon(15, 16), polygon(17, 18)]}, [15, -17, 18, -16]),
        ({"type": "MultiPolygon", "coordinates": [polygon(178, 180), polygon(-180, -179)]}, [178, -17, -179, -16]),
        (
            {"type": "MultiPolygon", "coordinates": [polygon(-180, -179), polygon(178, 180), polygon(170, 171)]},
            [170, -17, -179, -16],
        ),
        ({"type": "Polygon", "coordinates": polygon(-180, 180)}, [-180, -17, 180, -16]),
        ({"type": "Polygon", "coordinates": polygon(179, 180)}, [179, -17, 180, -16]),
    ],
)
def test_the_bbox_goes_over_the_antimeridian_where_the_footprint_does(geometry: Any, bbox: list[float]) -> None:
    stac = published(source_of(SENTINEL_2), geometry=geometry)

    assert stac["bbox"] == bbox
    assert errors_of(stac) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"geometry": {"type": "Point", "coordinates": [15, 46]}}, "/geometry"),
        ({"geometry": {"type": "Polygon", "coordinates": []}}, "/geometry"),
        ({"geometry": {"type": "Polygon", "coordinates": [[["x"]]]}}, "/geometry"),
        ({"geometry": {"type": "Polygon", "coordinates": polygon(179, 181)}}, "/geometry"),
        ({"coverage": 1.5}, "/properties/imagery:coverage"),
        ({"assets": [cut("blue"), cut("blue")]}, "/assets"),
        ({"assets": [cut("thumbnail")]}, "/assets"),
        ({"assets": [cut("blue", sha256="abc")]}, "/assets/blue/file:checksum"),
        ({"assets": [], "thumbnail": None}, "/assets"),
    ],
)
def test_what_cannot_be_published_is_refused_with_the_place_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ItemInvalid) as refused:
        published(source_of(SENTINEL_2), **changes)

    assert refused.value.field == field


def test_an_id_is_legible_and_the_same_every_time() -> None:
    assert published_item_id("S2A_33TWL_20230815_0_L2A", "sub_1") == "S2A_33TWL_20230815_0_L2A--sub_1"


@pytest.mark.parametrize("source", ["", "a/b c", "ü", "..", "-x", "x" * 500, "a:b?c#d", "\ud800", "a\nb", "a--b"])
@pytest.mark.parametrize("subscription", ["sub_1", "", "a-b", "-s", "é" * 300])
def test_every_id_is_safe_in_addresses_and_file_names(source: str, subscription: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,159}", published_item_id(source, subscription))


def test_different_cuts_have_different_ids() -> None:
    sources = ["a", "a-", "a--b", "a/b", "a b", "a_b", "", "item", "x" * 500, "x" * 501]
    sources += [published_item_id(source, "s").removesuffix("--s") for source in sources]
    pairs = {(source, subscription) for source in sources for subscription in ["s", "b", "-s", "-b", "b--s"]}

    assert len({published_item_id(*pair) for pair in pairs}) == len(pairs)


def test_a_collection_of_clips_takes_over_what_the_source_says() -> None:
    source = pystac.Collection(
        id="sentinel-2-l2a",
        title="Sentinel-2 Level-2A",
        description="Global Sentinel-2 data",
        license="proprietary",
        keywords=["esa"],
        providers=[pystac.Provider(name="ESA", roles=[pystac.ProviderRole.PRODUCER])],
        extent=pystac.Extent(
            pystac.SpatialExtent([[-20, -10, 20, 10]]),
            pystac.TemporalExtent([[datetime(2015, 6, 27, tzinfo=UTC), NOW]]),
        ),
        summaries=pystac.Summaries({"constellation": ["sentinel-2"], "gsd": [10, 20], "eo:bands": [{"name": "blue"}]}),
        extra_fields={"item_assets": {**SENTINEL_2["assets"], "blue": {"type": "image/jp2", "roles": ["data"]}}},
    )

    stac = collection_for(source, "s2-clips", "earth-search").to_dict(include_self_link=False, transform_hrefs=False)

    assert errors_of(stac) == []
    assert (stac["id"], stac["title"], stac["license"]) == ("s2-clips", "Sentinel-2 Level-2A, clipped", "other")
    assert [provider["name"] for provider in stac["providers"]] == ["ESA", "imagery"]
    assert stac["summaries"]["bands"] == [{"name": "blue"}]
    assert stac["item_assets"]["blue"]["type"] == "image/tiff; application=geotiff; profile=cloud-optimized"
    assert stac["extent"]["temporal"]["interval"] == [["2015-06-27T00:00:00Z", None]]


def test_a_collection_can_be_made_of_nothing_but_its_name() -> None:
    stac = collection_for(None, "somewhere", "planet").to_dict(include_self_link=False, transform_hrefs=False)

    assert errors_of(stac) == []


def test_an_unknown_schema_is_refused_and_never_passed_over() -> None:
    stac = published(source_of(SENTINEL_2))
    stac["stac_extensions"].append("https://stac-extensions.github.io/eo/v9.9.9/schema.json")

    with pytest.raises(SchemaMissing, match=r"eo/v9\.9\.9"):
        errors_of(stac)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("properties", "eo:cloud_cover"), 140),
        (("properties", "datetime"), "yesterday"),
        (("properties", "sat:relative_orbit"), "x"),
        (("assets", "blue", "file:checksum"), "no hex"),
        (("assets", "blue", "proj:shape"), [1]),
        (("assets", "blue", "raster:scale"), "x"),
        (("bbox",), [1, 2]),
        (("geometry", "type"), "Blob"),
        (("type",), "Catalog"),
    ],
)
def test_the_validator_sees_what_is_wrong(path: tuple[str, ...], value: object) -> None:
    stac = json.loads(json.dumps(published(source_of(SENTINEL_2, **{"sat:relative_orbit": 7}))))
    place = stac
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    assert errors_of(stac) != []


def real_items(folder: Path) -> Iterator[dict[str, Any]]:
    """Every STAC item in the real data, recorded answers included."""
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(".ndjson.gz"):
            yield from _within([json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()])
        elif path.suffix == ".ndjson":
            yield from _within([json.loads(line) for line in path.read_text().splitlines()])
        elif path.suffix in {".json", ".geojson"}:
            try:
                yield from _within(json.loads(path.read_text()))
            except ValueError:
                continue


def _within(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and value.get("type") == "Feature" and value.get("stac_version"):
        if "assets" in value:
            yield value
        return
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _within(part)


def test_clips_of_real_items_of_every_collection_are_valid(shared_data: Path) -> None:
    kinds: dict[tuple[Any, ...], dict[str, Any]] = {}
    for stac in real_items(shared_data):
        kind = (stac.get("collection"), stac["stac_version"], *sorted(stac["properties"]), *sorted(stac["assets"]))
        kinds.setdefault(kind, stac)

    wrong = {
        stac["id"]: errors
        for stac in kinds.values()
        if (errors := errors_of(published(source_of(stac), assets=_cut_all(stac), thumbnail=None)))
    }

    assert wrong == {}
    assert len({stac.get("collection") for stac in kinds.values()}) >= 9


def _cut_all(stac: dict[str, Any]) -> list[CutAsset]:
    return [cut(key) for key in stac["assets"]] or [cut("data")]


def test_collections_of_real_collections_are_valid(shared_data: Path) -> None:
    exchange = json.loads((shared_data / "api/earth_search/exchanges/04_collection_sentinel-2-l2a.json").read_text())
    body = exchange["response"]["body"]
    source = pystac.Collection.from_dict(json.loads(body) if isinstance(body, str) else body)

    stac = collection_for(source, "sentinel-2-l2a", "earth-search").to_dict(
        include_self_link=False, transform_hrefs=False
    )

    assert errors_of(stac) == []
    assert stac["item_assets"]["scl"]["roles"] == ["data"]
    assert len(stac["item_assets"]["scl"]["classification:classes"]) == 12


def test_each_band_has_its_own_scale_and_unnamed_ones_are_numbered() -> None:
    asset = cut("thermal", scale=None, offset=None, band_scales=((0.02, 0.0), None), radiometry="said by the item")

    stac = published(source_of(SENTINEL_2), assets=[asset])

    assert stac["assets"]["thermal"]["bands"] == [
        {"name": "b1", "raster:scale": 0.02, "raster:offset": 0.0},
        {"name": "b2"},
    ]
    assert stac["assets"]["thermal"]["imagery:radiometry"] == "said by the item"
    assert errors_of(stac) == []


def test_a_collections_id_is_kept_where_it_is_plain_and_made_safe_where_not() -> None:
    assert published_collection_id("sentinel-2-l2a") == "sentinel-2-l2a"
    odd = ["EO:EUM:DAT", "EO/EUM/DAT", "EO_EUM_DAT", "a b", "ä", "x" * 500, "..", ""]
    safe = [published_collection_id(name) for name in odd]
    assert len(set(safe)) == len(odd)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,159}", name) for name in safe)
    assert collection_for(None, "EO:EUM:DAT", "wekeo").id == published_collection_id("EO:EUM:DAT")
    assert "EO:EUM:DAT" in collection_for(None, "EO:EUM:DAT", "wekeo").description
