"""What is done to an acquisition's pixels on their way to the subscriber. The default does nothing but cut."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Resampling(StrEnum):
    """Kernels by which pixels are laid on another grid; classes (SCL and its like) always go by nearest."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    CUBIC = "cubic"
    AVERAGE = "average"


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """A number computed of several bands' reflectance, delivered as an asset of its own."""

    name: str
    """Asset key of the result: letters, digits and `_`."""

    formula: str
    """In the language of `imagery.raster.formula`; its names are bands (`nir`, `red`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Processing:
    """How clips are made. Whatever differs from this default is said in the published item."""

    mask: bool = False
    """Whether pixels that are not clear (cloud, shadow, snow, unknown) become nodata."""

    harmonise: bool = False
    """Whether reflectance is stored with its offset taken off: number x scale is reflectance, whatever the baseline."""

    all_touched: bool = False
    """Whether a pixel belongs to the AOI when the AOI touches it; else when the AOI holds its centre."""

    buffer_m: float = 0.0
    """By how much the AOI is grown before anything is read, metres; less than 0: shrunk."""

    indices: tuple[Index, ...] = ()
    resolution_m: float | None = None
    """Width of a pixel of the one grid that all assets are laid on, metres. None: each on its source's own."""

    resampling: Resampling = Resampling.NEAREST
    """Onto that grid."""

    single_file: bool = False
    """Whether the bands come as one file, `bands`, instead of one each."""
