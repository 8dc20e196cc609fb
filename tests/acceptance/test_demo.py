"""`imagery demo` as a person runs it: a process of its own, on synthetic and on real scenes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pystac_client import Client
from rasterio.mask import raster_geometry_mask
from rasterio.warp import transform_geom

IMAGERY = (sys.executable, "-m", "imagery.cli")
PARCEL = "ec_si-6807829"
"""The largest of those that lie on both tiles."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A demo that stays up, and what it printed."""

    document: dict[str, Any]
    state_dir: Path
    wishes: tuple[str, ...] = field(default=())

    def client(self) -> Client:
        return Client.open(self.document["stac_url"])


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    with _staying(tmp_path_factory.mktemp("synthetic") / "state") as shown:
        yield shown


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[Shown]:
    wishes = ("--data", str(_scenes(shared_data)), "--aoi", str(_parcels(shared_data)), "--feature", PARCEL)
    with _staying(tmp_path_factory.mktemp("real") / "state", *wishes) as shown:
        yield shown


def test_every_date_of_the_synthetic_scenes_is_delivered_once_though_two_tiles_show_it(synthetic: Shown) -> None:
    rows = synthetic.document["acquisitions"]
    delivered = _delivered(synthetic)

    assert len(rows) == len({row["item"] for row in rows}) == 12
    assert [row["datetime"] for row in rows] == sorted(row["datetime"] for row in rows)
    assert len(delivered) == len({row["datetime"][:10] for row in delivered}) == 6
    assert {row["coverage"] for row in delivered} == {1.0}
    others = [row for row in rows if row["status"] != "delivered"]
    assert {(row["status"], row["reason"]) for row in others} == {("skipped", "superseded")}
    assert [row["published_item"] for row in others] == [row["published_item"] for row in delivered]


def test_the_clips_lie_where_the_demo_says(synthetic: Shown) -> None:
    folders = [path.name for path in Path(synthetic.document["clips"]).iterdir()]

    assert sorted(folders) == sorted(row["published_item"] for row in _delivered(synthetic))
    for item in synthetic.client().search(limit=100).items():
        for asset in item.assets.values():
            assert Path(asset.href.removeprefix("file://")).is_file()


def test_the_api_key_is_kept_for_its_owner_only(synthetic: Shown) -> None:
    key_file = Path(synthetic.document["api_key_file"])

    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert key_file.read_text() not in json.dumps(synthetic.document)


def test_the_python_line_it_prints_finds_every_item(synthetic: Shown) -> None:
    found = subprocess.run(
        synthetic.document["python"], shell=True, capture_output=True, text=True, timeout=60, check=True
    )

    assert len(found.stdout.splitlines()) == 6


def test_a_second_demo_in_the_same_folder_is_refused(synthetic: Shown) -> None:
    second = _run("demo", "--state-dir", str(synthetic.state_dir), "--no-stay", "--json")

    assert second.returncode == 1
    assert json.loads(second.stderr.splitlines()[-1])["error"]["type"] == "AlreadyRunning"


def test_a_service_beside_the_demo_is_refused_its_data(synthetic: Shown) -> None:
    second = _run("serve", "--data-dir", str(synthetic.state_dir / "service"), "--port", "0", "--json")

    assert second.returncode == 1
    assert json.loads(second.stderr.splitlines()[-1])["error"]["type"] == "AlreadyRunning"


