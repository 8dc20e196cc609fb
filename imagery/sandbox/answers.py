"""An app's answer taken whole, so that it can be spoilt before it is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One that the app gave, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def begins_at(self) -> int:
        """Where in its file the body begins."""
        found = re.match(r"bytes (\d+)-", self.headers.get("content-range", ""))
        return int(found[1]) if found else 0

    @property
    def half(self) -> bytes:
        """The first half of its body."""
        return self.body[: len(self.body) // 2]

    def resized(self, body: bytes) -> Answer:
        """With another body, and the length of it."""
        return replace(self, body=body, headers={**self.headers, "content-length": str(len(body))})

    def inverted(self, keep_bytes: int) -> Answer:
        """Every byte inverted beyond the first ones of the file, wherever in it the answer begins."""
        keep = max(0, keep_bytes - self.begins_at)
        return replace(self, body=self.body[:keep] + bytes(byte ^ 0xFF for byte in self.body[keep:]))

    async def send(self, send: Send) -> None:
        """As it stands."""
        await self._send(send, self.body, is_whole=True)

    async def break_off(self, send: Send) -> None:
        """Half of it, announced in full: the server, left with a body that never ends, breaks the connection."""
        await self._send(send, self.half, is_whole=False)

    async def _send(self, send: Send, body: bytes, *, is_whole: bool) -> None:
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": not is_whole})


async def whole_answer(app: ASGIApp, scope: Scope, receive: Receive) -> Answer:
    """What the app answers."""
    start: Message = {}
    body = bytearray()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            body.extend(message.get("body", b""))

    # A file may be passed to the server by its path, which could not be spoilt.
    await app({**scope, "extensions": {}}, receive, keep)
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(status=start["status"], headers=headers, body=bytes(body))
