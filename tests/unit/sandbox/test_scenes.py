"""Scenes of folders, whatever the layout; synthetic ones; and a place to try."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.features import geometry_mask
from rasterio.warp import transform_geom
from rio_cogeo.cogeo import cog_validate

from imagery.errors import InvalidInput
from imagery.raster.radiometry import decide
from imagery.sandbox.fields import default_aoi
from imagery.sandbox.opening import open_sandbox
from imagery.sandbox.scenes import Scenes, load_scenes
from imagery.sandbox.synthetic import make_scenes

from .conftest import NOW, any_file


def write_item(folder: Path, raster: Path, **changes: Any) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "B04.tif").write_bytes(raster.read_bytes())
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "A",
        "geometry": None,
        "properties": {"datetime": "2026-04-05T10:00:00Z"},
        "links": [],
        "assets": {"red": {"href": "https://bucket.test/33/A/B04.tif?sig=1"}, "nir": {"href": "B08.tif"}},
        **changes,
    }
    (folder / "item.json").write_text(json.dumps(item))
    return item


def test_the_main_set_is_ten_items_of_five_rasters(shared_data: Path) -> None:
    scenes = load_scenes(shared_data / "imagery" / "earthsearch_33T_2023-08")
    assert len(scenes.scenes) == 10
    assert scenes.main_collection == "sentinel-2-l2a"
    assert set(scenes.asset_keys("sentinel-2-l2a")) == {"red", "green", "blue", "nir", "scl"}
    assert [one["id"] for one in scenes.collections] == ["sentinel-2-l2a"]
    assert all(len(scene.files) == 5 for scene in scenes.scenes)


@pytest.mark.parametrize(
    ("folder", "count", "keys"),
    [
        ("sentinel-cogs_29RKH_20200219", 1, {"aot", "coastal", "red", "scl"}),
        ("s2_l2a_10m_austria_33UUP_2021", 2, {"blue", "green", "red", "nir"}),
        ("planet", 1, {"analytic", "udm"}),
        ("earthsearch_33T_2023-08/full_tile", 1, {"red", "scl"}),
    ],
)
def test_other_real_folders_are_read(shared_data: Path, folder: str, count: int, keys: set[str]) -> None:
    scenes = load_scenes(shared_data / "imagery" / folder)
    assert len(scenes.scenes) == count
    assert set(scenes.asset_keys(scenes.main_collection)) == keys


def test_an_item_is_completed_from_what_lies_around_it(tmp_path: Path, synthetic: Scenes) -> None:
    write_item(tmp_path / "deep" / "er", any_file(synthetic))
    (tmp_path / "collection.json").write_text(
        json.dumps({"type": "Collection", "stac_version": "1.0.0", "id": "mine", "extent": {}, "links": []})
    )
    (scene,) = load_scenes(tmp_path).scenes
    assert scene.collection == "mine"
    assert list(scene.files) == list(scene.item["assets"]) == ["red"]
    assert scene.item["properties"]["updated"] == "2026-04-05T10:00:00Z"
    assert scene.item["geometry"]["type"] == "Polygon"
    assert scene.item["bbox"][0] == pytest.approx(15.51, abs=0.02)


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_absolute_paths_inside_the_folder_are_found(tmp_path: Path, synthetic: Scenes, form: str) -> None:
    rasters = tmp_path / "rasters and more"
    rasters.mkdir()
    (rasters / "red.tif").write_bytes(any_file(synthetic).read_bytes())
    write_item(tmp_path / "items", any_file(synthetic), assets={"red": {"href": form.format(rasters / "red.tif")}})
    (scene,) = load_scenes(tmp_path).scenes
    assert scene.files["red"] == (rasters / "red.tif").resolve()


@pytest.mark.parametrize(
    "href", ["file:///etc/hostname", "../outside.tif", "../../outside.tif", "/etc/hostname", "link.tif", "\x00.tif"]
)
def test_nothing_outside_the_folder_is_ever_a_scenes_file(tmp_path: Path, synthetic: Scenes, href: str) -> None:
    (tmp_path / "outside.tif").write_bytes(b"secret")
    folder = tmp_path / "data"
    write_item(folder, any_file(synthetic), assets={"x": {"href": href}, "red": {"href": "B04.tif"}})
    (folder / "link.tif").symlink_to(tmp_path / "outside.tif")
    (scene,) = load_scenes(folder).scenes
    assert list(scene.files) == ["red"]


def test_odd_files_do_not_keep_the_others_back(tmp_path: Path, synthetic: Scenes) -> None:
    write_item(tmp_path / "good", any_file(synthetic))
    write_item(tmp_path / "undated", any_file(synthetic), id="B", properties={})
    write_item(tmp_path / "without-a-file", any_file(synthetic), id="C", assets={"red": {"href": "B09.tif"}})
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "field.geojson").write_text('{"type": "Feature", "properties": {}, "geometry": null}')
    assert [scene.id for scene in load_scenes(tmp_path).scenes] == ["A"]


def test_a_folder_without_scenes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no STAC item"):
        load_scenes(tmp_path)
    with pytest.raises(InvalidInput, match="no folder"):
        load_scenes(tmp_path / "missing")


def test_synthetic_scenes_are_cogs_of_a_month_that_ends_now(synthetic: Scenes) -> None:
    assert len(synthetic.scenes) == 12
    assert {scene.id[4:9] for scene in synthetic.scenes} == {"33TWM", "33TWL"}
    for scene in synthetic.scenes[:2]:
        for file in scene.files.values():
            valid, errors, _ = cog_validate(str(file), quiet=True)
            assert valid, errors


def test_the_cloud_cover_of_a_synthetic_item_is_that_of_its_scl(synthetic: Scenes) -> None:
    for scene in synthetic.scenes:
        with rasterio.open(scene.files["scl"]) as raster:
            cloudy = np.isin(raster.read(1), (8, 9, 10)).mean() * 100
        assert scene.item["properties"]["eo:cloud_cover"] == pytest.approx(cloudy, abs=1e-5)


def test_overlapping_synthetic_tiles_see_the_same_land(synthetic: Scenes) -> None:
    def read(tile: str) -> Any:
        scene = next(scene for scene in synthetic.scenes if tile in scene.id and "20260410" in scene.id)
        with rasterio.open(scene.files["red"]) as raster:
            return raster.read(1)

    assert (read("33TWM")[200:] == read("33TWL")[:312]).all()


def test_the_synthetic_field_greens_up(synthetic: Scenes) -> None:
    assert synthetic.aoi is not None
    scenes = [s for s in synthetic.scenes if "33TWM" in s.id and s.item["properties"]["eo:cloud_cover"] < 10]
    ndvi = [
        _mean_ndvi(scene.files, synthetic.aoi)
        for scene in sorted(scenes, key=lambda s: s.item["properties"]["datetime"])
    ]
    assert len(ndvi) >= 3
    assert ndvi[0] < 0.5 < ndvi[-1]


def _mean_ndvi(files: Any, aoi: dict[str, Any]) -> float:
    with rasterio.open(files["red"]) as red, rasterio.open(files["nir"]) as nir:
        outside = geometry_mask([transform_geom("EPSG:4326", red.crs, aoi)], red.shape, red.transform)
        r, n = (raster.read(1).astype(float)[~outside] for raster in (red, nir))
    return float(((n - r) / (n + r)).mean())


def test_synthetic_scenes_are_made_once(tmp_path: Path) -> None:
    first = open_sandbox(None, tmp_path, NOW)
    again = open_sandbox(None, tmp_path, NOW + timedelta(days=3))
    assert [scene.id for scene in first.scenes] == [scene.id for scene in again.scenes]


def test_synthetic_scenes_are_the_same_for_the_same_time(tmp_path: Path, synthetic: Scenes) -> None:
    again = make_scenes(tmp_path / "again", now=NOW)
    assert [scene.item for scene in again.scenes] == [scene.item for scene in synthetic.scenes]
    assert any_file(again).read_bytes() == any_file(synthetic).read_bytes()


def test_a_half_made_folder_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "synthetic.partial" / "rubbish").mkdir(parents=True)
    assert len(open_sandbox(None, tmp_path, NOW).scenes) == 12


@pytest.mark.parametrize("folder", ["earthsearch_33T_2023-08", "s2_l2a_10m_austria_33UUP_2021", "planet"])
def test_the_default_aoi_lies_in_data_of_every_scene(shared_data: Path, folder: str) -> None:
    scenes = load_scenes(shared_data / "imagery" / folder)
    aoi = default_aoi(scenes)
    for scene in scenes.scenes:
        with rasterio.open(next(file for file in scene.files.values() if file.suffix == ".tif")) as raster:
            outside = geometry_mask([transform_geom("EPSG:4326", raster.crs, aoi)], raster.shape, raster.transform)
            assert (~outside).sum() > 10
            assert raster.read_masks(1)[~outside].all()


def test_the_default_aoi_of_synthetic_scenes_is_their_field(synthetic: Scenes) -> None:
    assert default_aoi(synthetic) == synthetic.aoi
    unnamed = Scenes(scenes=synthetic.scenes)
    assert default_aoi(unnamed)["type"] == "Polygon"


def test_items_made_up_for_bare_geotiffs_say_so_and_invent_no_scale(
    tmp_path: Path, synthetic: Scenes, caplog: pytest.LogCaptureFixture
) -> None:
    for day in ("20260405", "20260410"):
        (tmp_path / f"S2_{day}_B04.tif").write_bytes(any_file(synthetic).read_bytes())
    scenes = load_scenes(tmp_path)
    assert scenes.main_collection == "sandbox"
    for scene in scenes.scenes:
        properties = scene.item["properties"]
        assert "the date is read from the name" in properties["sandbox:made_up"]
        assert "bands are taken from" in properties["sandbox:made_up"]
        assert "made up" in properties["title"] and "Made up" in properties["description"]
        assert decide(pystac.Item.from_dict(scene.item), "red") is None
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith("2 items made up") and "date is read from the name" in line