def test_run_again_it_goes_on_and_the_line_it_prints_serves_the_same_catalog(tmp_path: Path) -> None:
    state = ("--state-dir", str(tmp_path / "state"), "--assets", "red", "--max-cloud-cover", "50")
    first = _demo(*state)

    second = _demo(*state)

    assert second["subscription"] == first["subscription"]
    assert second["acquisitions"] == first["acquisitions"]
    assert {row["reason"] for row in first["acquisitions"]} == {None, "cloudy", "superseded"}
    # The port it names is free on a person's machine; here another test may have it by now.
    line = re.sub(r"--port \d+", "--port 0", second["serve"])
    with _process("/bin/sh", "-c", f"exec env {line} --json") as serving:
        url = json.loads(serving.stdout.readline())["stac_url"]  # type: ignore[union-attr]
        items = list(Client.open(url).search(limit=100).items())
    assert serving.returncode == 0
    assert sorted(item.id for item in items) == sorted(
        row["published_item"] for row in second["acquisitions"] if row["status"] == "delivered"
    )


def test_fresh_starts_over(tmp_path: Path) -> None:
    wishes = ("--state-dir", str(tmp_path / "state"), "--assets", "red", "--end", "2000-01-01", "--start", "2000-01-01")
    first = _run("demo", *wishes, "--no-stay", "--port", "0", "--json")
    second = _run("demo", *wishes, "--fresh", "--no-stay", "--port", "0", "--json")

    assert first.returncode == second.returncode == 1
    assert "none of the scenes lies over the area in this time" in first.stderr
    assert json.loads(second.stdout)["subscription"] != json.loads(first.stdout)["subscription"]


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "precious.txt").write_text("mine")

    result = _run("demo", "--state-dir", str(tmp_path), "--fresh", "--no-stay")

    assert result.returncode == 1
    assert "choose an empty folder" in result.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["service", "precious.txt"]


def test_people_get_a_table_and_what_to_try(tmp_path: Path) -> None:
    result = _run("demo", "--state-dir", str(tmp_path / "state"), "--assets", "red", "--no-stay", "--port", "0")

    assert result.returncode == 0
    assert result.stdout.count(" delivered ") == 6
    assert "6 delivered" in result.stderr
    for promised in ("coverage", "clips", "/stac", "pystac_client", "serve --data-dir"):
        assert promised in result.stdout


def test_a_real_parcel_on_two_tiles_gets_one_item_a_date_and_a_row_of_each_tile(real: Shown) -> None:
    rows, delivered = real.document["acquisitions"], _delivered(real)
    days = [f"2023-08-{day}" for day in ("10", "13", "15", "18", "20")]

    assert {(row["datetime"][:10], row["item"][4:9]) for row in rows} == {
        (day, tile) for day in days for tile in ("33TWL", "33TWM")
    }
    assert len(rows) == 10
    assert [row["datetime"][:10] for row in delivered] == days
    assert len({row["published_item"] for row in delivered}) == 5
    for row in rows:
        assert row["published_item"] in {one["published_item"] for one in delivered}
        assert (row["status"], row["reason"]) in {("delivered", None), ("skipped", "superseded")}


def test_every_asset_of_a_real_parcel_is_the_source_pixel_for_pixel(real: Shown, shared_data: Path) -> None:
    geometry = _parcel(shared_data)
    files = {"red": "B04", "green": "B03", "blue": "B02", "nir": "B08", "scl": "SCL"}
    compared = 0

    for row in _delivered(real):
        for key, band in files.items():
            source = _scenes(shared_data) / row["item"] / f"{band}.tif"
            clip = Path(real.document["clips"]) / row["published_item"] / f"{key}.tif"
            expected, found = _masked(source, geometry), _laid_on(source, clip)
            np.testing.assert_array_equal(found, expected, err_msg=f"{row['item']} {key}")
            compared += int((expected != 0).sum())

    assert compared > 25


