"""What the local Planet may do wrong, and when: rules that are counted. Safe from any thread."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from imagery.errors import InvalidInput


class Operation(StrEnum):
    """What is asked of Planet, or what Planet does by itself (the last two)."""

    SEARCH = "search"
    ITEM = "item"
    COVERAGE = "coverage"
    CREATE = "create"
    LIST = "list"
    GET = "get"
    CANCEL = "cancel"
    BULK_CANCEL = "bulk-cancel"
    STATS = "stats"
    SPEC = "spec"
    DOWNLOAD = "download"
    ORDER = "order"
    WEBHOOK = "webhook"


class Fault(StrEnum):
    """What goes wrong."""

    THROTTLED = "429"
    QUOTA = "429-quota"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    """As of what was there once, and is there no more."""

    FAILING = "500"
    BAD_GATEWAY = "502"
    """With a blank body, as 503."""

    UNAVAILABLE = "503"
    SLOW = "slow"
    TRUNCATED = "truncated"
    """The connection breaks in the middle of the answer: what was asked has been done, an order was created."""

    REPEATED = "repeated-page"
    """A page of a search or list whose next link leads to itself."""

    CORRUPT = "corrupt"
    """A download whose bytes are inverted beyond the first `keep_bytes`."""

    EXPIRED = "expired"
    """A download whose link does not work any more, whatever it says."""

    ORDER_FAILED = "order-failed"
    ORDER_PARTIAL = "order-partial"
    """The last item of an order that allows it is left out."""

    ORDER_CANCELLED = "order-cancelled"
    ORDER_STUCK = "order-stuck"
    """It stays running."""

    NO_MANIFEST = "no-manifest"
    NO_LOCATION = "no-location"
    """Results without a link, as after a delivery elsewhere."""

    WRONG_DIGEST = "wrong-digest"
    """A manifest whose digests are of other files."""

    WEBHOOK_LOST = "webhook-lost"
    WEBHOOK_LATE = "webhook-late"
    """By `seconds`."""

    WEBHOOK_TWICE = "webhook-twice"
    WEBHOOK_EARLY = "webhook-early"
    """The order is made at once, and the webhook called before the order's creation is answered."""

    WEBHOOK_WRONG_ORDER = "webhook-wrong-order"
    WEBHOOK_GARBAGE = "webhook-garbage"


_PAGES = frozenset({Operation.SEARCH, Operation.LIST})
_ASKED = frozenset(Operation) - {Operation.ORDER, Operation.WEBHOOK}
_ONLY_FOR: dict[Fault, frozenset[Operation]] = {
    Fault.QUOTA: frozenset({Operation.CREATE}),
    Fault.REPEATED: _PAGES,
    Fault.CORRUPT: frozenset({Operation.DOWNLOAD}),
    Fault.EXPIRED: frozenset({Operation.DOWNLOAD}),
    Fault.NO_MANIFEST: frozenset({Operation.ORDER}),
    Fault.WRONG_DIGEST: frozenset({Operation.ORDER}),
    Fault.NO_LOCATION: frozenset({Operation.GET}),
    **{fault: frozenset({Operation.ORDER}) for fault in Fault if fault.startswith("order-")},
    **{fault: frozenset({Operation.WEBHOOK}) for fault in Fault if fault.startswith("webhook-")},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One fault, and which requests, orders or calls meet it."""

    fault: Fault
    operation: Operation | None = None
    """None: any that the fault makes sense for."""

    name: str = "*"
    """Glob: over the path of a request, over an order's name for orders and webhooks, over a file's for downloads."""

    after: Annotated[int, Field(ge=0)] = 0
    """Those matching that go well before the first fault."""

    times: Annotated[int, Field(ge=1)] | None = None
    """None: always."""

    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    retry_after_s: Annotated[int, Field(ge=0)] | None = None
    seconds: Annotated[float, Field(ge=0, le=86_400)] = 2.0
    keep_bytes: Annotated[int, Field(ge=0)] = 4096

    def matches(self, operation: Operation, name: str) -> bool:
        """Whether it may be met here."""
        return (
            self.operation in (None, operation)
            and operation in _ONLY_FOR.get(self.fault, _ASKED)
            and fnmatchcase(name, self.name)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A rule, and what became of it so far."""

    id: int
    rule: Rule
    seen: int = 0
    applied: int = 0


class Faults:
    """The rules in force. Of several that match, the first that is due is applied."""

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
        """Nothing goes wrong any more."""
        with self._lock:
            self._standing.clear()

    def choose(self, operation: Operation, name: str, *, among: Collection[Fault] | None = None) -> Rule | None:
        """The rule that is met here and now, which is counted; `among` these faults only."""
        chosen = None
        with self._lock:
            for standing in self._standing.values():
                rule = standing.rule
                if not rule.matches(operation, name) or (among is not None and rule.fault not in among):
                    continue
                applies = chosen is None and self._is_due(standing)
                chosen = rule if applies else chosen
                self._standing[standing.id] = replace(
                    standing, seen=standing.seen + 1, applied=standing.applied + applies
                )
        return chosen

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
        raise InvalidInput(f"the rule's {place or 'body'}: {first['msg']}", field=f"/{place}") from None
    return rule


def parse_rule(text: str) -> Rule:
    """A rule as the command line says it, such as `429@create,times=2,retry_after_s=1`. Raises InvalidInput."""
    first, *rest = text.split(",")
    fault, at, operation = first.partition("@")
    document: dict[str, Any] = {"fault": fault, **({"operation": operation} if at else {})}
    for part in rest:
        name, equals, value = part.partition("=")
        if not equals:
            raise InvalidInput(f"{part!r} says no value; write {part}=…, as in 429@create,times=2", field="fault")
        document[name] = value
    return read_rule(document)
