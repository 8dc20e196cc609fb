"""A small picture of a clip for people: PNG, stretched, transparent outside the AOI."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagery.raster.clip import Clip

STRETCH = (2.0, 98.0)
"""Percentiles of the AOI's own pixels that become black and white."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sample:
    """What a thumbnail needs of a clip: a small copy of its first band, never enlarged."""

    values: NDArray[Any]
    """The clip's dtype, shape (height, width)."""

    shown: NDArray[np.bool_]
    """Same shape: in the AOI, with data."""

    grid: tuple[int, int]
    """(height, width) of the clip itself."""


def sample(clip: Clip, *, size: int = 256) -> Sample:
    """By nearest neighbour; the longer side is at most `size`. Holds nothing of the clip."""
    rows, columns = clip.inside.shape
    height, width = (rows, columns) if max(rows, columns) <= size else _scaled((rows, columns), size)
    return Sample(
        values=_sampled(clip.data[0], height, width),
        shown=_sampled(clip.inside & clip.valid, height, width),
        grid=(rows, columns),
    )


def encode_thumbnail(bands: Sequence[Clip], *, size: int = 256) -> bytes:
    """One clip in grey, or three as red, green and blue; the first band of each. The longer side is at most `size`.

    A clip smaller than that is enlarged by whole pixels, so that a field of three pixels can be seen as such.
    """
    return encode_samples([sample(band, size=size) for band in bands], size=size)


def encode_samples(bands: Sequence[Sample], *, size: int = 256) -> bytes:
    """As `encode_thumbnail`, of samples taken at the same `size`."""
    if len(bands) not in (1, 3):
        raise ValueError(f"a thumbnail is made of 1 or 3 bands, not {len(bands)}")
    height, width = _scaled(bands[0].shown.shape, size)
    colours = [_sampled(band.values, height, width).astype(np.float64) for band in bands]
    shown = [_sampled(band.shown, height, width) for band in bands]
    opaque = np.logical_and.reduce(shown + [np.isfinite(colour) for colour in colours])
    low, high = _limits(colours, opaque)
    pixels = np.zeros((height, width, len(bands) + 1), dtype=np.uint8)
    for index, colour in enumerate(colours):
        grey = np.clip((np.where(opaque, colour, low) - low) / (high - low), 0, 1) * 255
        pixels[..., index] = np.where(opaque, np.rint(grey), 0).astype(np.uint8)
    pixels[..., -1] = np.where(opaque, 255, 0)
    return _png(pixels)


def _scaled(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """(height, width) of the picture: a whole multiple when enlarged."""
    height, width = shape
    longest = max(height, width)
    if longest <= size:
        return height * (size // longest), width * (size // longest)
    return max(1, height * size // longest), max(1, width * size // longest)


def _sampled(array: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Nearest neighbour; shape (height, width)."""
    rows = (np.arange(height) * 2 + 1) * array.shape[0] // (2 * height)
    columns = (np.arange(width) * 2 + 1) * array.shape[1] // (2 * width)
    sampled: NDArray[Any] = array[rows[:, None], columns[None, :]]
    return sampled


def _limits(colours: Sequence[NDArray[np.float64]], opaque: NDArray[np.bool_]) -> tuple[float, float]:
    """One stretch for all bands, which keeps the colours; a single value is shown as mid grey."""
    values = np.concatenate([colour[opaque] for colour in colours])
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(limit) for limit in np.percentile(values, STRETCH))
    if high > low:
        return low, high
    return low - 1.0, low + 1.0


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG (ISO/IEC 15948) of uint8, shape (height, width, 2: grey and alpha or 4: RGBA)."""
    height, width, channels = pixels.shape
    colour_type = {2: 4, 4: 6}[channels]
    rows = np.zeros((height, 1 + width * channels), dtype=np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
