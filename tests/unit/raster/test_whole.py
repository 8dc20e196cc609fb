"""Files read whole: when they are, and that a copy is the file its item speaks of."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest

from imagery.errors import (
    AssetMissing,
    ChecksumMismatch,
    ImageryError,
    RangesUnsupported,
    RasterUnavailable,
    RasterUnreadable,
)
from imagery.metering import metered
from imagery.raster.clip import Clip, clip_each
from imagery.raster.gdal import open_raster
from imagery.raster.mosaic import mosaic
from imagery.raster.multihash import parse_multihash
from imagery.raster.reading import Reading
from imagery.raster.whole import checked_href, fetch_whole, read_all_checked, read_checked

BODY = bytes(range(256)) * 1000
ALL = {
    "type": "Polygon",
    "coordinates": [[[14.9, 45.9], [15.2, 45.9], [15.2, 46.2], [14.9, 46.2], [14.9, 45.9]]],
}
"""Larger than what `write_raster` makes."""

CORNER = {
    "type": "Polygon",
    "coordinates": [[[15.001, 46.05], [15.002, 46.05], [15.002, 46.051], [15.001, 46.051], [15.001, 46.05]]],
}
"""A few pixels of it."""


def multihash(body: bytes) -> str:
    return f"1220{hashlib.sha256(body).hexdigest()}"


def refusal(href: str, folder: Path, **options: object) -> ImageryError:
    with pytest.raises(ImageryError) as caught:
        fetch_whole(href, folder, **{"max_bytes": 10**6, **options})  # type: ignore[arg-type]
    return caught.value


@pytest.fixture
def scene(server, write_raster) -> Callable[..., pystac.Asset]:
    """An asset on the server, of 16 blocks, and what its item says of it."""
    pixels = np.random.default_rng(1).integers(1, 9999, (1, 512, 512), dtype=np.uint16)
    path = write_raster(pixels, nodata=0, tiled=True, blockxsize=128, blockysize=128)
    server.files["b.tif"] = path.read_bytes()

    def asset(**said: object) -> pystac.Asset:
        whole = {"file:checksum": multihash(server.files["b.tif"]), "file:size": len(server.files["b.tif"])}
        return pystac.Asset(href=server.href("b.tif"), extra_fields={**whole, **said})

    return asset


@pytest.mark.parametrize(
    ("prefix", "algorithm"),
    [("1114", "sha1"), ("1220", "sha256"), ("1340", "sha512"), ("1620", "sha3_256"), ("d50110", "md5")],
)
def test_checksums_of_every_known_kind_are_verified(tmp_path, server, prefix, algorithm) -> None:
    server.files["f"] = BODY
    checksum = prefix + hashlib.new(algorithm, BODY).hexdigest()
    assert fetch_whole(server.href("f"), tmp_path, checksum=checksum, max_bytes=10**6).read_bytes() == BODY
    wrong = prefix + hashlib.new(algorithm, b"other").hexdigest()
    with pytest.raises(ChecksumMismatch, match=algorithm):
        fetch_whole(server.href("f"), tmp_path / "anew", checksum=wrong, max_bytes=10**6)


@pytest.mark.parametrize("text", [None, 5, "", "1220", "1220ab", "a0e40220" + "00" * 32, "12" * 20, "1220" + "xy" * 32])
def test_what_is_no_checksum_that_can_be_verified_is_none(text) -> None:
    assert parse_multihash(text) is None


def test_a_file_of_an_unknown_checksum_is_still_held_against_its_size(tmp_path, server) -> None:
    server.files["f"] = BODY
    unknown = "a0e40220" + "00" * 32
    assert fetch_whole(server.href("f"), tmp_path, checksum=unknown, size=len(BODY), max_bytes=10**6).is_file()
    error = refusal(server.href("f"), tmp_path / "anew", checksum=unknown, size=len(BODY) + 1)
    assert isinstance(error, ChecksumMismatch)
    assert str(len(BODY) + 1) in str(error)


def test_a_mismatch_is_fetched_once_more_and_then_given_up_leaving_nothing(tmp_path, server) -> None:
    server.files["f"] = BODY
    assert isinstance(refusal(server.href("f"), tmp_path, checksum=multihash(b"other")), ChecksumMismatch)
    assert len(server.requests) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_copy_is_fetched_once_and_counted(tmp_path, server) -> None:
    server.files["f"] = BODY
    with metered() as meter:
        first = fetch_whole(server.href("f"), tmp_path, checksum=multihash(BODY), max_bytes=10**6)
        assert fetch_whole(server.href("f"), tmp_path, checksum=multihash(BODY), max_bytes=10**6) == first
    assert len(server.requests) == 1
    assert meter.bytes_read == len(BODY)


def test_a_body_cut_short_is_unavailable_and_leaves_nothing(tmp_path, server) -> None:
    server.files["f"], server.cut["f"] = BODY, 1
    assert isinstance(refusal(server.href("f"), tmp_path), RasterUnavailable)
    assert list(tmp_path.iterdir()) == []


def test_a_file_beyond_the_limit_is_not_kept(tmp_path, server) -> None:
    server.files["f"] = BODY
    assert isinstance(refusal(server.href("f"), tmp_path, max_bytes=1000), RasterUnreadable)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AssetMissing), (403, AssetMissing), (404, AssetMissing), (429, RasterUnavailable), (503, RasterUnavailable)],
)
def test_refusals_are_told_apart_as_of_files_read_in_parts(tmp_path, server, status, kind) -> None:
    server.files["f"], server.status["f"] = BODY, [status]
    error = refusal(server.href("f") + "?token=s3cret", tmp_path)
    assert isinstance(error, kind)
    assert "s3cret" not in str(error)


def test_an_expired_link_is_unavailable_for_now(tmp_path, server) -> None:
    server.files["f"], server.status["f"], server.says["f"] = BODY, [403], "Request has expired"
    assert isinstance(refusal(server.href("f"), tmp_path), RasterUnavailable)


def test_a_server_that_is_not_there_is_unavailable(tmp_path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert isinstance(refusal(f"http://127.0.0.1:{taken.getsockname()[1]}/f", tmp_path), RasterUnavailable)


def test_files_on_disk_are_verified_where_they_lie(tmp_path) -> None:
    path = tmp_path / "with space.tif"
    path.write_bytes(BODY)
    for href in (str(path), path.as_uri()):
        assert fetch_whole(href, tmp_path / "none", checksum=multihash(BODY), max_bytes=10**6) == path
        assert isinstance(refusal(href, tmp_path, checksum=multihash(b"other")), ChecksumMismatch)
    assert isinstance(refusal(str(tmp_path / "none.tif"), tmp_path), AssetMissing)
    assert path.exists()


@pytest.mark.parametrize("href", ["ftp://host/f", "/vsicurl/http://host/f", "gs://bucket/f", "s3://bucket/f"])
def test_hrefs_of_other_kinds_are_refused(tmp_path, href) -> None:
    assert isinstance(refusal(href, tmp_path), RasterUnreadable)


def test_an_aoi_over_all_of_a_file_reads_a_verified_copy(tmp_path, server, scene) -> None:
    href = checked_href(scene(), [ALL], tmp_path)
    assert Path(href).read_bytes() == server.files["b.tif"]


def test_an_aoi_over_a_small_part_of_a_file_reads_it_where_it_is(tmp_path, server, scene) -> None:
    assert checked_href(scene(), [CORNER], tmp_path / "copies") == server.href("b.tif")
    assert not (tmp_path / "copies").exists()


@pytest.mark.parametrize(
    "said", [{"file:checksum": None}, {"file:checksum": "a0e40220" + "00" * 32}, {"file:size": 10**12}]
)
def test_an_item_without_a_checksum_that_can_be_verified_costs_no_request(tmp_path, server, scene, said) -> None:
    assert checked_href(scene(**said), [ALL], tmp_path) == server.href("b.tif")
    assert server.requests == []


def test_a_small_aoi_in_a_large_file_costs_no_request(tmp_path, server, scene) -> None:
    item = pystac.Item("a", ALL, [14.9, 45.9, 15.2, 46.2], datetime(2026, 5, 1, tzinfo=UTC), {})
    item.add_asset("red", scene(**{"file:size": 200_000_000}))
    assert checked_href(item.assets["red"], [CORNER], tmp_path) == server.href("b.tif")
    assert server.requests == []


def test_a_file_that_is_not_the_one_its_item_speaks_of_gives_no_pixels(tmp_path, scene) -> None:
    with pytest.raises(ChecksumMismatch):
        checked_href(scene(**{"file:checksum": multihash(b"other")}), [ALL], tmp_path)


@pytest.mark.parametrize("said", [{}, {"file:checksum": None, "file:size": None}])
def test_a_server_that_gives_whole_files_only_is_read_all_the_same(tmp_path, server, scene, said) -> None:
    server.whole_only = True
    asset = scene(**said)
    with pytest.raises(RangesUnsupported), open_raster(asset.href):
        pass

    (clipped,) = read_checked(
        asset, [CORNER], tmp_path, lambda href: clip_each(href, [CORNER], reading=Reading(max_pixels=10**6))
    )

    assert isinstance(clipped[1], Clip)
    assert clipped[1].valid_pixels > 0


def test_tiles_of_a_mosaic_are_read_whole_too_where_their_server_gives_no_parts(tmp_path, server, scene) -> None:
    server.whole_only = True
    assets = [scene(**{"file:checksum": None, "file:size": None}) for _ in range(2)]

    laid = read_all_checked(
        assets,
        [CORNER],
        tmp_path,
        lambda hrefs: mosaic([(href, None) for href in hrefs], CORNER, reading=Reading(max_pixels=10**6)),
    )

    assert laid is not None and laid.valid_pixels > 0
