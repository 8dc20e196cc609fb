"""Takes out of Planet's words what opens doors: it quotes what it was sent, the key to our webhook with it. Pure."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

SHORTEST = 4
"""Characters of a secret that is looked for wherever it stands; a shorter one would hit words."""

_DOORS = (
    # The end of the URL that is called for an order, however its slashes are written.
    (re.compile(r"(webhooks(?:\\*/|%2f)planet(?:\\*/|%2f))[\w%-]+", re.IGNORECASE), r"\1***"),
    # A name and a password before a host.
    (re.compile(r"((?::|%3a)(?:\\*/|%2f){2})[^/\s@'\"]+(?:@|%40(?=[\w.-]+(?::|/|%)))", re.IGNORECASE), r"\1***@"),
    (re.compile(r"\bPLAK[0-9a-f]{16,}", re.IGNORECASE), "PLAK***"),
    (re.compile(r"\b((?:bearer|basic|api-key)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), r"\1***"),
    (re.compile(r"([?&;](?:token|api[_-]?key|key|signature|sig)=)[^&\s'\"]+", re.IGNORECASE), r"\1***"),
)


def without_secrets(text: str, known: Iterable[str] = ()) -> str:
    """The text with `***` for what can be told by its form, and for the `known`, wherever they stand."""
    for value in known:
        text = text.replace(value, "***")
    for door, replacement in _DOORS:
        text = door.sub(replacement, text)
    return text


def spellings(secrets: Iterable[str], *, logins: Iterable[tuple[str, str]] = ()) -> tuple[str, ...]:
    """Every form in which these are met in URLs, JSON, HTML and headers, longest first. `logins`: (user, password)."""
    pairs = list(logins)
    found = {base64.b64encode(f"{user}:{password}".encode()).decode().rstrip("=") for user, password in pairs}
    for secret in [*secrets, *(password for _, password in pairs)]:
        percent = {quote(secret, safe=""), quote(secret), quote(secret, safe="/:@"), quote_plus(secret)}
        lower = {re.sub(r"%[0-9A-F]{2}", lambda code: code[0].lower(), one) for one in percent}
        written = {secret, json.dumps(secret)[1:-1], secret.replace("/", r"\/"), html.escape(secret)}
        found |= percent | lower | written | {json.dumps(one)[1:-1] for one in written}
    return tuple(sorted((one for one in found if len(one) >= SHORTEST), key=len, reverse=True))


def clean(said: Any, redact: Callable[[str], str]) -> Any:
    """Parsed JSON with every text in it redacted, names of fields as well."""
    if isinstance(said, str):
        return redact(said)
    if isinstance(said, Mapping):
        return {redact(str(name)): clean(value, redact) for name, value in said.items()}
    return [clean(one, redact) for one in said] if isinstance(said, list) else said
