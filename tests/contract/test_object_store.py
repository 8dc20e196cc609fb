"""What every ObjectStore promises."""

from __future__ import annotations

import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest
import rasterio
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from imagery.errors import InvalidInput, ObjectStoreUnavailable, ObjectUnknown, SettingsInvalid
from imagery.objects import open_objects

TIFF = "image/tiff; application=geotiff"
KEYS = ["a", "sub_1/S2A_33TVM/red.tif", "eva's fields/č ☂/+&=~*.tif", "x/.hidden", "a:b/c", "x" * 240 + "/y"]
HOSTILE = [
    "", "/", "/etc/passwd", "..", "../x", "a/../../x", "a/./b", "a//b", "a/", "a\\..\\b", "a\x00b", "a\nb", "a\x85b",
    "a%2F..%2Fb", "a?b", "a#b", "a#1", "\ud800", "x" * 241, "/".join(["x" * 100] * 11),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_what_was_put_is_given_back(objects, key):
    href = objects.put(key, b"\x00bytes\xff", media_type=TIFF)
    assert objects.get(key) == b"\x00bytes\xff"
    assert href == objects.href(key)
    assert href.endswith("/" + key)


def test_a_large_object_and_an_empty_one_are_given_back(objects):
    large = bytes(range(256)) * 48_000
    objects.put("large", large, media_type=TIFF)
    objects.put("empty", b"", media_type=TIFF)
    assert objects.get("large") == large
    assert objects.get("empty") == b""


def test_putting_again_replaces(objects):
    objects.put("a/b", b"first and longer", media_type=TIFF)
    objects.put("a/b", b"second", media_type=TIFF)
    assert objects.get("a/b") == b"second"


def test_what_is_not_there_is_unknown(objects):
    objects.put("a/b", b"1", media_type=TIFF)
    for key in ("nothing", "a", "a/b2", "a/c/d"):
        with pytest.raises(ObjectUnknown):
            objects.get(key)


@pytest.mark.parametrize("key", HOSTILE)
def test_a_key_that_could_leave_the_root_or_confuse_a_url_is_refused(objects, key):
    for call in (
        lambda: objects.put(key, b"", media_type=TIFF),
        lambda: objects.get(key),
        lambda: objects.href(key),
        lambda: objects.remove_prefix(key),
    ):
        with pytest.raises(InvalidInput):
            call()


def test_the_href_is_known_before_the_object_is_there(objects):
    assert objects.href("a/b") == objects.put("a/b", b"1", media_type=TIFF)


def test_removing_a_prefix_removes_what_is_below_it_and_nothing_else(objects):
    for key in ("sub_1/a", "sub_1/b/c", "sub_10/a", "sub_", "x/sub_1/a"):
        objects.put(key, b"1", media_type=TIFF)
    assert objects.remove_prefix("sub_1") == 2
    assert objects.remove_prefix("sub_1") == 0
    for key in ("sub_1/a", "sub_1/b/c"):
        with pytest.raises(ObjectUnknown):
            objects.get(key)
    assert [objects.get(key) for key in ("sub_10/a", "sub_", "x/sub_1/a")] == [b"1"] * 3


def test_an_object_named_as_the_prefix_is_not_below_it(objects):
    objects.put("sub_1", b"1", media_type=TIFF)
    assert objects.remove_prefix("sub_1") == 0
    assert objects.get("sub_1") == b"1"


def test_removing_a_prefix_where_nothing_ever_was_does_nothing(objects):
    assert objects.remove_prefix("never/was") == 0


def test_a_prefix_can_be_used_again_after_it_was_removed(objects):
    objects.put("farm/sub_1/a", b"1", media_type=TIFF)
    objects.remove_prefix("farm/sub_1")
    objects.put("farm/sub_1/a", b"2", media_type=TIFF)
    assert objects.get("farm/sub_1/a") == b"2"


def test_a_reader_sees_the_old_bytes_or_the_new_ones_never_a_mixture(objects):
    bodies = [bytes([n]) * 300_000 for n in range(8)]
    objects.put("a", bodies[0], media_type=TIFF)

    def put_and_get(n: int) -> bytes:
        objects.put("a", bodies[n], media_type=TIFF)
        return objects.get("a")

    with ThreadPoolExecutor(8) as pool:
        assert all(read in bodies for read in pool.map(put_and_get, range(8)))


def test_a_prefix_removed_by_many_at_once_is_gone(objects):
    for n in range(40):
        objects.put(f"sub_1/{n % 4}/{n}", b"1", media_type=TIFF)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: objects.remove_prefix("sub_1"), range(4)))
    assert objects.remove_prefix("sub_1") == 0


