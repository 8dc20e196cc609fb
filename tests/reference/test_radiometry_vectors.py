"""Every vector of the reference page, as files on disk: the right scale and offset, and NDVI as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine

from imagery.errors import RadiometryContradictory
from imagery.raster.radiometry import Radiometry, decide, gather, settle
from imagery.raster.radiometry.table import TABLE

from .radiometry import IN, OFF, PAGE, V1_BASELINE, V1_FLAG, Ground, Stored, Vector, page, vectors

SIDE = 640
"""Pixels of 10 m; more than are looked at, so that the look is a coarse one."""

VEGETATION, SOIL, WATER, CLOUD = 4, 5, 6, 9
REFLECTANCE = {
    VEGETATION: {"blue": 0.03, "green": 0.06, "red": 0.04, "nir": 0.42},
    SOIL: {"blue": 0.12, "green": 0.17, "red": 0.23, "nir": 0.31},
    WATER: {"blue": 0.06, "green": 0.06, "red": 0.05, "nir": 0.03},
    CLOUD: {"blue": 0.76, "green": 0.75, "red": 0.74, "nir": 0.72},
}
BANDS = ("blue", "green", "red", "nir")
ALONE = {
    Ground.CROPS: (VEGETATION, {"blue": 0.03, "green": 0.06, "red": 0.05, "nir": 0.45}),
    Ground.HAZE: (VEGETATION, {"blue": 0.105, "green": 0.11, "red": 0.105, "nir": 0.42}),
    Ground.SMOKE: (VEGETATION, {"blue": 0.13, "green": 0.12, "red": 0.11, "nir": 0.38}),
    Ground.SNOW: (VEGETATION, {"blue": 0.12, "green": 0.12, "red": 0.12, "nir": 0.33}),
    Ground.GLINT: (WATER, {"blue": 0.12, "green": 0.12, "red": 0.11, "nir": 0.10}),
    Ground.TURBID: (WATER, {"blue": 0.10, "green": 0.13, "red": 0.12, "nir": 0.06}),
    Ground.SHALLOW: (WATER, {"blue": 0.20, "green": 0.14, "red": 0.05, "nir": 0.01}),
    Ground.WATER: (WATER, REFLECTANCE[WATER]),
    Ground.DESERT: (SOIL, REFLECTANCE[SOIL]),
}
"""Where all is of one class: which, and its reflectance."""

HAZE = {"blue": 0.085, "green": 0.08, "red": 0.07, "nir": 0.03}

VECTORS = tuple(vectors())


def classes(ground: Ground) -> NDArray[np.uint8]:
    """Of half the resolution; the first columns are nodata."""
    half = SIDE // 2
    scl = np.full((half, half), ALONE[ground][0] if ground in ALONE else VEGETATION, np.uint8)
    if ground not in ALONE:
        scl[half // 2 :, : half // 2] = SOIL
        scl[half // 2 :, half // 2 : half * 3 // 4] = WATER
        scl[half // 2 :, half * 3 // 4 :] = CLOUD
    scl[:, :8] = 0
    return scl


def reflectance(scl: NDArray[np.uint8], ground: Ground) -> dict[str, NDArray[np.float64]]:
    """Of each band at full resolution, with the texture of land; 0 where there is no data."""
    whole = scl.repeat(2, axis=0).repeat(2, axis=1)
    texture = 1.0 + 0.1 * np.random.default_rng(4).uniform(-1, 1, whole.shape)
    known = REFLECTANCE | dict([ALONE[ground]] if ground in ALONE else [])
    seen = {
        band: np.select([whole == one for one in known], [known[one][band] for one in known]) * texture
        for band in BANDS
    }
    if ground is Ground.HAZY_LAND:
        return {band: np.where(whole == 0, 0, values * 0.93 + HAZE[band]) for band, values in seen.items()}
    return seen


def stored(physical: NDArray[np.float64], scale: float, offset: float) -> NDArray[np.uint16]:
    """The numbers of it; 0 is kept for nodata."""
    numbers = np.clip(np.rint((physical - offset) / scale), 1, 65_535)
    return np.where(physical == 0, 0, numbers).astype(np.uint16)


def write(path: Path, data: NDArray[Any], *, overviews: bool, pixel: float = 10.0) -> str:
    count, height, width = data.shape
    place = {"crs": "EPSG:32633", "transform": Affine(pixel, 0, 500_000, 0, -pixel, 5_100_000), "nodata": 0}
    options: dict[str, Any] = (
        {"driver": "COG", "blocksize": 128, "overview_resampling": "AVERAGE" if data.dtype == np.uint16 else "MODE"}
        if overviews
        else {"driver": "GTiff", "tiled": True, "blockxsize": 128, "blockysize": 128}
    )
    with rasterio.open(
        path, "w", count=count, height=height, width=width, dtype=data.dtype, **place, **options
    ) as raster:
        raster.write(data)
    return str(path)


def numbers_of(vector: Vector, band: str, physical: NDArray[np.float64]) -> NDArray[np.uint16]:
    if vector.coefficients:
        return stored(physical, vector.coefficients[BANDS.index(band)], 0.0)
    if vector.rule == "landsat-st":
        # Something to have a temperature: 270 to 340 K.
        return stored(np.where(physical == 0, 0, 270 + 100 * physical), *vector.numbers)
    data = stored(physical, *vector.numbers)
    if vector.stored is Stored.BLUE_APART and band == "blue":
        return stored(physical, *OFF)
    if vector.stored is Stored.THIRD_OFF:
        columns = slice(0, SIDE // 3)
        data[:, columns] = stored(physical[:, columns], *OFF)
    return data


def make_item(vector: Vector, folder: Path, *, overviews: bool) -> pystac.Item:
    scl = classes(vector.ground)
    seen = {band: numbers_of(vector, band, physical) for band, physical in reflectance(scl, vector.ground).items()}
    assets: dict[str, Any] = {}
    if vector.file_name is not None:
        href = write(folder / vector.file_name, np.stack([seen[band] for band in BANDS]), overviews=overviews)
        assets[vector.red] = {"href": href, **vector.asset}
    else:
        names = {"red": vector.red, "nir": vector.nir, "blue": "B02" if vector.red == "B04" else "blue"}
        for band, key in names.items():
            href = write(folder / f"{key}.tif", seen[band][np.newaxis], overviews=overviews)
            assets[key] = {"href": href, **vector.asset}
        if vector.collection.startswith("sentinel-"):
            href = write(folder / "SCL.tif", scl[np.newaxis], overviews=overviews, pixel=20.0)
            assets["SCL" if vector.red == "B04" else "scl"] = {"href": href}
    return item_of(vector.collection, vector.properties, assets)


def item_of(collection: str, properties: Mapping[str, Any], assets: Mapping[str, Any]) -> pystac.Item:
    return pystac.Item.from_dict(
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": "vector",
            "collection": collection,
            "geometry": None,
            "properties": {"datetime": "2024-06-01T10:00:00Z", **properties},
            "links": [],
            "assets": dict(assets),
        }
    )


def settled(item: pystac.Item, *keys: str) -> dict[str, Radiometry | None]:
    evidence = gather(item, list(keys))
    return {key: settle(decide(item, key), evidence, key) for key in keys}


class _WholeFiles(SimpleHTTPRequestHandler):
    """Passes Range over, as plain servers do."""

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        # Whoever wanted a part hangs up.
        with suppress(ConnectionError):
            super().copyfile(source, outputfile)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is none."""


