"""The verdict on an offset, out of what was counted. Pure numbers, no file.

Green leaves reflect two to six hundredths of blue and red light. With the offset still in they are stored as 1200 to
1600, without it as 200 to 600. Below 850 an offset still in would mean a reflectance under -0.015: a little of that
is made by over-corrected shadows and water, but never most of the vegetation of a scene.

That nothing is dark proves less: haze, smoke and snow between trees brighten blue and red as the offset does. What
they cannot do is lift nir alike, which the offset does everywhere: it is nir that says whether it was the offset.
"""

from __future__ import annotations

from collections.abc import Sequence

from imagery.raster.radiometry.evidence import BandCount, Basis, NearInfrared, Verdict

MIN_PIXELS = 500
"""Dark pixels without which nothing is concluded: a fifth of a percent of the coarse picture of a tile."""

OFF_CLEAR = 0.5
"""Of the vegetation, in every band. Half of it with a negative reflectance in two bands at once cannot be; real scenes
without the offset had 0.81 and more, also under 70 % cloud."""

OFF_CLEAR_ONE = 0.9
"""Of the vegetation, where there is one band only."""

OFF_DARKEST = 700
"""The darkest pixels (2 in 100) are darker than that: with the offset in, under -0.03, which no correction of the
atmosphere makes of leaves. Between 700 and 850 an over-corrected scene with the offset in may lie as a whole."""

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

STILL_IN_RED = 1150
"""Half of the vegetation has more red: with the offset in 0.015. The darkest forests have that; what is left of a
forest in haze when the offset is taken off by mistake mostly has not."""

STILL_IN_RED_MOST = 1560
"""And half of it has less: 0.056. Haze so thick that it lifts water in nir by more than NIR_BELOW goes beyond that."""

STILL_IN_NDVI = 0.93
"""Half of the vegetation has less, should the offset be in. Of the densest canopies it is 0.92."""

NIR_BELOW = 900
"""With the offset in a reflectance under -0.01, which next to nothing has in nir."""

NIR_BELOW_COUNT, NIR_BELOW_SHARE = 20, 0.0002
"""More pixels (the greater of the two) under NIR_BELOW, and the offset is not in all of nir. Ten real scenes without
it, seen coarsely, had 530 to 4200, or 0.5 % and more."""

NIR_DARK = 1400
"""Up to it water lies in nir with the offset in: 0.04 at most."""

NIR_DARK_COUNT = 40
"""So many pixels of water (by the scene classes) between NIR_BELOW and NIR_DARK bear witness: the dark end of the
scene was lifted by a whole offset. Nine of ten real scenes with it had 100 to 800. Not soil or shadow: burnt ground
under smoke has such numbers."""

STILL_IN_BRIGHT_CONTRAST = 3900
"""Where no water bears witness half of the vegetation must have nir that much above red, and blue no brighter than
red: haze takes from the contrast of the lushest fields (0.4) and gives to blue more than to red."""

STILL_IN_WATER = 1000
"""Where all is water, blue, red and nir are (but for 2 in 100) no darker: a negative reflectance in none of them."""

APART = 700
"""How far the darkest blue and the darkest red lie apart when the offset of 1000 is in one of them only; in light
soil between plants red is up to 500 above blue."""

MIXED_MOST = 0.9
"""Of the vegetation is dark in the one band, when next to none is in the other."""


def judge(basis: Basis | None, counts: Sequence[BandCount], nir: NearInfrared | None) -> Verdict:
    """By the shares of dark pixels; `counts` holds blue, red, or both in this order."""
    if basis is None or not counts:
        return Verdict.UNDECIDED
    return _of_water(counts, nir) if basis is Basis.WATER else _of_vegetation(counts, nir)


def _of_vegetation(counts: Sequence[BandCount], nir: NearInfrared | None) -> Verdict:
    least, most = min(one.below for one in counts), max(one.below for one in counts)
    if most >= MIXED_MOST and least <= STILL_IN_MOST and abs(_apart(counts)) >= APART:
        return Verdict.MIXED
    clear = OFF_CLEAR if len(counts) > 1 else OFF_CLEAR_ONE
    if least >= clear and all(one.darkest < OFF_DARKEST for one in counts):
        return Verdict.TAKEN_OFF
    if least >= OFF_LEANING or most >= OFF_LEANING_ONE:
        return Verdict.LEANS_TAKEN_OFF
    if most > STILL_IN_MOST or any(one.darkest > STILL_IN_DARKEST for one in counts):
        return Verdict.UNDECIDED
    return _still_in(counts, nir)


def _of_water(counts: Sequence[BandCount], nir: NearInfrared | None) -> Verdict:
    """Turbidity, glint, shallow ground and over-correction move its numbers about by more than an offset: that they
    are dark says nothing, and that all three bands are bright is a doubt, no proof."""
    floors = [*(one.darkest for one in counts), *([] if nir is None else [nir.floor])]
    is_bright = len(floors) == 3 and all(floor >= STILL_IN_WATER for floor in floors)
    return Verdict.LEANS_STILL_IN if is_bright else Verdict.UNDECIDED


def _still_in(counts: Sequence[BandCount], nir: NearInfrared | None) -> Verdict:
    """How sure, when next to none of the dark pixels is below DARK_BELOW and the darkest are dark."""
    has_two = len(counts) > 1
    if nir is None:
        return Verdict.LEANS_STILL_IN if has_two else Verdict.UNDECIDED
    is_dense = nir.contrast >= STILL_IN_CONTRAST
    if is_dense and has_two and _is_plausible(nir) and _is_lifted(counts, nir):
        return Verdict.STILL_IN
    return Verdict.LEANS_STILL_IN if is_dense or (has_two and nir.contrast >= SPARSE_CONTRAST) else Verdict.UNDECIDED


def _is_plausible(nir: NearInfrared) -> bool:
    """Whether leaves would look as they do, with the offset taken off."""
    return STILL_IN_RED <= nir.red <= STILL_IN_RED_MOST and nir.ndvi <= STILL_IN_NDVI


def _is_lifted(counts: Sequence[BandCount], nir: NearInfrared) -> bool:
    """Whether it was the offset and no haze that brightened them."""
    if nir.below > max(NIR_BELOW_COUNT, NIR_BELOW_SHARE * nir.pixels):
        return False
    if nir.water >= NIR_DARK_COUNT:
        return _apart(counts) <= STILL_IN_BLUE_OVER_RED
    return nir.contrast >= STILL_IN_BRIGHT_CONTRAST and _apart(counts) <= 0


def _apart(counts: Sequence[BandCount]) -> float:
    """How far the darkest blue is above the darkest red; 0 with one band."""
    return counts[0].darkest - counts[-1].darkest
