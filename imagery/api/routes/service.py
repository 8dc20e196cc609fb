"""What the service says of itself: /, /health, /metrics, /v1/providers, and what its problems mean."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

import imagery as package
from imagery.api.metrics import render
from imagery.api.needs import BaseUrl, House, Scraper, Who
from imagery.api.problems import KINDS, documented
from imagery.api.standing import AccountView, FeedView, Health, LimitView, PauseView
from imagery.api.views import ProviderList, ProviderView

router = APIRouter(tags=["service"])

_PLACES = {"docs": "/docs", "api": "/v1", "stac": "/stac/", "health": "/health"}


@router.get("/", include_in_schema=False)
def home(request: Request, base_url: BaseUrl) -> Response:
    """Where everything is."""
    places = {name: base_url + path for name, path in _PLACES.items()}
    accepted = request.headers.get("accept", "")
    if "text/html" in accepted:
        lines = "".join(f'<li><a href="{url}">{name}</a></li>' for name, url in places.items())
        return HTMLResponse(f"<!doctype html><title>imagery</title><h1>imagery</h1><ul>{lines}</ul>")
    return JSONResponse({"name": "imagery", "version": package.__version__, **places})


@router.get("/health", responses={503: documented()[503]})
def health(imagery: House) -> Health:
    """Whether the service works or is paused, how long its queue is, how its limits and its feeds stand."""
    pause = imagery.admission.paused()
    accounts = [AccountView.of(imagery.planet)] if imagery.planet is not None else []
    is_degraded = any(account.key_refused or account.quota_used_up for account in accounts)
    return Health(
        status="paused" if pause else "degraded" if is_degraded else "ok",
        version=package.__version__,
        queue=dict(imagery.queue.depth()),
        running=imagery.orchestrator.running(),
        paused=PauseView(at=pause.at, reason=pause.reason) if pause else None,
        limits=[LimitView.of(limit) for limit in imagery.dispatcher.limits()],
        feeds=[FeedView.of(feed) for feed in imagery.feeds_health()],
        accounts=accounts,
    )


@router.get("/metrics", response_class=PlainTextResponse, responses=documented(403))
def metrics(imagery: House, scraper: Scraper) -> Response:
    """For Prometheus. Needs an operator's key, unless the service is set up to show them to everyone."""
    del scraper
    return Response(render(imagery), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/v1/providers", responses=documented())
def providers(imagery: House, caller: Who) -> ProviderList:
    """Who imagery can be had from."""
    del caller
    urls = {name: f"{_without_credentials(url)}/collections" for name, url in imagery.settings.stac_providers.items()}
    if imagery.planet is not None:
        urls[imagery.planet.orders.provider] = f"{imagery.planet.client.url}/data/v1/item-types"
    return ProviderList(
        providers=[
            ProviderView(name=name, collections=urls[name]) for name in sorted(imagery.providers) if name in urls
        ]
    )


@router.get("/problems/{name}", responses={404: documented(404)[404]})
def problem(name: str) -> dict[str, Any]:
    """What a kind of problem means."""
    kind = KINDS.get(name)
    if kind is None:
        raise HTTPException(404)
    return {"type": f"/problems/{name}", "title": kind.title, "status": kind.status, "description": kind.description}


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
