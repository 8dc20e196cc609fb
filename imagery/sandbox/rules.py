"""Rules of what a sandbox does wrong: counted, and read from JSON or the command line. Safe from any thread."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from imagery.errors import InvalidInput


class Counted(Protocol):
    """What of a rule decides whether its turn has come."""

    @property
    def after(self) -> int:
        """Those matching that go well before the first fault."""

    @property
    def times(self) -> int | None:
        """None: always."""

    @property
    def probability(self) -> float:
        """0 to 1."""


R = TypeVar("R", bound=Counted)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing(Generic[R]):
    """A rule, and what became of it so far."""

    id: int
    rule: R
    seen: int = 0
    """Those that matched."""

    applied: int = 0
    """Those of them that met the fault."""


class Rules(Generic[R]):
    """The rules in force. Of several that match, the first that is due is applied."""

    COUNTS_ON: ClassVar[bool] = False
    """Whether rules behind the one that is applied count as well what they match."""

    def __init__(self, *rules: R, chance: Callable[[], float] = random.random) -> None:
        """`chance` gives 0 to 1 and decides about `probability`."""
        self._chance = chance
        self._lock = threading.Lock()
        self._standing: dict[int, Standing[R]] = {}
        self._last_id = 0
        for rule in rules:
            self.add(rule)

    def add(self, rule: R) -> Standing[R]:
        """In force from now on, after those that are."""
        with self._lock:
            self._last_id += 1
            self._standing[self._last_id] = Standing(id=self._last_id, rule=rule)
            return self._standing[self._last_id]

    def list(self) -> tuple[Standing[R], ...]:
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

    def first_due(self, matches: Callable[[R], bool]) -> R | None:
        """The rule that is met, which is counted."""
        chosen: R | None = None
        with self._lock:
            for standing in [one for one in self._standing.values() if matches(one.rule)]:
                applies = chosen is None and self._is_due(standing)
                self._standing[standing.id] = replace(
                    standing, seen=standing.seen + 1, applied=standing.applied + applies
                )
                if applies:
                    chosen = standing.rule
                    if not self.COUNTS_ON:
                        break
        return chosen

    def _is_due(self, standing: Standing[R]) -> bool:
        rule = standing.rule
        if standing.seen < rule.after or (rule.times is not None and standing.applied >= rule.times):
            return False
        return rule.probability >= 1 or self._chance() < rule.probability


class RuleReader(Generic[R]):
    """Reads rules of one class, whose fields are the names they are written with."""

    def __init__(self, rule: type[R], *, place: str, example: str) -> None:
        """`place` is the field that stands behind the @ on the command line, `example` a rule written there."""
        self._adapter: TypeAdapter[R] = TypeAdapter(rule)
        self._names = tuple(field.name for field in fields(rule))  # type: ignore[arg-type]
        self._place = place
        self._example = example

    def read(self, document: object) -> R:
        """A rule as JSON says it. Raises InvalidInput naming the field."""
        unknown = sorted(set(document) - set(self._names)) if isinstance(document, dict) else []
        if unknown:
            has = ", ".join(self._names)
            raise InvalidInput(f"a rule has no {unknown[0]!r}; it has {has}", field=f"/{unknown[0]}")
        try:
            return self._adapter.validate_python(document)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = "/".join(map(str, first["loc"]))
            raise InvalidInput(
                f"the rule's {place or 'body'}: {first['msg']}", field=f"/{place}" if place else ""
            ) from None

    def parse(self, text: str) -> R:
        """A rule as the command line says it. Raises InvalidInput."""
        first, *rest = text.split(",")
        fault, at, place = first.partition("@")
        document: dict[str, Any] = {"fault": fault, **({self._place: place} if at else {})}
        for part in rest:
            name, equals, value = part.partition("=")
            if not equals:
                raise InvalidInput(f"{part!r} says no value; write {part}=…, as in {self._example}", field="fault")
            document[name] = value
        return self.read(document)
