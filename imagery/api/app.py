"""Puts the HTTP door together: routes, gate, problem documents, and the STAC API beside them."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

import imagery as package
from imagery.api.access import Access, Gate, caller_of
from imagery.api.envelope import BodyLimit, Envelope
from imagery.api.handlers import add_handlers
from imagery.api.paths import Door, PublicAddress
from imagery.api.problems import Problem
from imagery.api.routes import (
    days,
    deletions,
    events,
    failures,
    notifications,
    orders,
    planet,
    service,
    subscriptions,
    work,
)
from imagery.api.throttle import Monotonic, TokenBuckets
from imagery.wiring import Imagery

_ABOUT = (
    "Subscribe to a piece of land: every acquisition of it is clipped, written to your bucket and published as a STAC "
    "item. Errors are problem documents (RFC 9457). The results are a STAC API at /stac."
)


def create_app(imagery: Imagery, *, monotonic: Monotonic = time.monotonic) -> FastAPI:
    """The HTTP API of this house. It starts no worker and closes nothing: who built the house does."""
    settings = imagery.settings
    app = FastAPI(
        title="imagery",
        version=package.__version__,
        description=_ABOUT,
        redoc_url=None,
        generate_unique_id_function=lambda route: f"{(route.tags or ['root'])[0]}_{route.name}",
    )
    modules = (service, subscriptions, days, failures, work, events, deletions, notifications, orders, planet)
    routers = [module.router for module in modules]
    app.state.imagery = imagery
    per_minute = float(settings.replays_per_minute)
    app.state.replays = TokenBuckets(rate=per_minute / 60, burst=per_minute, monotonic=monotonic)
    app.state.raw_notifications = TokenBuckets(
        rate=notifications.RAW_PER_SECOND, burst=notifications.RAW_BURST, monotonic=monotonic
    )
    app.state.routes = [route for router in routers for route in router.routes]
    for router in routers:
        app.include_router(router)
    app.router.routes.append(Door("/stac", imagery.stac_app(caller_of)))
    add_handlers(app)
    gate = Gate.of(imagery.keys, requests_per_second=settings.requests_per_second, monotonic=monotonic)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit)
    app.add_middleware(Access, gate=gate)
    if settings.public_url is not None:
        app.add_middleware(PublicAddress, public_url=settings.public_url)
    app.add_middleware(Envelope)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the schema every problem answer refers to."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"] |= schema.pop("$defs", {}) | {"Problem": schema}
        app.openapi_schema = document
    return app.openapi_schema
