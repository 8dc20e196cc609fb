"""A local Earth Search: the STAC API as recorded from the real one, and the scenes' files with HTTP ranges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from imagery.errors import CollectionUnknown, FilterInvalid, ItemUnknown
from imagery.sandbox.control import control_routes
from imagery.sandbox.faults import Faults, read_rule
from imagery.sandbox.faulty import Faulty
from imagery.sandbox.query import DEFAULT_LIMIT, KNOWN, parse_query
from imagery.sandbox.rasters import media_type
from imagery.sandbox.scenes import Scene, Scenes
from imagery.sandbox.shelf import Found, Shelf

GEOJSON = "application/geo+json"
MAX_BODY_BYTES = 2**20
STAC = "https://api.stacspec.org/v1.0.0"
CONFORMS_TO = [
    f"{STAC}/core",
    f"{STAC}/collections",
    f"{STAC}/ogcapi-features",
    f"{STAC}/item-search",
    *(f"{STAC}/{place}#{name}" for place in ("ogcapi-features", "item-search") for name in ("fields", "sort", "query")),
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
]
"""As recorded, less aggregation."""


def create_app(shelf: Shelf | Scenes, *, base_url: str | None = None, faults: Faults | None = None) -> Starlette:
    """The sandbox as an ASGI app. `base_url` is for links when a proxy stands in front; else what the caller used.

    `faults` are those it begins with; others can be added while it is served, at /_faults.
    """
    sandbox = _Sandbox(shelf if isinstance(shelf, Shelf) else Shelf(shelf), base_url)
    faults = Faults() if faults is None else faults
    return Starlette(
        routes=[
            Route("/", sandbox.landing),
            Route("/conformance", sandbox.conformance),
            Route("/collections", sandbox.collections),
            Route("/collections/{collection}", sandbox.collection),
            Route("/collections/{collection}/items", sandbox.items),
            Route("/collections/{collection}/items/{item}", sandbox.item),
            Route("/search", sandbox.search, methods=["GET", "POST"]),
            Route("/files/{collection}/{item}/{asset}/{name}", sandbox.file),
            *control_routes(faults, read_rule),
        ],
        middleware=[Middleware(Faulty, faults=faults)],
        exception_handlers={
            CollectionUnknown: _not_found,
            ItemUnknown: _not_found,
            FilterInvalid: _bad_request,
            HTTPException: _http_error,
        },
    )


class _Sandbox:
    """The routes. Searches are small and in memory, so they may run on the event loop."""

    def __init__(self, shelf: Shelf, base_url: str | None) -> None:
        self._shelf = shelf
        self._base_url = base_url.rstrip("/") if base_url else None

    async def landing(self, request: Request) -> Response:
        base = self._base(request)
        children = [
            _link("child", f"{base}/collections/{quote(str(one['id']), safe='')}", GEOJSON)
            for one in self._shelf.collections()
        ]
        return JSONResponse(
            {
                "stac_version": "1.0.0",
                "type": "Catalog",
                "id": "earth-search-sandbox",
                "title": "Earth Search sandbox",
                "description": "A local STAC API that behaves as Earth Search by Element 84 was recorded to",
                "links": [
                    _link("self", base),
                    _link("root", base),
                    _link("conformance", f"{base}/conformance"),
                    _link("data", f"{base}/collections"),
                    {**_link("search", f"{base}/search", GEOJSON), "method": "GET"},
                    {**_link("search", f"{base}/search", GEOJSON), "method": "POST"},
                    *children,
                ],
                "conformsTo": CONFORMS_TO,
            }
        )

    async def conformance(self, request: Request) -> Response:
        del request
        return JSONResponse({"conformsTo": CONFORMS_TO})

    async def collections(self, request: Request) -> Response:
        base = self._base(request)
        served = [self._served_collection(one, base) for one in self._shelf.collections()]
        return JSONResponse(
            {
                "collections": served,
                "links": [_link("self", f"{base}/collections"), _link("root", base)],
                "context": {"page": 1, "limit": len(served), "matched": len(served), "returned": len(served)},
            }
        )

    async def collection(self, request: Request) -> Response:
        one = self._shelf.collection(request.path_params["collection"])
        return JSONResponse(self._served_collection(one, self._base(request)))

    async def items(self, request: Request) -> Response:
        base, collection = self._base(request), request.path_params["collection"]
        self._shelf.collection(collection)
        given = {**_from_parameters(request.query_params), "collections": [collection]}
        url = f"{base}/collections/{quote(collection, safe='')}"
        links = [_link("self", f"{url}/items", GEOJSON), _link("collection", url)]
        return self._page(request, given, links, next_url=f"{url}/items")

    async def item(self, request: Request) -> Response:
        scene = self._shelf.get(request.path_params["collection"], request.path_params["item"])
        return JSONResponse(self._served(scene, self._base(request)), media_type=GEOJSON)

    async def search(self, request: Request) -> Response:
        given = await _body(request) if request.method == "POST" else _from_parameters(request.query_params)
        return self._page(request, given, [], next_url=f"{self._base(request)}/search")

    async def file(self, request: Request) -> Response:
        """A file whole or in ranges (206, 416, If-Range), which Starlette does; only what a scene names is served."""
        named = request.path_params
        path = self._shelf.file(named["collection"], named["item"], named["asset"])
        if path is None or path.name != named["name"] or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, media_type=media_type(path))

    def _page(
        self, request: Request, given: Mapping[str, Any], links: list[dict[str, Any]], *, next_url: str
    ) -> Response:
        query = parse_query(given)
        base, found = self._base(request), self._shelf.search(query)
        scenes = [self._shelf.get(item["collection"], item["id"]) for item in found.items]
        following = [_next_link(request, given, found, next_url)] if found.token else []
        return JSONResponse(
            {
                "type": "FeatureCollection",
                "stac_version": "1.0.0",
                "stac_extensions": [],
                "context": {"limit": query.limit, "matched": found.matched, "returned": len(scenes)},
                "numberMatched": found.matched,
                "numberReturned": len(scenes),
                "features": [_with_fields(self._served(scene, base), query.fields) for scene in scenes],
                "links": [*following, _link("root", base), *links],
            },
            media_type=GEOJSON,
        )

    def _served(self, scene: Scene, base: str) -> dict[str, Any]:
        """The item with every href of the sandbox leading to the sandbox."""
        collection = f"{base}/collections/{quote(scene.collection, safe='')}"
        item, files = quote(scene.id, safe=""), f"{base}/files/{quote(scene.collection, safe='')}"
        external = [link for link in scene.item.get("links") or [] if _leads_outside(link)]
        return {
            **scene.item,
            "links": [
                _link("self", f"{collection}/items/{item}", GEOJSON),
                *external,
                _link("parent", collection),
                _link("collection", collection),
                _link("root", base),
            ],
            "assets": {
                key: {**asset, "href": f"{files}/{item}/{quote(key, safe='')}/{quote(scene.files[key].name)}"}
                for key, asset in scene.item["assets"].items()
                if key in scene.files
            },
        }

    def _served_collection(self, collection: Mapping[str, Any], base: str) -> dict[str, Any]:
        url = f"{base}/collections/{quote(str(collection['id']), safe='')}"
        external = [link for link in collection.get("links") or [] if _leads_outside(link)]
        own = [_link("self", url), _link("parent", base), _link("root", base), _link("items", f"{url}/items", GEOJSON)]
        return {**collection, "links": [*own, *external]}

    def _base(self, request: Request) -> str:
        return self._base_url or str(request.base_url).rstrip("/")


def _link(rel: str, href: str, media: str = "application/json") -> dict[str, Any]:
    return {"rel": rel, "type": media, "href": href}


def _leads_outside(link: Any) -> bool:
    """Licences, sources and the like; the rest is written anew."""
    rewritten = ("self", "root", "parent", "collection", "item", "items", "child", "thumbnail", "canonical")
    return isinstance(link, dict) and link.get("rel") not in rewritten and "://" in str(link.get("href"))


def _next_link(request: Request, given: Mapping[str, Any], found: Found, url: str) -> dict[str, Any]:
    """As recorded: the body whole with the token in it, what was not understood left out, 9.0 written as 9."""
    link = {"rel": "next", "title": "Next page of Items", "method": request.method, "type": GEOJSON}
    if request.method == "POST":
        body = {key: given[key] for key in KNOWN if key in given}
        if "bbox" in body:
            body["bbox"] = [int(n) if isinstance(n, float) and n.is_integer() else n for n in body["bbox"]]
        return {**link, "href": url, "merge": False, "body": {**body, "next": found.token}}
    parameters = {key: value for key, value in request.query_params.items() if key != "next"}
    return {**link, "method": "GET", "href": f"{url}?{urlencode({**parameters, 'next': found.token or ''})}"}


async def _body(request: Request) -> dict[str, Any]:
    content = b""
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                raise HTTPException(413)
    except ClientDisconnect as error:
        raise FilterInvalid("the caller has gone") from error
    try:
        body = json.loads(content or b"{}")
    except (ValueError, RecursionError) as error:
        raise FilterInvalid(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise FilterInvalid("the body is no JSON object")
    return body


def _from_parameters(parameters: Mapping[str, str]) -> dict[str, Any]:
    """GET parameters as a POST body says the same."""
    given: dict[str, Any] = {key: value for key, value in parameters.items() if value != ""}
    try:
        for key in ("collections", "ids"):
            if key in given:
                given[key] = given[key].split(",")
        if "bbox" in given:
            given["bbox"] = [float(number) for number in given["bbox"].split(",")]
        for key in ("intersects", "query"):
            if key in given:
                given[key] = json.loads(given[key])
    except ValueError as error:
        raise FilterInvalid(f"the search cannot be read: {error}") from error
    if "sortby" in given:
        given["sortby"] = [
            {"field": one.lstrip("+- "), "direction": "desc" if one.startswith("-") else "asc"}
            for one in given["sortby"].split(",")
        ]
    if "fields" in given:
        names = given["fields"].split(",")
        given["fields"] = {
            "include": [name.lstrip("+ ") for name in names if not name.startswith("-")],
            "exclude": [name[1:] for name in names if name.startswith("-")],
        }
    given["limit"] = given.get("limit", DEFAULT_LIMIT)
    return given


def _with_fields(item: dict[str, Any], fields: Any) -> dict[str, Any]:
    """The item with the fields asked for; `id` and `collection` always."""
    if not isinstance(fields, Mapping):
        return item
    include, exclude = fields.get("include") or [], fields.get("exclude") or []
    kept = dict(item)
    if include:
        tops = {str(name).partition(".")[0] for name in include} | {"id", "collection", "type", "stac_version"}
        kept = {key: value for key, value in item.items() if key in tops}
        wanted = {str(name).removeprefix("properties.") for name in include if str(name).startswith("properties.")}
        if wanted and "properties" not in include:
            kept["properties"] = {key: value for key, value in item["properties"].items() if key in wanted}
    for name in map(str, exclude):
        top, _, inner = name.partition(".")
        if not inner:
            kept.pop(top, None)
        elif isinstance(kept.get(top), dict):
            kept[top] = {key: value for key, value in kept[top].items() if key != inner}
    return kept


async def _not_found(request: Request, error: Exception) -> Response:
    del request, error
    return JSONResponse({"code": "NotFound", "description": "Not Found"}, status_code=404)


async def _bad_request(request: Request, error: Exception) -> Response:
    del request
    return JSONResponse({"code": "BadRequest", "description": str(error)}, status_code=400)


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return await _not_found(request, error)
    return JSONResponse({"code": "Error", "description": str(error)}, status_code=status)
