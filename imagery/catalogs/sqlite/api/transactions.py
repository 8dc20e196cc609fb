"""The Transaction extension: items and collections written over HTTP, each by those who may.

Routes of our own in place of stac-fastapi's: those refuse items without links, rewrite what was sent, and answer 200
where the extension's validator wants 204.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI
from pydantic import ValidationError
from stac_fastapi.extensions.transaction import TransactionConformanceClasses
from stac_fastapi.types.extension import ApiExtension
from stac_pydantic import Collection, Item
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagery.catalogs.sqlite.api.access import Access
from imagery.catalogs.sqlite.api.answers import base_url, collection_with_links, item_response
from imagery.catalogs.sqlite.geometry import PUBLISHED, SENT
from imagery.catalogs.sqlite.records import OWNER, SUBSCRIPTION, StoredItem
from imagery.catalogs.sqlite.store import CatalogStore
from imagery.catalogs.sqlite.writing import Mode
from imagery.errors import Forbidden, ItemInvalid
from imagery.model.access import Caller

_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}


# stac-pydantic lets an OverflowError through where a time lies beyond the calendar.
_UNREADABLE = (ValidationError, OverflowError, RecursionError)


class Transactions(ApiExtension):
    """An owner writes items of their own that no subscription delivered; an operator any item, and collections."""

    def __init__(self, *, store: CatalogStore, access: Access) -> None:
        super().__init__(conformance_classes=[kind.value for kind in TransactionConformanceClasses])
        self._store = store
        self._access = access

    def register(self, app: FastAPI) -> None:
        """Add the routes."""
        items, item = "/collections/{collection_id}/items", "/collections/{collection_id}/items/{item_id}"
        collection = "/collections/{collection_id}"
        routes: tuple[tuple[str, str, Callable[..., Awaitable[Response]], int], ...] = (
            ("POST", items, self.create_item, 201),
            ("PUT", item, self.replace_item, 204),
            ("PATCH", item, self.patch_item, 204),
            ("DELETE", item, self.delete_item, 204),
            ("POST", "/collections", self.create_collection, 201),
            ("PUT", collection, self.replace_collection, 200),
            ("PATCH", collection, self.patch_collection, 200),
            ("DELETE", collection, self.delete_collection, 204),
        )
        for method, path, endpoint, status in routes:
            app.add_api_route(
                path,
                endpoint,
                methods=[method],
                status_code=status,
                response_class=Response,
                tags=["Transaction Extension"],
                openapi_extra=_BODY if method != "DELETE" else None,
            )

    async def create_item(self, collection_id: str, request: Request) -> Response:
        """An Item, or a FeatureCollection of them: all or none."""
        caller = self._access.writer(request)
        sent = await _json_of(request)
        several = sent.get("type") == "FeatureCollection"
        features = sent.get("features") if several else [sent]
        if not isinstance(features, list):
            raise ItemInvalid("features: a FeatureCollection has an array of them", field="/features")
        items = [_checked(stamped(one, caller), collection_id) for one in features]
        await run_in_threadpool(self._store.put_items, items, mode=Mode.INSERT)
        if several:
            return Response(status_code=201)
        return await self._item(request, collection_id, items[0]["id"], status=201)

    async def replace_item(self, collection_id: str, item_id: str, request: Request) -> Response:
        """The item is there, and the caller's."""
        caller = self._access.writer(request)
        sent = await _json_of(request)

        def replaced(stored: StoredItem) -> dict[str, Any]:
            return _checked(stamped(sent, caller, before=stored.owner), collection_id, item_id)

        return await self._change(request, collection_id, item_id, replaced, caller)

    async def patch_item(self, collection_id: str, item_id: str, request: Request) -> Response:
        """RFC 7396 merge patch."""
        caller = self._access.writer(request)
        patch = await _json_of(request)

        def patched(stored: StoredItem) -> dict[str, Any]:
            changed = stamped(merged(stored.to_dict(), patch), caller, before=stored.owner)
            return _checked(changed, collection_id, item_id)

        return await self._change(request, collection_id, item_id, patched, caller)

    async def delete_item(self, collection_id: str, item_id: str, request: Request) -> Response:
        """The item is there, and the caller's."""
        caller = self._access.writer(request)

        def allow(stored: StoredItem) -> None:
            refuse_delivered(stored, caller)

        await run_in_threadpool(self._store.remove_item, collection_id, item_id, allow, owner=caller.scope)
        return Response(status_code=204)

    async def create_collection(self, request: Request) -> Response:
        """By an operator."""
        self._access.operator(request)
        body = _checked_collection(await _json_of(request))
        await run_in_threadpool(self._store.put_collection, body, mode=Mode.INSERT)
        return await self._collection(request, body["id"], status=201)

    async def replace_collection(self, collection_id: str, request: Request) -> Response:
        """By an operator."""
        self._access.operator(request)
        body = _checked_collection(await _json_of(request), collection_id)
        await run_in_threadpool(self._store.put_collection, body, mode=Mode.REPLACE)
        return await self._collection(request, collection_id)

    async def patch_collection(self, collection_id: str, request: Request) -> Response:
        """RFC 7396 merge patch, by an operator."""
        self._access.operator(request)
        patch = await _json_of(request)
        stored = await run_in_threadpool(self._store.get_collection, collection_id)
        body = _checked_collection(merged(stored, patch), collection_id)
        await run_in_threadpool(self._store.put_collection, body, mode=Mode.REPLACE)
        return await self._collection(request, collection_id)

    async def delete_collection(self, collection_id: str, request: Request) -> Response:
        """And all its items, by an operator."""
        self._access.operator(request)
        await run_in_threadpool(self._store.remove_collection, collection_id)
        return Response(status_code=204)

    async def _change(
        self,
        request: Request,
        collection_id: str,
        item_id: str,
        change: Callable[[StoredItem], dict[str, Any]],
        caller: Caller,
    ) -> Response:
        def allowed(stored: StoredItem) -> dict[str, Any]:
            refuse_delivered(stored, caller)
            return change(stored)

        limits = PUBLISHED if caller.operator else SENT
        await run_in_threadpool(
            self._store.change_item, collection_id, item_id, allowed, owner=caller.scope, limits=limits
        )
        if "return=representation" in request.headers.get("prefer", ""):
            return await self._item(request, collection_id, item_id)
        return Response(status_code=204)

    async def _item(self, request: Request, collection_id: str, item_id: str, *, status: int = 200) -> Response:
        stored = await run_in_threadpool(self._store.get_item, collection_id, item_id)
        return item_response(stored, base_url(request), status=status)

    async def _collection(self, request: Request, collection_id: str, *, status: int = 200) -> Response:
        base = base_url(request)
        body = await run_in_threadpool(self._store.get_collection, collection_id)
        headers = {"Location": f"{base}collections/{quote(collection_id)}"} if status == 201 else None
        return JSONResponse(collection_with_links(body, base), status, headers)


