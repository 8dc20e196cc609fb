"""What a state asks of the world: the interpreter's whole output, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Location = tuple[tuple[str, int], ...]
"""Where a frame's machine lies: (state, branch) for each Parallel or Map it is inside of; a Map has branch 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One line of control: with the definition it is the whole continuation."""

    location: Location = ()
    state: str
    data: Any
    """The state's raw input."""

    variables: dict[str, Any] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    """Position in Retry → retries used; kept while the state is retried, empty in the next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Go:
    """On to the next state."""

    state: str
    data: Any
    variables: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """This line of control has ended well."""

    output: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """This line of control has ended with an error nobody caught."""

    error: str | None
    cause: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """Enter the state again after `delay_s`."""

    delay_s: float
    attempts: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Invoke:
    """Carry out a task."""

    resource: str
    """Without `.waitForTaskToken`."""

    arguments: Any
    waits_for_token: bool
    timeout_s: int | None
    heartbeat_s: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sleep:
    """Go on after `seconds`, or at `until`; one of them is None."""

    seconds: int | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """A branch of a Parallel or an iteration of a Map."""

    location: Location
    data: Any
    item: dict[str, Any] | None = None
    """`Index` and `Value` of a Map; None in a Parallel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fork:
    """Run the children; the state is completed with their outputs in order."""

    children: tuple[Child, ...]
    concurrency: int = 0
    """How many at once; 0 for all."""

    tolerated: int | None = None
    """Failures a Map bears; None when the first one's own error is the state's."""


Effect = Go | Done | Failed | Retry | Invoke | Sleep | Fork
