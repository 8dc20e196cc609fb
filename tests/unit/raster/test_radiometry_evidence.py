"""What the pixels say of the offset: what is looked at, what is counted, what is concluded, and who wins."""

from __future__ import annotations

import hashlib
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

from imagery.errors import RadiometryContradictory, RasterUnavailable
from imagery.metering import metered
from imagery.raster.radiometry import (
    BandCount,
    Basis,
    Evidence,
    NearInfrared,
    Radiometry,
    Verdict,
    decide,
    gather,
    lend,
    settle,
)
from imagery.raster.radiometry.evidence import DARK_BELOW
from imagery.raster.radiometry.judging import judge
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


def infrared(**changes: float) -> NearInfrared:
    """Of a scene with the offset in: forest, some water."""
    usual = {"contrast": 3000, "red": 1300, "ndvi": 0.85, "floor": 3500, "pixels": 50_000, "below": 0, "water": 500}
    return NearInfrared(**{**usual, **changes})  # type: ignore[arg-type]


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
        pytest.param(
            counted(1.0, 1.0, darkest=(780, 760)), Basis.VEGETATION, 2000, Verdict.LEANS_TAKEN_OFF, id="over-corrected"
        ),
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
    assert judge(basis, counts, None if contrast is None else infrared(contrast=contrast)) is verdict


@pytest.mark.parametrize(
    ("counts", "changes", "verdict"),
    [
        pytest.param(counted(0, 0), {"water": 40}, Verdict.STILL_IN, id="just enough dark water"),
        pytest.param(counted(0, 0), {"water": 39}, Verdict.LEANS_STILL_IN, id="nothing dark, not dense enough"),
        pytest.param(counted(0, 0), {"water": 0, "contrast": 3900}, Verdict.STILL_IN, id="nothing dark, but lush"),
        pytest.param(
            counted(0, 0, darkest=(1310, 1300)),
            {"water": 0, "contrast": 4200},
            Verdict.LEANS_STILL_IN,
            id="nothing dark, lush, bluish: haze over crops",
        ),
        pytest.param(
            counted(0, 0, darkest=(1560, 1300)), {}, Verdict.LEANS_STILL_IN, id="much more blue than red: smoke"
        ),
        pytest.param(counted(0, 0), {"red": 1561}, Verdict.LEANS_STILL_IN, id="leaves would be pale: thick haze"),
        pytest.param(counted(0, 0), {"red": 1149}, Verdict.LEANS_STILL_IN, id="leaves would be black"),
        pytest.param(counted(0, 0), {"ndvi": 0.94}, Verdict.LEANS_STILL_IN, id="leaves would be too green"),
        pytest.param(counted(0, 0), {"ndvi": float("inf")}, Verdict.LEANS_STILL_IN, id="leaves would not be"),
        pytest.param(counted(0, 0), {"below": 20}, Verdict.STILL_IN, id="a few over-corrected shadows"),
        pytest.param(counted(0, 0), {"below": 21}, Verdict.LEANS_STILL_IN, id="nir was not lifted: haze"),
        pytest.param(counted(0, 0), {"below": 50, "pixels": 260_000}, Verdict.STILL_IN, id="few of many"),
        pytest.param(counted(0, 0), {"below": 53, "pixels": 260_000}, Verdict.LEANS_STILL_IN, id="too many of many"),
    ],
)
def test_what_is_bright_was_lifted_by_the_offset_only_if_nir_was_too(counts, changes, verdict) -> None:
    assert judge(Basis.VEGETATION, counts, infrared(**changes)) is verdict


@pytest.mark.parametrize(
    ("counts", "floor", "verdict"),
    [
        pytest.param(counted(0, 0, darkest=(1300, 1100)), 1000, Verdict.LEANS_STILL_IN, id="all bright"),
        pytest.param(counted(0, 0, darkest=(1300, 1100)), 999, Verdict.UNDECIDED, id="glint, dark in nir"),
        pytest.param(counted(0, 0, darkest=(1000, 999)), 1100, Verdict.UNDECIDED, id="dark in red"),
        pytest.param(counted(0, 0, darkest=(1300, 1100)), None, Verdict.UNDECIDED, id="no nir"),
        pytest.param(counted(0), 1300, Verdict.UNDECIDED, id="red alone"),
        pytest.param(counted(0.99, 0.97), 100, Verdict.UNDECIDED, id="clear, or over-corrected"),
        pytest.param(counted(0.3, 0.2), 500, Verdict.UNDECIDED, id="turbid"),
        pytest.param(counted(0.0, 1.0, darkest=(1800, 450)), 90, Verdict.UNDECIDED, id="shallow and bright"),
    ],
)
def test_water_alone_is_a_doubt_at_most(counts, floor, verdict) -> None:
    nir = None if floor is None else infrared(contrast=-100, floor=floor)
    assert judge(Basis.WATER, counts, nir) is verdict


