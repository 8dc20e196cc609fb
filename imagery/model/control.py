"""What holds the whole service back: a pause, and what has been used up of a limit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """The global stop: while it lasts nothing is started and nothing is deleted."""

    at: datetime
    by: str
    """Who paused, as the operating system names them."""

    reason: str | None = None
    """For people; shown to whoever may see /health."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Bytes moved."""

    bytes_read: int = 0
    """Of source rasters and of our own objects. An estimate: see `imagery.metering`."""

    bytes_written: int = 0
    """Of our own objects."""

    @property
    def total(self) -> int:
        """What the limit counts."""
        return self.bytes_read + self.bytes_written


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitStatus:
    """How a limit stands."""

    name: str
    """As its setting is called, without the prefix."""

    limit: int
    used: int
    lifts_at: datetime | None = None
    """When some of it is free again. None: it is not reached, or lifts when work ends."""

    @property
    def is_reached(self) -> bool:
        """Whether nothing more is let through just now."""
        return self.used >= self.limit
