"""Takes out of a text what opens doors: API keys, passwords in URLs, signatures of signed links."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

_SECRETS = (
    # A webhook's key, and what it is called wherever a value is named.
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]+"), "whsec_***"),
    (
        re.compile(
            r"""((?:secret[_-]?(?:access[_-]?)?key|session[_-]?token|security[_-]?token|client[_-]?secret|password)"""
            r"""['"]?\s*[:=]\s*['"]?)(?!\*\*\*)[^\s'",&}]+""",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
    (re.compile(r"(imk_[0-9a-f]{1,12})_[A-Za-z0-9_-]+"), r"\1_***"),
    # Planet's keys, and the end of the URL that it calls for an order.
    (re.compile(r"\bPLAK[0-9a-f]{16,}"), "PLAK***"),
    (re.compile(r"(webhooks(?:/|%2f)planet(?:/|%2f))[A-Za-z0-9_-]{16,}", re.IGNORECASE), r"\1***"),
    (re.compile(r"(?<=://)[^/\s@'\"]+@"), "***@"),
    (
        re.compile(
            r"([?&;](?:[\w-]*(?:token|secret|signature|credential|password|api[_-]?key)|sig|key)=)[^&\s'\"]+",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
    (re.compile(r"\b((?:bearer|basic|api-key)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), r"\1***"),
)

_SECRET_NAME = re.compile(r"SECRET|TOKEN|PASSWORD|API_?KEY|CREDENTIAL", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^/\s:@'\"]*:([^/\s'\"]+)@")
SHORTEST = 8
"""Characters of a value that is looked for wherever it stands."""


def redact(text: str, known: Iterable[str] = ()) -> str:
    """The text with `***` for every secret; the public part of an API key stays, to tell which one it was.

    `known` are secrets that cannot be told by their form, taken out wherever they stand.
    """
    for value in known:
        text = text.replace(value, "***")
    for secret, replacement in _SECRETS:
        text = secret.sub(replacement, text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret."""
    return _SECRET_NAME.search(name) is not None


def secrets_in(env: Mapping[str, str]) -> tuple[str, ...]:
    """Values of an environment whose names say that they are secrets, and passwords in its URLs, longest first.

    Short ones are left out: they would hit words.
    """
    found = {value.strip() for name, value in env.items() if is_secret_name(name)}
    found |= {quote(value, safe="") for value in found}
    for value in env.values():
        for password in _PASSWORD.findall(value):
            found |= {password, unquote(password)}
    return tuple(sorted((value for value in found if len(value) >= SHORTEST), key=len, reverse=True))
