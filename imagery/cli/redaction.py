"""Takes out of a text what opens doors: API keys, passwords in URLs, signatures of signed links."""

from __future__ import annotations

import re

_SECRETS = (
    (re.compile(r"(imk_[0-9a-f]{1,12})_[A-Za-z0-9_-]+"), r"\1_***"),
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


def redact(text: str) -> str:
    """The text with `***` for every secret; the public part of an API key stays, to tell which one it was."""
    for secret, replacement in _SECRETS:
        text = secret.sub(replacement, text)
    return text
