"""What the numbers of each asset mean, settled before they are cut: by the item's word, then by its pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pystac

from imagery.errors import ImageryError, RadiometryContradictory
from imagery.items.acquisition import acquisition_of_item
from imagery.raster.harmonise import is_reflectance
from imagery.raster.radiometry import Evidence, Radiometry, decide, gather, lend, settle
from imagery.raster.radiometry.sentinel2 import baseline_of
from imagery.workflow.draft import Draft


def settle_all(drafts: Sequence[Draft], *, folder: Path | None = None) -> None:
    """Sets what is `settled` of each draft; its pixels are counted once for all drafts of a source.

    `folder` takes copies of files whose servers give no parts of them.
    """
    gathered: dict[str, Evidence | None] = {}
    for item in _sources(drafts).values():
        takers = [draft for draft in drafts if draft.error is None and item.id in {one.id for one in draft.sources}]
        keys = dict.fromkeys(key for draft in takers for key in draft.needs.keys if key not in draft.needs.categorical)
        try:
            found = gather(item, tuple(keys), folder=folder) if takers else None
            gathered[item.id] = found
            if found is not None:
                takers[0].bytes_read += found.bytes_read  # as of blocks that several share: counted once
        except ImageryError as error:
            for draft in takers:
                draft.fail(error)
    for draft in drafts:
        if draft.error is None:
            _settle(draft, gathered)


def settled_of(
    sources: Sequence[pystac.Item], key: str, evidence: Mapping[str, Evidence | None]
) -> dict[str, Radiometry | None]:
    """By item id, what the numbers of the asset mean; `evidence` is by item id.

    What the pixels of one tile show for certain holds of those of its acquisition that were made alike (collection,
    baseline, and what their metadata says) and show too little themselves. Raises RadiometryContradictory.
    """
    decided = {item.id: decide(item, key) for item in sources}
    alike = {item.id: (*_making(item), _said(decided[item.id])) for item in sources}
    found: dict[str, Radiometry | None] = {}
    for item in sources:
        others = {one.id: evidence[one.id] for one in sources if one.id != item.id and alike[one.id] == alike[item.id]}
        found[item.id] = settle(decided[item.id], lend(evidence[item.id], others), key)
    return found


def _sources(drafts: Sequence[Draft]) -> dict[str, pystac.Item]:
    return {item.id: item for draft in drafts for item in draft.sources}


def _settle(draft: Draft, evidence: Mapping[str, Evidence | None]) -> None:
    try:
        for key in draft.needs.keys:
            found = settled_of(draft.sources, key, evidence)
            first, *others = draft.sources
            for item in others:
                shift = _shift(draft, key, found[first.id], found[item.id])
                if shift is not None:
                    draft.shifts[item.id, key] = shift
                elif _said(found[item.id]) != _said(found[first.id]):
                    raise RadiometryContradictory(
                        f"the tiles of the mosaic do not mean the same by the numbers of {key}: {item.id} says "
                        f"{_said(found[item.id])}, {first.id} {_said(found[first.id])}; replay it when the provider "
                        "has processed them alike"
                    )
            draft.settled[key] = found[first.id]
    except ImageryError as error:
        draft.fail(error)


def _shift(draft: Draft, key: str, first: Radiometry | None, other: Radiometry | None) -> float | None:
    """What the other tile's numbers need to mean the same as the first one's, where that may be added to them.

    They are moved anyway when they are harmonised. None: it may not, or they mean the same.
    """
    if not draft.share.subscription.processing.harmonise or not is_reflectance(draft.sources[0], key):
        return None
    if first is None or other is None or not first.scale or first.scale != other.scale or first.bands or other.bands:
        return None
    if first.offset is None or other.offset is None or first.offset == other.offset:
        return None
    return (other.offset - first.offset) / first.scale


def _making(item: pystac.Item) -> tuple[object, ...]:
    return acquisition_of_item(item).id, item.collection_id, baseline_of(item)


def _said(radiometry: Radiometry | None) -> str:
    if radiometry is None:
        return "nothing"
    if radiometry.bands:
        return f"(scale, offset) of the bands {radiometry.bands}"
    return f"scale {radiometry.scale}, offset {radiometry.offset}"