@contextmanager
def served(item: pystac.Item, folder: Path) -> Iterator[pystac.Item]:
    """The item with its files at a server that gives no parts of them."""
    with _Server(("127.0.0.1", 0), partial(_WholeFiles, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            there = item.clone()
            for asset in there.assets.values():
                asset.href = f"http://127.0.0.1:{server.server_port}/{Path(asset.href).name}"
            yield there
        finally:
            server.shutdown()
            thread.join()


def physical_of(item: pystac.Item, key: str, band: int, found: Radiometry | None) -> NDArray[np.float64]:
    """What a user of the published scale and offset computes; NaN where there is no data."""
    assert found is not None
    with rasterio.open(item.assets[key].href) as raster:
        numbers = raster.read(band if raster.count > 1 else 1).astype(float)
    pair = found.bands[band - 1] if found.bands else (found.scale, found.offset)
    assert pair is not None and pair[0] is not None and pair[1] is not None
    return np.where(numbers == 0, np.nan, numbers * pair[0] + pair[1])


def ndvi(red: NDArray[np.float64], nir: NDArray[np.float64]) -> NDArray[np.float64]:
    return (nir - red) / (nir + red)


@pytest.mark.parametrize("overviews", [True, False], ids=["overviews", "plain"])
@pytest.mark.parametrize("vector", [one for one in VECTORS if one.expected is not None], ids=lambda one: one.name)
def test_a_vector_gives_its_scale_and_offset_and_the_true_ndvi(vector: Vector, overviews: bool, tmp_path: Path) -> None:
    item = make_item(vector, tmp_path, overviews=overviews)
    if vector.without_ranges:
        with served(item, tmp_path) as there:
            evidence = gather(there, [vector.red], folder=tmp_path / "whole")
        found = {key: settle(decide(item, key), evidence, key) for key in (vector.red, vector.nir)}
    else:
        found = settled(item, vector.red, vector.nir)
    if not vector.coefficients:
        for one in found.values():
            assert one is not None and (one.scale, one.offset) == pytest.approx(vector.expected, abs=1e-12)
    red = physical_of(item, vector.red, 3, found[vector.red])
    nir = physical_of(item, vector.nir, 4, found[vector.nir])
    true = reflectance(classes(vector.ground), vector.ground)
    seen = true["red"] > 0
    if vector.rule == "landsat-st":
        kelvin = 270 + 100 * true["nir"][seen]
        assert np.abs(nir[seen] - kelvin).max() < 0.01
        return
    error = np.abs(ndvi(red, nir) - ndvi(np.where(seen, true["red"], np.nan), true["nir"]))[seen]
    assert error.max() < 0.002


@pytest.mark.parametrize("overviews", [True, False], ids=["overviews", "plain"])
@pytest.mark.parametrize("vector", [one for one in VECTORS if one.expected is None], ids=lambda one: one.name)
def test_what_contradicts_itself_is_refused_and_says_what_to_do(
    vector: Vector, overviews: bool, tmp_path: Path
) -> None:
    item = make_item(vector, tmp_path, overviews=overviews)
    with pytest.raises(RadiometryContradictory, match="replay the request") as refused:
        settled(item, vector.red, vector.nir)
    assert "dark pixels" in str(refused.value) or "raster:bands of the item says" in str(refused.value)


@pytest.mark.parametrize("numbers", [OFF, IN], ids=["taken off", "still in"])
@pytest.mark.parametrize("flag", [True, False, None])
def test_a_field_of_0_80_is_not_0_57(numbers: tuple[float, float], flag: bool | None, tmp_path: Path) -> None:
    truth = {"blue": 0.03, "red": 0.05, "nir": 0.45}
    assets: dict[str, Any] = {}
    for band, value in truth.items():
        data = stored(np.full((1, 40, 40), value), *numbers)
        assets[band] = {"href": write(tmp_path / f"{band}.tif", data, overviews=False)}
    said = {V1_BASELINE: "05.11"} | ({} if flag is None else {V1_FLAG: flag})
    item = item_of("sentinel-2-l2a", said, assets)
    found = settled(item, "red", "nir")
    red, nir = (physical_of(item, key, 1, found[key]) for key in ("red", "nir"))
    assert np.abs(ndvi(red, nir) - 0.80).max() < 0.002
    if numbers == IN:
        as_stored = Radiometry(scale=0.0001, offset=0.0, source="the flag, believed")
        wrong = ndvi(*(physical_of(item, key, 1, as_stored) for key in ("red", "nir")))
        assert wrong == pytest.approx(0.571, abs=0.001)


def test_radiance_without_coefficients_claims_nothing(tmp_path: Path) -> None:
    item = item_of("PSScene", {}, {"ortho_analytic_4b": {"href": "x_3B_AnalyticMS.tif"}})
    assert settled(item, "ortho_analytic_4b") == {"ortho_analytic_4b": None}


def test_every_row_of_the_table_has_a_vector() -> None:
    assert {one.rule for one in VECTORS} == {rule.key for rule in TABLE}


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text("utf-8") == page(), "write it anew, as the page itself says"
