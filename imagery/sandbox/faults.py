"""What a sandbox may do wrong, and when: rules that are counted. Pure, but for the counting; safe from any thread."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from imagery.errors import InvalidInput


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A rule, and what became of it so far."""

    id: int
    rule: Rule
    seen: int = 0
    """Requests that matched."""

    applied: int = 0
    """Those of them that met the fault."""


class Faults:
    """The rules in force. Of several that match a request, the first that is due is applied."""

    def __init__(self, *rules: Rule, chance: Callable[[], float] = random.random) -> None:
        """`chance` gives 0 to 1 and decides about `probability`."""
        self._chance = chance
        self._lock = threading.Lock()
        self._standing: dict[int, Standing] = {}
        self._last_id = 0
        for rule in rules:
            self.add(rule)

    def add(self, rule: Rule) -> Standing:
        """In force from now on, after those that are."""
        with self._lock:
            self._last_id += 1
            self._standing[self._last_id] = Standing(id=self._last_id, rule=rule)
            return self._standing[self._last_id]

    def list(self) -> tuple[Standing, ...]:
        """All of them, used-up ones too."""
        with self._lock:
            return tuple(self._standing.values())

    def remove(self, rule_id: int) -> bool:
        """Whether there was such a rule."""
        with self._lock:
            return self._standing.pop(rule_id, None) is not None

    def clear(self) -> None:
        """From now on all is well."""
        with self._lock:
            self._standing.clear()

    def choose(self, kind: Kind, path: str) -> Rule | None:
        """The fault this request meets; counts it."""
        with self._lock:
            for standing in [one for one in self._standing.values() if one.rule.matches(kind, path)]:
                is_due = self._is_due(standing)
                self._standing[standing.id] = replace(
                    standing, seen=standing.seen + 1, applied=standing.applied + is_due
                )
                if is_due:
                    return standing.rule
        return None

    def _is_due(self, standing: Standing) -> bool:
        rule = standing.rule
        if standing.seen < rule.after or (rule.times is not None and standing.applied >= rule.times):
            return False
        return rule.probability >= 1 or self._chance() < rule.probability


_RULE = TypeAdapter(Rule)
_NAMES = tuple(field.name for field in fields(Rule))


def read_rule(document: object) -> Rule:
    """A rule as JSON says it. Raises InvalidInput naming the field."""
    unknown = sorted(set(document) - set(_NAMES)) if isinstance(document, dict) else []
    if unknown:
        raise InvalidInput(f"a rule has no {unknown[0]!r}; it has {', '.join(_NAMES)}", field=f"/{unknown[0]}")
    try:
        rule: Rule = _RULE.validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "/".join(map(str, first["loc"]))
        raise InvalidInput(
            f"the rule's {place or 'body'}: {first['msg']}", field=f"/{place}" if place else ""
        ) from None
    return rule


def parse_rule(text: str) -> Rule:
    """A rule as the command line says it, such as `429@search,times=2,retry_after_s=1`. Raises InvalidInput."""
    first, *rest = text.split(",")
    fault, at, kind = first.partition("@")
    document: dict[str, Any] = {"fault": fault, **({"kind": kind} if at else {})}
    for part in rest:
        name, equals, value = part.partition("=")
        if not equals:
            raise InvalidInput(f"{part!r} says no value; write {part}=…, as in 429@search,times=2", field="fault")
        document[name] = value
    return read_rule(document)
