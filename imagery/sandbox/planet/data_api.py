"""Planet's Data API: item types, items and their assets, searches quick and saved."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import rasterio
from rasterio.features import geometry_mask
from rasterio.warp import transform_geom
from shapely.geometry import mapping
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagery.model.codec import format_instant, parse_instant
from imagery.raster.gdal import unwarned
from imagery.sandbox.planet.account import Account
from imagery.sandbox.planet.bodies import base_of, read_json
from imagery.sandbox.planet.bundles import ITEM_TYPE, item_type_document
from imagery.sandbox.planet.catalogue import PlanetScene
from imagery.sandbox.planet.refusals import forbidden, invalid_query, no_search, nothing_here
from imagery.sandbox.planet.searching import Page, check_search, interval_start, matching
from imagery.sandbox.planet.wishes import hectares, read_polygon

ROOT = "/data/v1"
_ITEM = ROOT + "/item-types/{item_type}/items/{item}"


def data_routes(account: Account) -> list[Route]:
    """Below /data/v1."""
    api = _DataApi(account)
    return [
        Route(f"{ROOT}/item-types", api.item_types),
        Route(f"{ROOT}/item-types/{{item_type}}", api.item_type),
        Route(_ITEM, api.item),
        Route(_ITEM + "/assets", api.assets),
        Route(_ITEM + "/assets/", api.assets),
        Route(_ITEM + "/coverage", api.coverage, methods=["POST"]),
        Route(f"{ROOT}/assets/{{asset}}", api.asset),
        Route(f"{ROOT}/assets/{{asset}}/activate", api.activate),
        Route(f"{ROOT}/quick-search", api.quick_search, methods=["POST"]),
        Route(f"{ROOT}/stats", api.stats, methods=["POST"]),
        Route(f"{ROOT}/searches", api.create_search, methods=["POST"]),
        Route(f"{ROOT}/searches", api.searches, methods=["GET"]),
        Route(f"{ROOT}/searches/{{search}}", api.search, methods=["GET"]),
        Route(f"{ROOT}/searches/{{search}}", api.update_search, methods=["PUT"]),
        Route(f"{ROOT}/searches/{{search}}", api.delete_search, methods=["DELETE"]),
        Route(f"{ROOT}/searches/{{search}}/results", api.results, methods=["GET"]),
    ]


class _DataApi:
    """The routes. Searches are small and in memory, so they may run on the event loop."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def item_types(self, request: Request) -> Response:
        url = base_of(request)
        return JSONResponse({"_links": {"_self": f"{url}{ROOT}/item-types"}, "item_types": [item_type_document(url)]})

    async def item_type(self, request: Request) -> Response:
        _check_item_type(request)
        return JSONResponse(item_type_document(base_of(request)))

    async def item(self, request: Request) -> Response:
        return JSONResponse(self._scene(request).feature(self._account.clock(), url=base_of(request)))

    async def assets(self, request: Request) -> Response:
        scene, url = self._scene(request), base_of(request)
        return JSONResponse({key: self._asset(scene, key, url) for key in sorted(scene.files)})

    async def asset(self, request: Request) -> Response:
        scene, key = self._of_asset_id(request)
        return JSONResponse(self._asset(scene, key, base_of(request)))

    async def activate(self, request: Request) -> Response:
        scene, key = self._of_asset_id(request)
        active_at = self._account.clock() + timedelta(seconds=self._account.behaviour.running_s)
        self._account.book.activate(scene.id, key, active_at=active_at)
        return Response(status_code=204)

    async def coverage(self, request: Request) -> Response:
        scene = self._scene(request)
        if not self._account.behaviour.coverage:
            raise forbidden()
        body = await read_json(request)
        aoi = read_polygon(body.get("geometry") if isinstance(body, Mapping) else None)
        if aoi is None:
            raise invalid_query({"geometry": ["'geometry' must be a GeoJSON Polygon or MultiPolygon"]})
        clear = await run_in_threadpool(_clear_percent, scene, mapping(aoi))
        if clear is None:
            raise nothing_here(f"no UDM2 of {scene.id} covers the geometry")
        total = float(hectares(scene, None))
        covered = 100.0 * float(hectares(scene, aoi)) / total if total else 0.0
        return JSONResponse({"clear_percent": clear, "item_percent": round(covered, 2), "status": "complete"})

    async def quick_search(self, request: Request) -> Response:
        document = check_search(await read_json(request))
        page = Page.first(request.query_params)
        search = self._keep(document, "quick", uuid.uuid4().hex, base_of(request))
        return self._page(search, page, base_of(request))

    async def create_search(self, request: Request) -> Response:
        document = check_search(await read_json(request))
        if not isinstance(document.get("name"), str):
            raise invalid_query({"name": ["'name' is a required property"]})
        return JSONResponse(self._keep(document, "saved", uuid.uuid4().hex, base_of(request)))

    async def update_search(self, request: Request) -> Response:
        search = self._search(request)
        document = check_search(await read_json(request))
        return JSONResponse(self._keep(document, "saved", search["id"], base_of(request), created=search["created"]))

    async def searches(self, request: Request) -> Response:
        kind = request.query_params.get("search_type", "any")
        found = self._account.book.searches(kind=None if kind == "any" else kind)
        if request.query_params.get("_sort") == "created asc":
            found.reverse()
        return JSONResponse({"_links": {"_self": f"{base_of(request)}{ROOT}/searches"}, "searches": found})

    async def search(self, request: Request) -> Response:
        return JSONResponse(self._search(request))

    async def delete_search(self, request: Request) -> Response:
        self._account.book.forget_search(self._search(request)["id"])
        return Response(status_code=204)

    async def results(self, request: Request) -> Response:
        token = request.query_params.get("_page")
        page = Page.first(request.query_params) if token is None else Page.of_token(token)
        return self._page(self._search(request), page, base_of(request))

    async def stats(self, request: Request) -> Response:
        document, now = check_search(await read_json(request)), self._account.clock()
        interval = document.get("interval")
        if not isinstance(interval, str):
            raise invalid_query({"interval": ["'interval' is a required property"]})
        found = matching(document, self._account.catalogue.list(now), now)
        counts = Counter(interval_start(parse_instant(str(one.properties["acquired"])), interval) for one in found)
        buckets = [{"count": counts[start], "start_time": start} for start in sorted(counts)]
        return JSONResponse({"buckets": buckets, "interval": interval, "utc_offset": "+0h"})

    def _page(self, search: Mapping[str, Any], page: Page, url: str) -> Response:
        """As recorded: a page with items has a next link even if it is the last; the page after it is empty."""
        now = self._account.clock()
        found = page.cut(matching(search, self._account.catalogue.list(now), now))
        here = f"{url}{ROOT}/searches/{search['id']}/results?_page="
        first = Page(size=page.size, by=page.by, is_descending=page.is_descending)
        links = {"_first": f"{here}{first.token}", "_self": f"{here}{page.token}"}
        if found:
            links["_next"] = f"{here}{page.after(found[-1]).token}"
        features = [scene.feature(now, url=url) for scene in found]
        return JSONResponse({"_links": links, "features": features, "type": "FeatureCollection"})

    def _keep(
        self, document: Mapping[str, Any], kind: str, search_id: str, url: str, *, created: str | None = None
    ) -> dict[str, Any]:
        now = format_instant(self._account.clock())
        kept = {
            "__daily_email_enabled": bool(document.get("__daily_email_enabled")),
            "_links": {
                "_self": f"{url}{ROOT}/searches/{search_id}",
                "results": f"{url}{ROOT}/searches/{search_id}/results",
            },
            "created": created or now,
            **{key: document[key] for key in ("asset_types", "filter", "geometry", "item_types") if key in document},
            "id": search_id,
            "last_executed": None,
            "name": document.get("name") or search_id,
            "search_type": kind,
            "updated": now,
        }
        self._account.book.save_search(search_id, kind, kept)
        return kept

    def _search(self, request: Request) -> dict[str, Any]:
        found = self._account.book.searches(search_id=request.path_params["search"])
        if not found:
            raise no_search()
        return found[0]

    def _scene(self, request: Request) -> PlanetScene:
        _check_item_type(request)
        item_id = request.path_params["item"]
        scene = self._account.catalogue.get(item_id, self._account.clock())
        if scene is None:
            raise nothing_here(f"The requested item {item_id} does not exist")
        return scene

    def _of_asset_id(self, request: Request) -> tuple[PlanetScene, str]:
        text = request.path_params["asset"]
        try:
            said = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            scene, key = self._account.catalogue.get(said["i"], self._account.clock()), said["t"]
        except (ValueError, KeyError, TypeError):
            scene, key = None, ""
        if scene is None or key not in scene.files:
            raise nothing_here("The requested asset does not exist")
        return scene, key

    def _asset(self, scene: PlanetScene, key: str, url: str) -> dict[str, Any]:
        """As recorded; `location` once it is active."""
        said = {"i": scene.id, "c": ITEM_TYPE, "t": key, "ct": "item-type"}
        asset_id = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
        here, now = f"{url}{ROOT}/assets/{asset_id}", self._account.clock()
        links = {"_self": here, "activate": f"{here}/activate", "type": f"{url}{ROOT}/asset-types/{key}"}
        asset: dict[str, Any] = {"_links": links, "_permissions": ["download"], "md5_digest": None, "type": key}
        active_at = self._account.book.active_at(scene.id, key)
        if active_at is None or parse_instant(active_at) > now:
            return {**asset, "status": "inactive" if active_at is None else "activating"}
        return {**asset, "status": "active", **self._download(scene, key, url, now)}

    def _download(self, scene: PlanetScene, key: str, url: str, now: datetime) -> dict[str, str]:
        expires_at = now + self._account.behaviour.link_lifetime
        token = self._account.links.sign("asset", scene.id, key, expires_at=expires_at)
        digest = hashlib.md5(scene.files[key].read_bytes(), usedforsecurity=False).hexdigest()
        location = f"{url}{ROOT}/download?token={token}"
        return {"expires_at": format_instant(expires_at), "location": location, "md5_digest": digest}


def _check_item_type(request: Request) -> None:
    name = request.path_params["item_type"]
    if name != ITEM_TYPE:
        raise nothing_here(f"The requested item type {name} does not exist")


def _clear_percent(scene: PlanetScene, geometry: Mapping[str, Any]) -> int | None:
    """Whole percents of the pixels under an AOI whose first UDM2 band says clear; those without data do not count."""
    udm2 = scene.files.get("ortho_udm2")
    if udm2 is None:
        return None
    with rasterio.open(udm2) as raster:
        outline = transform_geom("EPSG:4326", raster.crs, geometry)
        inside = unwarned(
            partial(geometry_mask, [outline], raster.shape, raster.transform, all_touched=True, invert=True)
        )
        clear, unusable = raster.read(1), raster.read(8)
    seen = inside & ((unusable & 1) == 0)
    return round(100 * int((clear[seen] > 0).sum()) / int(seen.sum())) if seen.any() else None
