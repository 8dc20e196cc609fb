"""Synthetic scenes, made once, and a sandbox that serves them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from imagery.sandbox.earth_search import create_app
from imagery.sandbox.scenes import Scene, Scenes
from imagery.sandbox.serving import serving
from imagery.sandbox.shelf import Shelf
from imagery.sandbox.synthetic import make_scenes

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    return make_scenes(tmp_path_factory.mktemp("sandbox") / "synthetic", now=NOW)


@pytest.fixture(scope="session")
def sandbox_url(synthetic: Scenes) -> Iterator[str]:
    with serving(create_app(synthetic)) as url:
        yield url


@pytest.fixture(scope="session")
def sandbox(sandbox_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox_url) as client:
        yield client


@pytest.fixture
def shelf(synthetic: Scenes) -> Shelf:
    """One that a test may add to."""
    return Shelf(synthetic)


@pytest.fixture
def growing_sandbox(shelf: Shelf) -> Iterator[httpx.Client]:
    with serving(create_app(shelf)) as url, httpx.Client(base_url=url) as client:
        yield client


def twin(scene: Scene, item_id: str) -> Scene:
    """The same acquisition under another id."""
    return Scene(item={**copy.deepcopy(scene.item), "id": item_id}, files=scene.files)


def any_file(scenes: Scenes) -> Path:
    return scenes.scenes[0].files["red"]