def test_real_items_are_found_by_box_time_id_order_and_filter(real: Shown) -> None:
    client = real.client()
    everything = {row["published_item"] for row in _delivered(real)}
    west, south, east, north = client.get_collection("sentinel-2-l2a").extent.spatial.bboxes[0]
    clear = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 5]}
    tile = {"op": "=", "args": [{"property": "grid:code"}, "MGRS-33TWL"]}
    text = "eo:cloud_cover < 5 AND grid:code = 'MGRS-33TWL'"

    def ids(**search: Any) -> list[str]:
        return [item.id for item in client.search(collections=["sentinel-2-l2a"], **search).items()]

    assert set(ids(bbox=[west, south, east, north])) == everything
    assert ids(bbox=[west + 1, south, east + 1, north]) == []
    assert [each[:18] for each in ids(datetime="2023-08-15")] == ["S2A_33TWL_20230815"]
    assert ids(ids=[min(everything)]) == [min(everything)]
    by_cloud = [
        item.properties["eo:cloud_cover"] for item in client.search(sortby="-properties.eo:cloud_cover").items()
    ]
    assert by_cloud == sorted(by_cloud, reverse=True)
    assert len(by_cloud) == 5
    for cql2 in ({"filter": {"op": "and", "args": [clear, tile]}}, {"filter": text, "method": "GET"}):
        assert {each[10:18] for each in ids(**cql2)} == {"20230813", "20230815", "20230818", "20230820"}


def _delivered(shown: Shown) -> list[dict[str, Any]]:
    """Rows of the source items whose pixels are in what was published."""
    return [row for row in shown.document["acquisitions"] if row["status"] == "delivered"]


def _scenes(shared_data: Path) -> Path:
    return shared_data / "imagery" / "earthsearch_33T_2023-08"


def _parcels(shared_data: Path) -> Path:
    return shared_data / "fields" / "parcels_slovenia_over_33TWM_33TWL.geojson"


def _parcel(shared_data: Path) -> dict[str, Any]:
    features = json.loads(_parcels(shared_data).read_text())["features"]
    geometry: dict[str, Any] = next(feature["geometry"] for feature in features if feature["id"] == PARCEL)
    return geometry


def _masked(source: Path, geometry: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The whole source, 0 outside of the parcel: what `rasterio.mask` keeps."""
    with rasterio.open(source) as raster:
        shape = transform_geom("EPSG:4326", raster.crs, geometry)
        outside, _, _ = raster_geometry_mask(raster, [shape], crop=False)
        pixels: np.ndarray[Any, Any] = np.where(outside, 0, raster.read(1))
    return pixels


def _laid_on(source: Path, clip: Path) -> np.ndarray[Any, Any]:
    """The clip at its place on the source's grid, 0 around it."""
    with rasterio.open(source) as whole, rasterio.open(clip) as part:
        assert part.crs == whole.crs
        assert part.res == whole.res
        column, row = ~whole.transform * (part.transform.c, part.transform.f)
        assert (column, row) == (round(column), round(row))
        canvas = np.zeros(whole.shape, whole.dtypes[0])
        canvas[round(row) : round(row) + part.height, round(column) : round(column) + part.width] = part.read(1)
    return canvas


@contextmanager
def _staying(state_dir: Path, *wishes: str) -> Iterator[Shown]:
    """A demo kept up for the block; ended by SIGTERM, as a service manager would, it leaves with 0."""
    arguments = ("demo", "--stay", "--json", "--port", "0", "--state-dir", str(state_dir), *wishes)
    with _process(*IMAGERY, *arguments) as process:
        line = process.stdout.readline()  # type: ignore[union-attr]
        assert line, "the demo ended before it had printed anything"
        yield Shown(document=json.loads(line), state_dir=state_dir, wishes=wishes)
    assert process.returncode == 0


@contextmanager
def _process(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=_environment()
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=30)
        finally:
            process.kill()


def _demo(*wishes: str) -> dict[str, Any]:
    result = _run("demo", "--no-stay", "--json", "--port", "0", *wishes)
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (*IMAGERY, *arguments), capture_output=True, text=True, timeout=90, check=False, env=_environment()
    )


def _environment() -> dict[str, str]:
    """Where `imagery` is found as after an installation."""
    folder = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", "")
    return {**os.environ, "PATH": path if shutil.which("imagery") else f"{folder}{os.pathsep}{path}"}