def test_of_files_nothing_is_left_of_a_removed_prefix_not_even_folders_or_what_a_killed_writer_left(tmp_path):
    objects = open_objects(tmp_path.as_uri())
    objects.put("farm/sub_1/a/b.tif", b"1", media_type=TIFF)
    objects.put("other/a", b"1", media_type=TIFF)
    (tmp_path / "farm/sub_1/c").mkdir()
    (tmp_path / "farm/sub_1/c/b.tif#1").write_bytes(b"half")
    assert objects.remove_prefix("farm/sub_1") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["other"]
    objects.remove_prefix("other")
    assert tmp_path.is_dir()


def test_the_href_of_a_file_is_opened_by_rasterio_as_it_is(tmp_path):
    objects = open_objects((tmp_path / "my data ☂").as_uri())
    profile = {"driver": "GTiff", "width": 3, "height": 2, "count": 1, "dtype": "uint8", "crs": "EPSG:4326"}
    with MemoryFile() as file:
        with file.open(**profile, transform=Affine(0.1, 0, 14, 0, -0.1, 46)) as dataset:
            dataset.write(numpy.full((1, 2, 3), 7, "uint8"))
        href = objects.put("eva's fields/č+1&2.tif", file.read(), media_type=TIFF)
    with rasterio.open(href) as dataset:
        assert dataset.read().tolist() == [[[7, 7, 7], [7, 7, 7]]]


def test_a_folder_that_may_not_be_written_is_unavailable(tmp_path):
    objects = open_objects((tmp_path / "objects").as_uri())
    (tmp_path / "objects").rmdir()
    (tmp_path / "objects").write_text("a file in its place")
    with pytest.raises(ObjectStoreUnavailable, match="not written"):
        objects.put("a/b", b"1", media_type=TIFF)


def test_an_object_store_that_does_not_answer_is_unavailable_and_no_secret_is_said():
    options = {"endpoint": "http://127.0.0.1:9", "region": "eu-central-1", "access_key_id": "k"}
    objects = open_objects("s3://clips/x", {**options, "secret_access_key": "very secret"}, retries=0)
    with pytest.raises(ObjectStoreUnavailable) as raised:
        objects.put("a", b"1", media_type=TIFF)
    assert "very secret" not in str(raised.value)


def test_s3_remembers_the_media_type(s3_endpoint):
    options = {"endpoint": s3_endpoint, "region": "us-east-1", "access_key_id": "t", "secret_access_key": "t"}
    open_objects("s3://clips/types", options).put("a", b"1", media_type=TIFF)
    with urllib.request.urlopen(f"{s3_endpoint}/clips/types/a", timeout=5) as answer:
        assert answer.headers["Content-Type"] == TIFF


@pytest.mark.parametrize(
    "url",
    ["", "/var/clips", "file://host/x", "file:relative", "file:///a#b", "file:///a%23b", "s3://", "s3://B_d/x",
     "s3://clips/../x", "s3://clips?x=1", "https://clips", "file:///dev/null/x"],
)  # fmt: skip
def test_a_place_that_is_none_is_refused_at_the_start(url):
    with pytest.raises(SettingsInvalid) as raised:
        open_objects(url)
    assert raised.value.field == "IMAGERY_OBJECTS_URL"


def test_an_unknown_option_is_refused_at_the_start():
    with pytest.raises(SettingsInvalid, match="nonsense"):
        open_objects("s3://clips", {"nonsense": "1"})
