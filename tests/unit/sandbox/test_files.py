"""Files over HTTP: whole, in ranges, and none but those a scene names."""

from __future__ import annotations

import httpx
import rasterio

from imagery.sandbox.scenes import Scenes

from .conftest import any_file


def href(sandbox: httpx.Client) -> str:
    item = sandbox.get("/collections/sentinel-2-l2a/items").json()["features"][-1]
    return str(item["assets"]["red"]["href"])


def test_a_file_is_served_whole_and_in_ranges(sandbox: httpx.Client) -> None:
    url = href(sandbox)
    whole = sandbox.get(url)
    part = sandbox.get(url, headers={"range": "bytes=100-199"})
    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    assert sandbox.get(url, headers={"range": "bytes=-10"}).content == whole.content[-10:]


def test_a_range_past_the_end_cannot_be_satisfied(sandbox: httpx.Client) -> None:
    assert sandbox.get(href(sandbox), headers={"range": "bytes=999999999-"}).status_code == 416


def test_a_range_of_a_file_that_has_changed_is_the_whole_file(sandbox: httpx.Client) -> None:
    url = href(sandbox)
    tag = sandbox.head(url).headers["etag"]
    same = sandbox.get(url, headers={"range": "bytes=0-9", "if-range": tag})
    changed = sandbox.get(url, headers={"range": "bytes=0-9", "if-range": '"another"'})
    assert (same.status_code, changed.status_code) == (206, 200)


def test_nothing_but_the_files_of_scenes_is_served(sandbox: httpx.Client) -> None:
    url = href(sandbox)
    folder, name = url.rsplit("/", 1)
    for path in (
        f"{folder}/B03.tif",
        f"{folder}/{name}.aux.xml",
        f"{folder}/..%2f..%2f{name}",
        f"{folder}/../../field.geojson",
    ):
        assert sandbox.get(path).status_code == 404


def test_gdal_reads_windows_over_http(sandbox_url: str, synthetic: Scenes) -> None:
    scene = synthetic.scenes[0]
    url = f"{sandbox_url}/files/{scene.collection}/{scene.id}/red/B04.tif"
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(f"/vsicurl/{url}") as remote:
        window = rasterio.windows.Window(100, 200, 30, 40)
        pixels = remote.read(1, window=window)
    with rasterio.open(any_file(synthetic)) as local:
        assert (pixels == local.read(1, window=window)).all()
