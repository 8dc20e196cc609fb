"""What pixels say of the offset: what was counted in them, where, and the verdict, as values and as a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DARK_BELOW = 850
"""A stored number; under it, with the offset still in, a reflectance would be less than -0.015."""


class Verdict(StrEnum):
    """Of the pixels, on the offset of 1000."""

    TAKEN_OFF = "taken off"
    STILL_IN = "still in"
    LEANS_TAKEN_OFF = "leans to taken off"
    LEANS_STILL_IN = "leans to still in"
    MIXED = "taken off in one band and still in in another"
    UNDECIDED = "undecided"


class Basis(StrEnum):
    """Which pixels were taken for dark, none of which depends on the offset."""

    VEGETATION = "vegetation by scl"
    CONTRAST = "pixels whose nir is 1500 or more above red"
    WATER = "water and vegetation by scl"


@dataclass(frozen=True, kw_only=True, slots=True)
class BandCount:
    """The dark pixels of one band."""

    asset_key: str
    below: float
    """Share of them below DARK_BELOW, 0 to 1."""

    darkest: float
    """The stored number that 2 in 100 are below."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NearInfrared:
    """What nir has to say, in which leaves and soil are bright and water and shadow are dark. Stored numbers."""

    contrast: float
    """Median of nir - red of the dark pixels; nothing the offset changes."""

    red: float
    """Median of red of the dark pixels."""

    ndvi: float
    """Median NDVI of the dark pixels, should the offset be in; infinite where nothing would be left of both."""

    floor: float
    """The number that nir is below in 2 in 100 of the dark pixels."""

    pixels: int
    """All that have data and are not cloud by the scene classes; the next is counted among them."""

    below: int
    """Under `judging.NIR_BELOW`."""

    water: int
    """Water by the scene classes that is from there to `judging.NIR_DARK`; 0 without them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What was counted, where, and what it says of one acquisition's reflectance files."""

    verdict: Verdict
    basis: Basis | None
    """None when there were too few dark pixels of any kind."""

    pixels: int
    """Dark pixels counted; with no basis, the most there were of any kind."""

    counts: tuple[BandCount, ...]
    assets: tuple[str, ...]
    """Keys of the assets that were read, classes and nir included."""

    unread: tuple[str, ...]
    """Of blue, red, nir and scl, what is not there or could not be used."""

    windows: tuple[tuple[int, int, int, int], ...]
    """(col_off, row_off, width, height) of each place looked at, in pixels of the first band's full resolution."""

    step: int
    """One pixel in so many, along each axis, was looked at."""

    nir: NearInfrared | None
    """None without nir, red or dark pixels."""

    overview: int
    """Decimation of the overview they came from; 1: the full resolution."""

    whole: bool
    """Whether it was the whole scene."""

    bytes_read: int = 0
    """An estimate, as in `imagery.raster.blocks`."""

    of: str | None = None
    """Item whose pixels they are, where they stand for another's of the same acquisition; None: the item's own."""

    @property
    def text(self) -> str:
        """One sentence for a person."""
        if not self.counts:
            return f"not checked in the pixels: {', '.join(self.unread)} could not be used"
        if self.basis is None:
            return f"not enough dark pixels to check it ({self.pixels} in {self._place}): the metadata decides"
        shares = " and ".join(f"{100 * one.below:.1f} % in {one.asset_key}" for one in self.counts)
        by = "" if self.of is None else f"by {self.of} of the same acquisition: "
        counted = f"{by}of {self.pixels} dark pixels ({self.basis}; {self._place}) {shares} are below {DARK_BELOW}"
        return f"{counted}: {_SAYS[self.verdict]}"

    @property
    def _place(self) -> str:
        if not self.windows:
            return "nothing"
        column, row, width, height = self.windows[0]
        area = "whole scene" if self.whole else f"{width} x {height} pixels at column {column}, row {row}"
        if len(self.windows) > 1:
            area = f"{len(self.windows)} places, the first {area}"
        return area if self.step == 1 else f"{area}, every {self.step}th pixel along each axis"


_SAYS = {
    Verdict.TAKEN_OFF: "the offset was taken off",
    Verdict.STILL_IN: "the offset is still in",
    Verdict.LEANS_TAKEN_OFF: "the offset seems to have been taken off",
    Verdict.LEANS_STILL_IN: "the offset seems to be still in",
    Verdict.MIXED: "the offset is in one band and not in another",
    Verdict.UNDECIDED: "that decides nothing, the metadata does",
}
