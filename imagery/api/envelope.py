"""What every request is wrapped in: a name, a line in the log, a limit to its body, and an answer whatever happens."""

from __future__ import annotations

import logging
import re
import secrets
import time
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagery.api import problems
from imagery.api.paths import is_under, path_of
from imagery.log_context import logged_with

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 5 * 2**20
_KEY_IN_PATH = re.compile(r"(webhooks/planet/).+")
"""The last part of such a path opens something."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True)
class Envelope:
    """ASGI middleware, the outermost: names the request, logs how it went, and hides what went wrong inside."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it; a mistake of ours is logged with its traceback and answered with a 500 problem."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send=send, request_id=_request_id(scope))
        scope = {**scope, "state": {**scope.get("state", {}), "request_id": answer.request_id}}
        began = time.monotonic()
        try:
            with logged_with(request_id=answer.request_id):
                await self.app(scope, receive, answer.send_on)
        except Exception:
            # The server outlives any one request; the caller learns where in the log to look.
            logger.exception("request failed", extra={"request_id": answer.request_id})
            if answer.status == 0:
                await problems.internal(Request(scope))(scope, receive, answer.send_on)
        _log(scope, answer, took_s=time.monotonic() - began)


@dataclass
class _Answer:
    """The way back to the caller: puts the request's name on it and remembers how it went."""

    send: Send
    request_id: str
    status: int = 0
    """0 until the answer has begun."""

    async def send_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-Id"] = self.request_id
        await self.send(message)


@dataclass(frozen=True)
class BodyLimit:
    """ASGI middleware: refuses a body above the limit, before reading it when it says so, else as soon as it shows."""

    app: ASGIApp
    limit: int = MAX_BODY_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the body on in the pieces it comes in."""
        if scope["type"] != "http" or is_under(path_of(scope), "/stac"):  # it has its own, for item collections
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared[:20]) > self.limit:
            await problems.from_status(Request(scope), 413, detail=self._refusal())(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                raise HTTPException(413, detail=self._refusal())
            return message

        await self.app(scope, counted, send)

    def _refusal(self) -> str:
        return f"The body is larger than {self.limit // 2**20} MiB, the most that is taken here."


def _request_id(scope: Scope) -> str:
    """The caller's own name for the request when it is a tame one, so that their log and ours can be laid together."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _log(scope: Scope, answer: _Answer, *, took_s: float) -> None:
    # The raw path is still percent-encoded: no line break of a caller's gets into the log. No query, no headers.
    path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")[:200]
    path = _KEY_IN_PATH.sub(r"\1***", path)
    logger.info(
        "%s %s %d",
        scope["method"],
        path,
        answer.status,
        extra={
            "request_id": answer.request_id,
            "key_id": scope["state"].get("key_id"),
            "duration_ms": round(took_s * 1000, 1),
        },
    )
