"""Bytes moved: blocks by their size in the file, each once a piece of work; objects by theirs."""

from __future__ import annotations

import contextvars
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

from imagery.metering import Meter, meter_in_use, metered
from imagery.objects import open_objects
from imagery.raster.blocks import HEADER_BYTES, count_window
from imagery.raster.gdal import open_raster


def a_raster(path: Path, **profile: Any) -> str:
    """Three bands of 512 x 512 pixels of noise in blocks of 128."""
    pixels = np.random.default_rng(7).integers(1, 3000, (3, 512, 512)).astype("uint16")
    defaults = {"driver": "GTiff", "tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    shape: dict[str, Any] = {"count": 3, "height": 512, "width": 512, "dtype": "uint16", "crs": "EPSG:32633"}
    transform = from_origin(500_000, 5_100_000, 10, 10)
    with rasterio.open(path, "w", **{**defaults, **shape, **profile}, transform=transform) as out:
        out.write(pixels)
    return str(path)


@pytest.mark.parametrize("interleave", ["band", "pixel"])
def test_reading_all_of_a_raster_moves_about_its_size(tmp_path: Path, interleave: str) -> None:
    href = a_raster(tmp_path / "a.tif", interleave=interleave)
    with metered() as meter, open_raster(href) as src:
        count_window(src, Window(0, 0, 512, 512))

    assert meter.bytes_read - HEADER_BYTES == pytest.approx(Path(href).stat().st_size, rel=0.02)


def test_a_window_costs_the_blocks_it_touches_and_none_twice(tmp_path: Path) -> None:
    with metered() as meter, open_raster(a_raster(tmp_path / "a.tif", interleave="band")) as src:
        sizes = [src.block_size(band, row, column) for band in (1, 2, 3) for row in (0, 1) for column in (1, 2)]
        first = count_window(src, Window(200, 100, 100, 100))
        again = count_window(src, Window(201, 101, 10, 10))

    assert (first, again) == (HEADER_BYTES + sum(sizes), 0)
    assert meter.bytes_read == first


def test_blocks_a_sparse_file_left_out_cost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    profile: dict[str, Any] = {"driver": "GTiff", "tiled": True, "blockxsize": 128, "blockysize": 128}
    transform = from_origin(500_000, 5_100_000, 10, 10)
    with rasterio.open(
        path, "w", **profile, count=1, height=512, width=512, dtype="uint8", transform=transform, SPARSE_OK=True
    ):
        pass
    with open_raster(str(path)) as src:
        assert count_window(src, Window(0, 0, 512, 512)) == HEADER_BYTES


def test_objects_count_as_many_bytes_as_they_hold(tmp_path: Path) -> None:
    objects = open_objects(tmp_path.as_uri())
    with metered() as meter:
        objects.put("a/b", b"12345", media_type="text/plain")
        objects.get("a/b")
        objects.get("a/b")

    assert (meter.bytes_read, meter.bytes_written) == (10, 5)


def test_a_meter_counts_for_threads_given_its_context_and_only_inside() -> None:
    def work() -> None:
        meter = meter_in_use()
        assert meter is not None
        meter.has_read(1)

    with metered() as meter:
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(work,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert meter.bytes_read == 8
    assert meter_in_use() is None


def test_what_is_called_once_counts_once() -> None:
    meter = Meter()

    assert [meter.has_read(5, once="block"), meter.has_read(5, once="block"), meter.has_read(5)] == [5, 0, 5]
    assert meter.bytes_read == 10
