"""Planet's Orders API: create, list, get, cancel, statistics, bundles, and the files of orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from imagery.model.codec import parse_instant
from imagery.sandbox.planet.account import Account
from imagery.sandbox.planet.bodies import base_of, read_json
from imagery.sandbox.planet.book import Row
from imagery.sandbox.planet.bundles import bundles_spec
from imagery.sandbox.planet.fulfilment import Fulfilment
from imagery.sandbox.planet.refusals import Refusal, no_order
from imagery.sandbox.planet.showing import DOWNLOAD, ORDERS, describe
from imagery.sandbox.rasters import media_type

ROOT = "/compute/ops"
PAGE_SIZE = 20
STORAGE = "/_storage"
"""Where a link leads when downloads redirect, as to a cloud's storage: needs no key, and meets no limit."""


def order_routes(account: Account, fulfilment: Fulfilment) -> list[Route]:
    """Below /compute/ops, and the downloads of both APIs."""
    api = _OrdersApi(account, fulfilment)
    return [
        Route(ORDERS, api.create, methods=["POST"]),
        Route(ORDERS, api.list, methods=["GET"]),
        Route(ORDERS + "/{order}", api.get, methods=["GET"]),
        Route(ORDERS + "/{order}", api.cancel, methods=["PUT"]),
        Route(f"{ROOT}/bulk/orders/v2/cancel", api.cancel_many, methods=["POST"]),
        Route(f"{ROOT}/stats/orders/v2", api.stats),
        Route(f"{ROOT}/bundles/spec", api.spec),
        Route(DOWNLOAD, api.download),
        Route("/data/v1/download", api.download),
        Route(STORAGE, api.stored),
    ]


class _OrdersApi:
    """The routes."""

    def __init__(self, account: Account, fulfilment: Fulfilment) -> None:
        self._account = account
        self._fulfilment = fulfilment

    async def create(self, request: Request) -> Response:
        body, url = await read_json(request), base_of(request)
        created = await run_in_threadpool(lambda: self._fulfilment.create(body, url=url))
        return JSONResponse(created, status_code=202)

    async def list(self, request: Request) -> Response:
        url, parameters = base_of(request), request.query_params
        kept = self._account.book.orders(name=parameters.get("name"))
        rows = _sorted([row for row in kept if _is_meant(row, parameters)], parameters)
        begin = _marked(parameters.get("page_marker"))
        page = rows[begin : begin + PAGE_SIZE]
        links = {"_self": f"{url}{ORDERS}"}
        if begin + PAGE_SIZE < len(rows):
            rest = {key: value for key, value in parameters.items() if key != "page_marker"}
            links["next"] = f"{url}{ORDERS}?{urlencode({**rest, 'page_marker': begin + PAGE_SIZE})}"
        orders = [describe(self._account, replace(row, url=url), with_results=False) for row in page]
        return JSONResponse({"_links": links, "orders": orders})

    async def get(self, request: Request) -> Response:
        row = self._account.book.get(request.path_params["order"])
        if row is None:
            raise no_order(request.path_params["order"])
        # At the root it is asked at: the sandbox may have been started again on another port.
        return JSONResponse(describe(self._account, replace(row, url=base_of(request))))

    async def cancel(self, request: Request) -> Response:
        return JSONResponse(self._fulfilment.cancel(request.path_params["order"]))

    async def cancel_many(self, request: Request) -> Response:
        body = await read_json(request)
        named = body.get("order_ids") if isinstance(body, dict) else None
        ids = named or [row.id for row in self._account.book.orders() if row.state == "queued"]
        failures = []
        for order_id in map(str, ids):
            try:
                self._fulfilment.cancel(order_id)
            except Refusal as refusal:
                failures.append({"order_id": order_id, "message": refusal.body["message"]})
        failed: dict[str, Any] = {"count": len(failures), "failures": failures}
        return JSONResponse({"result": {"succeeded": {"count": len(ids) - len(failures)}, "failed": failed}})

    async def stats(self, request: Request) -> Response:
        del request
        states = [row.state for row in self._account.book.orders()]
        counts = {f"{state}_orders": states.count(state) for state in ("queued", "running")}
        return JSONResponse({"organization": counts, "user": counts})

    async def spec(self, request: Request) -> Response:
        del request
        return JSONResponse(bundles_spec())

    async def download(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        path = self._file(token)
        if self._account.behaviour.redirects:
            return RedirectResponse(f"{base_of(request)}{STORAGE}?{urlencode({'token': token})}", status_code=302)
        return _served(path)

    async def stored(self, request: Request) -> Response:
        return _served(self._file(request.query_params.get("token", "")))

    def _file(self, token: str) -> Path:
        """Only what a link of ours names. Raises Refusal; how Planet words an expired link is not recorded."""
        read = self._account.links.read(token, self._account.clock())
        if read is None:
            raise Refusal(404, {"message": "invalid token"})
        parts, works = read
        if not works:
            raise Refusal(401, {"message": "token is expired"})
        if parts[0] == "asset":
            scene = self._account.catalogue.get(parts[1], self._account.clock())
            path = scene.files.get(parts[2]) if scene is not None else None
        else:
            path = self._account.folder / parts[0] / parts[1]
        if path is None or not path.is_file():
            raise Refusal(404, {"message": "the file does not exist"})
        return path


def _served(path: Path) -> Response:
    """A file whole or in ranges, which Starlette does."""
    return FileResponse(path, media_type=media_type(path), filename=path.name)


def _marked(marker: str | None) -> int:
    if marker is None:
        return 0
    if not marker.isdecimal() or len(marker) > 9:
        raise Refusal(400, {"message": "invalid page_marker"})
    return int(marker)


_Test = Callable[[Row, str], bool]
_FILTERS: dict[str, _Test] = {
    "state": lambda row, value: row.state == value,
    "name__contains": lambda row, value: value in row.name,
    "source_type": lambda row, value: value in ("all", row.request.get("source_type", "scenes")),
    "created_on": lambda row, value: _is_within(row.created_on, value),
    "last_modified": lambda row, value: _is_within(row.last_modified, value),
    "hosting": lambda row, value: ("hosting" in row.request) == (value.lower() == "true"),
    "destination_ref": lambda _row, _value: False,
}


def _is_meant(row: Row, parameters: QueryParams) -> bool:
    return all(test(row, parameters[name]) for name, test in _FILTERS.items() if name in parameters)


def _is_within(instant: str, interval: str) -> bool:
    """`2026-05-01T00:00:00Z/..`, or one instant. Raises Refusal."""
    begin, slash, end = interval.partition("/")
    try:
        moment = parse_instant(instant)
        if not slash:
            return moment == parse_instant(begin)
        return (_open(begin) or moment) <= moment <= (_open(end) or moment)
    except ValueError as error:
        raise Refusal(400, {"message": f"invalid interval: {error}"}) from error


def _open(text: str) -> datetime | None:
    return None if text in ("", "..") else parse_instant(text)


def _sorted(rows: list[Row], parameters: QueryParams) -> list[Row]:
    """By `sort_by`, such as `name,state DESC`; newest first without."""
    for one in reversed(parameters["sort_by"].split(",") if parameters.get("sort_by") else []):
        name, _, direction = one.strip().partition(" ")
        if name not in ("name", "created_on", "state", "last_modified"):
            raise Refusal(400, {"message": f"cannot sort by {name!r}"})
        rows = sorted(rows, key=lambda row, by=name: str(getattr(row, by)), reverse=direction.upper() == "DESC")  # type: ignore[misc]
    return rows
