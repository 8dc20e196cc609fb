"""An execution's history, as the states it went through and how long each took. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from imagery.model.execution import HistoryEvent

ENTERED, EXITED = "StateEntered", "StateExited"


@dataclass(kw_only=True, slots=True)
class Visit:
    """One stay in one state."""

    state: str
    type: str
    """`Task`, `Choice` …"""

    entered_at: datetime
    exited_at: datetime | None = None
    """None: it is still there, or the execution ended in it."""

    failures: list[str] = field(default_factory=list)
    """Errors met in it, one for each attempt that failed."""

    @property
    def duration(self) -> timedelta | None:
        return self.exited_at - self.entered_at if self.exited_at else None

    def to_dict(self) -> dict[str, Any]:
        """JSON types; the duration in seconds."""
        return {
            "state": self.state,
            "type": self.type,
            "entered_at": self.entered_at.isoformat(),
            "exited_at": self.exited_at.isoformat() if self.exited_at else None,
            "duration_s": self.duration.total_seconds() if self.duration is not None else None,
            "failures": self.failures,
        }


def visits(history: Sequence[HistoryEvent], *, ended_at: datetime | None = None) -> list[Visit]:
    """In order of entry. States of the same name in parallel are told apart as they come: first in, first out."""
    found: list[Visit] = []
    for event in history:
        if event.type.endswith(ENTERED) and event.state is not None:
            found.append(Visit(state=event.state, type=event.type.removesuffix(ENTERED), entered_at=event.at))
            continue
        current = next((v for v in found if v.state == event.state and v.exited_at is None), None)
        if current is None:
            continue
        if event.type.endswith(EXITED):
            current.exited_at = event.at
        elif event.type.endswith(("Failed", "TimedOut")):
            current.failures.append(str(event.detail.get("error") or event.type))
    for visit in found:
        if visit.exited_at is None:
            visit.exited_at = ended_at
    return found