def stamped(item: object, caller: Caller, *, before: str = "") -> dict[str, Any]:
    """The item with its owner in it: the caller's, unless an operator says or leaves another.

    Raises Forbidden when somebody names another owner than themselves, or any subscription; ItemInvalid for what has
    no properties.
    """
    properties = item.get("properties") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(properties, dict):
        raise ItemInvalid("an item is a JSON object with properties", field="/properties")
    if SUBSCRIPTION in properties and not caller.operator:
        raise Forbidden(f"{SUBSCRIPTION} is set by subscriptions only: leave it out, or subscribe to have items made")
    named = properties.get(OWNER)
    if named is None:
        named = before if caller.operator and before else caller.owner
    elif named != caller.owner and not caller.operator:
        raise Forbidden(f"{OWNER} can only be {caller.owner!r} with this key; leave it out")
    return {**item, "properties": {**properties, OWNER: named}}


def refuse_delivered(stored: StoredItem, caller: Caller) -> None:
    """Raises Forbidden to all but operators: the ledger says that the item is there, and what it is like."""
    properties = json.loads(stored.properties)
    if SUBSCRIPTION in properties and not caller.operator:
        raise Forbidden(
            f"{stored.id} was delivered by the subscription {str(properties[SUBSCRIPTION])[:200]}: change or delete "
            "that subscription instead; only an operator's key may change or delete its items"
        )


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


async def _json_of(request: Request) -> dict[str, Any]:
    try:
        sent = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise ItemInvalid(f"the body is not JSON ({error})") from error
    if not isinstance(sent, dict):
        raise ItemInvalid("the body is no JSON object; a PATCH takes a merge patch (RFC 7396)")
    return sent


def _checked(sent: dict[str, Any], collection_id: str, item_id: str | None = None) -> dict[str, Any]:
    """An item of this collection, with what may be left out filled in. Raises ItemInvalid."""
    item = {"links": [], "collection": collection_id, **sent}
    for name, due in (("collection", collection_id), ("id", item_id)):
        if due is not None and item.setdefault(name, due) != due:
            raise ItemInvalid(f"{name}: the body says {str(item[name])[:200]!r}, the URL {due!r}", field=f"/{name}")
    try:
        Item.model_validate(item)
    except _UNREADABLE as error:
        raise _item_invalid(error) from error
    return item


def _checked_collection(sent: dict[str, Any], collection_id: str | None = None) -> dict[str, Any]:
    body = {"links": [], **sent}
    if collection_id is not None and body.setdefault("id", collection_id) != collection_id:
        raise ItemInvalid(f"id: the body says {str(body['id'])[:200]!r}, the URL {collection_id!r}", field="/id")
    try:
        Collection.model_validate(body)
    except _UNREADABLE as error:
        raise _item_invalid(error) from error
    return body


def _item_invalid(error: Exception) -> ItemInvalid:
    if isinstance(error, OverflowError):
        return ItemInvalid(f"properties: a time lies beyond the calendar ({error})", field="/properties")
    if not isinstance(error, ValidationError):
        return ItemInvalid("the body is nested too deep")
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = "/".join(map(str, first["loc"]))
    return ItemInvalid(f"{place}: {first['msg']}", field=f"/{place}")
