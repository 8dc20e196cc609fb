"""One HTTP exchange with a provider: JSON both ways, tried again where waiting helps, typed errors where not."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from imagery.errors import (
    ProviderAnswerInvalid,
    ProviderError,
    ProviderRefused,
    ProviderThrottled,
    ProviderUnavailable,
)

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 64 * 2**20
"""A page of 100 Earth Search items is 2 MB; beyond this something is wrong with the answer."""

MAX_WAIT_S = 60.0
"""Longer waits are the caller's: a worker should not sleep in here."""

QUOTED_CHARACTERS = 300
"""How much of a provider's own words goes into an error."""


class PageTooHeavy(ProviderUnavailable):
    """502, a read that timed out or an answer over the limit: fewer items a page may help. Never leaves providers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """What is sent."""

    url: str
    method: str = "GET"
    body: Mapping[str, Any] | None = None
    pageable: bool = False
    """Whether asking for fewer items at once is possible, so that an answer too heavy is PageTooHeavy."""

    repeatable: bool = True
    """Whether sending it twice does no harm. One that is not is sent again only when it surely had no effect."""

    @property
    def shown(self) -> str:
        """The URL as it may stand in an error or a log: without its query, where keys and tokens are."""
        return self.url.partition("?")[0]

    @property
    def fingerprint(self) -> str:
        """The same for the same question."""
        return f"{self.method} {self.url} {json.dumps(self.body, sort_keys=True)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back: 2xx with a JSON object, or a refusal (4xx)."""

    ask: Ask
    status: int
    body: Mapping[str, Any]

    @property
    def is_success(self) -> bool:
        return self.status < 300


