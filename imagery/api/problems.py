"""Errors as RFC 9457 problem documents: which of ours is which status, and a page that explains each kind."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import JSONResponse

from imagery import errors
from imagery.errors import ImageryError, InvalidInput

MEDIA_TYPE = "application/problem+json"
MAX_TEXT = 1000
"""Characters of a text that may repeat what a caller sent."""

RETRY_AFTER_S = 5
"""Offered with a 503 that does not know better."""

_STATUS: Mapping[type[ImageryError], int] = {
    errors.InvalidInput: 400,
    errors.AddressRefused: 422,
    errors.AoiInvalid: 422,
    errors.FormulaInvalid: 422,
    errors.ItemInvalid: 422,
    errors.SubscriptionInvalid: 422,
    errors.SettingsInvalid: 500,
    errors.DefinitionInvalid: 500,
    errors.Unknown: 404,
    errors.KeyUnknown: 401,
    errors.Conflict: 409,
    # draft-ietf-httpapi-idempotency-key-header: a key used again with another body is 422.
    errors.IdempotencyConflict: 422,
    errors.Forbidden: 403,
    errors.Throttled: 429,
    errors.ProviderError: 502,
    errors.StoreUnavailable: 503,
    errors.ObjectStoreUnavailable: 503,
    errors.CatalogUnavailable: 503,
}
"""By the nearest class of the tree; an error that is under none of them is ours to mend: 500."""


def _plain(value: object) -> object:
    """Text that can be written as UTF-8 and read by a person, whatever a caller put into it."""
    if not isinstance(value, str):
        return value
    text = value.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


Plain = Annotated[str, BeforeValidator(_plain)]


class FieldProblem(BaseModel):
    """One part of a request that cannot be used."""

    field: Plain = Field(description="JSON pointer into the body, or `/name` of a parameter or header.")
    detail: Plain


class Problem(BaseModel):
    """What went wrong, as RFC 9457 says it."""

    type: str = Field(description="Where this kind of problem is explained; compare it, do not parse `detail`.")
    title: str
    status: int
    detail: Plain = Field(description="What is wrong this time, and what to do next.")
    instance: Plain | None = Field(default=None, description="The path that was asked.")
    request_id: str | None = Field(default=None, description="Finds this request in the service's log.")
    field: Plain | None = Field(default=None, description="JSON pointer to the first part that is wrong.")
    errors: list[FieldProblem] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of problem, as /problems/{name} explains it."""

    name: str
    title: str
    status: int
    description: str


def kind_of(error: type[ImageryError]) -> Kind:
    """The kind an error of ours is."""
    status = next((_STATUS[cls] for cls in error.__mro__ if cls in _STATUS), 500)
    text = " ".join((error.__doc__ or "").split())
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", error.__name__).lower()
    return Kind(name=name, title=re.split(r"[.;:] ?", text)[0], status=status, description=text)


def _offered() -> dict[str, Kind]:
    tree = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, ImageryError)]
    kinds = [kind for kind in map(kind_of, tree) if kind.status != 500]
    return {kind.name: kind for kind in (*kinds, *_OF_HTTP)}


_OF_HTTP = (
    Kind(
        name="key-unknown",
        title="No valid API key",
        status=401,
        description="All under /v1 needs a key in a header: Authorization: Bearer <key>, or X-API-Key: <key>. "
        "Whoever runs the service makes one with `imagery keys create`.",
    ),
    Kind(
        name="request-malformed",
        title="The request cannot be read",
        status=400,
        description="The body is not JSON, or a parameter or header is not of the form the API description names.",
    ),
    Kind(
        name="body-invalid",
        title="The body does not fit",
        status=422,
        description="The body is JSON, but not of the shape /docs describes; `errors` names every part that is wrong.",
    ),
    Kind(
        name="not-found",
        title="There is nothing here",
        status=404,
        description="No route of this API has this path; /docs lists them all.",
    ),
    Kind(
        name="method-not-allowed",
        title="This path does not take this method",
        status=405,
        description="The header Allow names the methods the path takes.",
    ),
    Kind(
        name="body-too-large",
        title="The body is too large",
        status=413,
        description="An area of interest within the limits fits many times; simplify the geometry.",
    ),
    Kind(
        name="media-type-unsupported",
        title="The body is of a media type this route does not take",
        status=415,
        description="Send application/json, or application/merge-patch+json with PATCH, and name it in Content-Type.",
    ),
    Kind(
        name="version-mismatch",
        title="It was changed since it was read",
        status=412,
        description="The ETag in If-Match is not that of the subscription as it stands; read it again, then change it.",
    ),
    Kind(
        name="internal",
        title="Something is wrong on our side",
        status=500,
        description="A mistake in the service. Tell its operator the request id: the log holds the rest.",
    ),
)

KINDS: Mapping[str, Kind] = _offered()
_BY_STATUS = {kind.status: kind for kind in _OF_HTTP}


def from_error(request: Request, error: ImageryError) -> JSONResponse:
    """The answer to an error of ours."""
    kind = kind_of(type(error))
    kind = KINDS.get(kind.name, kind)
    if isinstance(error, errors.VersionConflict) and "if-match" in request.headers:
        kind = KINDS["version-mismatch"]
    if kind.status == 500:
        return internal(request)
    field = error.field if isinstance(error, InvalidInput) else None
    if field is not None and not field.startswith("/"):
        field = f"/{field}"  # a parameter's bare name
    parts = [FieldProblem(field=field, detail=str(error))] if field is not None else None
    return respond(request, kind, detail=str(error), parts=parts, headers=_headers(kind.status, error))


def from_status(
    request: Request, status: int, *, detail: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The answer to a plain HTTP error."""
    kind = _BY_STATUS.get(status) or Kind(name="", title=detail or "HTTP error", status=status, description="")
    return respond(request, kind, detail=detail or kind.description, headers=headers)


def internal(request: Request) -> JSONResponse:
    """The answer to what should not have happened: nothing of it but where to find it in the log."""
    found = f"the log has it under request id {request_id_of(request)}"
    return respond(request, KINDS["internal"], detail=f"Something is wrong on our side; {found}.")


def respond(
    request: Request,
    kind: Kind,
    *,
    detail: str,
    parts: Sequence[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem document."""
    problem = Problem(
        type=f"/problems/{kind.name}" if kind.name else "about:blank",
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=request.url.path,
        request_id=request_id_of(request),
        field=parts[0].field if parts else None,
        errors=list(parts) if parts else None,
    )
    content = problem.model_dump(exclude_none=True)
    return JSONResponse(content, status_code=kind.status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def request_id_of(request: Request) -> str | None:
    """The name this request has in the log."""
    request_id: str | None = request.scope.get("state", {}).get("request_id")
    return request_id


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem answers of a route for its API description; those any route can give are there without asking."""
    schema = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    described = {status: _BY_STATUS[status].title for status in (400, 413, 415)} | {
        401: "No valid API key",
        403: "The key is not for this",
        404: "No such thing, or not the caller's",
        409: "The thing is not as the caller thought",
        412: "It was changed since it was read",
        422: "The body does not fit",
        429: "Too many requests with one key",
        503: "The service's store does not answer just now",
    }
    given = sorted({400, 401, 429, 503, *statuses})
    answers: dict[int | str, dict[str, Any]] = {n: {"description": described[n], "content": schema} for n in given}
    return answers | {"default": {"description": "Any other problem", "content": schema}}


def _headers(status: int, error: ImageryError) -> dict[str, str]:
    if isinstance(error, errors.Throttled):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="imagery"'}
    if status == 503:
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {}
