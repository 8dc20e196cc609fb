"""What the numbers of each asset mean, settled before they are cut: by the item's word, then by its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import pystac

from imagery.errors import ImageryError, RadiometryContradictory
from imagery.raster.radiometry import Evidence, Radiometry, decide, gather, settle
from imagery.workflow.draft import Draft


def settle_all(drafts: Sequence[Draft]) -> None:
    """Pixels of a source are counted once for all drafts of it, near the first one's AOI; sets what is `settled`."""
    for item in _sources(drafts).values():
        takers = [draft for draft in drafts if draft.error is None and item.id in {one.id for one in draft.sources}]
        if not takers:
            continue
        keys = dict.fromkeys(key for draft in takers for key in draft.needs.keys if key not in draft.needs.categorical)
        try:
            evidence = gather(item, tuple(keys), near=takers[0].geometry)
        except ImageryError as error:
            for draft in takers:
                draft.fail(error)
            continue
        for draft in takers:
            _settle(draft, item, evidence)


def _sources(drafts: Sequence[Draft]) -> dict[str, pystac.Item]:
    return {item.id: item for draft in drafts for item in draft.sources}


def _settle(draft: Draft, item: pystac.Item, evidence: Evidence | None) -> None:
    try:
        for key in draft.needs.keys:
            decided = decide(item, key)
            settled = None if decided is None else settle(decided, evidence, key)
            if key in draft.settled and not _same(draft.settled[key], settled):
                raise RadiometryContradictory(
                    f"the tiles of the mosaic do not mean the same by the numbers of {key}: {item.id} says "
                    f"{_said(settled)}, another {_said(draft.settled[key])}; replay it when the provider has "
                    "processed them alike"
                )
            if item.id == draft.sources[0].id or key not in draft.settled:
                draft.settled[key] = settled
    except ImageryError as error:
        draft.fail(error)


def _same(one: Radiometry | None, other: Radiometry | None) -> bool:
    return _said(one) == _said(other)


def _said(radiometry: Radiometry | None) -> str:
    if radiometry is None:
        return "nothing"
    if radiometry.bands:
        return f"(scale, offset) of the bands {radiometry.bands}"
    return f"scale {radiometry.scale}, offset {radiometry.offset}"
