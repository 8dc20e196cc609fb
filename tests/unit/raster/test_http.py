"""Rasters over HTTP: few requests, errors in our words, nothing remembered."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from imagery.errors import AssetMissing, ImageryError, RasterUnavailable, RasterUnreadable
from imagery.raster.clip import Clip, clip, clip_many
from imagery.raster.cog import encode_cog
from imagery.raster.gdal import open_raster
from imagery.raster.reading import Reading

AOI = {
    "type": "Polygon",
    "coordinates": [[[15.02, 46.03], [15.03, 46.03], [15.03, 46.04], [15.02, 46.04], [15.02, 46.03]]],
}
"""800 x 1100 m, 1.6 km right of and 2 km below the corner of what `write_raster` makes."""

QUICK = {"GDAL_HTTP_RETRY_DELAY": "0.01", "GDAL_HTTP_MAX_RETRY": "1"}
READING = Reading(max_pixels=10**6)


@pytest.fixture(scope="module")
def cog(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A COG of noise, 1200 x 1200 pixels, large enough that its header is not all of it."""
    import rasterio
    from rasterio.transform import Affine

    path = tmp_path_factory.mktemp("cog") / "noise.tif"
    data = np.random.default_rng(1).integers(1, 10_000, (1, 1200, 1200), dtype=np.uint16)
    profile = {"crs": "EPSG:32633", "transform": Affine(10, 0, 500_000, 0, -10, 5_100_000), "nodata": 0}
    with rasterio.open(path, "w", driver="GTiff", count=1, height=1200, width=1200, dtype="uint16", **profile) as dst:
        dst.write(data)
    whole = {
        "type": "Polygon",
        "coordinates": [[[14.9, 45.9], [15.2, 45.9], [15.2, 46.2], [14.9, 46.2], [14.9, 45.9]]],
    }
    clipped = clip(str(path), whole, reading=Reading(max_pixels=10**7))
    assert clipped is not None
    return encode_cog(clipped, categorical=False)


def read(href: str) -> None:
    with open_raster(href, options=QUICK) as src:
        src.read(1, window=((1000, 1010), (1000, 1010)))


def refusal(href: str) -> ImageryError:
    with pytest.raises(ImageryError) as caught:
        read(href)
    return caught.value


def test_a_clip_takes_a_handful_of_requests(server, cog) -> None:
    server.files["b.tif"] = cog
    assert clip(server.href("b.tif"), AOI, reading=READING) is not None
    gets = [request for request in server.requests if request[0] == "GET"]
    assert len(gets) <= 3
    assert len(server.requests) <= 5
    assert all(asked for _, asked in gets)


def test_many_clips_of_one_asset_open_it_once(server, cog) -> None:
    server.files["b.tif"] = cog
    nearby = [
        {"type": "Polygon", "coordinates": [[[x + step * 1e-4, y] for x, y in AOI["coordinates"][0]]]}
        for step in range(50)
    ]
    clips = clip_many(server.href("b.tif"), nearby, reading=READING)
    assert all(isinstance(each, Clip) for each in clips)
    assert len(server.requests) <= 8


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_an_asset_that_is_gone_or_forbidden_is_missing(server, cog, status) -> None:
    server.files["b.tif"], server.status["b.tif"] = cog, [status]
    error = refusal(server.href("b.tif"))
    assert isinstance(error, AssetMissing)
    assert str(status) in str(error)


@pytest.mark.parametrize("status", [400, 403])
def test_a_link_that_has_expired_is_unavailable_for_now_and_never_shown(server, cog, status) -> None:
    server.files["b.tif"], server.status["b.tif"], server.says["b.tif"] = cog, [status], "Request has expired"
    error = refusal(server.href("b.tif") + "?X-Amz-Signature=s3cret")
    assert isinstance(error, RasterUnavailable)
    assert "expired" in str(error)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_in_trouble_is_unavailable(server, cog, status) -> None:
    server.files["b.tif"], server.status["b.tif"] = cog, [status]
    assert isinstance(refusal(server.href("b.tif")), RasterUnavailable)


@pytest.mark.parametrize("answered_before", [1, 2, 3])
def test_a_server_that_breaks_down_midway_is_unavailable(server, cog, answered_before) -> None:
    server.files["b.tif"], server.status["b.tif"] = cog, [200] * answered_before + [503]
    assert isinstance(refusal(server.href("b.tif")), RasterUnavailable)


def test_a_short_breakdown_is_got_over(server, cog) -> None:
    server.files["b.tif"], server.status["b.tif"] = cog, [200, 200, 503, 200]
    read(server.href("b.tif"))


def test_a_body_that_is_always_cut_short_is_unavailable(server, cog) -> None:
    server.files["b.tif"], server.cut["b.tif"] = cog, 1000
    assert isinstance(refusal(server.href("b.tif")), RasterUnavailable)


def test_a_body_cut_short_once_is_fetched_again(server, cog) -> None:
    server.files["b.tif"] = cog
    expected = clip(server.href("b.tif"), AOI, reading=READING)
    server.cut["b.tif"] = 1
    got = clip(server.href("b.tif"), AOI, reading=READING)
    assert server.cut["b.tif"] == 0
    assert expected is not None and got is not None
    np.testing.assert_array_equal(got.data, expected.data)


