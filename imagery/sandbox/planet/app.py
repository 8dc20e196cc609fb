"""The local Planet as an ASGI app."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagery.sandbox.planet.control import routes_of
from imagery.sandbox.planet.data_api import data_routes
from imagery.sandbox.planet.gate import Gate, answer_of
from imagery.sandbox.planet.opening import LocalPlanet
from imagery.sandbox.planet.orders_api import order_routes
from imagery.sandbox.planet.refusals import Refusal


def create_planet_app(planet: LocalPlanet) -> Starlette:
    """Serve it for as long as `open_planet` keeps it open. Links lead to wherever the caller asked."""
    return Starlette(
        routes=[
            *data_routes(planet.account),
            *order_routes(planet.account, planet.fulfilment),
            *routes_of(planet.account),
        ],
        middleware=[Middleware(Gate, account=planet.account, limits=planet.limits)],
        exception_handlers={Refusal: _refused, HTTPException: _http_error},
    )


async def _refused(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, Refusal)
    return answer_of(error)


async def _http_error(request: Request, error: Exception) -> Response:
    del request
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"message": str(error)}, status_code=status)
