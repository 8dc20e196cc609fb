"""What the pixels say of the offset: what is looked at, what is counted, what is concluded, and who wins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine
from rasterio.warp import transform_geom
from shapely.geometry import box, mapping

from imagery.errors import RadiometryContradictory, RasterUnavailable
from imagery.metering import metered
from imagery.raster.radiometry import BandCount, Basis, Evidence, Radiometry, Verdict, decide, gather, settle
from imagery.raster.radiometry.evidence import DARK_BELOW, judge
from imagery.raster.radiometry.planet import COEFFICIENTS, parse_coefficients

MAIN = "imagery/earthsearch_33T_2023-08"
V0 = "imagery/sentinel-cogs_29RKH_20200219"
FOREST = {"blue": 300, "red": 250, "nir": 3000}
FLAG_TRUE = {"s2:processing_baseline": "05.11", "earthsearch:boa_offset_applied": True}
FLAG_FALSE = {"s2:processing_baseline": "05.11", "earthsearch:boa_offset_applied": False}


def item_of(hrefs: Mapping[str, Any], collection: str = "sentinel-2-l2a", **properties: Any) -> pystac.Item:
    return pystac.Item.from_dict(
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": "x",
            "collection": collection,
            "geometry": None,
            "properties": {"datetime": "2024-06-01T10:00:00Z", **properties},
            "links": [],
            "assets": {key: {"href": str(href)} for key, href in hrefs.items()},
        }
    )


def even(write_raster: Any, numbers: Mapping[str, int], *, side: int = 60, offset: int = 0, **profile: Any) -> Any:
    """A file for each band, the same number everywhere."""
    return {
        key: write_raster(np.full((1, side, side), value + (0 if key == "scl" else offset), np.uint16), **profile)
        for key, value in numbers.items()
    }


def counted(*below: float, darkest: tuple[float, ...] = ()) -> list[BandCount]:
    keys = ("blue", "red") if len(below) == 2 else ("red",)
    darkest = darkest or tuple(300.0 if one > 0.01 else 1300.0 for one in below)
    return [
        BandCount(asset_key=key, below=share, darkest=dark)
        for key, share, dark in zip(keys, below, darkest, strict=True)
    ]


@pytest.mark.parametrize(
    ("counts", "basis", "contrast", "verdict"),
    [
        pytest.param(counted(0.97, 0.92), Basis.VEGETATION, 3000, Verdict.TAKEN_OFF, id="clear summer day"),
        pytest.param(counted(0.81, 0.84), Basis.VEGETATION, 3000, Verdict.TAKEN_OFF, id="broken clouds"),
        pytest.param(counted(0.33, 0.37), Basis.CONTRAST, 2400, Verdict.LEANS_TAKEN_OFF, id="clouds, no classes"),
        pytest.param(counted(0.0, 0.6, darkest=(900, 500)), Basis.VEGETATION, 2500, Verdict.LEANS_TAKEN_OFF, id="haze"),
        pytest.param(
            counted(1.0, 0.0, darkest=(586, 900)), Basis.VEGETATION, 1200, Verdict.LEANS_TAKEN_OFF, id="sparse plants"
        ),
        pytest.param(counted(0.0, 0.0), Basis.VEGETATION, 3000, Verdict.STILL_IN, id="forest with the offset"),
        pytest.param(counted(0.008, 0.01), Basis.CONTRAST, 3000, Verdict.STILL_IN, id="a few negative ones"),
        pytest.param(counted(0.0, 0.03), Basis.VEGETATION, 3000, Verdict.UNDECIDED, id="many shadows with the offset"),
        pytest.param(
            counted(0, 0, darkest=(1500, 1150)), Basis.VEGETATION, 3000, Verdict.LEANS_STILL_IN, id="even haze"
        ),
        pytest.param(
            counted(0, 0, darkest=(1700, 1900)), Basis.VEGETATION, 3000, Verdict.UNDECIDED, id="nothing is dark"
        ),
        pytest.param(counted(0, 0), Basis.VEGETATION, 1200, Verdict.UNDECIDED, id="shrubs on bright soil"),
        pytest.param(counted(0, 0), Basis.WATER, -100, Verdict.LEANS_STILL_IN, id="water with the offset, or glint"),
        pytest.param(counted(0.6, 0.6), Basis.WATER, -100, Verdict.LEANS_TAKEN_OFF, id="water, over-corrected or off"),
        pytest.param(counted(0.99, 0.97), Basis.WATER, -100, Verdict.TAKEN_OFF, id="clear water"),
        pytest.param(counted(0.3, 0.2), Basis.WATER, -100, Verdict.UNDECIDED, id="turbid water"),
        pytest.param(counted(0.95), Basis.VEGETATION, 3000, Verdict.TAKEN_OFF, id="red only"),
        pytest.param(counted(0.6), Basis.VEGETATION, 3000, Verdict.LEANS_TAKEN_OFF, id="red only, not nearly all"),
        pytest.param(counted(0.0), Basis.VEGETATION, 3000, Verdict.LEANS_STILL_IN, id="red only, none"),
        pytest.param(counted(0.0), Basis.VEGETATION, 1600, Verdict.UNDECIDED, id="red only, none, not dense"),
        pytest.param(counted(0, 0), Basis.VEGETATION, None, Verdict.LEANS_STILL_IN, id="no nir to know how dense"),
        pytest.param(
            counted(0.99, 0.0, darkest=(250, 1250)), Basis.VEGETATION, 3000, Verdict.MIXED, id="blue was made over"
        ),
        pytest.param(
            counted(0.0, 0.99, darkest=(1250, 250)), Basis.VEGETATION, 3000, Verdict.MIXED, id="red was made over"
        ),
        pytest.param([], None, None, Verdict.UNDECIDED, id="no band"),
        pytest.param(counted(1.0, 1.0), None, None, Verdict.UNDECIDED, id="too few"),
    ],
)
def test_real_scenes_and_what_is_concluded_of_them(counts, basis, contrast, verdict) -> None:
    assert judge(basis, counts, contrast) is verdict


shares = st.floats(0, 1)
numbers = st.floats(0, 10_000)


@given(shares, shares, numbers, numbers, st.sampled_from(Basis), st.none() | st.floats(-5000, 9000))
def test_no_scene_with_a_twentieth_below_is_ever_said_to_have_the_offset(blue, red, low, high, basis, contrast) -> None:
    verdict = judge(basis, counted(blue, red, darkest=(low, high)), contrast)
    if max(blue, red) > 0.05:
        assert verdict not in (Verdict.STILL_IN, Verdict.LEANS_STILL_IN)
    if min(blue, red) < 0.5:
        assert verdict is not Verdict.TAKEN_OFF


def evidence(verdict: Verdict) -> Evidence:
    return Evidence(
        verdict=verdict,
        basis=Basis.VEGETATION,
        pixels=1000,
        counts=tuple(counted(0.97, 0.9)),
        contrast=3000.0,
        assets=("blue", "red", "nir", "scl"),
        unread=(),
        window=(0, 0, 10_980, 10_980),
        step=32,
        overview=16,
        whole=True,
    )


@pytest.mark.parametrize(
    ("offset", "verdict", "comes_out"),
    [
        (0.0, Verdict.TAKEN_OFF, 0.0),
        (-0.1, Verdict.TAKEN_OFF, 0.0),
        (-0.1, Verdict.STILL_IN, -0.1),
        (0.0, Verdict.STILL_IN, -0.1),
        (0.0, Verdict.LEANS_TAKEN_OFF, 0.0),
        (-0.1, Verdict.LEANS_STILL_IN, -0.1),
        (-0.1, Verdict.LEANS_TAKEN_OFF, None),
        (0.0, Verdict.LEANS_STILL_IN, None),
        (0.0, Verdict.MIXED, None),
        (-0.1, Verdict.MIXED, None),
        (0.0, Verdict.UNDECIDED, 0.0),
        (-0.1, Verdict.UNDECIDED, -0.1),
    ],
)
def test_clear_pixels_win_agreeing_ones_are_told_and_doubtful_ones_refuse(offset, verdict, comes_out) -> None:
    radiometry = Radiometry(scale=0.0001, offset=offset, source="the flag")
    if comes_out is None:
        with pytest.raises(RadiometryContradictory, match="replay"):
            settle(radiometry, evidence(verdict), "red")
        return
    found = settle(radiometry, evidence(verdict), "red")
    assert (found.scale, found.offset) == (0.0001, comes_out)
    assert found.source.startswith("the flag") and "of 1000 dark pixels" in found.source
    assert ("the pixels say otherwise" in found.source) == (comes_out != offset)


@pytest.mark.parametrize("key", ["scl", "aot", "wvp", "visual", "red-jp2"])
def test_what_the_offset_step_never_touched_is_left_alone(key: str) -> None:
    radiometry = Radiometry(scale=0.001, offset=0.0, source="raster:bands")
    assert settle(radiometry, evidence(Verdict.STILL_IN), key) is radiometry


def test_without_evidence_or_radiometry_nothing_changes() -> None:
    radiometry = Radiometry(scale=0.0001, offset=0.0, source="the flag")
    assert settle(radiometry, None, "red") is radiometry
    assert settle(None, evidence(Verdict.STILL_IN), "red") is None


@pytest.mark.parametrize(
    ("collection", "keys"),
    [
        ("landsat-c2-l2", ["red"]),
        ("sentinel-2-l1c", ["red"]),
        ("sentinel-2-l2a", ["scl", "aot"]),
        ("sentinel-2-l2a", ["red-jp2", "nir-jp2"]),
        ("sentinel-2-l2a", []),
    ],
)
def test_other_products_and_assets_are_not_looked_at(collection: str, keys: list[str]) -> None:
    item = item_of({"red": "/nowhere.tif", "red-jp2": "/nowhere.jp2"}, collection)
    assert gather(item, keys, near=None) is None


def test_what_was_counted_and_where_is_told(write_raster) -> None:
    item = item_of(even(write_raster, {**FOREST, "scl": 4}), **FLAG_FALSE)
    found = gather(item, ["nir"], near=None)
    assert found is not None
    assert (found.verdict, found.basis, found.pixels) == (Verdict.TAKEN_OFF, Basis.VEGETATION, 3600)
    assert (found.assets, found.unread) == (("blue", "red", "nir", "scl"), ())
    assert (found.window, found.step, found.overview, found.whole) == ((0, 0, 60, 60), 1, 1, True)
    assert [one.below for one in found.counts] == [1.0, 1.0] and found.contrast == 2750
    said = settle(decide(item, "nir"), found, "nir")
    assert said is not None and said.offset == 0.0
    for words in ("3600 dark pixels", "vegetation by scl", "whole scene", "100.0 % in blue", f"below {DARK_BELOW}"):
        assert words in said.source


def test_without_scene_classes_plants_are_known_by_their_nir(write_raster) -> None:
    found = gather(item_of(even(write_raster, FOREST, offset=1000)), ["red"], near=None)
    assert found is not None
    assert (found.verdict, found.basis, found.unread) == (Verdict.STILL_IN, Basis.CONTRAST, ("scl",))


def test_water_is_counted_only_where_nothing_grows(write_raster) -> None:
    sea = {"blue": 500, "red": 200, "nir": 100, "scl": 6}
    found = gather(item_of(even(write_raster, sea)), ["red"], near=None)
    assert found is not None and (found.verdict, found.basis) == (Verdict.TAKEN_OFF, Basis.WATER)


def test_a_snowfield_decides_nothing_and_says_so(write_raster) -> None:
    item = item_of(even(write_raster, {"blue": 9000, "red": 8800, "nir": 8000, "scl": 11}), **FLAG_TRUE)
    found = gather(item, ["red"], near=None)
    assert found is not None and (found.verdict, found.basis) == (Verdict.UNDECIDED, None)
    said = settle(decide(item, "red"), found, "red")
    assert said is not None and said.offset == 0.0
    assert "not enough dark pixels to check" in said.source and "the metadata decides" in said.source


def test_pixels_beside_nodata_are_not_counted(write_raster) -> None:
    files = even(write_raster, {**FOREST, "scl": 4}, offset=1000)
    for key in ("blue", "red"):
        data = np.full((1, 60, 60), 1300, np.uint16)
        data[:, ::6] = 0
        # What averaging zeros into the neighbours does.
        data[:, 1::6] = data[:, 5:59:6] = 400
        files[key] = write_raster(data)
    found = gather(item_of(files), ["red"], near=None)
    assert found is not None and found.verdict is Verdict.STILL_IN
    assert found.pixels == 60 * 31 and [one.below for one in found.counts] == [0.0, 0.0]


def test_an_asset_that_is_gone_or_no_raster_is_left_out(write_raster, tmp_path: Path) -> None:
    files = even(write_raster, {**FOREST, "scl": 4})
    (tmp_path / "page.tif").write_text("<html>")
    item = item_of({**files, "blue": tmp_path / "gone.tif", "scl": tmp_path / "page.tif"})
    found = gather(item, ["red"], near=None)
    assert found is not None and found.unread == ("blue", "scl")
    assert (found.verdict, found.basis) == (Verdict.TAKEN_OFF, Basis.CONTRAST)
    nothing = gather(item_of({"red": tmp_path / "gone.tif"}), ["red"], near=None)
    assert nothing is not None and nothing.verdict is Verdict.UNDECIDED
    assert "could not be used" in nothing.text


def test_files_of_other_places_or_of_fractions_are_left_out(write_raster) -> None:
    files = even(write_raster, {**FOREST, "scl": 4})
    files["nir"] = write_raster(np.full((1, 60, 60), 3000, np.uint16), crs="EPSG:32634")
    files["scl"] = write_raster(np.full((1, 60, 60), 4.0, np.float32))
    files["blue"] = write_raster(np.full((1, 30, 30), 300, np.uint16))
    found = gather(item_of(files), ["red"], near=None)
    assert found is not None and found.unread == ("blue", "nir", "scl")
    assert found.verdict is Verdict.UNDECIDED


def test_a_passing_trouble_is_not_taken_for_no_evidence(write_raster, server) -> None:
    files = even(write_raster, {**FOREST, "scl": 4})
    server.status["blue.tif"], server.says["blue.tif"] = [403], "Request has expired"
    item = item_of({**files, "blue": server.href("blue.tif")})
    with pytest.raises(RasterUnavailable):
        gather(item, ["red"], near=None)


def test_a_large_scene_is_looked_at_through_its_overviews_in_few_requests(tmp_path: Path, server) -> None:
    side = 2048
    for key, number in {**FOREST, "scl": 4}.items():
        half = 2 if key == "scl" else 1
        place = {"crs": "EPSG:32633", "transform": Affine(10 * half, 0, 500_000, 0, -10 * half, 5_100_000)}
        data = np.random.default_rng(1).integers(number, number + (1 if key == "scl" else 200), (side // half,) * 2)
        with rasterio.open(
            tmp_path / key,
            "w",
            driver="COG",
            count=1,
            height=side // half,
            width=side // half,
            dtype="uint16",
            nodata=0,
            **place,
        ) as raster:
            raster.write(data.astype(np.uint16), 1)
        server.files[f"{key}.tif"] = (tmp_path / key).read_bytes()
    item = item_of({key: server.href(f"{key}.tif") for key in (*FOREST, "scl")})
    with metered() as meter:
        found = gather(item, ["red"], near=None)
    assert found is not None and found.verdict is Verdict.TAKEN_OFF
    assert (found.step, found.overview, found.whole, found.pixels) == (4, 4, True, 512 * 512)
    gets = [asked for method, asked in server.requests if method == "GET"]
    assert len(gets) <= 4 * 4
    assert meter.bytes_read == found.bytes_read < 2_500_000


def test_a_large_file_without_overviews_is_read_only_around_the_aoi(write_raster) -> None:
    side, tiled = 2304, {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "nodata": 0}
    files: dict[str, Any] = {}
    for key, number in {**FOREST, "scl": 4}.items():
        data = np.full((1, side, side), 9000, np.uint16)
        data[:, 1300:2100, 1000:1800] = number
        files[key] = write_raster(data, **tiled)
    utm = mapping(box(513_900, 5_082_900, 514_100, 5_083_100))
    near = transform_geom("EPSG:32633", "EPSG:4326", utm)
    with metered() as meter:
        found = gather(item_of(files), ["red"], near=near)
    assert found is not None and found.verdict is Verdict.TAKEN_OFF
    assert not found.whole and found.step == 1
    column, row, width, height = found.window
    assert (column % 256, row % 256) == (0, 0) and (width, height) == (512, 512)
    assert column <= 1400 < column + width and row <= 1700 < row + height
    assert f"512 x 512 pixels at column {column}, row {row}" in found.text
    assert meter.bytes_read < 4 * 512 * 512 * 2
    elsewhere = gather(item_of(files), ["red"], near=None)
    assert elsewhere is not None and elsewhere.window != found.window


@pytest.mark.parametrize("bounds", [(-10.0, 40.0, -9.9, 40.1), (179.9, -80.0, 179.95, -79.9)])
def test_an_aoi_off_the_scene_still_gives_a_window_on_it(write_raster, bounds) -> None:
    files = {
        key: write_raster(np.full((1, 2304, 2304), FOREST[key], np.uint16), compress="deflate")
        for key in ("red", "nir")
    }
    found = gather(item_of(files), ["red"], near=mapping(box(*bounds)))
    assert found is not None
    column, row, width, height = found.window
    assert column >= 0 and row >= 0 and column + width <= 2304 and row + height <= 2304
    assert found.pixels > 0


def real(path: Path) -> pystac.Item:
    """With the hrefs of the files that lie beside it; the others are taken out."""
    item = json.loads(path.read_text())
    files = {key: path.parent / asset["href"].rpartition("/")[2] for key, asset in item["assets"].items()}
    item["assets"] = {
        key: asset | {"href": str(files[key])}
        for key, asset in item["assets"].items()
        if files[key].is_file() and not key.endswith("-jp2")
    }
    return pystac.Item.from_dict(item)


def test_the_ten_real_scenes_have_their_offset_taken_off_as_their_flag_says(shared_data: Path) -> None:
    paths = sorted((shared_data / MAIN).glob("S2*/S2*.json"))
    assert len(paths) == 10
    for path in paths:
        item = real(path)
        found = gather(item, ["red"], near=None)
        assert found is not None and found.verdict is Verdict.TAKEN_OFF, path.name
        assert min(one.below for one in found.counts) > 0.8
        settled = settle(decide(item, "red"), found, "red")
        assert settled is not None and settled.offset == 0.0
        item.properties["earthsearch:boa_offset_applied"] = False
        mended = settle(decide(item, "red"), found, "red")
        assert mended is not None and mended.offset == 0.0 and "the pixels say otherwise" in mended.source


def test_a_real_desert_of_before_0400_decides_nothing(shared_data: Path) -> None:
    item = real(shared_data / V0 / "S2A_29RKH_20200219_0_L2A.json")
    found = gather(item, ["red"], near=None)
    assert found is not None and found.verdict is Verdict.UNDECIDED and found.pixels == 0
    settled = settle(decide(item, "red"), found, "red")
    assert settled is not None and settled.offset == 0.0


def test_planets_coefficients_are_read_from_a_real_metadata_file(shared_data: Path) -> None:
    (path,) = (shared_data / "imagery/planet").glob("*/*_metadata.xml")
    coefficients = parse_coefficients(path.read_text())
    assert coefficients == (1.81512636125e-05, 1.92266681265e-05, 2.14155262585e-05, 3.22221688359e-05)
    item = item_of({"analytic": "x.tif"}, "planet-disaster-data", **{"pl:item_type": "PSScene4Band"})
    assert decide(item, "analytic") is None
    item.assets["analytic"].extra_fields[COEFFICIENTS] = list(coefficients)
    found = decide(item, "analytic")
    assert found is not None and found.bands == tuple((one, 0.0) for one in coefficients)


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "<x/>",
        "<ps:bandNumber>2</ps:bandNumber><ps:reflectanceCoefficient>1e-5</ps:reflectanceCoefficient>",
        "<ps:bandNumber>1</ps:bandNumber><ps:reflectanceCoefficient>-e</ps:reflectanceCoefficient>",
    ],
)
def test_metadata_without_a_coefficient_for_every_band_gives_none(xml: str) -> None:
    assert parse_coefficients(xml) == ()


@pytest.mark.parametrize(
    ("properties", "offset"),
    [
        ({"s2:product_uri": "S2B_MSIL2A_20250302T095029_N0511_R079_T33UXP_20250302T104753.SAFE"}, -0.1),
        ({"sentinel:product_id": "S2A_MSIL2A_20200219T112111_N0214_R037_T29RKH_20200219T123947"}, 0.0),
        ({"s2:processing_baseline": "N/A", "s2:product_uri": "S2A_MSIL2A_2020_N0214_R037_T29RKH"}, 0.0),
        ({"s2:processing_baseline": "05.11", "earthsearch:boa_offset_applied": "true"}, 0.0),
    ],
)
def test_the_baseline_is_read_from_the_products_name_where_it_has_no_field(properties, offset) -> None:
    found = decide(item_of({"red": "x.tif"}, **properties), "red")
    assert found is not None and found.offset == offset
