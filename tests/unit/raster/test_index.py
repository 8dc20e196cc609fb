"""Indices against arithmetic done by hand, and bands found by the names that catalogues give them."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from imagery.errors import AssetMissing, FormulaInvalid, RasterError
from imagery.raster.clip import Clip, clip
from imagery.raster.cog import encode_cog
from imagery.raster.formula import Formula, parse_formula
from imagery.raster.index import KNOWN, bands_of, compute
from imagery.raster.radiometry import Radiometry, decide
from imagery.raster.reading import Reading
from tests.unit.raster.made_clips import clip_of

NDVI = parse_formula(KNOWN["ndvi"].formula)
PLAIN = Radiometry(scale=0.0001, offset=0.0, source="no offset")
SHIFTED = Radiometry(scale=0.0001, offset=-0.1, source="baseline 05.09")
PARCELS = "fields/parcels_slovenia_over_33TWM_33TWL.geojson"


def item_with(assets: dict[str, dict[str, Any]], **properties: Any) -> pystac.Item:
    item = pystac.Item(
        "one",
        None,
        None,
        None,
        {"start_datetime": "2023-01-01T00:00:00Z", "end_datetime": "2023-01-02T00:00:00Z", **properties},
    )
    for key, fields in assets.items():
        asset = {"href": f"https://example.com/{key}", **fields}
        item.add_asset(key, pystac.Asset.from_dict(asset))
    return item


def by_name(formula: Formula, **clips: Clip) -> Any:
    bands = {name: (one, 1) for name, one in clips.items()}
    return compute(formula, bands, dict.fromkeys(bands, PLAIN))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ndvi", (0.4 - 0.1) / (0.4 + 0.1)),
        ("ndre", (0.4 - 0.2) / (0.4 + 0.2)),
        ("ndwi", (0.15 - 0.4) / (0.15 + 0.4)),
        ("evi", 2.5 * (0.4 - 0.1) / (0.4 + 0.6 - 7.5 * 0.05 + 1)),
        ("savi", 1.5 * (0.4 - 0.1) / (0.4 + 0.1 + 0.5)),
        ("ndmi", (0.4 - 0.25) / (0.4 + 0.25)),
        ("nbr", (0.4 - 0.12) / (0.4 + 0.12)),
        ("gndvi", (0.4 - 0.15) / (0.4 + 0.15)),
    ],
)
@pytest.mark.parametrize("offset", [0.0, -0.1])
def test_a_known_index_of_known_reflectance(name: str, expected: float, offset: float) -> None:
    reflectance = {"nir": 0.4, "red": 0.1, "green": 0.15, "blue": 0.05, "rededge1": 0.2, "swir16": 0.25, "swir22": 0.12}
    formula = parse_formula(KNOWN[name].formula)
    radiometry = Radiometry(scale=0.0001, offset=offset, source="table")
    bands = {
        band: (clip_of(np.full((2, 2), round((reflectance[band] - offset) / 0.0001), np.uint16)), 1)
        for band in formula.names
    }

    result = compute(formula, bands, dict.fromkeys(bands, radiometry))

    assert (result.data.dtype, result.nodata, result.nodata_declared) == (np.int16, -32768, True)
    assert (result.scales, result.offsets) == ((0.0001,), (0.0,))
    np.testing.assert_allclose(result.data * 0.0001, np.full((1, 2, 2), expected), atol=0.00006)
    assert (result.valid_pixels, result.aoi_pixels) == (4, 4)


def test_a_pixel_without_data_in_any_band_has_no_index() -> None:
    red = clip_of(np.array([[1000, 0, 1000, 0]], np.uint16))
    nir = clip_of(np.array([[4000, 4000, 0, 0]], np.uint16))

    result = by_name(NDVI, red=red, nir=nir)

    assert result.data[0].tolist() == [[6000, -32768, -32768, -32768]]
    assert result.valid.tolist() == [[True, False, False, False]]
    assert (result.valid_pixels, result.coverage) == (1, 0.25)


def test_what_cannot_be_reckoned_is_nodata() -> None:
    red = clip_of(np.array([[1000, 500]], np.uint16))
    nir = clip_of(np.array([[1000, 500]], np.uint16))
    bands = {"red": (red, 1), "nir": (nir, 1)}

    result = compute(NDVI, bands, dict.fromkeys(bands, SHIFTED))

    assert result.data[0].tolist() == [[-32768, 0]], "0 / 0, then (-0.05 + 0.05) / -0.1"


def test_what_is_beyond_the_range_is_nodata_and_counted() -> None:
    one = clip_of(np.array([[1000, 40_000, 100, 32_767]], np.uint16))

    result = by_name(parse_formula("where(red > 3.5, red * 10, where(red > 0.05, red, -9))"), red=one)

    assert result.data[0].tolist() == [[1000, -32768, -32768, 32767]]
    assert result.valid.tolist() == [[True, False, False, True]]
    assert result.valid_pixels == 2
    assert "2 pixels beyond ±3.2767 are nodata" in result.descriptions[0]
    assert "beyond" not in by_name(NDVI, red=one, nir=one).descriptions[0]


def test_evi_of_dark_pixels_is_no_number_that_looks_like_one() -> None:
    bands = {"nir": 10_000, "red": 1_000, "blue": 3_467}  # what they are divided by is all but nothing
    clips = {name: clip_of(np.array([[value]], np.uint16)) for name, value in bands.items()}

    result = by_name(parse_formula(KNOWN["evi"].formula), **clips)

    assert result.data[0].tolist() == [[-32768]]
    assert result.valid_pixels == 0


def test_a_coarser_band_is_laid_on_the_finest_by_pixel_centre() -> None:
    nir = clip_of(np.full((4, 4), 4000, np.uint16), width_m=10.0, aoi_pixels=20)
    rededge = clip_of(np.array([[1000, 2000], [0, 4000]], np.uint16), width_m=20.0)

    result = by_name(parse_formula(KNOWN["ndre"].formula), nir=nir, rededge1=rededge)

    corners = [[6000, 3333], [-32768, 0]]
    np.testing.assert_array_equal(result.data[0], np.kron(corners, np.ones((2, 2), int)))
    assert (result.transform, result.aoi_pixels, result.valid_pixels) == (nir.transform, 20, 12)


def test_a_coarser_band_with_another_corner_is_not_shifted() -> None:
    nir = clip_of(np.full((4, 4), 4000, np.uint16))
    coarse = clip_of(
        np.arange(1, 10, dtype=np.uint16).reshape(3, 3) * 100, transform=Affine(20, 0, 499_990, 0, -20, 5_100_010)
    )

    result = by_name(parse_formula("rededge1 + 0 * nir"), nir=nir, rededge1=coarse)

    assert (result.data[0] // 100).tolist() == [[1, 2, 2, 3], [4, 5, 5, 6], [4, 5, 5, 6], [7, 8, 8, 9]]


def test_outside_the_aoi_there_is_no_index() -> None:
    inside = np.array([[True, False]])
    red = clip_of(np.array([[1000, 1000]], np.uint16), inside=inside)

    result = by_name(parse_formula("red"), red=red)

    assert result.data[0].tolist() == [[1000, -32768]]
    assert (result.valid_pixels, result.aoi_pixels) == (1, 1)


def test_a_band_of_a_file_of_several_has_its_own_scale() -> None:
    analytic = clip_of(np.array([[[100]], [[100]], [[100]], [[100]]], np.uint16))
    bands = {"red": (analytic, 3), "nir": (analytic, 4)}
    of_bands = Radiometry(
        scale=None, offset=None, source="coefficients", bands=((1.0, 0.0), (1.0, 0.0), (0.001, 0.0), (0.004, 0.0))
    )

    result = compute(NDVI, bands, dict.fromkeys(bands, of_bands))

    assert result.data[0].tolist() == [[6000]]


def test_without_radiometry_the_file_s_own_scale_and_offset_hold() -> None:
    one = clip_of(np.array([[5000]], np.uint16), scales=(0.0001,), offsets=(-0.1,))

    result = compute(parse_formula("red"), {"red": (one, 1)}, {"red": None})

    assert result.data[0].tolist() == [[4000]]


def test_bands_of_two_projections_are_refused_with_the_way_out() -> None:
    one, other = clip_of(np.ones((1, 1), np.uint16)), clip_of(np.ones((1, 1), np.uint16), crs=CRS.from_epsg(32632))

    with pytest.raises(RasterError, match=r"processing\.resolution_m"):
        by_name(NDVI, red=one, nir=other)


def test_a_name_without_a_band_is_refused() -> None:
    with pytest.raises(FormulaInvalid, match="needs nir"):
        by_name(NDVI, red=clip_of(np.ones((1, 1), np.uint16)))


def test_the_file_says_what_the_index_is() -> None:
    red, nir = clip_of(np.array([[1000, 0]], np.uint16)), clip_of(np.array([[4000, 1]], np.uint16))

    body = encode_cog(by_name(NDVI, red=red, nir=nir), categorical=False)

    with MemoryFile(io.BytesIO(body)) as memory, memory.open() as src:
        assert (src.dtypes, src.nodata, src.scales, src.offsets) == (("int16",), -32768, (0.0001,), (0.0,))
        assert src.descriptions == ("(nir - red) / (nir + red)",)
        assert src.read(1).tolist() == [[6000, -32768]]


@settings(deadline=None)
@given(arrays(np.uint16, (3, 4)), arrays(np.uint16, (3, 4)), st.sampled_from([PLAIN, SHIFTED]))
def test_ndvi_is_what_plain_arithmetic_says(red: np.ndarray, nir: np.ndarray, radiometry: Radiometry) -> None:
    bands = {"red": (clip_of(red), 1), "nir": (clip_of(nir), 1)}

    result = compute(NDVI, bands, dict.fromkeys(bands, radiometry))

    assert radiometry.offset is not None
    r, n = red * 0.0001 + radiometry.offset, nir * 0.0001 + radiometry.offset
    with np.errstate(all="ignore"):
        expected = (n - r) / (n + r)
    has = (red != 0) & (nir != 0) & (np.abs(n + r) > 1e-9)
    fits = has & (np.abs(expected) < 3.2767)
    np.testing.assert_allclose(result.data[0][fits] * 0.0001, expected[fits], atol=0.00006)
    assert (result.data[0][(red == 0) | (nir == 0)] == -32768).all()
    assert (result.data[0][has & (np.abs(expected) > 3.2768)] == -32768).all()


def test_ndvi_of_real_parcels_is_ndvi_of_the_real_pixels(shared_data: Path) -> None:
    folder = shared_data / "imagery/earthsearch_33T_2023-08/S2A_33TWM_20230815_0_L2A"
    item = pystac.Item.from_dict(json.loads((folder / f"{folder.name}.json").read_text()))
    geometries = [feature["geometry"] for feature in json.loads((shared_data / PARCELS).read_text())["features"]]
    found = bands_of(item, NDVI)
    assert found == {"nir": ("nir", 1), "red": ("red", 1)}
    with rasterio.open(folder / "B04.tif") as red, rasterio.open(folder / "B08.tif") as nir:
        r, n = red.read(1) * 0.0001, nir.read(1) * 0.0001
        corner = red.transform
    assert (radiometry := decide(item, "red")) is not None
    assert radiometry.offset == 0.0

    for geometry in geometries[:20]:
        clips = {
            name: (clip(str(folder / path), geometry, reading=Reading(max_pixels=10**7)), 1)
            for name, path in (("red", "B04.tif"), ("nir", "B08.tif"))
        }
        result = compute(NDVI, clips, {name: decide(item, found[name][0]) for name in clips})  # type: ignore[arg-type]
        column, row = (round(number) for number in ~corner * (result.transform.c, result.transform.f))
        height, width = result.inside.shape
        there = (slice(row, row + height), slice(column, column + width))
        expected = (n[there] - r[there]) / (n[there] + r[there])
        np.testing.assert_allclose(result.data[0][result.inside] * 0.0001, expected[result.inside], atol=0.00006)


EARTH_SEARCH = {
    "visual": {"roles": ["visual"], "type": "image/tiff", "eo:bands": [{"name": "red", "common_name": "red"}]},
    "thumbnail": {"roles": ["thumbnail"], "type": "image/jpeg"},
    "red-jp2": {"roles": ["data"], "type": "image/jp2", "eo:bands": [{"name": "red", "common_name": "red"}]},
    "red": {"roles": ["data"], "type": "image/tiff", "eo:bands": [{"name": "red", "common_name": "red"}]},
    "nir": {"roles": ["data"], "type": "image/tiff"},
    "nir08": {"roles": ["data"], "type": "image/tiff"},
    "rededge1": {"roles": ["data"], "eo:bands": [{"name": "rededge1", "common_name": "rededge"}]},
    "rededge2": {"roles": ["data"], "eo:bands": [{"name": "rededge2", "common_name": "rededge"}]},
    "blue-jp2": {"roles": ["data"], "type": "image/jp2"},
}
PLANETARY = {
    "B04": {"type": "image/tiff", "roles": ["data"]},
    "B08": {"type": "image/tiff", "roles": ["data"], "bands": [{"name": "B08", "eo:common_name": "nir"}]},
    "B05": {"type": "image/tiff", "roles": ["data"]},
}
LANDSAT = {
    "red": {"roles": ["data"], "eo:bands": [{"name": "OLI_B4", "common_name": "red"}]},
    "nir08": {"roles": ["data"], "eo:bands": [{"name": "OLI_B5", "common_name": "nir08"}]},
}
NAIP = {"image": {"roles": ["data"], "eo:bands": [{"name": "Red", "common_name": "red"}, None, {"name": "NIR"}]}}
PLANET: dict[str, dict[str, Any]] = {
    "basic_analytic_8b": {},
    "ortho_analytic_8b": {},
    "ortho_analytic_8b_sr": {},
    "ortho_visual": {},
    "ortho_udm2": {},
}


@pytest.mark.parametrize(
    ("assets", "name", "found"),
    [
        (EARTH_SEARCH, "red", ("red", 1)),
        (EARTH_SEARCH, "B04", ("red", 1)),
        (EARTH_SEARCH, "B8A", ("nir08", 1)),
        (EARTH_SEARCH, "B08", ("nir", 1)),
        (EARTH_SEARCH, "rededge", ("rededge1", 1)),
        (EARTH_SEARCH, "rededge2", ("rededge2", 1)),
        (EARTH_SEARCH, "blue", ("blue-jp2", 1)),
        (EARTH_SEARCH, "B02", ("blue-jp2", 1)),
        ({"red-jp2": {"eo:bands": [{"name": "B04"}]}, "red": {}}, "B04", ("red", 1)),
        ({"nir-jp2": {}, "nir08": {}}, "nir", ("nir-jp2", 1)),
        ({"nir08": {}}, "nir", ("nir08", 1)),
        (PLANETARY, "red", ("B04", 1)),
        (PLANETARY, "nir", ("B08", 1)),
        (PLANETARY, "rededge1", ("B05", 1)),
        (PLANETARY, "rededge", ("B05", 1)),
    ],
)
def test_bands_of_sentinel_2_are_found_by_any_of_their_names(
    assets: dict[str, dict[str, Any]], name: str, found: tuple[str, int]
) -> None:
    item = item_with(assets, constellation="sentinel-2")

    assert bands_of(item, parse_formula(name)) == {name: found}


@pytest.mark.parametrize(
    ("assets", "name", "found"),
    [
        (LANDSAT, "nir", ("nir08", 1)),
        (LANDSAT, "OLI_B4", ("red", 1)),
        (NAIP, "red", ("image", 1)),
        (NAIP, "NIR", ("image", 3)),
        (NAIP, "image", ("image", 1)),
        (PLANET, "red", ("ortho_analytic_8b_sr", 6)),
        (PLANET, "rededge1", ("ortho_analytic_8b_sr", 7)),
        ({"ortho_analytic_4b": {}}, "red", ("ortho_analytic_4b", 3)),
    ],
)
def test_bands_of_others_are_found_by_common_name_and_place(
    assets: dict[str, dict[str, Any]], name: str, found: tuple[str, int]
) -> None:
    assert bands_of(item_with(assets), parse_formula(name)) == {name: found}


@pytest.mark.parametrize(("assets", "name"), [(LANDSAT, "rededge1"), (LANDSAT, "B05"), (NAIP, "swir16"), ({}, "red")])
def test_a_band_the_item_does_not_have_is_missing(assets: dict[str, dict[str, Any]], name: str) -> None:
    with pytest.raises(AssetMissing, match=f"no band '{name}'"):
        bands_of(item_with(assets), parse_formula(name))


def test_a_picture_is_no_band() -> None:
    item = item_with(EARTH_SEARCH, constellation="sentinel-2")

    with pytest.raises(FormulaInvalid, match="nir08"):
        bands_of(item, parse_formula("thumbnail"))


def test_real_items_have_the_bands_of_the_known_indices(shared_data: Path) -> None:
    asked = {name: parse_formula(index.formula) for name, index in KNOWN.items()}
    met: set[str] = set()
    with gzip.open(shared_data / "items/earth_search_v1_mixed.ndjson.gz", "rt") as lines:
        for document in map(json.loads, lines):
            collection = document.get("collection", "")
            if not document.get("assets") or not collection.startswith(("sentinel-2-l2a", "sentinel-2-pre", "landsat")):
                continue
            item = pystac.Item.from_dict(document, migrate=False)
            names = [name for name in asked if not (collection.startswith("landsat") and name == "ndre")]
            for name in names:
                for band, (key, number) in bands_of(item, asked[name]).items():
                    assert number == 1
                    assert key == ("nir08" if band == "nir" and collection.startswith("landsat") else band)
            met.add(collection)
    assert {"sentinel-2-l2a", "landsat-c2-l2"} <= met
