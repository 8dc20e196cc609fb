"""Options of filters and of what is done to the pixels, and how they are shown."""

from __future__ import annotations

from typing import Annotated

import typer

from imagery.model.processing import Index, Processing, Resampling

MaxCloudCover = Annotated[
    float | None, typer.Option("--max-cloud-cover", min=0, max=100, help="Percent of what is shown of the area.")
]
MinClear = Annotated[
    float | None, typer.Option("--min-clear", help="Fraction of the area that is shown clear, as 0.7.")
]
MinCoverage = Annotated[
    float | None, typer.Option("--min-coverage", help="Fraction of the area that is shown, as 0.9.")
]
Mask = Annotated[bool, typer.Option("--mask", help="Make pixels that are not clear nodata.")]
Harmonise = Annotated[bool, typer.Option("--harmonise", help="Take the offset off: number x scale is reflectance.")]
AllTouched = Annotated[bool, typer.Option("--all-touched", help="Every pixel the area touches, not by its centre.")]
Buffer = Annotated[float, typer.Option("--buffer", min=-1000, max=1000, help="Grow the area, metres; < 0: shrink it.")]
Indices = Annotated[
    list[str] | None,
    typer.Option("--index", help="Known one, as ndvi, or name=formula, as 'my=(nir-red)/(nir+red)'; repeatable."),
]
Resolution = Annotated[
    float | None, typer.Option("--resolution", min=0.1, max=10_000, help="One grid of so wide pixels, metres.")
]
Kernel = Annotated[
    Resampling, typer.Option("--resampling", help="Kernel onto that grid (--resolution); classes go by nearest.")
]
SingleFile = Annotated[bool, typer.Option("--single-file", help="Bands as one file instead of one each.")]


def parse_indices(texts: list[str] | None) -> tuple[Index, ...]:
    """`["ndvi", "my=nir/red"]` → two indices. Raises FormulaInvalid for a name that is no known one."""
    if not texts:
        return ()
    from imagery.service.processing import known_index

    found = []
    for number, text in enumerate(texts):
        name, separator, formula = (part.strip() for part in text.partition("="))
        field = f"/processing/indices/{number}"
        found.append(Index(name=name, formula=formula) if separator else known_index(name, field=field))
    return tuple(found)


def processing_facts(processing: Processing) -> dict[str, object]:
    """What differs from the default, for a person."""
    resolution = None if processing.resolution_m is None else f"{processing.resolution_m:g} m, {processing.resampling}"
    return {
        "mask": "what is not clear" if processing.mask else None,
        "harmonised": "yes" if processing.harmonise else None,
        "pixels": "all that are touched" if processing.all_touched else None,
        "buffer": f"{processing.buffer_m:g} m" if processing.buffer_m else None,
        "indices": "; ".join(f"{index.name} = {index.formula}" for index in processing.indices) or None,
        "grid": resolution,
        "bands in": "one file" if processing.single_file else None,
    }