class Exchange:
    """Asks one provider. May be used from any thread."""

    def __init__(
        self,
        name: str,
        client: httpx.Client,
        *,
        attempts: int,
        timeout_s: float,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
        auth: httpx.Auth | None = None,
        too_often: Callable[[httpx.Response, Any], ProviderError] | None = None,
        clean: Callable[[Any], Any] = lambda said: said,
    ) -> None:
        """`auth` goes with every request (None: the client's own); `too_often` tells what a 429 means by its headers
        and parsed body (None: wait as it says, and ask again). `clean` takes out of the provider's words, as parsed,
        what must not be told: they may quote what they were sent. It sees all that is no success.
        """
        self._clean = clean
        self._auth = httpx.USE_CLIENT_DEFAULT if auth is None else auth
        self._name = name
        self._too_often = too_often or self._throttled
        self._client = client
        self._attempts = attempts
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._jitter = jitter
        self._monotonic = monotonic

    def ask(self, ask: Ask, *, turn: Callable[[], None] = lambda: None) -> Answer:
        """The answer, refusals (4xx) included; `turn` is waited for before each attempt.

        Raises ProviderUnavailable, ProviderThrottled or ProviderAnswerInvalid when the attempts are used up, and
        PageTooHeavy as soon as a pageable ask turns out too heavy.
        """
        for attempt in range(1, self._attempts + 1):
            turn()
            try:
                return self._ask_once(ask)
            except (PageTooHeavy, ProviderRefused):
                raise
            except ProviderError as error:
                if not ask.repeatable and not _had_no_effect(error):
                    raise
                wait_s = self.backoff(attempt)
                if isinstance(error, ProviderThrottled) and error.retry_after_s is not None:
                    wait_s = error.retry_after_s
                # Broken JSON is tried once more only: a proxy's hiccup passes, a wrong address does not.
                tries = 2 if isinstance(error, ProviderAnswerInvalid) else self._attempts
                if attempt >= tries or wait_s > MAX_WAIT_S:
                    raise
                logger.info(
                    "provider asked again",
                    extra={"provider": self._name, "attempt": attempt, "wait_s": round(wait_s, 1)},
                )
                self._sleep(wait_s)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after the attempt of this number, from 1: doubling, with jitter, so that callers spread."""
        longest: float = min(MAX_WAIT_S / 2, 2.0 ** (attempt - 1))
        return longest * (0.5 + self._jitter() / 2)

    def refusal(self, answer: Answer) -> ProviderRefused:
        """The error for a 4xx, in the provider's own words as far as they go."""
        advice = {
            401: "it wants credentials; check the provider's settings",
            403: "these credentials do not allow it",
            404: f"nothing answers at {answer.ask.shown}; check the provider's URL in the settings",
            405: f"{answer.ask.shown} takes no {answer.ask.method}; is it the root of a STAC API?",
        }.get(answer.status, "asking again will not help")
        return ProviderRefused(f"{self._name} refused ({answer.status}): {_words(answer.body)}; {advice}")

    def _ask_once(self, ask: Ask) -> Answer:
        try:
            with self._client.stream(
                ask.method, ask.url, json=ask.body, auth=self._auth, timeout=self._timeout_s, follow_redirects=False
            ) as response:
                content = self._read(ask, response)
        except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
            kind = PageTooHeavy if ask.pageable else ProviderUnavailable
            raise kind(f"{self._name} did not answer within {self._timeout_s:g} s; try again later") from error
        except httpx.DecodingError as error:
            raise ProviderAnswerInvalid(f"{self._name} sent a body that cannot be decompressed: {error}") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise ProviderRefused(f"{self._name} cannot be asked at {ask.shown}: {error}; check its URL") from error
        except httpx.HTTPError as error:
            raise ProviderUnavailable(
                f"{self._name} cannot be reached ({type(error).__name__}: {error}); check the network and its URL"
            ) from error
        return self._judge(ask, response, content)

    def _read(self, ask: Ask, response: httpx.Response) -> bytes:
        """The body, within the limits of size and time: httpx's own timeout starts anew with every chunk."""
        deadline = self._monotonic() + 10 * self._timeout_s
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                if ask.pageable:
                    raise PageTooHeavy(f"{self._name} answered with more than {MAX_ANSWER_BYTES} bytes")
                raise ProviderRefused(f"{self._name} answered {ask.shown} with more than {MAX_ANSWER_BYTES} bytes")
            if self._monotonic() > deadline:
                raise httpx.ReadTimeout("the body came too slowly", request=response.request)
        return bytes(content)

    def _judge(self, ask: Ask, response: httpx.Response, content: bytes) -> Answer:
        status, body = response.status_code, _parsed(content)
        if status >= 300 or not isinstance(body, dict):
            body = self._clean(body)
        if status == 429:
            raise self._too_often(response, body)
        if status == 502 and ask.pageable:
            # Earth Search says so when a page outgrows what a Lambda may return (Element84/earth-search#17).
            raise PageTooHeavy(f"{self._name} failed (502): {_words(body)}; try again later")
        if status in (408, 425) or (status >= 500 and status not in (501, 505)):
            raise ProviderUnavailable(f"{self._name} failed ({status}): {_words(body)}; try again later")
        if 300 <= status < 400:
            target = str(self._clean(str(response.headers.get("location", "elsewhere"))))[:QUOTED_CHARACTERS]
            raise ProviderRefused(
                f"{self._name} has moved from {ask.shown} to {target}; put that address in the settings"
            )
        if status < 300 and not isinstance(body, dict):
            raise ProviderAnswerInvalid(
                f"{self._name} answered {ask.shown} with something that is no JSON object: {_words(body)}"
            )
        return Answer(ask=ask, status=status, body=body if isinstance(body, dict) else {"description": _words(body)})

    def _throttled(self, response: httpx.Response, body: Any) -> ProviderThrottled:
        del body
        return throttled(self._name, response)


def _had_no_effect(error: ProviderError) -> bool:
    """Whether it was surely not taken: refused for haste, or never sent."""
    never_sent = httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout
    return isinstance(error, ProviderThrottled) or isinstance(error.__cause__, never_sent)


def throttled(name: str, response: httpx.Response) -> ProviderThrottled:
    """The error for a 429 that waiting cures."""
    return ProviderThrottled(
        f"{name} says we ask too often (429); it will be asked again later",
        retry_after_s=_retry_after_s(response.headers),
    )


def _parsed(content: bytes) -> Any:
    """JSON, or the text as it is."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        # More than is ever quoted: what is cleaned must not be cut in the middle of what is looked for.
        return content[: 2**16].decode("utf-8", "replace")


def _words(body: object) -> str:
    """What a body says went wrong, on one line of bounded length."""
    if isinstance(body, Mapping):
        said = [body.get(key) for key in ("code", "description", "detail", "message", "title")]
        text = " ".join(str(part) for part in said if part) or json.dumps(body)[: 2 * QUOTED_CHARACTERS]
    else:
        text = str(body)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if not line:
        return "no reason given"
    return line if len(line) <= QUOTED_CHARACTERS else line[:QUOTED_CHARACTERS] + "…"


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds the provider asks us to wait. A date is read against the answer's own Date, so no clock can be wrong."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until, now = _http_date(text), _http_date(headers.get("date", ""))
    if until is None or now is None:
        return None
    return max(0.0, (until - now).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return instant if instant.tzinfo else None
