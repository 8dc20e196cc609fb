"""One HTTP POST to a subscriber's receiver: signed, to a looked-up and pinned address, bounded in time and size."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from imagery import __version__
from imagery.errors import AddressRefused
from imagery.model.codec import to_seconds
from imagery.model.event import Attempt, Event
from imagery.model.subscription import Webhook
from imagery.notifiers.addresses import AddressPolicy, Target
from imagery.notifiers.cloudevents import MEDIA_TYPE, to_body
from imagery.notifiers.signing import sign
from imagery.ports import ATTEMPT_TIMEOUT

SNIPPET_BYTES = 1024
"""Read of an answer's body; the rest is not even received."""

MOST_ADDRESSES = 3
"""Of one name, tried in turn while there is no connection."""

GONE = 410
_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, kw_only=True)
class WebhookNotifier:
    """A Notifier. Follows no redirect, keeps no connection, uses no proxy of the environment."""

    policy: AddressPolicy
    base_url: str
    """The service's own address, for links; without a slash at its end."""

    timeout_s: float = to_seconds(ATTEMPT_TIMEOUT)
    tls: ssl.SSLContext = field(default_factory=lambda: httpx.create_ssl_context(trust_env=False), repr=False)
    monotonic: Callable[[], float] = time.monotonic

    def check(self, url: str) -> None:
        """See the port."""
        self.policy.target(url)

    def send(self, webhook: Webhook, event: Event, *, now: datetime) -> Attempt:
        """See the port. The address is looked up and checked anew: a name may lead elsewhere than it did."""
        began = self.monotonic()
        body = to_body(event, base_url=self.base_url)
        headers = sign(body, message_id=event.id, at=now, secrets=webhook.secrets_at(now))
        outcome: dict[str, Any]
        try:
            target = self.policy.target(webhook.url)
            outcome = self._post(target, body, headers, now)
        except AddressRefused as error:
            outcome = {"error": str(error)}
        except (httpx.HTTPError, OSError, ssl.SSLError) as error:
            outcome = {"error": _explained(error)}
        return Attempt(
            at=now,
            url=webhook.url.partition("?")[0],
            took_s=round(self.monotonic() - began, 3),
            **outcome,
        )

    def _post(self, target: Target, body: bytes, headers: Mapping[str, str], now: datetime) -> dict[str, Any]:
        """At the first of its addresses that can be connected to."""
        line = _Line()
        # A client of its own: kept connections are told apart by address, and two names may share one.
        with (
            httpx.Client(verify=self.tls, trust_env=False, timeout=_TIMEOUT) as client,
            line.cut_after(self.timeout_s),
        ):
            tried = target.addresses[:MOST_ADDRESSES]
            for address in tried[:-1]:
                with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                    return _asked(client, target, address, body=body, headers=headers, line=line, now=now)
            return _asked(client, target, tried[-1], body=body, headers=headers, line=line, now=now)


class _Line:
    """The connection of one attempt, which can be cut from outside: timeouts of a read say nothing of the whole."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """httpcore's own account of what it does; told of each new stream."""
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
                if self._is_cut:
                    self._shut()

    @contextmanager
    def cut_after(self, timeout_s: float) -> Iterator[None]:
        """Within the block the connection lives no longer than this."""
        timer = threading.Timer(timeout_s, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (httpx.HTTPError, OSError) as error:
            if self._is_cut:
                raise httpx.ReadTimeout(f"no whole answer within {timeout_s:g} s") from error
            raise
        finally:
            timer.cancel()

    def _cut(self) -> None:
        with self._lock:
            self._is_cut = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _asked(
    client: httpx.Client,
    target: Target,
    address: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    line: _Line,
    now: datetime,
) -> dict[str, Any]:
    """What the receiver at this address answers, as fields of an Attempt."""
    own = {
        "Host": target.authority,
        "Content-Type": MEDIA_TYPE,
        "User-Agent": f"imagery/{__version__}",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    with client.stream(
        "POST",
        target.pinned_url(address),
        content=body,
        headers={**headers, **own},
        extensions={"sni_hostname": target.host.strip("[]").rstrip("."), "trace": line.trace},
        follow_redirects=False,
    ) as answer:
        return {
            "status_code": answer.status_code,
            "error": _why_not(answer),
            "snippet": _snippet(answer),
            "retry_after_s": _retry_after(answer.headers.get("retry-after"), now),
        }


def _why_not(answer: httpx.Response) -> str | None:
    if answer.is_success:
        return None
    if answer.is_redirect:
        return f"it answered {answer.status_code}, a redirect; those are not followed: set the final URL"
    if answer.status_code == GONE:
        return "it answered 410 Gone: the webhook is disabled until it is set again"
    return f"it answered {answer.status_code} {answer.reason_phrase}".rstrip()


def _snippet(answer: httpx.Response) -> str:
    """How the body begins. What comes of a body does not change how the attempt ended."""
    taken = b""
    with suppress(httpx.HTTPError, OSError):
        for chunk in answer.iter_raw(SNIPPET_BYTES):
            taken += chunk
            if len(taken) >= SNIPPET_BYTES:
                break
    return _CONTROL.sub(" ", taken[:SNIPPET_BYTES].decode("utf-8", "replace")).strip()


def _retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds (RFC 9110, 10.2.3); None when it says nothing that can be read."""
    if text is None:
        return None
    if text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, to_seconds(at.replace(tzinfo=at.tzinfo or UTC) - now))


def _explained(error: Exception) -> str:
    reason = _CONTROL.sub(" ", str(error))[:300]
    kind = "no answer in time" if isinstance(error, httpx.TimeoutException) else "the connection failed"
    return f"{kind}: {reason}" if reason else kind
