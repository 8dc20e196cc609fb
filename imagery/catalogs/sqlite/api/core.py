"""Landing page, collections, items and search: the reading side of the STAC API."""

from __future__ import annotations

import json
from typing import Any

from stac_fastapi.types.core import BaseCoreClient
from starlette.requests import Request
from starlette.responses import Response

from imagery.catalogs.sqlite.api.access import Access
from imagery.catalogs.sqlite.api.answers import (
    GEOJSON,
    JSON,
    QUERYABLES_REL,
    SCHEMA_JSON,
    Fields,
    base_url,
    collection_with_links,
    item_response,
    page_response,
    root_link,
)
from imagery.catalogs.sqlite.conditions import ItemQuery
from imagery.catalogs.sqlite.store import CatalogStore
from imagery.errors import FilterInvalid

STAC_VERSION = "1.1.0"
OPENAPI_JSON = "application/vnd.oai.openapi+json;version=3.0"


# stac-fastapi declares the documents a client gives and passes Responses through just as well; ours give those.
_Client: Any = BaseCoreClient


class CatalogClient(_Client):  # type: ignore[misc]
    """stac-fastapi calls this; it parses what was asked, asks the store for the caller's scope, and answers."""

    def __init__(self, *, store: CatalogStore, access: Access, title: str, description: str) -> None:
        super().__init__(stac_version=STAC_VERSION, landing_page_id="imagery", title=title, description=description)
        self._store = store
        self._access = access

    def landing_page(self, **kwargs: Any) -> dict[str, Any]:
        """GET /; open."""
        base = base_url(kwargs["request"])
        links = [
            ("self", JSON, "", "This document"),
            ("root", JSON, "", self.title),
            ("data", JSON, "collections", "Collections"),
            ("conformance", JSON, "conformance", "Conformance classes"),
            (QUERYABLES_REL, SCHEMA_JSON, "queryables", "Queryables"),
            ("service-desc", OPENAPI_JSON, "api", "OpenAPI description"),
            ("service-doc", "text/html", "api.html", "API documentation"),
        ]
        made = [{"rel": rel, "type": kind, "title": title, "href": base + path} for rel, kind, path, title in links]
        made += [
            {"rel": "search", "type": GEOJSON, "title": "Search", "href": f"{base}search", "method": method}
            for method in ("GET", "POST")
        ]
        return {
            "type": "Catalog",
            "stac_version": STAC_VERSION,
            "id": self.landing_page_id,
            "title": self.title,
            "description": self.description,
            "conformsTo": self.conformance_classes(),
            "links": made,
        }

    def all_collections(self, **kwargs: Any) -> dict[str, Any]:
        """GET /collections."""
        request: Request = kwargs["request"]
        base = base_url(request)
        found = self._store.collections(owner=self._access.scope(request))
        return {
            "collections": [collection_with_links(body, base) for body in found],
            "numberMatched": len(found),
            "numberReturned": len(found),
            "links": [
                {"rel": "self", "type": JSON, "title": "Collections", "href": f"{base}collections"},
                root_link(base),
            ],
        }

    def get_collection(self, collection_id: str, **kwargs: Any) -> dict[str, Any]:
        """GET /collections/{id}."""
        request: Request = kwargs["request"]
        body = self._store.get_collection(collection_id, owner=self._access.scope(request))
        return collection_with_links(body, base_url(request))

    def get_item(self, item_id: str, collection_id: str, **kwargs: Any) -> Response:
        """GET /collections/{id}/items/{id}."""
        request: Request = kwargs["request"]
        stored = self._store.get_item(collection_id, item_id, owner=self._access.scope(request))
        return item_response(stored, base_url(request))

    def item_collection(self, collection_id: str, **kwargs: Any) -> Response:
        """GET /collections/{id}/items."""
        request: Request = kwargs["request"]
        self._store.get_collection(collection_id, owner=self._access.scope(request))
        return self._found(request, _of_parameters({**kwargs, "collections": [collection_id]}), _fields_of(kwargs))

    def get_search(self, **kwargs: Any) -> Response:
        """GET /search."""
        return self._found(kwargs["request"], _of_parameters(kwargs), _fields_of(kwargs))

    def post_search(self, search_request: Any, **kwargs: Any) -> Response:
        """POST /search."""
        body = search_request.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
        query = ItemQuery(
            ids=search_request.ids,
            collections=search_request.collections,
            bbox=search_request.bbox,
            intersects=body.get("intersects"),
            datetime=body.get("datetime"),
            filter=search_request.filter_expr,
            query=search_request.query,
            sortby=tuple((term["field"], term["direction"] == "desc") for term in body.get("sortby") or ()),
            limit=10 if search_request.limit is None else search_request.limit,
            token=search_request.token,
        )
        fields = None
        if "fields" in body:
            # Only a list that was sent, and holds something, narrows the answer.
            include, exclude = (frozenset(body["fields"].get(key) or ()) for key in ("include", "exclude"))
            fields = Fields(include=include if include or not exclude else None, exclude=exclude)
        return self._found(kwargs["request"], query, fields, body=body)

    def _found(
        self, request: Request, query: ItemQuery, fields: Fields | None, *, body: dict[str, Any] | None = None
    ) -> Response:
        page = self._store.search(query, owner=self._access.scope(request))
        return page_response(page, request, fields=fields, body=body)


def _of_parameters(sent: dict[str, Any]) -> ItemQuery:
    """A search as a GET puts it. Raises FilterInvalid."""
    expression = sent.get("filter_expr")
    if expression and sent.get("filter_lang") == "cql2-json":
        expression = _json("filter", expression)
    limit = sent.get("limit")
    return ItemQuery(
        ids=sent.get("ids"),
        collections=sent.get("collections"),
        bbox=sent.get("bbox"),
        intersects=_json("intersects", sent["intersects"]) if sent.get("intersects") else None,
        datetime=sent.get("datetime"),
        filter=expression or None,
        query=_json("query", sent["query"]) if sent.get("query") else None,
        sortby=tuple(_sort_term(text) for text in sent.get("sortby") or ()),
        limit=10 if limit is None else limit,
        token=sent.get("token"),
    )


def _sort_term(text: str) -> tuple[str, bool]:
    # An unescaped + in a query string is a space.
    return text.strip().lstrip("+-"), text.strip().startswith("-")


def _fields_of(sent: dict[str, Any]) -> Fields | None:
    names = [name.strip() for name in sent.get("fields") or ()]
    if not names:
        return None
    exclude = frozenset(name[1:] for name in names if name.startswith("-"))
    include = frozenset(name.lstrip("+") for name in names if not name.startswith("-"))
    return Fields(include=include or None, exclude=exclude)


def _json(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FilterInvalid(f"{name}: it is not JSON ({error})", field=f"/{name}") from error
    if not isinstance(value, dict):
        raise FilterInvalid(f"{name}: it is no JSON object", field=f"/{name}")
    return value
