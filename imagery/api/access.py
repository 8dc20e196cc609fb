"""Who is knocking: API keys from headers, how often each may knock, and what a stranger may not do."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from imagery.api import problems
from imagery.api.paths import is_under, path_of
from imagery.api.throttle import Monotonic, TokenBuckets
from imagery.errors import ImageryError, KeyUnknown, Throttled
from imagery.model.access import Caller
from imagery.service.keys import Keys, is_key_shaped

logger = logging.getLogger(__name__)

BURST_S = 5.0
"""A full bucket holds so many seconds' worth of requests."""

FAILURES_PER_SECOND = 1.0
FAILURES_BURST = 20.0
"""Wrong keys of one client address: enough for a team's mistakes, too few for a machine's guesses."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Lets callers with a key in, each at their rate."""

    keys: Keys
    requests: TokenBuckets
    failures: TokenBuckets

    @classmethod
    def of(cls, keys: Keys, *, requests_per_second: float, monotonic: Monotonic) -> Gate:
        """A gate with full buckets."""
        burst = max(1.0, requests_per_second * BURST_S)
        return cls(
            keys=keys,
            requests=TokenBuckets(rate=requests_per_second, burst=burst, monotonic=monotonic),
            failures=TokenBuckets(rate=FAILURES_PER_SECOND, burst=FAILURES_BURST, monotonic=monotonic),
        )

    def admit(self, headers: Headers, *, address: str, needs_key: bool) -> tuple[str | None, Caller | None]:
        """The id of the caller's key and who it speaks for; nobody for a stranger where no key is needed.

        Raises KeyUnknown, Throttled. A good key always passes however many wrong ones came from its address: many
        callers may share one.
        """
        text = _key_in(headers)
        if text is None and not needs_key:
            self._take(self.requests, f"address {address}")
            return None, None
        try:
            if text is None:
                raise KeyUnknown("give an API key: Authorization: Bearer <key>, or X-API-Key: <key>")
            key, caller = self.keys.authenticate(text)
        except KeyUnknown:
            # What has not even a key's form is a stranger's mistake; what has may be a guess.
            if is_key_shaped(text or ""):
                self._take(self.failures, address)
            else:
                self._take(self.requests, f"address {address}")
            raise
        self._take(self.requests, f"key {key.id}")
        return key.id, caller

    def _take(self, buckets: TokenBuckets, name: str) -> None:
        wait_s = buckets.take(name)
        if wait_s > 0:
            raise Throttled(
                f"too many requests; try again in {wait_s:.1f} s and keep to {buckets.rate:g} a second",
                retry_after_s=wait_s,
            )


@dataclass(frozen=True)
class Access:
    """ASGI middleware: what lies under /v1 needs a key; the STAC API and /metrics decide about strangers themselves."""

    app: ASGIApp
    gate: Gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put the caller in the request's state, or answer with a problem."""
        path = path_of(scope)
        is_pushed = is_under(path, "/v1/notifications")
        needs_key = is_under(path, "/v1") and not is_pushed
        # A browser's preflight carries no key and asks for nothing but whether it may ask.
        is_gated = needs_key or is_pushed or is_under(path, "/stac") or is_under(path, "/metrics")
        if scope["type"] != "http" or scope["method"] == "OPTIONS" or not is_gated:
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        address = request.client.host if request.client else "unknown"
        try:
            key_id, caller = await run_in_threadpool(
                self.gate.admit, request.headers, address=address, needs_key=needs_key
            )
        except ImageryError as error:
            await problems.from_error(request, error)(scope, receive, send)
            return
        scope.setdefault("state", {}).update(caller=caller, key_id=key_id)
        await self.app(scope, receive, send)


def caller_of(request: Request) -> Caller | None:
    """Who is behind a request that came through the gate; None: nobody who gave a key."""
    caller: Caller | None = request.scope.get("state", {}).get("caller")
    return caller


def _key_in(headers: Headers) -> str | None:
    """The key's text; empty when the header holds something else than a key, None when there is no header."""
    authorization = headers.get("authorization")
    if authorization is None:
        return headers.get("x-api-key")
    scheme, _, text = authorization.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""
