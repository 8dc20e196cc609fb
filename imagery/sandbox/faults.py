"""What the local Earth Search may do wrong, and which requests meet it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field

from imagery.sandbox.rules import RuleReader, Rules


class Fault(StrEnum):
    """What goes wrong."""

    THROTTLED = "429"
    """Too many requests, with Retry-After when the rule says `retry_after_s`."""

    FAILING = "500"
    BAD_GATEWAY = "502"
    """What Earth Search says when a page outgrows what it may return."""

    SLOW = "slow"
    """Silence for `seconds`, then the answer."""

    TRUNCATED = "truncated"
    """The connection breaks in the middle of the body."""

    WRONG_LENGTH = "wrong-length"
    """Half the body, and a Content-Length that says this is all: nothing tells that it is not."""

    CORRUPT_TIFF = "corrupt-tiff"
    """Every byte of a file inverted, beyond the first `keep_bytes`."""

    EXPIRED = "403-expired"
    """As object stores answer a signed URL that is too old."""

    MISSING_ASSET = "missing-asset"
    """A file is not there (404); from an item, or the items of a search, the assets that `asset` names are left out."""

    EMPTY_PAGE = "empty-page"
    """A page of a search without items, whose next link leads to the page that was asked for."""

    DUPLICATE_IDS = "duplicate-ids"
    """Every item of a page twice."""

    WHOLE_CATALOGUE = "whole-catalogue"
    """A search is answered as if it asked for everything."""


class Kind(StrEnum):
    """What is asked for."""

    ROOT = "root"
    COLLECTION = "collection"
    SEARCH = "search"
    ITEM = "item"
    FILE = "file"


_PAGES = frozenset({Kind.SEARCH})
_ONLY_FOR = {
    Fault.CORRUPT_TIFF: frozenset({Kind.FILE}),
    Fault.MISSING_ASSET: frozenset({Kind.FILE, Kind.ITEM, Kind.SEARCH}),
    Fault.EMPTY_PAGE: _PAGES,
    Fault.DUPLICATE_IDS: _PAGES,
    Fault.WHOLE_CATALOGUE: _PAGES,
}
"""Faults that mean nothing elsewhere: a rule for one leaves other requests alone, and does not count them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One fault, and which requests meet it."""

    fault: Fault
    kind: Kind | None = None
    """None: any that the fault makes sense for."""

    path: str = "*"
    """Glob over the URL's path."""

    after: Annotated[int, Field(ge=0)] = 0
    """Matching requests that are answered well before the first fault."""

    times: Annotated[int, Field(ge=1)] | None = None
    """None: always."""

    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    retry_after_s: Annotated[int, Field(ge=0)] | None = None
    seconds: Annotated[float, Field(ge=0, le=3600)] = 2.0
    keep_bytes: Annotated[int, Field(ge=0)] = 4096
    """4096 leaves a GeoTIFF's header whole and damages its pixels."""

    asset: str = "*"
    """Glob over asset keys."""

    def matches(self, kind: Kind, path: str) -> bool:
        """Whether a request may meet it."""
        return (
            self.kind in (None, kind)
            and kind in _ONLY_FOR.get(self.fault, frozenset(Kind))
            and fnmatchcase(path, self.path)
        )


class Faults(Rules[Rule]):
    """The rules in force."""

    def choose(self, kind: Kind, path: str) -> Rule | None:
        """The fault this request meets; counts it."""
        return self.first_due(lambda rule: rule.matches(kind, path))


_READER = RuleReader(Rule, place="kind", example="429@search,times=2")


def read_rule(document: object) -> Rule:
    """A rule as JSON says it. Raises InvalidInput naming the field."""
    return _READER.read(document)


def parse_rule(text: str) -> Rule:
    """A rule as the command line says it, such as `429@search,times=2,retry_after_s=1`. Raises InvalidInput."""
    return _READER.parse(text)
