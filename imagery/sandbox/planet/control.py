"""Where a running local Planet is watched and told what to do: /_orders, /_calls, /_behaviour, /_faults."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagery.errors import InvalidInput
from imagery.model.codec import to_dict
from imagery.sandbox.control import control_routes
from imagery.sandbox.planet.account import Account
from imagery.sandbox.planet.faults import read_rule


def routes_of(account: Account) -> list[Route]:
    """None of them needs a key or meets a fault.

    GET /_orders tells what was ever ordered: `by_name` counts orders created under each name, `hectares` is what is
    billed. GET /_calls lists calls to webhooks. GET /_behaviour shows the behaviour, PATCH changes parts of it. POST
    /_faults adds a rule, GET shows them and how often each was met, DELETE takes one or all away.
    """
    control = _Control(account)
    return [
        Route("/_orders", control.orders),
        Route("/_calls", control.calls),
        Route("/_behaviour", control.behaviour, methods=["GET"]),
        Route("/_behaviour", control.change, methods=["PATCH"]),
        *control_routes(account.faults, read_rule),
    ]


class _Control:
    """The routes."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def orders(self, request: Request) -> Response:
        del request
        book = self._account.book
        orders = [
            {"id": row.id, "name": row.name, "state": row.state, "created_on": row.created_on, "hectares": row.hectares}
            for row in reversed(book.orders())
        ]
        return JSONResponse({"orders": orders, "by_name": book.count_by_name(), "hectares": book.hectares()})

    async def calls(self, request: Request) -> Response:
        del request
        return JSONResponse({"calls": [to_dict(call) for call in self._account.book.calls()]})

    async def behaviour(self, request: Request) -> Response:
        del request
        return JSONResponse(to_dict(self._account.behaviour))

    async def change(self, request: Request) -> Response:
        try:
            changes = await _object(request)
            return JSONResponse(to_dict(self._account.manners.change(**changes)))
        except InvalidInput as error:
            return _refused(error)


async def _object(request: Request) -> dict[str, Any]:
    """Raises InvalidInput."""
    try:
        body = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidInput("the body is no JSON object")
    return body


def _refused(error: InvalidInput) -> Response:
    return JSONResponse({"description": str(error), "field": error.field}, status_code=400)
