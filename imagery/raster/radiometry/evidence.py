"""What pixels say of the offset: dark ones were counted, and a verdict drawn. Pure numbers, no file.

Green leaves reflect two to six hundredths of blue and red light. With the offset still in they are stored as 1200 to
1600, without it as 200 to 600. Below 850 an offset still in would mean a reflectance under -0.015: a little of that
is made by over-corrected shadows and water, but never most of the vegetation of a scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

DARK_BELOW = 850
"""A stored number; under it, with the offset still in, a reflectance would be less than -0.015."""

MIN_PIXELS = 500
"""Dark pixels without which nothing is concluded: a fifth of a percent of the coarse picture of a tile."""

OFF_CLEAR = 0.5
"""Of the vegetation, in every band. Half of it with a negative reflectance in two bands at once cannot be; real scenes
without the offset had 0.81 and more, also under 70 % cloud."""

OFF_CLEAR_WATER = 0.9
"""Of water: the atmosphere of dark lakes is over-corrected by whole percents at times."""

OFF_LEANING = 0.05
"""In every band."""

OFF_LEANING_ONE = 0.2
"""In one band, when the other is brightened (haze lifts blue first)."""

STILL_IN_MOST = 0.01
"""In every band: next to none."""

STILL_IN_DARKEST = 1600
"""The darkest pixels (2 in 100) are no brighter with the offset in: a reflectance of 0.06. Haze, glint, snow, and
deserts, where nothing is dark, say nothing."""

STILL_IN_CONTRAST = 2000
"""Half of the vegetation has nir that much above red: a canopy so dense that its red must be dark. Shrubs on bright
soil, as bright without the offset as a forest with it, do not reach this."""

SPARSE_CONTRAST = 1500
"""Below it vegetation is so thin that the soil's brightness is counted: no word on the offset being in."""

STILL_IN_BLUE_OVER_RED = 250
"""The darkest blue is no more above the darkest red. Haze, which brightens as the offset does, lifts blue further."""

APART = 700
"""How far the darkest blue and the darkest red lie apart when the offset of 1000 is in one of them only; in light
soil between plants red is up to 500 above blue."""


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

    window: tuple[int, int, int, int]
    """(col_off, row_off, width, height) looked at, in pixels of the first band's full resolution."""

    step: int
    """One pixel in so many, along each axis, was looked at."""

    contrast: float | None
    """Median of nir - red of the dark pixels, stored numbers; None without nir or dark pixels."""

    overview: int
    """Decimation of the overview they came from; 1: the full resolution."""

    whole: bool
    """Whether the window is the whole scene."""

    bytes_read: int = 0
    """An estimate, as in `imagery.raster.blocks`."""

    @property
    def text(self) -> str:
        """One sentence for a person."""
        if not self.counts:
            return f"not checked in the pixels: {', '.join(self.unread)} could not be used"
        if self.basis is None:
            return f"not enough dark pixels to check it ({self.pixels} in {self._place}): the metadata decides"
        shares = " and ".join(f"{100 * one.below:.1f} % in {one.asset_key}" for one in self.counts)
        counted = f"of {self.pixels} dark pixels ({self.basis}; {self._place}) {shares} are below {DARK_BELOW}"
        return f"{counted}: {_SAYS[self.verdict]}"

    @property
    def _place(self) -> str:
        column, row, width, height = self.window
        area = "whole scene" if self.whole else f"{width} x {height} pixels at column {column}, row {row}"
        return area if self.step == 1 else f"{area}, every {self.step}th pixel along each axis"


_SAYS = {
    Verdict.TAKEN_OFF: "the offset was taken off",
    Verdict.STILL_IN: "the offset is still in",
    Verdict.LEANS_TAKEN_OFF: "the offset seems to have been taken off",
    Verdict.LEANS_STILL_IN: "the offset seems to be still in",
    Verdict.MIXED: "the offset is in one band and not in another",
    Verdict.UNDECIDED: "that decides nothing, the metadata does",
}


def judge(basis: Basis | None, counts: Sequence[BandCount], contrast: float | None) -> Verdict:
    """By the shares of dark pixels; `counts` holds blue, red, or both in this order; `contrast` as in Evidence."""
    if basis is None or not counts:
        return Verdict.UNDECIDED
    least, most = min(one.below for one in counts), max(one.below for one in counts)
    apart = counts[0].darkest - counts[-1].darkest
    if most >= OFF_CLEAR_WATER and least <= STILL_IN_MOST and abs(apart) >= APART:
        return Verdict.MIXED
    clear, leaning, leaning_one = _limits(basis, two_bands=len(counts) > 1)
    if least >= clear:
        return Verdict.TAKEN_OFF
    if least >= leaning or most >= leaning_one:
        return Verdict.LEANS_TAKEN_OFF
    if most > STILL_IN_MOST or any(one.darkest > STILL_IN_DARKEST for one in counts):
        return Verdict.UNDECIDED
    return _still_in(basis, contrast, two_bands=len(counts) > 1, apart=apart)


def _still_in(basis: Basis, contrast: float | None, *, two_bands: bool, apart: float) -> Verdict:
    """How sure, when next to none of the dark pixels is below DARK_BELOW and the darkest are dark."""
    if basis is Basis.WATER:
        return Verdict.LEANS_STILL_IN if two_bands else Verdict.UNDECIDED
    is_dense = contrast is not None and contrast >= STILL_IN_CONTRAST
    if is_dense and two_bands and apart <= STILL_IN_BLUE_OVER_RED:
        return Verdict.STILL_IN
    is_sparse = contrast is not None and contrast < SPARSE_CONTRAST
    return Verdict.LEANS_STILL_IN if is_dense or (two_bands and not is_sparse) else Verdict.UNDECIDED


def _limits(basis: Basis, *, two_bands: bool) -> tuple[float, float, float]:
    """Shares from which the offset was taken off for certain, seems so in every band, seems so in one."""
    if basis is Basis.WATER:
        return OFF_CLEAR_WATER, OFF_CLEAR, OFF_CLEAR
    return (OFF_CLEAR if two_bands else OFF_CLEAR_WATER), OFF_LEANING, OFF_LEANING_ONE
