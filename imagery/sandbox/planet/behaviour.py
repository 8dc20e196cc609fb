"""How the local Planet takes its time and words its answers. Values that can be changed while it is served."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from imagery.errors import InvalidInput

Seconds = Annotated[float, Field(ge=0, le=30 * 86_400)]


class Names(StrEnum):
    """How results of an order are named. Both have been recorded."""

    PREFIXED = "prefixed"
    """`<order id>/PSScene/<file>`, which the SDK's own checksums need."""

    MIXED = "mixed"
    """Rasters bare, the rest prefixed."""


class Notice(StrEnum):
    """What a webhook is sent."""

    ITEMS = "items"
    """`order_id` and `items`, as documented today."""

    ORDER = "order"
    """The order whole, as documented until 2024."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Behaviour:
    """Everything but faults."""

    queued_s: Seconds = 1.0
    running_s: Seconds = 1.0
    """Before results begin to be made."""

    notice: Notice = Notice.ITEMS
    names: Names = Names.PREFIXED
    link_lifetime_s: Annotated[float, Field(gt=0)] = 86_400.0
    """A day is what records show."""

    redirects: bool = False
    """A download link answers 302, to storage of another path, as the specification has it; else the file itself."""

    coverage: bool = True
    """Whether the plan allows /coverage; 403 without."""

    rate_scale: Annotated[float, Field(ge=0)] = 1.0
    """Times the documented requests a second; 0 limits nothing."""

    retry_after_s: Annotated[int, Field(ge=0)] | None = 1
    """What a 429 for haste advises; None: nothing."""

    quota_hectares: Annotated[float, Field(ge=0)] | None = None
    """Orders beyond it are refused for good; None: any number."""

    @property
    def link_lifetime(self) -> timedelta:
        """As a span."""
        return timedelta(seconds=self.link_lifetime_s)


_BEHAVIOUR = TypeAdapter(Behaviour)
_NAMES = tuple(field.name for field in fields(Behaviour))


class Manners:
    """The behaviour in force. Any thread."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self._lock = threading.Lock()
        self._current = behaviour or Behaviour()

    @property
    def current(self) -> Behaviour:
        """As it is now."""
        return self._current

    def change(self, **changes: Any) -> Behaviour:
        """Change some of it, from now on. Raises InvalidInput naming the field."""
        unknown = sorted(set(changes) - set(_NAMES))
        if unknown:
            raise InvalidInput(f"there is no {unknown[0]!r}; there are {', '.join(_NAMES)}", field=f"/{unknown[0]}")
        with self._lock:
            changed = replace(self._current, **changes)
            try:
                self._current = _BEHAVIOUR.validate_python({name: getattr(changed, name) for name in _NAMES})
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                name = str(first["loc"][0])
                raise InvalidInput(f"{name}: {first['msg']}", field=f"/{name}") from None
            return self._current
