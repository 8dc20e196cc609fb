"""How many bytes reading a window moves: the blocks it touches, as large as they lie in the file."""

from __future__ import annotations

from typing import Any

import numpy as np
from rasterio.errors import RasterBlockError

from imagery.metering import Meter, meter_in_use

HEADER_BYTES = 16_384
"""What opening a file reads: GDAL_INGESTED_BYTES_AT_OPEN of `imagery.raster.gdal`."""


def count_window(src: Any, window: Any) -> int:
    """Bytes that reading `window` of an open dataset moved; they are added to the meter in use.

    An estimate: GDAL tells nobody what it fetched. Each block counts once a meter, since GDAL keeps it; ranges merged
    over gaps, reads that failed, protocol and masks in files of their own are left out. To be called after the read,
    when the sizes of the blocks are known without another request.
    """
    meter = meter_in_use() or Meter()
    counted = meter.has_read(HEADER_BYTES, once=src.name)
    if src.driver != "GTiff":
        # Nothing is known of its blocks; they are no larger than what came out of them, but for their margins.
        pixels = int(window.width) * int(window.height) * src.count
        return counted + meter.has_read(pixels * np.dtype(src.dtypes[0]).itemsize)
    return counted + sum(_count_blocks(src, band, window, meter) for band in _bands_apart(src))


def _count_blocks(src: Any, band: int, window: Any, meter: Meter) -> int:
    height, width = src.block_shapes[band - 1]
    return sum(
        meter.has_read(_size(src, band, row, column), once=(src.name, band, row, column))
        for row in _touched(window.row_off, window.height, height)
        for column in _touched(window.col_off, window.width, width)
    )


def _touched(offset: float, length: float, block: int) -> range:
    """Numbers of the blocks along one axis."""
    return range(int(offset) // block, (int(offset + length) - 1) // block + 1)


def _size(src: Any, band: int, row: int, column: int) -> int:
    try:
        return int(src.block_size(band, row, column))
    except RasterBlockError:
        return 0  # a sparse file has left it out


def _bands_apart(src: Any) -> range:
    """Bands whose blocks lie apart; those of a pixel-interleaved file share theirs."""
    is_shared = src.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE", "BAND") == "PIXEL"
    return range(1, 2 if is_shared else src.count + 1)
