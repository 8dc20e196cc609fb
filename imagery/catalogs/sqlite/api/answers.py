"""What the STAC API sends: items put together from stored JSON, and the links that only a request can tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from imagery.catalogs.sqlite.records import StoredItem
from imagery.catalogs.sqlite.search import ItemPage

GEOJSON = "application/geo+json"
JSON = "application/json"
SCHEMA_JSON = "application/schema+json"
QUERYABLES_REL = "http://www.opengis.net/def/rel/ogc/1.0/queryables"

Link = dict[str, Any]

_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+")
_BASE_FIELDS = (
    "type",
    "stac_version",
    "id",
    "geometry",
    "bbox",
    "links",
    "assets",
    "collection",
    "properties.datetime",
)
_ALWAYS = ("type", "id", "collection")


def base_url(request: Request) -> str:
    """Where this catalog is served, with a slash at the end.

    Not `request.base_url`: that is the outer application's when this one is mounted in it.
    """
    return f"{_origin(request)}{quote(request.scope.get('root_path', '').rstrip('/'))}/"


def own_url(request: Request) -> str:
    """Of the request, without its query."""
    return _origin(request) + quote(request.scope["path"])


def _origin(request: Request) -> str:
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        server = request.scope.get("server") or ("localhost", None)
        host = server[0] if server[1] is None else f"{server[0]}:{server[1]}"
    return f"{request.scope.get('scheme', 'http')}://{host}"


def root_link(base: str) -> Link:
    """To the landing page."""
    return {"rel": "root", "type": JSON, "title": "Catalog", "href": base}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fields:
    """The Fields extension's wish. `properties.` may be left off a name."""

    include: frozenset[str] | None = None
    """None: all; empty: the members a STAC item cannot do without."""

    exclude: frozenset[str] = frozenset()

    def picked(self, item: dict[str, Any]) -> dict[str, Any]:
        """Of an item's JSON. A name in both lists is included."""
        gone = self.exclude - (self.include or frozenset())
        if self.include is None:
            kept = dict(item)
        else:
            kept = {}
            names = [*_ALWAYS, *sorted(self.include)] if self.include else _BASE_FIELDS
            for name in names:
                _copy(item, kept, _path(item, name))
        for name in gone:
            _drop(kept, _path(item, name))
        return kept


def _path(item: dict[str, Any], name: str) -> list[str]:
    head, dot, tail = name.partition(".")
    if head == "properties" and dot:
        return ["properties", tail]
    return name.split(".") if head in item else ["properties", name]


def _copy(source: dict[str, Any], target: dict[str, Any], path: Sequence[str]) -> None:
    head, *rest = path
    if head not in source:
        return
    if not rest:
        target[head] = source[head]
    elif isinstance(source[head], dict):
        inner = target.setdefault(head, {})
        if inner is not source[head]:
            _copy(source[head], inner, rest)


def _drop(target: dict[str, Any], path: Sequence[str]) -> None:
    head, *rest = path
    if not rest:
        target.pop(head, None)
    elif isinstance(target.get(head), dict):
        target[head] = dict(target[head])  # the source's own object stays as it is
        _drop(target[head], rest)


def feature(item: StoredItem, base: str) -> bytes:
    """One item's JSON. Nothing stored is parsed on the way but links to other items beside this one."""
    collection = f"{base}collections/{quote(item.collection)}"
    url = f"{collection}/items/{quote(item.id)}"
    made: list[Link] = [
        {"rel": "self", "type": GEOJSON, "title": item.id, "href": url},
        {"rel": "parent", "type": JSON, "title": item.collection, "href": collection},
        {"rel": "collection", "type": JSON, "title": item.collection, "href": collection},
        root_link(base),
    ]
    links = _dumps(made)
    if item.links != b"[]":
        links = links[:-1] + b"," + _resolved(item.links, url)[1:]
    parts = (
        b'{"type":"Feature","id":' + _dumps(item.id),
        b'"collection":' + _dumps(item.collection),
        b'"properties":' + item.properties,
        b'"links":' + links,
    )
    rest = b"," + item.rest[1:] if item.rest != b"{}" else b"}"
    return b",".join(parts) + rest