shares = st.floats(0, 1)
numbers = st.floats(0, 10_000)


@given(shares, shares, numbers, numbers, st.sampled_from(Basis), st.none() | st.floats(-5000, 9000))
def test_no_scene_with_a_twentieth_below_is_ever_said_to_have_the_offset(blue, red, low, high, basis, contrast) -> None:
    nir = None if contrast is None else infrared(contrast=contrast)
    verdict = judge(basis, counted(blue, red, darkest=(low, high)), nir)
    if basis is Basis.WATER:
        assert verdict in (Verdict.UNDECIDED, Verdict.LEANS_STILL_IN)
    elif max(blue, red) > 0.05:
        assert verdict not in (Verdict.STILL_IN, Verdict.LEANS_STILL_IN)
    if min(blue, red) < 0.5:
        assert verdict is not Verdict.TAKEN_OFF


def evidence(verdict: Verdict) -> Evidence:
    return Evidence(
        verdict=verdict,
        basis=Basis.VEGETATION,
        pixels=1000,
        counts=tuple(counted(0.97, 0.9)),
        nir=infrared(),
        assets=("blue", "red", "nir", "scl"),
        unread=(),
        windows=((0, 0, 10_980, 10_980),),
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
    assert gather(item, keys) is None


def test_what_was_counted_and_where_is_told(write_raster) -> None:
    item = item_of(even(write_raster, {**FOREST, "scl": 4}), **FLAG_FALSE)
    found = gather(item, ["nir"])
    assert found is not None
    assert (found.verdict, found.basis, found.pixels) == (Verdict.TAKEN_OFF, Basis.VEGETATION, 3600)
    assert (found.assets, found.unread) == (("blue", "red", "nir", "scl"), ())
    assert (found.windows, found.step, found.overview, found.whole) == (((0, 0, 60, 60),), 1, 1, True)
    assert [one.below for one in found.counts] == [1.0, 1.0] and found.nir is not None
    assert (found.nir.contrast, found.nir.red, found.nir.floor, found.nir.pixels) == (2750, 250, 3000, 3600)
    said = settle(decide(item, "nir"), found, "nir")
    assert said is not None and said.offset == 0.0
    for words in ("3600 dark pixels", "vegetation by scl", "whole scene", "100.0 % in blue", f"below {DARK_BELOW}"):
        assert words in said.source


def test_without_scene_classes_plants_are_known_by_their_nir(write_raster) -> None:
    crops = {"blue": 300, "red": 400, "nir": 4500}
    found = gather(item_of(even(write_raster, crops, offset=1000)), ["red"])
    assert found is not None
    assert (found.verdict, found.basis, found.unread) == (Verdict.STILL_IN, Basis.CONTRAST, ("scl",))


def test_water_is_counted_only_where_nothing_grows_and_decides_nothing(write_raster) -> None:
    sea = {"blue": 500, "red": 200, "nir": 100, "scl": 6}
    found = gather(item_of(even(write_raster, sea)), ["red"])
    assert found is not None and (found.verdict, found.basis) == (Verdict.UNDECIDED, Basis.WATER)


def test_a_snowfield_decides_nothing_and_says_so(write_raster) -> None:
    item = item_of(even(write_raster, {"blue": 9000, "red": 8800, "nir": 8000, "scl": 11}), **FLAG_TRUE)
    found = gather(item, ["red"])
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
    found = gather(item_of(files), ["red"])
    assert found is not None and found.verdict is Verdict.LEANS_STILL_IN
    assert found.pixels == 60 * 31 and [one.below for one in found.counts] == [0.0, 0.0]


def test_an_asset_that_is_gone_or_no_raster_is_left_out(write_raster, tmp_path: Path) -> None:
    files = even(write_raster, {**FOREST, "scl": 4})
    (tmp_path / "page.tif").write_text("<html>")
    item = item_of({**files, "blue": tmp_path / "gone.tif", "scl": tmp_path / "page.tif"})
    found = gather(item, ["red"])
    assert found is not None and found.unread == ("blue", "scl")
    assert (found.verdict, found.basis) == (Verdict.TAKEN_OFF, Basis.CONTRAST)
    nothing = gather(item_of({"red": tmp_path / "gone.tif"}), ["red"])
    assert nothing is not None and nothing.verdict is Verdict.UNDECIDED
    assert "could not be used" in nothing.text


def test_files_of_other_places_or_of_fractions_are_left_out(write_raster) -> None:
    files = even(write_raster, {**FOREST, "scl": 4})
    files["nir"] = write_raster(np.full((1, 60, 60), 3000, np.uint16), crs="EPSG:32634")
    files["scl"] = write_raster(np.full((1, 60, 60), 4.0, np.float32))
    files["blue"] = write_raster(np.full((1, 30, 30), 300, np.uint16))
    found = gather(item_of(files), ["red"])
    assert found is not None and found.unread == ("blue", "nir", "scl")
    assert found.verdict is Verdict.UNDECIDED


def test_a_passing_trouble_is_not_taken_for_no_evidence(write_raster, server) -> None:
    files = even(write_raster, {**FOREST, "scl": 4})
    server.status["blue.tif"], server.says["blue.tif"] = [403], "Request has expired"
    item = item_of({**files, "blue": server.href("blue.tif")})
    with pytest.raises(RasterUnavailable):
        gather(item, ["red"])


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
        found = gather(item, ["red"])
    assert found is not None and found.verdict is Verdict.TAKEN_OFF
    assert (found.step, found.overview, found.whole, found.pixels) == (4, 4, True, 512 * 512)
    gets = [asked for method, asked in server.requests if method == "GET"]
    assert len(gets) <= 4 * 4
    assert meter.bytes_read == found.bytes_read < 2_500_000


def large(
    write_raster: Any, numbers: Mapping[str, int], place: tuple[slice, slice], *, lift: int = 0
) -> dict[str, Any]:
    """Files of 2304 pixels a side without overviews, bright but for one place."""
    tiled = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "nodata": 0}
    files: dict[str, Any] = {}
    for key, number in {**numbers, "scl": 4}.items():
        data = np.full((1, 2304, 2304), 8 if key == "scl" else 9000 + lift, np.uint16)
        data[:, place[0], place[1]] = number + (0 if key == "scl" else lift)
        files[key] = write_raster(data, **tiled)
    return files


