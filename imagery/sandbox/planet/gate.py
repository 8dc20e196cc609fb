"""Between the local Planet and its callers: keys, requests a second, and what rules say goes wrong."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from imagery.sandbox.answers import Answer, whole_answer
from imagery.sandbox.planet.account import Account
from imagery.sandbox.planet.faults import Fault, Operation, Rule
from imagery.sandbox.planet.limits import Limits
from imagery.sandbox.planet.refusals import Refusal, forbidden, quota_exceeded, throttled, unauthorized

_OPERATIONS: tuple[tuple[str, str, Operation], ...] = (
    ("POST", r"/compute/ops/orders/v2", Operation.CREATE),
    ("GET", r"/compute/ops/orders/v2", Operation.LIST),
    ("GET", r"/compute/ops/orders/v2/[^/]+", Operation.GET),
    ("PUT", r"/compute/ops/orders/v2/[^/]+", Operation.CANCEL),
    ("POST", r"/compute/ops/bulk/orders/v2/cancel", Operation.BULK_CANCEL),
    ("GET", r"/compute/ops/stats/orders/v2", Operation.STATS),
    ("GET", r"/compute/ops/bundles/spec", Operation.SPEC),
    ("GET", r"/compute/ops/download/?|/data/v1/download", Operation.DOWNLOAD),
    ("POST", r"/data/v1/item-types/[^/]+/items/[^/]+/coverage", Operation.COVERAGE),
    ("POST", r"/data/v1/quick-search", Operation.SEARCH),
    ("GET", r"/data/v1/searches/[^/]+/results", Operation.SEARCH),
)
_OPEN = frozenset({Operation.SPEC, Operation.DOWNLOAD})
"""Need no key: the SDK asks for bundles without, and a download's link is its own key."""


def operation_of(method: str, path: str) -> Operation | None:
    """What a request asks for; None: nothing of Planet's, such as the controls of the sandbox."""
    for its_method, pattern, operation in _OPERATIONS:
        if method == its_method and re.fullmatch(pattern, path):
            return operation
    return Operation.ITEM if path.startswith(("/data/", "/compute/")) else None


def key_of(header: str) -> str | None:
    """The API key of an Authorization header, `api-key …` or basic with the key as user; None: neither."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "api-key":
        return rest.strip() or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[0] or None
        except ValueError:
            return None
    return None


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, account: Account, limits: Limits) -> None:
        self._app = app
        self._account = account
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = operation_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if operation is None:
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope), operation)
        if refusal is not None:
            await answer_of(refusal)(scope, receive, send)
            return
        rule = self._account.faults.choose(operation, self._name(scope, operation))
        if rule is None:
            await self._app(scope, receive, send)
        else:
            await self._answer_badly(rule, scope, receive, send)

    def _refusal(self, request: Request, operation: Operation) -> Refusal | None:
        key = key_of(request.headers.get("authorization", ""))
        wanted, behaviour = self._account.api_key, self._account.behaviour
        if operation not in _OPEN and (key is None or (wanted is not None and key != wanted)):
            return unauthorized()
        if not self._limits.takes(key or "", operation, scale=behaviour.rate_scale):
            return throttled(behaviour.retry_after_s)
        return None

    def _name(self, scope: Scope, operation: Operation) -> str:
        """What a rule's `name` is compared with: the path, or the file a download is of."""
        if operation is Operation.DOWNLOAD:
            tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
            read = self._account.links.read(tokens[0], self._account.clock())
            if read is not None:
                return read[0][-1]
        return str(scope["path"])

    async def _answer_badly(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _REFUSALS.get(rule.fault)
        if rule.fault in (Fault.BAD_GATEWAY, Fault.UNAVAILABLE):
            await Response(status_code=int(rule.fault))(scope, receive, send)
        elif refusal is not None:
            advised = Refusal(refusal.status, refusal.body, retry_after_s=rule.retry_after_s)
            await answer_of(advised)(scope, receive, send)
        elif rule.fault is Fault.SLOW:
            await asyncio.sleep(rule.seconds)
            await self._app(scope, receive, send)
        else:
            await _send(await whole_answer(self._app, scope, receive), rule, send)


_REFUSALS: Mapping[Fault, Refusal] = {
    Fault.THROTTLED: throttled(None),
    Fault.QUOTA: quota_exceeded(),
    Fault.UNAUTHORIZED: unauthorized(),
    Fault.FORBIDDEN: forbidden(),
    Fault.NOT_FOUND: Refusal(404, {"general": [{"message": "Not found"}], "field": {}}),
    Fault.FAILING: Refusal(500, {"message": "Internal Server Error"}),
    Fault.EXPIRED: Refusal(401, {"message": "token is expired"}),
}


def answer_of(refusal: Refusal) -> Response:
    """Its status and body."""
    headers = {} if refusal.retry_after_s is None else {"Retry-After": str(refusal.retry_after_s)}
    return JSONResponse(refusal.body, status_code=refusal.status, headers=headers)


async def _send(answer: Answer, rule: Rule, send: Send) -> None:
    if answer.body and rule.fault is Fault.TRUNCATED:
        await answer.break_off(send)
        return
    if rule.fault is Fault.CORRUPT:
        answer = answer.inverted(rule.keep_bytes)
    elif answer.status == 200 and rule.fault in (Fault.REPEATED, Fault.NO_LOCATION):
        document = json.loads(answer.body)
        links = document["_links"]
        if rule.fault is Fault.REPEATED:
            links["_next" if "features" in document else "next"] = links["_self"]
        for result in links.get("results", ()) if rule.fault is Fault.NO_LOCATION else ():
            result |= {"location": "", "expires_at": "0001-01-01T00:00:00.000Z"}
        answer = answer.resized(json.dumps(document).encode())
    await answer.send(send)
