"""/v1/notifications: what providers push. No key: a message is believed for its signature, or not at all."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request

from imagery.api.needs import House
from imagery.api.problems import documented
from imagery.api.throttle import TokenBuckets
from imagery.errors import Throttled

router = APIRouter(prefix="/v1/notifications", tags=["notifications"])

MAX_MESSAGE_BYTES = 2**20
"""SNS takes 256 KiB; escaped as JSON it may be longer."""

RAW_PER_SECOND = 5.0
RAW_BURST = 100.0
"""Of one address: unsigned messages that make us ask the provider."""

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}


class Taken(BaseModel):
    """The message was taken. What came of it is nobody's business who may have sent it."""

    status: str = "ok"


async def _message(request: Request) -> bytes:
    """The body, bounded."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_MESSAGE_BYTES:
            raise HTTPException(413, detail=f"A message has at most {MAX_MESSAGE_BYTES // 1024} KiB.")
    return body


@router.post("/{provider}", responses=documented(403, 404, 413), openapi_extra=_BODY)
def receive(
    *,
    provider: str,
    request: Request,
    imagery: House,
    message: Annotated[bytes, Depends(_message)],
    is_raw: Annotated[str | None, Header(alias="x-amz-sns-rawdelivery", max_length=16)] = None,
    topic_arn: Annotated[str | None, Header(alias="x-amz-sns-topic-arn", max_length=512)] = None,
) -> Taken:
    """A message of Amazon SNS: the provider has published an item. Point the topic's HTTPS subscription here."""
    if is_raw is not None and is_raw.strip().lower() == "true":
        buckets: TokenBuckets = request.app.state.raw_notifications
        address = request.client.host if request.client else "unknown"
        imagery.push.raw(provider, message, topic_arn=topic_arn, leave=lambda: _take(buckets, address))
    else:
        imagery.push.signed(provider, message)
    return Taken()


def _take(buckets: TokenBuckets, name: str) -> None:
    wait_s = buckets.take(name)
    if wait_s > 0:
        raise Throttled(f"too many messages; send it again in {wait_s:.1f} s", retry_after_s=wait_s)