def test_of_a_large_file_without_overviews_the_middle_is_read(write_raster) -> None:
    files = large(write_raster, FOREST, (slice(900, 1400), slice(900, 1400)))
    with metered() as meter:
        found = gather(item_of(files), ["red"])
    assert found is not None and found.verdict is Verdict.TAKEN_OFF
    assert not found.whole and found.step == 1
    ((column, row, width, height),) = found.windows
    assert (column % 256, row % 256) == (0, 0) and (width, height) == (512, 512)
    assert column <= 1152 < column + width and row <= 1152 < row + height
    assert f"512 x 512 pixels at column {column}, row {row}" in found.text
    assert meter.bytes_read < 4 * 512 * 512 * 2


def test_where_the_middle_tells_too_little_the_quarters_are_read_and_no_more(write_raster) -> None:
    files = large(write_raster, FOREST, (slice(1550, 2050), slice(1550, 2050)))
    with metered() as meter:
        found = gather(item_of(files), ["red"])
    assert found is not None and found.verdict is Verdict.TAKEN_OFF
    assert len(found.windows) == 5 and "5 places" in found.text
    assert meter.bytes_read == found.bytes_read < 5 * 4 * 512 * 512 * 2


def test_that_the_offset_is_still_in_is_said_only_when_all_places_were_seen(write_raster) -> None:
    crops = {"blue": 300, "red": 400, "nir": 4500}
    found = gather(item_of(large(write_raster, crops, (slice(0, 2304), slice(0, 2304)), lift=1000)), ["red"])
    assert found is not None and (found.verdict, len(found.windows)) == (Verdict.STILL_IN, 5)


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
        found = gather(item, ["red"])
        assert found is not None and found.verdict is Verdict.TAKEN_OFF, path.name
        assert min(one.below for one in found.counts) > 0.8
        settled = settle(decide(item, "red"), found, "red")
        assert settled is not None and settled.offset == 0.0
        item.properties["earthsearch:boa_offset_applied"] = False
        mended = settle(decide(item, "red"), found, "red")
        assert mended is not None and mended.offset == 0.0 and "the pixels say otherwise" in mended.source


