"""The STAC API as an application: served alone, or mounted in the service's."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from pydantic_settings import SettingsConfigDict
from stac_fastapi.api.app import StacApi
from stac_fastapi.api.models import (
    create_get_request_model,
    create_post_request_model,
)
from stac_fastapi.extensions.fields import FieldsExtension
from stac_fastapi.extensions.filter import FilterConformanceClasses as Cql2
from stac_fastapi.extensions.filter import ItemCollectionFilterExtension
from stac_fastapi.extensions.pagination import TokenPaginationExtension
from stac_fastapi.extensions.query import QueryExtension
from stac_fastapi.extensions.sort import ItemCollectionSortExtension, SearchSortExtension
from stac_fastapi.types.config import ApiSettings
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from imagery import __version__
from imagery.catalogs.sqlite.api.access import Access
from imagery.catalogs.sqlite.api.core import STAC_VERSION, CatalogClient
from imagery.catalogs.sqlite.api.parameters import ItemsParameters, SearchBody, SearchFilter, SearchParameters
from imagery.catalogs.sqlite.api.problems import BodyLimit, handle_errors
from imagery.catalogs.sqlite.api.queryables import Queryables
from imagery.catalogs.sqlite.api.transactions import Transactions
from imagery.catalogs.sqlite.store import CatalogStore

DESCRIPTION = "Satellite imagery clipped to its subscribers' areas. One item is one acquisition over one area."

# stac-fastapi names v1.1.0 alone; pystac-client 0.9 looks for v1.0.0 and would warn that nothing is sorted.
_SEARCH_SORT = [f"https://api.stacspec.org/v1.{minor}.0/item-search#sort" for minor in (0, 1)]
_ITEMS_SORT = [f"https://api.stacspec.org/v1.{minor}.0/ogcapi-features#sort" for minor in (0, 1)]
_CQL2 = [
    Cql2.FILTER,
    Cql2.BASIC_CQL2,
    Cql2.CQL2_JSON,
    Cql2.CQL2_TEXT,
    Cql2.ADVANCED_COMPARISON_OPERATORS,
    Cql2.CASE_INSENSITIVE_COMPARISON,
    Cql2.ACCENT_INSENSITIVE_COMPARISON,
    Cql2.BASIC_SPATIAL_FUNCTIONS,
    Cql2.SPATIAL_FUNCTIONS,
    Cql2.TEMPORAL_FUNCTIONS,
    Cql2.ARRAY_FUNCTIONS,
    Cql2.ARITHMETIC,
    Cql2.PROPERTY_PROPERTY,
]


class _Settings(ApiSettings):
    """Settings of the installation come from `imagery.settings`, not from a file that happens to lie there."""

    model_config = SettingsConfigDict(env_file=None, extra="forbid")


def create_app(store: CatalogStore, *, title: str, access: Access) -> FastAPI:
    """An ASGI application whose links are right wherever it is mounted; it never closes the store."""
    settings = _Settings(
        stac_fastapi_title=title,
        stac_fastapi_description=DESCRIPTION,
        stac_fastapi_version=__version__,
        stac_fastapi_landing_id="imagery",
        enable_response_models=False,
        enable_direct_response=False,
        openapi_url="/api",
        docs_url="/api.html",
        root_path="",
    )
    queryables = Queryables(store=store, access=access)
    on_search = [
        FieldsExtension(),
        QueryExtension(),
        SearchSortExtension(conformance_classes=_SEARCH_SORT),
        TokenPaginationExtension(),
        SearchFilter(client=queryables, conformance_classes=[*_CQL2, Cql2.SEARCH]),
    ]
    on_items = [
        FieldsExtension(conformance_classes=["https://api.stacspec.org/v1.0.0/ogcapi-features#fields"]),
        QueryExtension(conformance_classes=["https://api.stacspec.org/v1.0.0/ogcapi-features#query"]),
        ItemCollectionSortExtension(conformance_classes=_ITEMS_SORT),
        TokenPaginationExtension(),
        ItemCollectionFilterExtension(client=queryables, conformance_classes=[*_CQL2, Cql2.ITEMS]),
    ]
    api = StacApi(
        settings=settings,
        client=CatalogClient(store=store, access=access, title=title, description=DESCRIPTION),
        stac_version=STAC_VERSION,
        extensions=[*on_search, *on_items, Transactions(store=store, access=access)],
        router=APIRouter(),
        exceptions={},
        search_get_request_model=create_get_request_model(on_search, base_model=SearchParameters),
        search_post_request_model=create_post_request_model(on_search, base_model=SearchBody),
        items_get_request_model=create_get_request_model(on_items, base_model=ItemsParameters),
        middlewares=_middlewares(),
    )
    app: FastAPI = api.app
    handle_errors(app)
    return app


def _middlewares() -> list[Middleware]:
    """Innermost first. None reads forwarded headers: the server does, from proxies it was told to trust."""
    return [
        Middleware(BodyLimit),
        Middleware(GZipMiddleware, minimum_size=2_000, compresslevel=5),
        Middleware(
            CORSMiddleware,
            allow_origins=["*"],
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=["Authorization", "Content-Type", "Prefer"],
            expose_headers=["Location"],
            max_age=600,
        ),
    ]
