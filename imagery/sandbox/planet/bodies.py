"""Bodies of requests to the local Planet, read within bounds."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from imagery.sandbox.planet.refusals import Refusal

MAX_BODY_BYTES = 2**20
"""docs.planet.com: the largest payload."""


async def read_json(request: Request) -> Any:
    """Raises Refusal: 413 for too much, 400 for what is no JSON."""
    content = b""
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                raise Refusal(413, {"message": "payload too large"})
    except ClientDisconnect as error:
        raise Refusal(400, {"message": "the caller has gone"}) from error
    try:
        return json.loads(content or b"{}")
    except (ValueError, RecursionError) as error:
        raise Refusal(400, {"field": {}, "general": [{"message": f"the body is not JSON: {error}"}]}) from error


def base_of(request: Request) -> str:
    """Root of the API as the caller knows it."""
    return str(request.base_url).rstrip("/")
