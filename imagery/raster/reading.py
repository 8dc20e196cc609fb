"""How an AOI's pixels are to be read. No pixel is read here."""

from __future__ import annotations

from dataclasses import dataclass

from imagery.model.processing import Resampling


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What the caller of a clip decides; the default keeps the source's own grid and values."""

    max_pixels: int
    """Pixels of the window times bands, beyond which nothing is read."""

    nodata: float | None = None
    """What stands for no data where the file declares nothing. None: nothing does."""

    all_touched: bool = False
    """Whether a pixel belongs to the AOI when the AOI touches it; else when the AOI holds its centre."""

    resolution_m: float | None = None
    """Width of a pixel in metres, on a grid that starts at the raster's upper left corner. None: the source's own."""

    resampling: Resampling = Resampling.NEAREST
    """Onto that grid, or onto another raster's. Of classes (SCL and its like) the caller must ask for nearest."""
