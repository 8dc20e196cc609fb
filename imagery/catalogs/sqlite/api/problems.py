"""Our errors, and those of the web framework, as RFC 9457 problem documents."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagery.errors import Conflict, Forbidden, ImageryError, InvalidInput, Unknown

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 2**20

_STATUS: tuple[tuple[type[ImageryError], int], ...] = (
    (InvalidInput, 400),
    (Forbidden, 403),
    (Unknown, 404),
    (Conflict, 409),
)


def handle_errors(app: FastAPI) -> None:
    """Have `app` answer every error with a problem document."""
    app.add_exception_handler(ImageryError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unforeseen)


def problem(
    status: int,
    detail: str,
    *,
    kind: str | None = None,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`kind`: our error's class name; `field`: a JSON pointer to what is wrong."""
    body: dict[str, object] = {
        "type": f"urn:imagery:error:{kind}" if kind else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if field is not None:
        body["field"] = field
    return Response(json.dumps(body), status, headers, "application/problem+json")


def _ours(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 503)
    if status == 503:
        logger.error("the catalog failed", exc_info=error, extra={"path": request.url.path})
    field = error.field if isinstance(error, InvalidInput) else None
    headers = {"Retry-After": "5"} if status == 503 else None
    return problem(status, str(error), kind=type(error).__name__, field=field, headers=headers)


def _http(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), headers=error.headers)


def _invalid(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RequestValidationError)
    # What was sent is not repeated: it may be huge, or no JSON at all.
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("query", "body", "path")]
    return problem(400, f"{'.'.join(place)}: {first['msg']}".lstrip(": "), field="/" + "/".join(place))


def _unforeseen(request: Request, error: Exception) -> Response:
    logger.error("a request failed", exc_info=error, extra={"path": request.url.path})
    return problem(500, "the catalog failed on this request; its log says why")


class BodyLimit:
    """ASGI middleware: refuse a request body over MAX_BODY_BYTES, whether or not it says how long it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            await _too_large()(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise HTTPException(413, _TOO_LARGE)
            return message

        await self._app(scope, limited, send)


_TOO_LARGE = f"the body is larger than {MAX_BODY_BYTES} bytes; send fewer items at once"


def _too_large() -> Response:
    return problem(413, _TOO_LARGE)
