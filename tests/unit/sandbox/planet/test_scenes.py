"""Scenes of the local Planet, made up and real."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from shapely.geometry import shape

from imagery.errors import InvalidInput
from imagery.sandbox.planet.catalogue import Catalogue
from imagery.sandbox.planet.real import load_real_scenes
from imagery.sandbox.planet.synthetic import make_scenes, moved

from .conftest import NOW


def test_scenes_are_made_once_and_stay_the_same(scenes: Path, catalogue: Catalogue) -> None:
    again = make_scenes(scenes, now=NOW + timedelta(days=9))

    assert {scene.id for scene in again.list(NOW + timedelta(days=1))} == {
        scene.id for scene in catalogue.list(NOW + timedelta(days=1))
    }


def test_a_scene_is_four_bands_of_three_metres_and_eight_masks(catalogue: Catalogue) -> None:
    scene = next(one for one in catalogue.list(NOW) if "ortho_analytic_4b_sr" in one.files)

    with rasterio.open(scene.files["ortho_analytic_4b_sr"]) as sr, rasterio.open(scene.files["ortho_udm2"]) as udm2:
        pixels, masks = sr.read(), udm2.read()

    assert (sr.res, sr.dtypes, udm2.dtypes) == ((3.0, 3.0), ("uint16",) * 4, ("uint8",) * 8)
    assert np.array_equal(pixels[0] == 0, masks[7] == 1)
    assert (masks[:6].sum(axis=0)[masks[7] == 0] >= 1).all()
    assert scene.properties["clear_percent"] == round(100 * (masks[0] > 0).sum() / (masks[7] == 0).sum())


def test_the_footprint_is_the_part_with_data(catalogue: Catalogue) -> None:
    scene = catalogue.list(NOW)[0]
    assert catalogue.aoi is not None

    assert scene.outline.is_valid
    assert scene.outline.contains(shape(catalogue.aoi))


def test_a_scene_can_be_published_while_it_is_served(catalogue: Catalogue) -> None:
    scene = moved(catalogue.list(NOW)[0], published_at=NOW + timedelta(hours=1), id="20260501_000000_00_0000")
    catalogue.publish(scene)

    assert catalogue.get(scene.id, NOW) is None
    assert catalogue.get(scene.id, NOW + timedelta(hours=2)) is scene


def test_a_real_scene_is_served_with_its_old_mask_as_udm2(shared_data: Path, tmp_path: Path) -> None:
    catalogue = load_real_scenes(shared_data / "imagery" / "planet", tmp_path)
    (scene,) = catalogue.list(NOW)

    with rasterio.open(scene.files["ortho_udm2"]) as udm2:
        masks = udm2.read()

    assert set(scene.files) == {"ortho_analytic_4b", "ortho_analytic_4b_xml", "ortho_udm2"}
    assert scene.properties["item_type"] == "PSScene"
    assert masks.shape[0] == 8
    assert 0 <= scene.properties["clear_percent"] <= 100
    assert list(tmp_path.iterdir()) == [scene.files["ortho_udm2"]]


def test_a_folder_without_planetscope_scenes_says_what_to_do(shared_data: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="leave --data out"):
        load_real_scenes(shared_data / "imagery" / "earthsearch_33T_2023-08", tmp_path)
