"""Pages over HTTP: `limit` and `cursor` in, a cursor and a Link header out."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

Limit = Annotated[int, Query(ge=1, le=1000, description="Most values of one page.")]
Cursor = Annotated[
    str | None, Query(min_length=1, max_length=4096, description="`next` of the page before; of the same query only.")
]


def link_next(request: Request, response: Response, next_cursor: str | None) -> None:
    """Say where the next page is, if there is one (RFC 8288)."""
    if next_cursor is not None:
        url = request.url.include_query_params(cursor=next_cursor)
        response.headers["Link"] = f'<{url}>; rel="next"'
