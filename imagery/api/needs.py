"""What routes ask for: the house, the caller, the address for links."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import Request

from imagery.api import access, paths
from imagery.errors import Forbidden, KeyUnknown
from imagery.model.access import Caller
from imagery.wiring import Imagery

_BEARER = HTTPBearer(auto_error=False, scheme_name="bearer", description="An API key: `imagery keys create`.")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header", description="The same key.")
_Bearer = Annotated[object, Security(_BEARER)]
_Header = Annotated[object, Security(_HEADER)]


def imagery_of(request: Request) -> Imagery:
    """The house this door belongs to."""
    return cast(Imagery, request.app.state.imagery)


def _caller(request: Request, _bearer: _Bearer, _header: _Header) -> Caller:
    """The key was checked at the gate; the two parameters put it into the API description."""
    caller = access.caller_of(request)
    if caller is None:
        raise KeyUnknown("give an API key: Authorization: Bearer <key>, or X-API-Key: <key>")
    return caller


def _scraper(request: Request, imagery: House, _bearer: _Bearer, _header: _Header) -> None:
    """Raises KeyUnknown, Forbidden unless the caller may read the metrics."""
    if not imagery.settings.metrics_public and not _caller(request, _bearer, _header).operator:
        raise Forbidden("metrics are for operators: `imagery keys create --operator`, or set IMAGERY_METRICS_PUBLIC")


def require_json(request: Request) -> None:
    """Raises 415 unless the body is called JSON."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in ("application/json", "application/merge-patch+json"):
        raise HTTPException(
            415, detail=f"The body's Content-Type is {media_type or 'not given'}; say application/json."
        )


House = Annotated[Imagery, Depends(imagery_of)]
Who = Annotated[Caller, Depends(_caller)]
Scraper = Annotated[None, Depends(_scraper)]
"""Somebody who may read the metrics."""

BaseUrl = Annotated[str, Depends(paths.base_url)]
