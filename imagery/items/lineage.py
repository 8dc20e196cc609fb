"""What was done to the pixels: in one sentence for a person, and as the options that were not left as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from imagery.model.processing import Processing


def lineage_of(sources: Sequence[str], subscription_id: str, processing: Processing, *, band: str | None) -> str:
    """One sentence. `sources` are item ids, the one on top first; `band` the quality band that was read, or None."""
    area = f"the area of {subscription_id}{_grown(processing.buffer_m)}"
    return "; ".join([f"{_subject(sources)} cut to {area} on {_grid(sources, processing)}", *_steps(processing, band)])


def options_of(processing: Processing) -> dict[str, Any]:
    """Those that differ from the default, as JSON."""
    default, said = Processing(), asdict(processing)
    names = [field.name for field in fields(Processing)]
    changed = {name: said[name] for name in names if getattr(processing, name) != getattr(default, name)}
    if "resampling" in changed:
        changed["resampling"] = processing.resampling.value
    if "indices" in changed:
        changed["indices"] = list(said["indices"])
    return changed


def _subject(sources: Sequence[str]) -> str:
    top, *below = sources
    return f"mosaic of {top} on top of {_listed(below)}," if below else top


def _grown(buffer_m: float) -> str:
    if buffer_m == 0:
        return ""
    return f", {'grown' if buffer_m > 0 else 'shrunk'} by {abs(buffer_m):g} m,"


def _grid(sources: Sequence[str], processing: Processing) -> str:
    if processing.resolution_m is not None:
        kernel = processing.resampling.value
        classes = "" if kernel == "nearest" else " (classes by nearest)"
        return f"one grid of {processing.resolution_m:g} m by {kernel}{classes}"
    return f"the grid of {sources[0]}" if len(sources) > 1 else "the source's own grid"


def _steps(processing: Processing, band: str | None) -> list[str]:
    outside = "pixels that it does not touch" if processing.all_touched else "pixels outside it"
    unclear = f" and pixels that are not clear{f' by {band}' if band else ''}" if processing.mask else ""
    return [
        f"{outside}{unclear} are nodata",
        *(["the offset of reflectance is taken off the stored numbers"] if processing.harmonise else []),
        *([f"{_listed([index.name for index in processing.indices])} computed of it"] if processing.indices else []),
        *(["bands in one file"] if processing.single_file else []),
    ]


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
