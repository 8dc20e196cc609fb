"""Where a running sandbox is told what to do wrong: GET, POST and DELETE /_faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagery.errors import InvalidInput
from imagery.model.codec import to_dict
from imagery.sandbox.rules import R, Rules, Standing

CONTROL = "/_faults"
"""Where the rules are set; no fault ever meets it."""


def control_routes(faults: Rules[R], read_rule: Callable[[object], R]) -> list[Route]:
    """GET lists the rules and how often each was met, POST adds one, DELETE takes one or all away."""

    async def listed(request: Request) -> Response:
        del request
        return JSONResponse({"rules": [_shown(standing) for standing in faults.list()]})

    async def add(request: Request) -> Response:
        try:
            rule = read_rule(json.loads(await request.body() or b"{}"))
        except InvalidInput as error:
            return JSONResponse({"description": str(error), "field": error.field}, status_code=400)
        except (ValueError, RecursionError) as error:
            return JSONResponse({"description": f"the body is not JSON: {error}"}, status_code=400)
        return JSONResponse(_shown(faults.add(rule)), status_code=201)

    async def clear(request: Request) -> Response:
        del request
        faults.clear()
        return Response(status_code=204)

    async def remove(request: Request) -> Response:
        return Response(status_code=204 if faults.remove(request.path_params["rule"]) else 404)

    return [
        Route(CONTROL, listed, methods=["GET"]),
        Route(CONTROL, add, methods=["POST"]),
        Route(CONTROL, clear, methods=["DELETE"]),
        Route(CONTROL + "/{rule:int}", remove, methods=["DELETE"]),
    ]


def _shown(standing: Standing[R]) -> dict[str, Any]:
    return {"id": standing.id, **to_dict(standing.rule), "seen": standing.seen, "applied": standing.applied}
