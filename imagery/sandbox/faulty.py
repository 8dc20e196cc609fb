"""The sandbox between its app and its callers: answers well, or as a rule says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagery.sandbox.answers import Answer, whole_answer
from imagery.sandbox.control import CONTROL
from imagery.sandbox.faults import Fault, Faults, Kind, Rule

_STATUSES = {
    Fault.THROTTLED: (429, "TooManyRequests", "Please reduce your request rate."),
    Fault.FAILING: (500, "InternalError", "We encountered an internal error. Please try again."),
    Fault.BAD_GATEWAY: (502, "BadGateway", "Internal server error"),
    Fault.EXPIRED: (403, "AccessDenied", "Request has expired"),
}
_ITEM = re.compile(r"/collections/[^/]+/items/[^/]+")
_PAGE = re.compile(r"/search|/collections/[^/]+/items")

_FILTERS = ("collections", "ids", "bbox", "intersects", "datetime", "query")


def kind_of(path: str) -> Kind:
    """What a path of the sandbox asks for."""
    if path.startswith("/files/"):
        return Kind.FILE
    if _ITEM.fullmatch(path):
        return Kind.ITEM
    if _PAGE.fullmatch(path):
        return Kind.SEARCH
    return Kind.COLLECTION if path.startswith("/collections") else Kind.ROOT


class Faulty:
    """ASGI middleware: the app, with faults."""

    def __init__(self, app: ASGIApp, *, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = None
        if scope["type"] == "http" and not scope["path"].startswith(CONTROL):
            rule = self._faults.choose(kind_of(scope["path"]), scope["path"])
        if rule is None:
            await self._app(scope, receive, send)
        else:
            await self._answer_badly(rule, scope, receive, send)

    async def _answer_badly(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:
        kind = kind_of(scope["path"])
        if rule.fault in _STATUSES:
            await _refusal(rule, kind)(scope, receive, send)
        elif rule.fault is Fault.MISSING_ASSET and kind is Kind.FILE:
            await _error(404, "NoSuchKey", "The specified key does not exist.", kind)(scope, receive, send)
        elif rule.fault is Fault.SLOW:
            await asyncio.sleep(rule.seconds)
            await self._app(scope, receive, send)
        elif rule.fault is Fault.EMPTY_PAGE:
            await _empty_page(Request(scope, receive), await _question(scope, receive))(scope, receive, send)
        elif rule.fault is Fault.WHOLE_CATALOGUE:
            await self._app(*await _unfiltered(scope, receive), send)
        else:
            await _send(await whole_answer(self._app, scope, receive), rule, send)


def _refusal(rule: Rule, kind: Kind) -> Response:
    response = _error(*_STATUSES[rule.fault], kind)
    if rule.retry_after_s is not None:
        response.headers["retry-after"] = str(rule.retry_after_s)
    return response


def _error(status: int, code: str, says: str, kind: Kind) -> Response:
    """In S3's words for a file, in the API's for the rest."""
    if kind is Kind.FILE:
        xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{says}</Message></Error>'
        return Response(xml, status_code=status, media_type="application/xml")
    return JSONResponse({"code": code, "description": says}, status_code=status)


async def _send(answer: Answer, rule: Rule, send: Send) -> None:
    """The answer with the fault in it. One without a body, as to HEAD, is left as it is."""
    if answer.body and rule.fault is Fault.TRUNCATED:
        await answer.break_off(send)
        return
    if answer.body and rule.fault is Fault.WRONG_LENGTH:
        answer = answer.resized(answer.half)
    elif rule.fault is Fault.CORRUPT_TIFF:
        answer = answer.inverted(rule.keep_bytes)
    elif answer.body and answer.status == 200:
        document = json.loads(answer.body)
        changed = _twice(document) if rule.fault is Fault.DUPLICATE_IDS else _without_assets(document, rule.asset)
        answer = answer.resized(json.dumps(changed).encode())
    await answer.send(send)


def _twice(page: dict[str, Any]) -> dict[str, Any]:
    features = [one for one in page["features"] for _ in range(2)]
    return {**page, "features": features, "numberReturned": len(features)}


def _without_assets(document: dict[str, Any], asset: str) -> dict[str, Any]:
    """An item, or each of a page's, without the assets of these keys."""
    if "features" in document:
        return {**document, "features": [_without_assets(one, asset) for one in document["features"]]}
    kept = {key: value for key, value in document["assets"].items() if not fnmatchcase(key, asset)}
    return {**document, "assets": kept}


async def _question(scope: Scope, receive: Receive) -> dict[str, Any]:
    """What a search asks, as its body or its parameters."""
    if scope["method"] != "POST":
        return dict(parse_qsl(scope["query_string"].decode()))
    body = await Request(scope, receive).body()
    question: dict[str, Any] = json.loads(body or b"{}")
    return question


def _empty_page(request: Request, question: dict[str, Any]) -> Response:
    # A number that the app ignores tells each asking from the last, as a real server's tokens do.
    again = {**question, "page": int(question.get("page", 0)) + 1}
    url = str(request.url.replace(query=""))
    link: dict[str, Any] = {"rel": "next", "type": "application/geo+json", "method": request.method}
    if request.method == "POST":
        link |= {"href": url, "merge": False, "body": again}
    else:
        link["href"] = f"{url}?{urlencode(again)}"
    page = {"type": "FeatureCollection", "features": [], "numberReturned": 0, "links": [link]}
    return JSONResponse(page, media_type="application/geo+json")


async def _unfiltered(scope: Scope, receive: Receive) -> tuple[Scope, Callable[[], Awaitable[Message]]]:
    """The same search with nothing left that narrows it."""
    question = {key: value for key, value in (await _question(scope, receive)).items() if key not in _FILTERS}

    async def given() -> Message:
        return {"type": "http.request", "body": json.dumps(question).encode(), "more_body": False}

    return {**scope, "query_string": urlencode(question).encode() if scope["method"] != "POST" else b""}, given
