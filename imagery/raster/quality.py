"""What an acquisition shows of an AOI, pixel by pixel: the classes of a quality band, counted and made into a mask.

Three kinds of quality band, each into the same few classes. Where a pixel is several things at once the first of these
wins: nodata, cloud, shadow, snow, unknown (defective), then clear; water is a kind of clear and counts nowhere else.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

import numpy as np
import pystac
from numpy.typing import NDArray

from imagery.errors import RasterUnreadable
from imagery.model.quality import Quality
from imagery.raster.clip import Clip
from imagery.raster.nearest import laid_on

Mask = NDArray[np.bool_]


class QualityKind(StrEnum):
    """Whose classes a quality band holds."""

    SCL = "scl"
    """Sentinel-2 scene classification: ESA, Sentinel-2 L2A ATBD and product specification, table of SCL labels."""

    QA_PIXEL = "qa_pixel"
    """Landsat Collection 2 pixel quality: USGS LSDS-1619, Landsat 8-9 C2 Level 2 Science Product Guide, table 6-2."""

    UDM2 = "udm2"
    """Planet usable data mask (Planet, Usable Data Masks: 8 bands, one a class), or its 1-band forerunner `udm`
    (Planet Imagery Product Specification: bit 0 blackfill, 1 cloud, 2 and up missing or suspect data of a band)."""


class PixelClass(IntEnum):
    """Of one pixel of the AOI. 0 is nodata."""

    NODATA = 0
    CLEAR = 1
    WATER = 2
    SNOW = 3
    SHADOW = 4
    CLOUD = 5
    UNKNOWN = 6


_KEYS = {
    "scl": QualityKind.SCL,
    "SCL": QualityKind.SCL,
    "SCL_20m": QualityKind.SCL,
    "qa_pixel": QualityKind.QA_PIXEL,
    "QA_PIXEL": QualityKind.QA_PIXEL,
    "ortho_udm2": QualityKind.UDM2,
    "udm2": QualityKind.UDM2,
    "ortho_udm": QualityKind.UDM2,
    "udm": QualityKind.UDM2,
    # The agency's JPEG 2000 of the same classes: read slower, and paid for by the reader.
    "scl-jp2": QualityKind.SCL,
    "SCL-jp2": QualityKind.SCL,
}
"""By asset key, the best first."""

_SCL_CLASSES = 256
_SCL = {
    0: PixelClass.NODATA,
    2: PixelClass.CLEAR,  # dark or topographic shadow: seen
    3: PixelClass.SHADOW,
    4: PixelClass.CLEAR,
    5: PixelClass.CLEAR,
    6: PixelClass.WATER,
    7: PixelClass.CLEAR,  # unclassified: seen, and not cloud
    8: PixelClass.CLOUD,
    9: PixelClass.CLOUD,
    10: PixelClass.CLOUD,
    11: PixelClass.SNOW,
}
"""All others (1: saturated or defective, 12 and more: do not exist) are unknown."""


def quality_asset(item: pystac.Item) -> tuple[str, QualityKind] | None:
    """Asset key and kind of the item's quality band; None if it has none that is known here (L1C)."""
    return next(((key, kind) for key, kind in _KEYS.items() if key in item.assets), None)


def judge(clip: Clip, kind: QualityKind, *, band: str) -> Quality:
    """Fractions of the AOI's pixels; `clip` is of the quality band `band`, read with `keep_empty`.

    What lies beyond the raster's edge is nodata. Raises RasterUnreadable for a file that cannot be of this kind.
    """
    found = np.bincount(pixel_classes(clip, kind)[clip.inside], minlength=len(PixelClass))
    beyond = max(clip.aoi_pixels - int(found.sum()), 0)
    total = int(found.sum()) + beyond

    def fraction(*wanted: PixelClass) -> float:
        return int(found[list(wanted)].sum()) / total if total else 0.0

    return Quality(
        band=band,
        pixels=total,
        clear=fraction(PixelClass.CLEAR, PixelClass.WATER),
        cloud=fraction(PixelClass.CLOUD),
        shadow=fraction(PixelClass.SHADOW),
        snow=fraction(PixelClass.SNOW),
        water=fraction(PixelClass.WATER),
        unknown=fraction(PixelClass.UNKNOWN),
        nodata=(int(found[PixelClass.NODATA]) + beyond) / total if total else 1.0,
    )


def clear_pixels(clip: Clip, kind: QualityKind) -> Mask:
    """Shape (height, width): land or water, seen. False outside the clip's AOI, where nothing was read.

    For a mask of finer bands the quality band is to be read with `all_touched`: a fine pixel of the AOI's edge may lie
    in a coarse one whose own centre is outside, and its class would be missing.
    """
    classes = pixel_classes(clip, kind)
    clear: Mask = (classes == PixelClass.CLEAR) | (classes == PixelClass.WATER)
    return clear & clip.inside