def test_an_aoi_whose_blocks_never_come_takes_no_other_with_it(server, cog) -> None:
    lower = {"type": "Polygon", "coordinates": [[[x, y - 0.07] for x, y in AOI["coordinates"][0]]]}
    server.files["b.tif"] = cog[: len(cog) * 3 // 4]
    first, second = clip_many(server.href("b.tif"), [AOI, lower], reading=READING)
    assert isinstance(first, Clip)
    assert isinstance(second, RasterUnavailable)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert isinstance(refusal(f"http://127.0.0.1:{taken.getsockname()[1]}/b.tif"), RasterUnavailable)


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_says_nothing_is_given_up(silent_url) -> None:
    impatient = {"GDAL_HTTP_TIMEOUT": "0.2", "GDAL_HTTP_MAX_RETRY": "0"}
    with pytest.raises(RasterUnavailable), open_raster(f"{silent_url}/b.tif", options=impatient):
        pass


@pytest.mark.parametrize("body", [b"<html>log in first</html>" * 1000, b"", b"II*\0" + b"\xff" * 50_000])
def test_what_is_no_tiff_is_unreadable(server, body) -> None:
    server.files["b.tif"] = body
    error = refusal(server.href("b.tif"))
    assert isinstance(error, RasterUnreadable) or body.startswith(b"II*")
    assert "b.tif" in str(error)


def test_a_tiff_with_damaged_blocks_is_unreadable(server, cog) -> None:
    server.files["b.tif"] = cog[:40_000] + b"\xff" * (len(cog) - 40_000)
    assert isinstance(refusal(server.href("b.tif")), RasterUnreadable)


@pytest.mark.parametrize("status", [404, 403])
def test_a_file_that_appears_later_is_seen(server, cog, status) -> None:
    server.files["b.tif"], server.status["b.tif"] = cog, [status]
    assert isinstance(refusal(server.href("b.tif")), AssetMissing)
    server.status["b.tif"] = [200]
    read(server.href("b.tif"))


def test_a_file_that_disappears_is_missed(server, cog) -> None:
    server.files["b.tif"] = cog
    read(server.href("b.tif"))
    del server.files["b.tif"]
    assert isinstance(refusal(server.href("b.tif")), AssetMissing)


def test_a_file_replaced_under_its_url_is_read_as_it_is_now(server, cog, write_raster) -> None:
    server.files["b.tif"] = cog
    clip(server.href("b.tif"), AOI, reading=READING)
    path = write_raster(np.full((1, 600, 900), 77, dtype=np.int16), nodata=-1)
    server.files["b.tif"] = path.read_bytes()
    now = clip(server.href("b.tif"), AOI, reading=READING)
    assert now is not None
    assert now.data.dtype == np.int16
    assert set(np.unique(now.data)) == {-1, 77} or set(np.unique(now.data)) == {77}


def test_a_signed_url_is_used_whole_and_never_shown(server, cog) -> None:
    server.files["b.tif"] = cog
    read(server.href("b.tif") + "?X-Amz-Signature=s3cret&a=b%2Fc")
    for href in (server.href("none.tif"), server.href("none.tif").replace("http://", "http://me:s3cret@")):
        error = refusal(href + "?X-Amz-Signature=s3cret")
        assert isinstance(error, AssetMissing)
        assert "s3cret" not in str(error)
    server.files["page.tif"] = b"<html/>"
    assert "s3cret" not in str(refusal(server.href("page.tif") + "?token=s3cret"))


def test_s3_hrefs_are_read(server, cog) -> None:
    server.files["bucket/b.tif"] = cog
    options = {
        "AWS_S3_ENDPOINT": server.url.removeprefix("http://"),
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_NO_SIGN_REQUEST": "YES",
    }
    with open_raster("s3://bucket/b.tif", options=options) as src:
        assert src.read(1, window=((0, 2), (0, 2))).shape == (2, 2)
    with pytest.raises(AssetMissing), open_raster("s3://bucket/none.tif", options=options):
        pass


@pytest.mark.parametrize(
    "href", ["gs://bucket/b.tif", "ftp://host/b.tif", "/vsicurl/http://host/b.tif", "zip:///b.zip"]
)
def test_hrefs_of_other_kinds_are_refused(href) -> None:
    assert isinstance(refusal(href), RasterUnreadable)


def test_files_on_disk_are_read_by_path_and_by_url(tmp_path: Path, cog: bytes) -> None:
    path = tmp_path / "with space.tif"
    path.write_bytes(cog)
    read(str(path))
    read(path.as_uri())
    assert isinstance(refusal(str(tmp_path / "none.tif")), AssetMissing)
    vrt = tmp_path / "evil.tif"
    vrt.write_text("<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>")
    assert isinstance(refusal(str(vrt)), RasterUnreadable)


def test_jpeg_2000_under_another_name_is_read(write_raster, tmp_path: Path) -> None:
    from rasterio.shutil import copy

    path = write_raster(np.full((1, 300, 300), 9, dtype=np.uint16))
    copy(path, tmp_path / "b.jp2", driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES")
    (tmp_path / "b.jp2").rename(tmp_path / "named.tif")
    clipped = clip(str(tmp_path / "named.tif"), AOI, reading=READING)
    assert clipped is not None
    assert (clipped.data[0, clipped.inside] == 9).all()


def test_many_threads_at_once_get_what_one_gets(server, cog) -> None:
    server.files["b.tif"] = cog
    expected = clip(server.href("b.tif"), AOI, reading=READING)
    assert expected is not None
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                got = clip(server.href("b.tif"), AOI, reading=READING)
                assert got is not None
                np.testing.assert_array_equal(got.data, expected.data)
                assert encode_cog(got, categorical=False) == encode_cog(expected, categorical=False)
                with pytest.raises(AssetMissing):
                    read(server.href("none.tif"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
