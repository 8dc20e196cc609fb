"""Webhooks called: once each, on this machine only, and what came of it kept."""

from __future__ import annotations

import ipaddress
import logging
import threading
from urllib.parse import urlsplit

import httpx

from imagery.sandbox.planet.account import Account
from imagery.sandbox.planet.book import Call

logger = logging.getLogger(__name__)

TIMEOUT_S = 10.0


class Caller:
    """Any thread; one at a time calls. `close` it."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._client = httpx.Client(
            timeout=TIMEOUT_S, trust_env=False, headers={"User-Agent": "planet-orders-sandbox"}, follow_redirects=False
        )
        self._calling = threading.Lock()

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def call_due(self) -> int:
        """Make the calls that are due; how many."""
        with self._calling:
            due = self._account.book.calls_due(self._account.clock())
            for call in due:
                self._account.book.called(call.number, self._outcome(call))
            return len(due)

    def _outcome(self, call: Call) -> str:
        if not _is_here(call.url):
            logger.warning("webhook not called: its host is not this machine", extra={"order_id": call.order_id})
            return "refused: not this machine"
        try:
            # The user and password of the URL go as basic authentication, which httpx does by itself.
            response = self._client.post(call.url, content=call.body, headers={"Content-Type": "application/json"})
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # ValueError: odd characters in the URL
            return type(error).__name__
        return str(response.status_code)


def _is_here(url: str) -> bool:
    """A sandbox must not reach out of the machine on the word of a body that was posted to it."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
