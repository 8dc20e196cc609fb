"""What a search takes, where stac-fastapi's own models say or do something else than we do."""

# Annotations are not postponed here: attrs would hand FastAPI their text, and it cannot look the names up.
from typing import Annotated, Any, Literal

import attr
from fastapi import Query
from pydantic import BaseModel, Field, model_validator
from stac_fastapi.api.models import ItemCollectionUri
from stac_fastapi.extensions.filter import SearchFilterExtension
from stac_fastapi.types.search import BaseSearchGetRequest, BaseSearchPostRequest, Limit

from imagery.catalogs.sqlite.conditions import MAX_LIMIT

_LIMIT = f"Items on a page. More than {MAX_LIMIT} gives {MAX_LIMIT}, and a link to the next page."


@attr.s
class SearchParameters(BaseSearchGetRequest):
    """Of GET /search."""

    limit: Annotated[Limit | None, Query(description=_LIMIT)] = attr.ib(default=10)


@attr.s
class ItemsParameters(ItemCollectionUri):
    """Of GET /collections/{id}/items."""

    limit: Annotated[Limit | None, Query(description=_LIMIT)] = attr.ib(default=10)


class SearchBody(BaseSearchPostRequest):
    """Of POST /search."""

    # Read by the store: stac-pydantic's own reading overflows at the ends of the calendar.
    datetime: str | None = None

    # Read by the store likewise: a model of each coordinate takes seconds for what is refused for its size anyway.
    intersects: dict[str, Any] | None = Field(  # type: ignore[assignment]
        None, description="A GeoJSON geometry; not together with bbox."
    )

    limit: Limit | None = Field(10, description=_LIMIT)

    @model_validator(mode="before")
    @classmethod
    def validate_spatial(cls, values: object) -> object:
        """Takes the place of stac-pydantic's own, which falls over a body that is no object."""
        if not isinstance(values, dict):
            raise ValueError("a search is a JSON object")  # noqa: TRY004 - pydantic wants a ValueError
        return values


class FilterBody(BaseModel):
    """What the filter extension adds to POST /search: text is taken as well as JSON, as clients send it."""

    filter_expr: dict[str, Any] | str | None = Field(None, alias="filter", description="CQL2, as JSON or as text.")
    filter_crs: str | None = Field(None, alias="filter-crs", description="Longitude and latitude, whatever is sent.")
    filter_lang: Literal["cql2-json", "cql2-text"] | None = Field(
        None, alias="filter-lang", description="May be left out: JSON and text are told apart."
    )


@attr.s
class SearchFilter(SearchFilterExtension):
    """Item search's filter extension with our body."""

    POST = FilterBody