def _resolved(links: bytes, url: str) -> bytes:
    """A stored `./<item id>` leads to the item beside this one, which is at `url`; searches are answered elsewhere."""
    if b'"href":"./' not in links:
        return links
    return _dumps([_with_whole_href(link, url) for link in json.loads(links)])


def _with_whole_href(link: Link, url: str) -> Link:
    href = link.get("href")
    if not isinstance(href, str) or not href.startswith("./"):
        return link
    return {**link, "href": url.rpartition("/")[0] + href[1:]}


def item_response(item: StoredItem, base: str, *, status: int = 200) -> Response:
    """One item."""
    location = f"{base}collections/{quote(item.collection)}/items/{quote(item.id)}"
    headers = {"Location": location} if status == 201 else None
    return Response(feature(item, base), status, headers, GEOJSON)


def page_response(page: ItemPage, request: Request, *, fields: Fields | None, body: dict[str, Any] | None) -> Response:
    """An ItemCollection; `body` is the search as it was POSTed, None after a GET."""
    base = base_url(request)
    links: list[Link] = [
        root_link(base),
        {
            "rel": "self",
            "type": GEOJSON,
            "title": "This page",
            "href": _with_query(own_url(request), request.url.query),
        },
    ]
    if request.url.path.endswith("/items"):
        collection = own_url(request).removesuffix("/items")
        links.append({"rel": "collection", "type": JSON, "title": "Collection", "href": collection})
    if page.next_token is not None:
        links.append(_next_link(request, page.next_token, body))
    features: Iterable[bytes] = (feature(item, base) for item in page.items)
    if fields is not None:
        features = (_dumps(fields.picked(json.loads(text))) for text in features)
    head: dict[str, Any] = {"type": "FeatureCollection", "numberReturned": len(page.items)}
    if page.matched is not None:
        head["numberMatched"] = page.matched
    head["links"] = links
    return Response(_dumps(head)[:-1] + b',"features":[' + b",".join(features) + b"]}", media_type=GEOJSON)


def _next_link(request: Request, token: str, body: dict[str, Any] | None) -> Link:
    url = own_url(request)
    if body is not None:
        return {
            "rel": "next",
            "type": GEOJSON,
            "title": "Next page",
            "method": "POST",
            "href": url,
            "body": {**body, "token": token},
            "merge": False,
        }
    query = [(k, v) for k, v in parse_qsl(request.url.query, keep_blank_values=True) if k != "token"]
    return {
        "rel": "next",
        "type": GEOJSON,
        "title": "Next page",
        "method": "GET",
        "href": _with_query(url, urlencode([*query, ("token", token)])),
    }


def _with_query(url: str, query: str) -> str:
    return f"{url}?{query}" if query else url


def collection_with_links(body: dict[str, Any], base: str) -> dict[str, Any]:
    """A stored collection, as it is served at `base`."""
    url = f"{base}collections/{quote(body['id'])}"
    made: list[Link] = [
        {"rel": "self", "type": JSON, "title": body.get("title") or body["id"], "href": url},
        {**root_link(base), "rel": "parent"},
        root_link(base),
        {"rel": "items", "type": GEOJSON, "title": "Items", "href": f"{url}/items"},
        {"rel": QUERYABLES_REL, "type": SCHEMA_JSON, "title": "Queryables", "href": f"{url}/queryables"},
    ]
    return {**body, "links": [*made, *body.get("links", [])]}


def _dumps(value: object) -> bytes:
    # Escaped: a name that was sent back in a link may hold what UTF-8 cannot.
    return json.dumps(value, separators=(",", ":")).encode()