def on_grid(mask: Mask, source: Clip, target: Clip) -> Mask:
    """`mask` of the source's grid on the target's: of each target pixel's centre. False beyond the source."""
    laid: Mask = laid_on(mask, source, target, fill=False)
    return laid


def pixel_classes(clip: Clip, kind: QualityKind) -> NDArray[np.uint8]:
    """Shape (height, width): the PixelClass of each pixel; to be trusted inside the AOI only."""
    if kind is QualityKind.SCL:
        return _of_scl(clip)
    _refuse_floats(clip, kind)
    if kind is QualityKind.QA_PIXEL:
        return _of_qa_pixel(clip)
    if clip.data.shape[0] <= 2:
        return _of_udm(clip)
    return _of_udm2(clip)


def _of_scl(clip: Clip) -> NDArray[np.uint8]:
    table = np.full(_SCL_CLASSES, PixelClass.UNKNOWN, dtype=np.uint8)
    for value, meaning in _SCL.items():
        table[value] = meaning
    values = clip.data[0]
    # Some copies hold the classes as floats, where nan and 4.5 are possible; they are no class.
    whole = (values >= 0) & (values < _SCL_CLASSES) & (values == np.floor(values))
    classes = np.where(whole, table[np.where(whole, values, 0).astype(np.intp)], np.uint8(PixelClass.UNKNOWN))
    return np.where(clip.valid, classes, np.uint8(PixelClass.NODATA))


def _of_qa_pixel(clip: Clip) -> NDArray[np.uint8]:
    bits = clip.data[0]
    # Bit 6 (clear) is not asked: it is set over shadow and snow too, and known to be wrong over water of Landsat 4-7.
    return _first_of(
        (~clip.valid | _any_bit(bits, 0), PixelClass.NODATA),
        (_any_bit(bits, 1, 2, 3), PixelClass.CLOUD),  # dilated cloud, cirrus, cloud
        (_any_bit(bits, 4), PixelClass.SHADOW),
        (_any_bit(bits, 5), PixelClass.SNOW),
        (bits == 0, PixelClass.UNKNOWN),
        (_any_bit(bits, 7), PixelClass.WATER),
        otherwise=PixelClass.CLEAR,
    )


def _of_udm2(clip: Clip) -> NDArray[np.uint8]:
    if clip.data.shape[0] < 8:
        raise RasterUnreadable(
            f"a UDM2 has 8 bands (a legacy UDM 1), this one has {clip.data.shape[0]}; ask for the item's own mask asset"
        )
    clear, snow, shadow, light_haze, heavy_haze, cloud, _, unusable = clip.data[:8]
    silent = np.logical_not(clip.data[:8].any(axis=0))  # not a class, not even a confidence: nothing was there to judge
    return _first_of(
        (~clip.valid | _any_bit(unusable, 0) | silent, PixelClass.NODATA),
        ((cloud == 1) | (heavy_haze == 1) | (light_haze == 1), PixelClass.CLOUD),
        (shadow == 1, PixelClass.SHADOW),
        (snow == 1, PixelClass.SNOW),
        # Bit 1 is the older cloud detection, which takes bright ground for cloud; the classes above know better.
        (_any_bit(unusable, 2, 3, 4, 5, 6, 7), PixelClass.UNKNOWN),
        (clear == 1, PixelClass.CLEAR),
        otherwise=PixelClass.UNKNOWN,
    )


def _of_udm(clip: Clip) -> NDArray[np.uint8]:
    """It knows neither shadow nor haze nor snow (which it takes for cloud): the rest is clear as far as it can tell."""
    bits = clip.data[0]
    # 0 is its word for usable: a file that declares it as nodata says nothing by it.
    shown = clip.valid | (bits == 0) if clip.nodata_declared and clip.nodata == 0 else clip.valid
    return _first_of(
        (~shown | _any_bit(bits, 0), PixelClass.NODATA),
        (_any_bit(bits, 1), PixelClass.CLOUD),
        (_any_bit(bits, 2, 3, 4, 5, 6, 7), PixelClass.UNKNOWN),
        otherwise=PixelClass.CLEAR,
    )


def _first_of(*cases: tuple[Mask, PixelClass], otherwise: PixelClass) -> NDArray[np.uint8]:
    classes = np.select([mask for mask, _ in cases], [np.uint8(meaning) for _, meaning in cases], np.uint8(otherwise))
    return classes.astype(np.uint8, copy=False)


def _any_bit(values: NDArray[np.integer], *bits: int) -> Mask:
    unsigned = values.view(f"u{values.dtype.itemsize}")
    found: Mask = (unsigned & sum(1 << bit for bit in bits)) != 0
    return found


def _refuse_floats(clip: Clip, kind: QualityKind) -> None:
    if clip.data.dtype.kind not in "ui":
        raise RasterUnreadable(
            f"a {kind} band holds whole numbers whose bits are read, this one holds {clip.data.dtype}; "
            "ask for the item's own quality asset"
        )