def test_of_the_ten_real_scenes_the_offset_is_seen_when_it_is_put_in(shared_data: Path, write_raster) -> None:
    for path in sorted((shared_data / MAIN).glob("S2*/S2*.json")):
        item = real(path)
        for key in ("blue", "red", "nir"):
            with rasterio.open(item.assets[key].href) as src:
                data, place = src.read(), src.transform
                lifted = np.where(data == 0, 0, data + 1000).astype(np.uint16)
                item.assets[key].href = str(write_raster(lifted, crs=src.crs, transform=place, nodata=0))
        found = gather(item, ["red"])
        # In one of them clouds leave 25 pixels of dark water.
        expected = Verdict.LEANS_STILL_IN if path.stem == "S2B_33TWM_20230810_0_L2A" else Verdict.STILL_IN
        assert found is not None and found.verdict is expected, (path.name, found)


@pytest.mark.parametrize("haze", [(0.06, 0.05), (0.075, 0.065), (0.09, 0.075), (0.1, 0.08), (0.12, 0.1)])
def test_haze_over_the_ten_real_scenes_is_never_taken_for_the_offset(shared_data: Path, write_raster, haze) -> None:
    for path in sorted((shared_data / MAIN).glob("S2*/S2*.json")):
        item = real(path)
        for key, added in (("blue", haze[0]), ("red", haze[1]), ("nir", 0.03)):
            with rasterio.open(item.assets[key].href) as src:
                data, place = src.read(), src.transform
                hazy = np.where(data == 0, 0, data * 0.93 + 10_000 * added).astype(np.uint16)
                item.assets[key].href = str(write_raster(hazy, crs=src.crs, transform=place, nodata=0))
        found = gather(item, ["red"])
        assert found is not None and found.verdict is not Verdict.STILL_IN, (path.name, found)


def test_a_real_desert_of_before_0400_decides_nothing(shared_data: Path) -> None:
    item = real(shared_data / V0 / "S2A_29RKH_20200219_0_L2A.json")
    found = gather(item, ["red"])
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


def test_an_uncertain_tile_goes_by_a_certain_one_made_alike() -> None:
    doubtful, certain = evidence(Verdict.UNDECIDED), evidence(Verdict.TAKEN_OFF)
    lent = lend(doubtful, {"b": certain, "c": None})
    assert lent is not None and lent.verdict is Verdict.TAKEN_OFF and "by b of the same acquisition" in lent.text
    agreeing = lend(evidence(Verdict.LEANS_TAKEN_OFF), {"b": certain})
    assert agreeing is not None and agreeing.of == "b"


@pytest.mark.parametrize("own", [Verdict.STILL_IN, Verdict.MIXED, Verdict.LEANS_STILL_IN])
def test_what_a_tile_shows_itself_is_not_talked_over(own: Verdict) -> None:
    shown = evidence(own)
    assert lend(shown, {"b": evidence(Verdict.TAKEN_OFF)}) is shown


def test_tiles_that_contradict_each_other_or_are_doubtful_lend_nothing() -> None:
    own = evidence(Verdict.UNDECIDED)
    assert lend(own, {"b": evidence(Verdict.TAKEN_OFF), "c": evidence(Verdict.STILL_IN)}) is own
    assert lend(own, {"b": evidence(Verdict.LEANS_TAKEN_OFF)}) is own
    assert lend(None, {"b": evidence(Verdict.TAKEN_OFF)}) is None


def served(write_raster: Any, server: Any, *, wrong: str = "") -> pystac.Item:
    """By a server that gives no parts; with checksums, one of which may be wrong."""
    item = item_of(even(write_raster, {**FOREST, "scl": 4}, side=500), **FLAG_FALSE)
    for key, asset in item.assets.items():
        body = Path(asset.href).read_bytes()
        server.files[f"{key}.tif"] = body
        digest = hashlib.sha256(b"" if key == wrong else body).hexdigest()
        asset.extra_fields |= {"file:checksum": f"1220{digest}", "file:size": len(body)}
        asset.href = server.href(f"{key}.tif")
    return item


def test_where_a_server_gives_no_parts_evidence_is_had_of_whole_files(tmp_path: Path, write_raster, server) -> None:
    item = served(write_raster, server)
    server.whole_only = True
    found = gather(item, ["red"], folder=tmp_path / "whole")
    assert found is not None and (found.verdict, found.unread) == (Verdict.TAKEN_OFF, ())
    assert len(list((tmp_path / "whole").iterdir())) == 4


def test_a_file_that_is_not_its_items_is_no_evidence(tmp_path: Path, write_raster, server) -> None:
    item = served(write_raster, server, wrong="blue")
    server.whole_only = True
    found = gather(item, ["red"], folder=tmp_path / "whole")
    assert found is not None and (found.verdict, found.unread) == (Verdict.TAKEN_OFF, ("blue",))
