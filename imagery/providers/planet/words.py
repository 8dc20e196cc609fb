"""What Planet says went wrong, as a person reads it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

QUOTED_CHARACTERS = 500


def words_of(body: object) -> str:
    """`general`, then each field with its messages, then what else it says: on one line of bounded length."""
    return shortened("; ".join(_said(body))) or "no reason given"


def last_words_of(order: Mapping[str, object]) -> str:
    """An order's `last_message`, without the JSON that Planet wraps some in, then its hints; empty: it says nothing."""
    said = str(order.get("last_message") or "")
    before, brace, rest = said.partition("{")
    if brace:
        try:
            inner = "; ".join(_said(json.loads(brace + rest)))
        except (ValueError, RecursionError):
            inner = ""
        said = inner or before + brace + rest
    hints = order.get("error_hints")
    hinted = [str(one) for one in hints if one] if isinstance(hints, list) else []
    return shortened("; ".join(word for word in (said, *hinted) if word))


def shortened(text: str) -> str:
    """One line, nothing that a terminal would act on, no more than QUOTED_CHARACTERS."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:QUOTED_CHARACTERS]


def _said(body: object) -> Iterator[str]:
    if not isinstance(body, Mapping):
        yield str(body or "")[: 2 * QUOTED_CHARACTERS]
        return
    general, fields = body.get("general"), body.get("field")
    for one in general if isinstance(general, list) else ():
        yield _message(one)
    for name, messages in fields.items() if isinstance(fields, Mapping) else ():
        for one in messages if isinstance(messages, list) else (messages,):
            yield f"{name}: {_message(one)}"
    for name in ("message", "description", "code"):
        if body.get(name):
            yield str(body[name])


def _message(one: object) -> str:
    return str(one.get("message", one)) if isinstance(one, Mapping) else str(one)
