"""How much may be started: the pause, executions a minute, bytes a day. What is held back stays queued."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from imagery.model.control import LimitStatus, Pause
from imagery.ports import Clock, ControlStore, UsageStore

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Asked before work is started, never in the middle of it: what is under way finishes.

    So the bytes of a day may end above their limit by what was under way when it was reached.
    """

    controls: ControlStore
    usage: UsageStore
    clock: Clock
    executions_per_minute: int
    """In any span of a minute, whatever was restarted meanwhile."""

    bytes_per_day: int
    """Read and written, of a day of UTC."""

    def pause(self, *, by: str, reason: str | None = None) -> Pause:
        """Start nothing from now on, until `resume`; gives the pause in force, which may be an earlier one."""
        return self.controls.pause(Pause(at=self.clock(), by=by, reason=reason))

    def resume(self) -> Pause | None:
        """End the pause; gives what it was, or None if there was none."""
        pause = self.controls.paused()
        self.controls.resume()
        return pause

    def paused(self) -> Pause | None:
        """The pause in force."""
        return self.controls.paused()

    def held_back(self) -> str | None:
        """Why nothing at all may be started, for a person; None when something may."""
        pause = self.paused()
        if pause is not None:
            why = f" ({pause.reason})" if pause.reason else ""
            return f"paused by {pause.by} at {pause.at:%Y-%m-%d %H:%M:%S} UTC{why}; `imagery resume` ends it"
        today = _today(self.clock())
        if self.usage.on(today).total >= self.bytes_per_day:
            return (
                f"max_bytes_per_day ({self.bytes_per_day}) is used up; "
                f"it goes on by itself at {_midnight_after(today):%Y-%m-%d %H:%M} UTC"
            )
        return None

    def room(self) -> int:
        """How many executions the minute has left, when nothing is held back."""
        started, _ = self.usage.admitted(span=MINUTE, now=self.clock())
        return max(0, self.executions_per_minute - started)

    def take(self, wanted: int) -> int:
        """Count up to `wanted` executions as started; gives how many may be. A process killed now has used them up."""
        return self.usage.admit(wanted, limit=self.executions_per_minute, span=MINUTE, now=self.clock())

    def limits(self) -> tuple[LimitStatus, ...]:
        """How the limits stand."""
        now = self.clock()
        started, first_at = self.usage.admitted(span=MINUTE, now=now)
        moved = self.usage.on(_today(now)).total
        is_full, is_used_up = started >= self.executions_per_minute, moved >= self.bytes_per_day
        return (
            LimitStatus(
                name="max_executions_per_minute",
                limit=self.executions_per_minute,
                used=started,
                lifts_at=first_at + MINUTE if is_full and first_at else None,
            ),
            LimitStatus(
                name="max_bytes_per_day",
                limit=self.bytes_per_day,
                used=moved,
                lifts_at=_midnight_after(_today(now)) if is_used_up else None,
            ),
        )


def _today(now: datetime) -> date:
    return now.astimezone(UTC).date()


def _midnight_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time.min, UTC)
