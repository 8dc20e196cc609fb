"""How an AOI's pixels are to be read. No pixel is read here."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from imagery.model.processing import Resampling


class Clearing(Protocol):
    """Hides what is not clear in a source from the kernels that lay it on another grid. Hashable."""

    def cleared(self, src: Any, target: Any, *, href: str, nodata: float | None) -> AbstractContextManager[Any]:
        """An open dataset on the source's own grid, which has no data where it is not clear, near to the `target` Grid.

        `href` and `nodata` are the source's. Raises RasterError.
        """
        ...


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

    clearing: Clearing | None = None
    """Of what is to be masked, when it is laid on another grid. None: nothing is hidden."""
