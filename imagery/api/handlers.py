"""What the framework raises, turned into problem documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from imagery.api import problems
from imagery.api.problems import FieldProblem
from imagery.errors import ImageryError

MOST_PARTS = 20
"""Wrong parts named in one answer."""


def add_handlers(app: FastAPI) -> None:
    """Every error a route can end in has its problem document."""
    app.add_exception_handler(ImageryError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


def pointer(location: Sequence[int | str]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def _ours(request: Request, error: Exception) -> Response:
    return problems.from_error(request, cast(ImageryError, error))


def _http(request: Request, error: Exception) -> Response:
    error = cast(HTTPException, error)
    detail = None
    if error.status_code == 404:
        detail = f"There is nothing at {request.url.path}; /docs lists what there is."
    elif error.status_code == 405:
        allowed = _methods_here(request)
        detail = f"{request.url.path} does not take {request.method}; it takes {allowed}."
        return problems.from_status(request, 405, detail=detail, headers={"Allow": allowed})
    elif error.status_code != 400:
        detail = error.detail
    return problems.from_status(request, error.status_code, detail=detail, headers=error.headers)


def _methods_here(request: Request) -> str:
    """All methods of a path: the framework names those of the first route that has the path, and we write one each."""
    routes: Sequence[BaseRoute] = request.app.state.routes
    here = [route for route in routes if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE]
    return ", ".join(sorted({method for route in here for method in route.methods or ()}))


def _validation(request: Request, error: Exception) -> Response:
    found = cast(RequestValidationError, error).errors()[:MOST_PARTS]
    first = found[0]
    if first["type"] == "json_invalid":
        detail = f"The body is not JSON: {first['ctx']['error']} at character {first['loc'][1]}."
        return problems.from_status(request, 400, detail=detail)
    parts = [FieldProblem(field=_field(each), detail=_sentence(each)) for each in found]
    kind = problems.KINDS["body-invalid" if first["loc"][0] == "body" else "request-malformed"]
    detail = "; ".join(f"{part.field or 'the body'}: {part.detail}" for part in parts[:3])
    return problems.respond(request, kind, detail=detail, parts=parts)


def _field(error: Mapping[str, Any]) -> str:
    # A wrong key of a mapping is named by pydantic as ('labels', key, '[key]').
    return pointer([part for part in error["loc"][1:] if part != "[key]"])


def _sentence(error: Mapping[str, Any]) -> str:
    """Pydantic's message, without what was sent: it may be long, or secret."""
    if error["type"] == "extra_forbidden":
        return "there is no such field; /docs lists what can be given"
    return str(error["msg"]).removeprefix("Value error, ")
