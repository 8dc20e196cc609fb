"""Filters and processing, held against what a collection promises before anything is saved."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest

from imagery.errors import FormulaInvalid, InvalidInput, SubscriptionInvalid
from imagery.model.aoi import parse_aoi
from imagery.model.processing import Index, Processing, Resampling
from imagery.model.subscription import Filters, Subscription
from imagery.service.processing import MAX_INDICES, check_options, known_index
from imagery.service.specimen import is_raster, resolution_m, specimen_of

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[15.4, 46.1], [15.41, 46.1], [15.41, 46.11], [15.4, 46.11], [15.4, 46.1]]],
}
"""0.86 km², 770 m wide."""

SENTINEL_2: dict[str, Any] = {
    "red": {"gsd": 10, "eo:bands": [{"name": "B04", "common_name": "red"}]},
    "nir": {"gsd": 10, "eo:bands": [{"name": "B08", "common_name": "nir"}]},
    "swir16": {"gsd": 20, "eo:bands": [{"name": "B11", "common_name": "swir16"}]},
    "scl": {"raster:bands": [{"spatial_resolution": 20}]},
}
NAIP: dict[str, Any] = {"image": {"eo:bands": [{"name": "Red", "common_name": "red"}, {"common_name": "nir"}]}}


def collection(item_assets: object) -> pystac.Collection:
    extent = pystac.Extent(pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]]))
    return pystac.Collection("imagery", "Offered", extent, extra_fields={"item_assets": item_assets})


def check(
    processing: Processing | None = None,
    *,
    filters: Filters | None = None,
    assets: tuple[str, ...] = ("red", "nir"),
    offered: dict[str, Any] | None = SENTINEL_2,
    max_aoi_km2: float = 2500.0,
    max_clip_pixels: int | None = None,
) -> None:
    subscription = Subscription(
        id="sub_1",
        owner="ana",
        aoi=parse_aoi(SQUARE, max_vertices=100, max_area_km2=2500.0)[0],
        provider="earth-search",
        collection="imagery",
        assets=assets,
        start_at=NOW,
        filters=filters or Filters(),
        processing=processing or Processing(),
        created_at=NOW,
        updated_at=NOW,
    )
    specimen = specimen_of(collection(offered)) if offered else None
    check_options(subscription, specimen, max_aoi_km2=max_aoi_km2, max_clip_pixels=max_clip_pixels)


def own(name: str, formula: str = "nir / red") -> Processing:
    return Processing(indices=(Index(name=name, formula=formula),))


def test_all_options_at_once_can_be_asked_for() -> None:
    everything = Processing(
        mask=True,
        harmonise=True,
        all_touched=True,
        buffer_m=-10,
        indices=(known_index("ndvi", field="/"), Index(name="ratio", formula="nir / red")),
        resolution_m=10,
        resampling=Resampling.BILINEAR,
        single_file=True,
    )
    check(everything, filters=Filters(max_cloud_cover=40, min_clear_fraction=0.7, min_coverage=0.5))


@pytest.mark.parametrize(
    ("processing", "field", "message"),
    [
        (own("NDVI"), "/processing/indices/0", "small letters"),
        (own("a" * 33), "/processing/indices/0", "up to 32"),
        (own("bands"), "/processing/indices/0", "another asset"),
        (own("thumbnail"), "/processing/indices/0", "another asset"),
        (own("red"), "/processing/indices/0", "another asset"),
        (own("swir16"), "/processing/indices/0", "another asset"),
        (own("a", "nir +"), "/processing/indices/0", "a: "),
        (own("a", "__import__('os')"), "/processing/indices/0", "a: "),
        (own("a", "nir / thermal"), "/processing/indices/0", "thermal"),
        (Processing(indices=(own("a").indices[0],) * 2), "/processing/indices/1", "two indices 'a'"),
        (
            Processing(indices=tuple(Index(name=f"i{n}", formula="nir") for n in range(MAX_INDICES + 1))),
            "/processing/indices",
            "up to 10",
        ),
        (Processing(buffer_m=1000.5), "/processing/buffer_m", "between -1000 and 1000"),
        (Processing(buffer_m=float("nan")), "/processing/buffer_m", "between"),
        (Processing(buffer_m=-600), "/processing/buffer_m", "nothing is left"),
        (Processing(resolution_m=0), "/processing/resolution_m", "between 0.1 and 10000"),
        (Processing(resolution_m=float("inf")), "/processing/resolution_m", "between"),
    ],
)
def test_what_cannot_be_done_names_the_field(processing: Processing, field: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        check(processing)
    assert refused.value.field == field


def test_a_name_that_is_no_known_index_lists_those_that_are() -> None:
    with pytest.raises(FormulaInvalid, match=r"'dnvi'.*ndvi") as refused:
        known_index("dnvi", field="/processing/indices/3")
    assert refused.value.field == "/processing/indices/3"


def test_a_band_may_be_one_of_several_in_a_file() -> None:
    check(own("ratio"), assets=("image",), offered=NAIP)


def test_a_buffer_may_not_grow_the_area_beyond_the_limit() -> None:
    with pytest.raises(SubscriptionInvalid, match=r"grown by 500 m the area is 3\.5") as refused:
        check(Processing(buffer_m=500), max_aoi_km2=3.0)
    assert refused.value.field == "/processing/buffer_m"
    check(Processing(buffer_m=50), max_aoi_km2=3.0)


def test_pixels_so_small_that_no_clip_could_hold_them_are_refused() -> None:
    with pytest.raises(SubscriptionInvalid, match="choose a larger resolution_m") as refused:
        check(Processing(resolution_m=0.1), max_clip_pixels=50_000_000)
    assert refused.value.field == "/processing/resolution_m"
    check(Processing(resolution_m=0.5), max_clip_pixels=50_000_000)


@pytest.mark.parametrize(
    ("filters", "processing", "field"),
    [
        (Filters(min_clear_fraction=0.7), Processing(), "/filters/min_clear_fraction"),
        (Filters(), Processing(mask=True), "/processing/mask"),
    ],
)
def test_what_needs_a_quality_band_is_refused_where_there_is_none(
    filters: Filters, processing: Processing, field: str
) -> None:
    with pytest.raises(SubscriptionInvalid, match="no quality band") as refused:
        check(processing, filters=filters, assets=("image",), offered=NAIP)
    assert refused.value.field == field
    check(processing, filters=filters, assets=("image",), offered=None)


def test_one_file_of_assets_on_several_grids_needs_a_resolution() -> None:
    wanted = ("red", "swir16", "scl")
    with pytest.raises(SubscriptionInvalid, match=r"red 10 m, swir16 20 m.*give resolution_m") as refused:
        check(Processing(single_file=True), assets=wanted)
    assert refused.value.field == "/processing/resolution_m"
    check(Processing(single_file=True, resolution_m=20), assets=wanted)
    check(Processing(single_file=True), assets=("red", "nir"))
    check(Processing(single_file=True), assets=("red", "scl"))
    check(Processing(single_file=True), assets=wanted, offered=None)


def test_where_nothing_is_promised_formulas_are_read_all_the_same() -> None:
    check(own("a", "nir / thermal"), offered=None)
    with pytest.raises(FormulaInvalid):
        check(own("a", "nir /"), offered=None)


@pytest.mark.parametrize(
    "definition",
    [
        {"gsd": 10},
        {"raster:spatial_resolution": 10, "gsd": 60},
        {"bands": [{"gsd": 10}, {"gsd": 10}]},
        {"raster:bands": [{"spatial_resolution": 10}], "gsd": 20},
    ],
)
def test_the_width_of_pixels_is_read_from_any_version_of_the_extensions(definition: dict[str, Any]) -> None:
    specimen = specimen_of(collection({"red": definition}))
    assert specimen is not None
    assert resolution_m(specimen, "red") == 10


@pytest.mark.parametrize(
    "declared",
    [None, {}, [], "red", {"red": None}, {"red": {"roles": 5, "type": 7}}, {"red": {"gsd": "ten", "bands": [None, 3]}}],
)
def test_an_odd_collection_is_no_reason_to_stumble(declared: object) -> None:
    specimen = specimen_of(collection(declared))
    if specimen is not None:
        assert resolution_m(specimen, "red") is None
        check(Processing(single_file=True), assets=("red",), offered=dict(declared))  # type: ignore[call-overload]


def test_filters_outside_their_range_are_refused() -> None:
    for filters in (Filters(max_cloud_cover=101), Filters(min_clear_fraction=-0.1), Filters(min_coverage=2)):
        with pytest.raises(SubscriptionInvalid, match=r"from 0 to 1, such as 0\.7|from 0 to 100") as refused:
            check(filters=filters)
        assert refused.value.field is not None
        assert refused.value.field.startswith("/filters/")
    check(filters=replace(Filters(), min_clear_fraction=0.0))


def test_a_kernel_without_a_grid_is_refused() -> None:
    with pytest.raises(SubscriptionInvalid, match="without resolution_m") as refused:
        check(Processing(resampling=Resampling.BILINEAR))
    assert refused.value.field == "/processing/resampling"
    check(Processing(resampling=Resampling.BILINEAR, resolution_m=10.0))


@pytest.mark.parametrize("name", ["NDVI", "Ndvi", "ndvi"])
def test_a_known_index_is_known_in_any_letters(name: str) -> None:
    assert known_index(name, field="/").name == "ndvi"


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"type": "image/tiff; application=geotiff; profile=cloud-optimized"}, True),
        ({"type": "image/jp2", "roles": ["data"]}, True),
        ({"type": "application/x-hdf5"}, True),
        ({}, True),
        ({"type": "image/tiff", "roles": ["metadata"]}, True),
        ({"roles": ["data", "metadata"]}, True),
        ({"type": "application/xml", "roles": ["metadata"]}, False),
        ({"type": "application/json"}, False),
        ({"type": "text/plain"}, False),
        ({"type": "image/jpeg", "roles": ["thumbnail"]}, False),
        ({"roles": ["metadata"]}, False),
        ({"roles": ["thumbnail"]}, False),
    ],
)
def test_what_has_pixels_is_told_by_type_then_roles(declared: dict[str, Any], expected: bool) -> None:
    specimen = specimen_of(collection({"one": declared}))
    assert specimen is not None
    assert is_raster(specimen, "one") is expected


@pytest.mark.parametrize(
    ("collection_id", "has_bands", "has_quality"),
    [
        ("sentinel-2-l2a", True, True),
        ("sentinel-2-c1-l2a", True, True),
        ("sentinel-2-pre-c1-l2a", True, True),
        ("sentinel-2-l1c", True, False),
        ("landsat-c2-l2", True, True),
        ("naip", True, False),
        ("sentinel-1-grd", False, False),
        ("cop-dem-glo-30", False, False),
    ],
)
def test_real_collections_are_known_for_what_they_can_give(
    shared_data: Path, collection_id: str, has_bands: bool, has_quality: bool
) -> None:
    exchange = json.loads((shared_data / "api/earth_search/exchanges/03_collections_v1.json").read_text())
    body = exchange["response"]["body"]
    listed = (json.loads(body) if isinstance(body, str) else body)["collections"]
    offered = next(one for one in listed if one["id"] == collection_id)["item_assets"]
    ndvi = Processing(indices=(known_index("ndvi", field="/"),))

    for wish, is_possible in ((ndvi, has_bands), (Processing(mask=True), has_quality)):
        with nullcontext() if is_possible else pytest.raises(InvalidInput):
            check(wish, assets=(), offered=offered)
