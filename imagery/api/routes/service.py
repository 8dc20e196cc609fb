"""What the service says of itself: /, /health, /v1/providers, and what its problems mean."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

import imagery as package
from imagery.api.needs import BaseUrl, House, Who
from imagery.api.problems import KINDS, documented
from imagery.api.views import Health, ProviderList, ProviderView

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
    """Whether the service works, how long its queue is and how much it is doing."""
    queue, running = imagery.queue.depth(), imagery.orchestrator.running()
    return Health(status="ok", version=package.__version__, queue=dict(queue), running=running)


@router.get("/v1/providers", responses=documented())
def providers(imagery: House, caller: Who) -> ProviderList:
    """Who imagery can be had from."""
    del caller
    urls = imagery.settings.stac_providers
    return ProviderList(
        providers=[
            ProviderView(name=name, collections=f"{_without_credentials(urls[name])}/collections")
            for name in sorted(imagery.providers)
            if name in urls
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
