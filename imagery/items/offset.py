"""Whether Sentinel-2's offset is in the stored numbers: the source's flag, set right by what our assets say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imagery.items.cut import CutAsset

FLAG = "earthsearch:boa_offset_applied"

_REFLECTANCE_SCALE = 0.0001
_FIRST_WITH_OFFSET = "04.00"
"""Processing baseline; before it there is no offset to be applied."""


def with_true_flag(kept: Mapping[str, Any], assets: Sequence[CutAsset]) -> dict[str, Any]:
    """`kept` with the flag as it is true of the files we wrote; left out where it is true of some of them only.

    The source's is sometimes wrong, and taking the offset off makes a true `false` wrong as well. It stays as it is
    before there was an offset, and where our assets do not tell. Of a baseline that is not kept (it was spelled
    otherwise, or nobody told it) our own offsets tell enough.
    """
    offsets = set(_offsets(assets))
    if FLAG not in kept or not offsets:
        return dict(kept)
    if str(kept.get("s2:processing_baseline", _FIRST_WITH_OFFSET)) < _FIRST_WITH_OFFSET:
        return dict(kept)
    if 0 in offsets and len(offsets) > 1:
        return {name: value for name, value in kept.items() if name != FLAG}
    return {**kept, FLAG: 0 in offsets}


def _offsets(assets: Sequence[CutAsset]) -> Iterator[float]:
    """Of whatever is reflectance; an index is not, though it has the same scale."""
    for cut in assets:
        if cut.formula is None:
            pairs = [pair for pair in cut.band_scales if pair is not None]
            if cut.scale is not None and cut.offset is not None:
                pairs.append((cut.scale, cut.offset))
            yield from (offset for scale, offset in pairs if abs(scale - _REFLECTANCE_SCALE) < 1e-12)
