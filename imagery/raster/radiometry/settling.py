"""Metadata and pixels brought together: the pixels win where they are clear; where they are not, nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import overload

from imagery.errors import RadiometryContradictory
from imagery.raster.radiometry.evidence import Evidence, Verdict
from imagery.raster.radiometry.sentinel2 import S2_REFLECTANCE
from imagery.raster.radiometry.table import S2_OFFSET
from imagery.raster.radiometry.value import Radiometry

_CLEAR = {Verdict.TAKEN_OFF: 0.0, Verdict.STILL_IN: S2_OFFSET}
_LEANING = {Verdict.LEANS_TAKEN_OFF: 0.0, Verdict.LEANS_STILL_IN: S2_OFFSET}
_NEXT = (
    "Nothing was delivered, since one of the two is wrong. Compare the file with the agency's own (the -jp2 asset, or "
    "collection sentinel-2-c1-l2a of the same datatake), subscribe to that one instead, or replay the request when "
    "the provider has mended the item"
)


@overload
def settle(radiometry: Radiometry, evidence: Evidence | None, asset_key: str) -> Radiometry: ...
@overload
def settle(radiometry: None, evidence: Evidence | None, asset_key: str) -> None: ...
@overload
def settle(radiometry: Radiometry | None, evidence: Evidence | None, asset_key: str) -> Radiometry | None: ...
def settle(radiometry: Radiometry | None, evidence: Evidence | None, asset_key: str) -> Radiometry | None:
    """What holds of an asset after its acquisition's pixels were looked at; the evidence is added to `source`.

    `evidence` is what `gather` gave for the same item; None leaves everything as it is. So do assets that are no
    reflectance and the agency's own -jp2 files, which nobody has made over.

    Raises RadiometryContradictory when the pixels speak against the metadata without being clear, or against
    themselves.
    """
    if radiometry is None or evidence is None or asset_key not in S2_REFLECTANCE:
        return radiometry
    if evidence.verdict is Verdict.MIXED:
        raise RadiometryContradictory(f"{asset_key}: {evidence.text}. {_NEXT}")
    clear = _CLEAR.get(evidence.verdict)
    if clear is not None and not _is(radiometry.offset, clear):
        said = f"{radiometry.source}; but the pixels say otherwise and are clear, so offset {clear:g}"
        return replace(radiometry, offset=clear, source=f"{said}: {evidence.text}")
    leaning = _LEANING.get(evidence.verdict)
    if leaning is not None and not _is(radiometry.offset, leaning):
        raise RadiometryContradictory(f"{asset_key}: {radiometry.source}; but {evidence.text}. {_NEXT}")
    return replace(radiometry, source=f"{radiometry.source}; {evidence.text}")


def lend(own: Evidence | None, others: Mapping[str, Evidence | None]) -> Evidence | None:
    """The evidence of one item, or where it is not certain itself another's that is: `others` are by item id and of
    items of which the same must hold. Where those contradict each other or it, its own stands.
    """
    if own is None or own.verdict in _CLEAR or own.verdict is Verdict.MIXED:
        return own
    clear = {name: one for name, one in sorted(others.items()) if one is not None and one.verdict in _CLEAR}
    if len({one.verdict for one in clear.values()}) != 1:
        return own
    name, lent = next(iter(clear.items()))
    if own.verdict in _LEANING and _LEANING[own.verdict] != _CLEAR[lent.verdict]:
        return own
    return replace(lent, of=name)


def _is(offset: float | None, expected: float) -> bool:
    return offset is not None and abs(offset - expected) < 1e-6
