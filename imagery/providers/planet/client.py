"""One account at Planet: its key, its rates, its refusals. Knows no operation's meaning."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx

from imagery.errors import (
    CredentialsRefused,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderRefused,
    ProviderThrottled,
    ProviderUnavailable,
    QuotaExhausted,
    SettingsInvalid,
)
from imagery.providers.exchange import MAX_WAIT_S, Answer, Ask, Exchange, throttled
from imagery.providers.planet.account import REFUSED_FOR_S, Account, Standing
from imagery.providers.planet.pace import Operation
from imagery.providers.planet.secrets import clean, spellings, without_secrets
from imagery.providers.planet.words import words_of

logger = logging.getLogger(__name__)

PLANET_URL = "https://api.planet.com"

LONGEST_HOLD_S = 3600.0
"""Whatever Retry-After says, it is asked again after so long."""

__all__ = ["PLANET_URL", "REFUSED_FOR_S", "PlanetClient", "Standing"]


class PlanetClient:
    """Sends JSON and gives JSON. The key goes to Planet's own address only, and into no error, log or repr."""

    def __init__(
        self,
        api_key: str,
        *,
        url: str = PLANET_URL,
        name: str = "planet",
        client: httpx.Client | None = None,
        timeout_s: float = 125.0,
        attempts: int = 5,
        logins: Sequence[tuple[str, str]] = (),
        account: Account | None = None,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`attempts` counts the first. A `client` that is given is not closed here.

        `logins` are (user, password) that Planet is told and must not be quoted with; `account` is another client's of
        the same key (None: it is the only one).
        """
        if not api_key or not api_key.isascii() or not api_key.isprintable():
            raise SettingsInvalid(
                "Planet's API key is empty or holds characters no key has; set it anew", field="IMAGERY_PLANET_API_KEY"
            )
        self.name = name
        self.url = _checked(url)
        self._auth = httpx.BasicAuth(api_key, "")
        self._is_lent = client is not None
        self.http = client or httpx.Client(headers={"User-Agent": "imagery", "Accept": "application/json"})
        self.timeout_s = timeout_s
        self._secrets = spellings([api_key], logins=[(api_key, ""), *logins])
        self.sleep = sleep
        self.account = account or Account(monotonic=monotonic, sleep=sleep)
        # Whoever asks once does not wait for another's turn to come either.
        self._patience_s = MAX_WAIT_S if attempts > 1 else 0.0
        self._exchanges = {
            operation: Exchange(
                name,
                self.http,
                attempts=attempts,
                timeout_s=timeout_s,
                sleep=sleep,
                jitter=jitter,
                monotonic=monotonic,
                auth=self._auth,
                too_often=partial(self._too_often, operation),
                clean=lambda said: clean(said, self.redact),
            )
            for operation in Operation
        }

    def __repr__(self) -> str:
        return f"PlanetClient(url={self.url!r})"

    def close(self) -> None:
        """Let go of its connections."""
        if not self._is_lent:
            self.http.close()

    @property
    def standing(self) -> Standing:
        """Whether the key is taken, and has quota."""
        return self.account.standing

    def ask(
        self,
        operation: Operation,
        path: str,
        *,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
        repeatable: bool = True,
    ) -> Mapping[str, Any]:
        """A JSON object; `path` is one below the root, or a link Planet gave.

        What is not `repeatable` is sent again only when it surely had no effect. Raises CredentialsRefused (without
        asking, for five minutes after the last), QuotaExhausted, ProviderRefused (in Planet's own words, with their
        fields), ProviderThrottled, ProviderUnavailable and ProviderAnswerInvalid.
        """
        return self._taken(self.answer(operation, path, method=method, body=body, repeatable=repeatable))

    def find(self, operation: Operation, path: str) -> Mapping[str, Any] | None:
        """One thing, as `ask`; None where there is nothing (404). A 403 is about this thing, and refuses no more."""
        answer = self.answer(operation, path, may_be_forbidden=True)
        return None if answer.status in (404, 410) else self._taken(answer)

    def answer(
        self,
        operation: Operation,
        path: str,
        *,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
        repeatable: bool = True,
        may_be_forbidden: bool = False,
    ) -> Answer:
        """As `ask`, with a refusal as an answer: only 401 and 403 raise.

        What `may_be_forbidden` is one thing of many, or something a plan may lack: there, 403 says nothing of the key.
        """
        why = self.account.refused_lately()
        if why is not None:
            raise self._refusal_now(why)
        ask = Ask(url=self.absolute(path), method=method, body=body, repeatable=repeatable)
        try:
            answer = self._exchanges[operation].ask(ask, turn=partial(self.wait, operation))
        except QuotaExhausted as error:
            if not may_be_forbidden:
                self.account.was_used_up(operation, str(error))
            raise
        if answer.status == 401 or (answer.status == 403 and not may_be_forbidden):
            raise self._credentials_refused(answer)
        if answer.status != 403:
            self.account.was_known()
        if answer.is_success:
            self.account.has_given(operation)
        return answer

    def redact(self, text: str) -> str:
        """Planet's words, as they may be told: without our secrets."""
        return without_secrets(text, self._secrets)

    def wait(self, operation: Operation) -> None:
        """Until one more of these may be sent. Raises ProviderThrottled when Planet said that it will be long."""
        self.account.paces[operation].wait(at_most_s=self._patience_s)

    def throttled(self, operation: Operation, response: httpx.Response) -> ProviderThrottled:
        """The error for a 429 that waiting cures: what it says is kept by all."""
        error = throttled(self.name, response)
        if error.retry_after_s is not None:
            self.account.paces[operation].hold(min(error.retry_after_s, LONGEST_HOLD_S))
        return error

    def absolute(self, path: str) -> str:
        """Raises ProviderAnswerInvalid for a link that leads away from Planet: the key must not follow it."""
        if path.startswith("/"):
            return self.url + path
        if not self.is_own(path):
            raise ProviderAnswerInvalid(f"{self.name} gave a link to another host; it is not followed with the key")
        return path

    def is_own(self, url: str) -> bool:
        """Whether it is at the address the key is for."""
        try:
            ours, theirs = urlsplit(self.url), urlsplit(url)
        except ValueError:
            return False
        return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)

    @property
    def auth(self) -> httpx.Auth:
        """For requests to Planet's own address that are not JSON."""
        return self._auth

    def _taken(self, answer: Answer) -> Mapping[str, Any]:
        if answer.is_success:
            return answer.body
        raise self.refusal(answer)

    def refusal(self, answer: Answer) -> ProviderError:
        """The error for a 4xx."""
        said = self._words(answer.body)
        if answer.status == 409 and answer.ask.method == "POST":
            # The specification's MaxConcurrency: too many orders at once, which ends by itself.
            return ProviderThrottled(f"{self.name} takes no more orders just now (409): {said}")
        if "problem confirming products" in said.lower():
            # Seen under load (planet-client-python#551), and passing.
            return ProviderUnavailable(f"{self.name} could not confirm the products ({answer.status}): {said}")
        advice = "nothing is there" if answer.status == 404 else "asking again will not help"
        return ProviderRefused(f"{self.name} refused ({answer.status}): {said}; {advice}")

    def _words(self, body: object) -> str:
        return words_of(clean(body, self.redact))

    def _credentials_refused(self, answer: Answer) -> CredentialsRefused:
        why = f"{answer.status}: {self._words(answer.body)}"
        self.account.was_refused(why)
        logger.error("the provider refuses the key", extra={"provider": self.name, "status": answer.status})
        return self._refusal_now(why)

    def _refusal_now(self, why: str) -> CredentialsRefused:
        return CredentialsRefused(
            f"{self.name} does not take the API key ({why}); put a valid one into IMAGERY_PLANET_API_KEY, restart, and "
            "replay the failures"
        )

    def _too_often(self, operation: Operation, response: httpx.Response, body: Any) -> ProviderError:
        """429 is for haste, which passes and says when, or for a quota used up, which does not: the body tells."""
        said, error = self._words(body), self.throttled(operation, response)
        if error.retry_after_s is None and "quota" in said.lower():
            return QuotaExhausted(f"{self.name}'s quota is used up (429): {said}; have it raised, then replay")
        return error


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise SettingsInvalid(
            f"Planet's URL must be like {PLANET_URL}: http or https, no user name, no query", field="IMAGERY_PLANET_URL"
        )
    return url.rstrip("/")
