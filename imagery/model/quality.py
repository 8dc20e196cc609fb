"""How much of an AOI one acquisition shows, and of what: fractions of the AOI's pixels, counted in a quality band."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """`clear`, `cloud`, `shadow`, `snow`, `unknown` and `nodata` add up to 1."""

    band: str
    """Asset key of the quality band: `scl`, `qa_pixel`, `udm2`."""

    pixels: int
    """Of the AOI on that band's grid, those beyond the raster's edge included."""

    clear: float
    """Land or water, seen."""

    cloud: float
    """Cirrus and haze included."""

    shadow: float
    snow: float
    water: float
    """Part of `clear`."""

    unknown: float
    """Saturated, defective, or a class that does not exist."""

    nodata: float
    """Not shown by the acquisition at all."""

    @property
    def coverage(self) -> float:
        """Fraction of the AOI that the acquisition shows, 0 to 1."""
        return 1.0 - self.nodata

    @property
    def cloud_cover(self) -> float | None:
        """Percent of what is shown that is cloud, as STAC's `eo:cloud_cover`; None when nothing is shown."""
        return 100.0 * self.cloud / self.coverage if self.coverage > 0 else None

    @property
    def snow_cover(self) -> float | None:
        """Percent of what is shown that is snow or ice; None when nothing is shown."""
        return 100.0 * self.snow / self.coverage if self.coverage > 0 else None
