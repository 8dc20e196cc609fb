"""/webhooks/planet: where Planet says that an order may be ready. No API key: each order has a URL of its own.

What is posted is a hint and never more, so every answer is plain, and the same whatever the body holds.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from imagery.api.needs import House
from imagery.providers.planet.webhook import MAX_BYTES, parse_notification
from imagery.settings import Settings

router = APIRouter(prefix="/webhooks/planet", include_in_schema=False)

LONGEST_KEY = 64
"""Characters; ours have 43."""


READ_WITHIN_S = 10.0
"""Planet sends a kilobyte at once; who sends more slowly holds a connection and nothing else."""


@router.api_route("/{key}/", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def no_such_door() -> Response:
    """404: never a redirect, whose address would be made of what a stranger sent."""
    return Response(status_code=404)


@router.post("/{key}")
async def receive(key: str, request: Request, imagery: House) -> Response:
    """204: taken, be it news or not. 404: no order has this key. 401: not the name and password that were given out."""
    if not _is_trusted(request.headers.get("authorization", ""), imagery.settings):
        return Response(status_code=401, headers={"WWW-Authenticate": 'Basic realm="imagery"'})
    planet = imagery.planet
    if planet is None or len(key) > LONGEST_KEY or not await run_in_threadpool(planet.orders.is_known, key):
        return Response(status_code=404)
    try:
        body = await read_body(request)
    except TimeoutError:
        return Response(status_code=408, headers={"Connection": "close"})
    except ClientDisconnect:
        return Response(status_code=400)  # nobody is there to read it
    if body is None:
        return Response(status_code=413)
    await run_in_threadpool(planet.orders.notified, key, parse_notification(body))
    return Response(status_code=204)


async def read_body(request: Request, *, within_s: float = READ_WITHIN_S) -> bytes | None:
    """None when it is too long to be Planet's. Raises TimeoutError when it is not there in time."""
    body = b""
    async with asyncio.timeout(within_s):
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BYTES:
                return None
    return body


def _is_trusted(authorization: str, settings: Settings) -> bool:
    user, password = settings.planet_webhook_user, settings.planet_webhook_password
    if user is None or password is None:
        return True
    scheme, _, text = authorization.partition(" ")
    try:
        given = base64.b64decode(text.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        given = b""
    return hmac.compare_digest(given, f"{user}:{password}".encode())
