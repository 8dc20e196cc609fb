"""Our errors, and those of the web framework, as RFC 9457 problem documents.

Kinds and titles are those of the service's other doors, whose root explains them at /problems; this one may be served
without them, so it forms the same names from the same errors.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagery.errors import Conflict, Forbidden, ImageryError, InvalidInput, Unknown

MEDIA_TYPE = "application/problem+json"

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 2**20
MAX_SEARCH_BYTES = 2 * 2**20
"""Of a search; the largest geometry and the longest list of ids we publish under fit. It is parsed where all wait."""

_STATUS: tuple[tuple[type[ImageryError], int], ...] = (
    (InvalidInput, 400),
    (Forbidden, 403),
    (Unknown, 404),
    (Conflict, 409),
)

_OF_HTTP: Mapping[int, tuple[str, str]] = {
    400: ("request-malformed", "The request cannot be read"),
    401: ("key-unknown", "No valid API key"),
    404: ("not-found", "There is nothing here"),
    405: ("method-not-allowed", "This path does not take this method"),
    413: ("body-too-large", "The body is too large"),
    415: ("media-type-unsupported", "The body is of a media type this route does not take"),
    500: ("internal", "Something is wrong on our side"),
}
"""By status: what the web framework refuses."""


def handle_errors(app: FastAPI) -> None:
    """Have `app` answer every error with a problem document."""
    app.add_exception_handler(ImageryError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unforeseen)


def problem(
    request: Request,
    status: int,
    detail: str,
    *,
    error: type[ImageryError] | None = None,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`error`: ours, if it is one; `field`: a JSON pointer to what is wrong."""
    name, title = _OF_HTTP.get(status, ("", HTTPStatus(status).phrase)) if error is None else _kind_of(error)
    body: dict[str, object] = {
        "type": f"/problems/{name}" if name else "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
    }
    request_id = request.scope.get("state", {}).get("request_id")
    if request_id is not None:
        body["request_id"] = request_id
    if field is not None:
        body |= {"field": field, "errors": [{"field": field, "detail": detail}]}
    return Response(json.dumps(body), status, headers, MEDIA_TYPE)


def _kind_of(error: type[ImageryError]) -> tuple[str, str]:
    """Name and title: VersionConflict is version-conflict."""
    text = " ".join((error.__doc__ or "").split())
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", error.__name__).lower(), re.split(r"[.;:] ?", text)[0]


def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, ImageryError)
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 503)
    if status == 503:
        logger.error("the catalog failed", exc_info=error, extra={"path": request.url.path})
    field = error.field if isinstance(error, InvalidInput) else None
    headers = {"Retry-After": "5"} if status == 503 else None
    return problem(request, status, str(error), error=type(error), field=field, headers=headers)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(request, error.status_code, str(error.detail), headers=error.headers)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was sent is not repeated: it may be huge, or no JSON at all.
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("query", "body", "path")]
    return problem(request, 400, f"{'.'.join(place)}: {first['msg']}".lstrip(": "), field="/" + "/".join(place))


def _unforeseen(request: Request, error: Exception) -> Response:
    logger.error("a request failed", exc_info=error, extra={"path": request.url.path})
    return problem(request, 500, "the catalog failed on this request; its log says why")


class BodyLimit:
    """ASGI middleware: refuse a request body over the limit, whether or not it says how long it is.

    The service's other doors have their own with a lower limit: an item collection is larger than a subscription, and
    this application may be served without them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = MAX_SEARCH_BYTES if scope["path"].endswith("/search") else MAX_BODY_BYTES
        refusal = f"the body is larger than {limit // 2**20} MiB; send fewer items at once, or a simpler search"
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > limit:
            await problem(Request(scope), 413, refusal)(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, refusal)
            return message

        await self._app(scope, limited, send)
