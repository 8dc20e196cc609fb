"""What callers send and are shown of filters and of what is done to the pixels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, WithJsonSchema

from imagery.model.processing import Index, Processing, Resampling
from imagery.model.subscription import Filters
from imagery.raster.formula import ALLOWED, MAX_LENGTH
from imagery.raster.index import KNOWN
from imagery.service.processing import (
    FRACTION,
    MAX_BUFFER_M,
    MAX_INDICES,
    MAX_RESOLUTION_M,
    MIN_RESOLUTION_M,
    NAME,
    known_index,
)

_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def _fraction(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"write {FRACTION}")
    return value


_Fraction = Annotated[
    _Number, AfterValidator(_fraction), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})
]
CLEAR = (
    "Clear are, in a Sentinel-2 `scl`, classes 2, 4, 5, 6 (water) and 7; 3 is shadow; 8, 9 and 10 are cloud; 11 is "
    "snow; 0 is no data; 1 and any other are unknown. In a Landsat `qa_pixel` bit 0 is no data, 1 to 3 are cloud, 4 is "
    "shadow, 5 snow, the rest clear. In a `udm2` cloud and haze are cloud, its other bands what they say."
)
_V = TypeVar("_V", Filters, Processing)


class FiltersBody(BaseModel):
    """Which acquisitions are wanted; what is said of the AOI is counted in the quality band before anything is cut.

    A filter acts on what comes. Once it is loosened, what filters skipped is judged again; what was delivered stays.
    """

    model_config = ConfigDict(extra="forbid")

    max_cloud_cover: Annotated[_Number, Field(ge=0, le=100)] | None = Field(
        default=None,
        description="Percent of what the acquisition shows of the AOI; of the scene (`eo:cloud_cover`) where there is "
        "no quality band. null: any.",
    )
    min_clear_fraction: _Fraction | None = Field(
        default=None,
        description="Least fraction of the AOI's pixels that is shown and is clear: no cloud, shadow or snow, nothing "
        f"unknown. Needs a quality band. {CLEAR} null: any.",
    )
    min_coverage: _Fraction | None = Field(
        default=None, description="Least fraction of the AOI's pixels that is shown. null: any that shows some."
    )

    def laid_over(self, present: Filters) -> Filters:
        """As a merge patch: what is not named stays, null goes back to the default."""
        return _merged(present, self._named())

    def _named(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set}


class IndexBody(BaseModel):
    """An index of your own."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=f"^{NAME.pattern}$", description="Asset key of the result; not that of an asset.")
    formula: str = Field(
        min_length=1,
        max_length=MAX_LENGTH,
        description=f"Of the bands' physical values, reflectance as a rule; {ALLOWED}.",
        examples=["(nir - red) / (nir + red)"],
    )


_KNOWN = f"A known index, in capitals or not: {', '.join(sorted(KNOWN))}."


def _written_out(value: object) -> object:
    """The name of a known index is short for what it is."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(NAME, value.lower()):
        known = ", ".join(sorted(KNOWN))
        raise ValueError(f"write the name of a known index ({known}), or an object with name and formula")
    return IndexBody.model_construct(name=value, formula="")


_IndexItem = Annotated[
    IndexBody,
    BeforeValidator(_written_out),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]{0,31}$", "description": _KNOWN},
                IndexBody.model_json_schema(),
            ]
        }
    ),
]

EXAMPLE: dict[str, Any] = {"mask": True, "indices": ["ndvi", {"name": "ratio", "formula": "nir / red"}]}


class ProcessingBody(BaseModel):
    """What is done to the pixels on their way; null, or left out: the default."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    mask: StrictBool | None = Field(
        default=None, description="Make pixels that are not clear nodata. Needs a quality band. null: false."
    )
    harmonise: StrictBool | None = Field(
        default=None,
        description="Store reflectance with its offset taken off, so that number x scale is reflectance whatever the "
        "processing baseline. null: false.",
    )
    all_touched: StrictBool | None = Field(
        default=None, description="Take every pixel the AOI touches, not only those whose centre it holds. null: false."
    )
    buffer_m: Annotated[_Number, Field(ge=-MAX_BUFFER_M, le=MAX_BUFFER_M)] | None = Field(
        default=None, description="Grow the AOI by so many metres; less than 0: shrink it. null: 0."
    )
    indices: Annotated[list[_IndexItem], Field(max_length=MAX_INDICES)] | None = Field(
        default=None,
        description="Computed of reflectance and delivered as assets of their own: names of known ones, or name and "
        "formula. In a patch the list is replaced as a whole. null: none.",
    )
    resolution_m: Annotated[_Number, Field(ge=MIN_RESOLUTION_M, le=MAX_RESOLUTION_M)] | None = Field(
        default=None, description="Lay all assets on one grid of pixels this wide, metres. null: each on its own."
    )
    resampling: Resampling | None = Field(
        default=None,
        description="Kernel by which they are laid on it; classes always go by nearest. Another than nearest needs "
        "`resolution_m`. null: nearest.",
    )
    single_file: StrictBool | None = Field(
        default=None, description="Deliver the bands as one file, asset `bands`, instead of one each. null: false."
    )

    def laid_over(self, present: Processing) -> Processing:
        """As a merge patch. Raises FormulaInvalid for a name that is no known index."""
        named = {name: getattr(self, name) for name in self.model_fields_set}
        if self.indices is not None:
            named["indices"] = tuple(
                Index(name=one.name, formula=one.formula)
                if one.formula
                else known_index(one.name, field=f"/processing/indices/{n}")
                for n, one in enumerate(self.indices)
            )
        return _merged(present, named)


class FiltersView(BaseModel):
    """Which acquisitions are wanted; null: any."""

    max_cloud_cover: float | None = Field(description="Percent of what is shown of the AOI.")
    min_clear_fraction: float | None = Field(description="Least fraction of the AOI that is shown clear.")
    min_coverage: float | None = Field(description="Least fraction of the AOI that is shown.")

    @classmethod
    def of(cls, filters: Filters) -> FiltersView:
        """All of them."""
        return cls(**_shown(filters))


class IndexView(BaseModel):
    """An index, written out."""

    name: str = Field(description="Asset key of the result.")
    formula: str


class ProcessingView(BaseModel):
    """What is done to the pixels from the next delivery on; it can be sent as it is."""

    mask: bool
    harmonise: bool
    all_touched: bool
    buffer_m: float
    indices: list[IndexView]
    resolution_m: float | None
    resampling: Resampling
    single_file: bool

    @classmethod
    def of(cls, processing: Processing) -> ProcessingView:
        """All of it."""
        indices = [IndexView(name=index.name, formula=index.formula) for index in processing.indices]
        return cls(**_shown(processing) | {"indices": indices})


def _merged(present: _V, named: Mapping[str, Any]) -> _V:
    default = type(present)()
    return replace(
        present, **{name: getattr(default, name) if value is None else value for name, value in named.items()}
    )


def _shown(value: Filters | Processing) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value)}
