"""What the local Planet may do wrong, and which requests, orders and calls meet it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field

from imagery.sandbox.rules import RuleReader, Rules


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


class Faults(Rules[Rule]):
    """The rules in force."""

    COUNTS_ON = True

    def choose(self, operation: Operation, name: str, *, among: Collection[Fault] | None = None) -> Rule | None:
        """The rule that is met here and now, which is counted; `among` these faults only."""
        return self.first_due(
            lambda rule: rule.matches(operation, name) and (among is None or rule.fault in among),
        )


_READER = RuleReader(Rule, place="operation", example="429@create,times=2")


def read_rule(document: object) -> Rule:
    """A rule as JSON says it. Raises InvalidInput naming the field."""
    return _READER.read(document)


def parse_rule(text: str) -> Rule:
    """A rule as the command line says it, such as `429@create,times=2,retry_after_s=1`. Raises InvalidInput."""
    return _READER.parse(text)
