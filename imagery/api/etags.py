"""ETags of subscriptions: what If-Match and If-None-Match mean by them (RFC 9110, section 13)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from imagery.errors import InvalidInput
from imagery.model.look import Look
from imagery.model.subscription import Subscription

_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*')
_OURS = re.compile(r"(\d{1,18})(-[0-9a-f]{8})?")


def etag_of(subscription: Subscription, looks: Sequence[Look] = ()) -> str:
    """Its version, and a mark that changes as checks, looks and deliveries move on, which are in its view too."""
    done = sum(look.done_at is not None for look in looks)
    marks = f"{subscription.checked_through}{subscription.last_update_at}{done}/{len(looks)}"
    return f'"{subscription.version}-{hashlib.sha256(marks.encode()).hexdigest()[:8]}"'


def expected_version(if_match: str | None, subscription: Subscription) -> int | None:
    """The version a caller means to change; None: whichever there is. 0 for a tag that is none of ours.

    Only the version counts: a check that moved on in between takes nothing from the caller. A weak tag never matches.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    matches = [_OURS.fullmatch(tag) for is_weak, tag in _parsed(if_match, header="If-Match") if not is_weak]
    versions = [int(match[1]) for match in matches if match]
    return subscription.version if subscription.version in versions else next(iter(versions), 0)


def is_unchanged(if_none_match: str | None, etag: str) -> bool:
    """Whether the caller has it already as it stands."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return etag in [f'"{tag}"' for _, tag in _parsed(if_none_match, header="If-None-Match")]


def _parsed(text: str, *, header: str) -> list[tuple[bool, str]]:
    """(is weak, tag) of each in the list. Raises InvalidInput."""
    tags: list[tuple[bool, str]] = []
    position = 0
    while match := _TAG.match(text, position):
        tags.append((match[1] is not None, match[2]))
        position = match.end()
        if not text.startswith(",", position):
            break
        position += 1
    if position != len(text) or not tags:
        raise InvalidInput(f'{header} holds ETags in quotes, as "3-0a1b2c3d", or *', field=f"/{header}")
    return tags
