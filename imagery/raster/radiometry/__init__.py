"""What a stored number means: scale and offset of an asset, by metadata and then by its pixels; never guessed."""

from imagery.raster.radiometry.decision import decide
from imagery.raster.radiometry.evidence import BandCount, Basis, Evidence, NearInfrared, Verdict
from imagery.raster.radiometry.gathering import gather
from imagery.raster.radiometry.settling import lend, settle
from imagery.raster.radiometry.value import Pair, Radiometry, of_file

__all__ = [
    "BandCount",
    "Basis",
    "Evidence",
    "NearInfrared",
    "Pair",
    "Radiometry",
    "Verdict",
    "decide",
    "gather",
    "lend",
    "of_file",
    "settle",
]
